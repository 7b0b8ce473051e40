"""The command line: one module per command; torch is imported inside the commands that compute."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

# pydantic would read the metadata of every installed package in search of plugins: 11 ms of 200.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import typer

from nnzoo import __version__
from nnzoo.cli import (
    cache,
    check,
    evaluate,
    explain,
    export,
    generate,
    info,
    init,
    inspect,
    predict,
    report,
    runs,
    sweep,
    train,
    watch,
)
from nnzoo.cli.common import handle_errors
from nnzoo.cli.completion import VARIABLE, run_completion
from nnzoo.cli.process import fast_exit, open_streams
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
    "train": train.train,
    "sweep": sweep.sweep,
    "eval": evaluate.eval_,
    "predict": predict.predict,
    "generate": generate.generate,
    "inspect": inspect.inspect,
    "report": report.report,
    "watch": watch.watch,
    "export": export.export,
    "runs": runs.runs,
    "check": check.check,
    "explain": explain.explain,
    "models": info.models,
    "datasets": info.datasets,
    "training": info.training,
    "configs": info.configs,
    "init": init.init,
    "schema": info.schema,
    "cache": cache.cache,
}
for _name, _function in COMMANDS.items():
    app.command(_name, cls=Command)(handle_errors(_function))


def main() -> None:
    """The entry point of `nnzoo`."""
    open_streams()
    # While torch loads Python looks for unreachable objects in vain again and again: 0.2 s of 1.6.
    gc.set_threshold(50_000)
    try:
        if VARIABLE in os.environ:
            run_completion(app)
        app()
    except SystemExit as end:
        fast_exit(end.code)
        raise
