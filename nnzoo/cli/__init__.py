"""The commands. Everything typer is here; torch is imported inside the commands that compute."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

# pydantic would read the metadata of every installed package in search of plugins: 11 ms of 200.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import typer

from nnzoo import __version__
from nnzoo.cli import info
from nnzoo.cli.cache import cache
from nnzoo.cli.check import check
from nnzoo.cli.common import handle_errors
from nnzoo.cli.evaluate import eval_
from nnzoo.cli.export import export
from nnzoo.cli.init import init
from nnzoo.cli.inspect import inspect
from nnzoo.cli.predict import predict
from nnzoo.cli.process import close_streams, open_streams
from nnzoo.cli.report import report
from nnzoo.cli.runs import runs
from nnzoo.cli.sweep import sweep
from nnzoo.cli.train import train
from nnzoo.cli.usage import Command

app = typer.Typer(
    name="nnzoo",
    help="Train the classic neural networks (MLP, CNN, RNN, LSTM, GRU) on your images, tables and "
    "series from one YAML file.",
    epilog="Start here:  nnzoo train --config cnn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"nnzoo {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


COMMANDS: dict[str, Callable[..., Any]] = {
    "train": train,
    "sweep": sweep,
    "eval": eval_,
    "predict": predict,
    "inspect": inspect,
    "report": report,
    "export": export,
    "runs": runs,
    "check": check,
    "models": info.models,
    "datasets": info.datasets,
    "training": info.training,
    "configs": info.configs,
    "init": init,
    "schema": info.schema,
    "cache": cache,
}
for _name, _function in COMMANDS.items():
    app.command(_name, cls=Command)(handle_errors(_function))


def main() -> None:
    """The entry point of `nnzoo`."""
    open_streams()
    # While torch loads Python looks for unreachable objects in vain again and again: 0.2 s of 1.6.
    gc.set_threshold(50_000)
    try:
        app()
    except SystemExit as end:
        fast_exit(end.code)
        raise


def fast_exit(code: object) -> None:
    """End the process with what was said and registered done, but without taking torch's modules
    apart: 0.4 s, a third of `import torch`."""
    if not isinstance(code, int):
        return
    atexit._run_exitfuncs()
    os._exit(close_streams(code))
