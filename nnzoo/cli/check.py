"""`nnzoo check`: all errors of a config, or its values."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nnzoo.cli.common import (
    ConfigArgument,
    ConfigOption,
    DebugOption,
    JsonOption,
    SeedOption,
    SetOption,
    load_config_option,
)
from nnzoo.cli.messages import issues
from nnzoo.errors import ConfigError
from nnzoo.text import note_line

if TYPE_CHECKING:
    from nnzoo.config import RunConfig


def check(
    source: ConfigArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Print every value and where it comes from.")
    ] = False,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check a config and its data: list every error, or what both hold."""
    from nnzoo.config.formatting import config_with_sweep, resolved_lines, to_json
    from nnzoo.errors import escape_controls, shell_word

    try:
        run_config = load_config_option(source, config, set_, seed)
        description = _describe_data(run_config)
    except ConfigError as error:
        if not json_:
            raise
        sys.stdout.write(f"{to_json({'issues': issues(error)})}\n")
        raise typer.Exit(error.exit_code) from None
    if json_:
        sys.stdout.write(f"{to_json(config_with_sweep(run_config))}\n")
    elif all_:
        sys.stdout.write("\n".join(resolved_lines(run_config)) + "\n")
    else:
        name = shell_word(str(source or config))
        lines = [*description, *map(note_line, run_config.notes)]
        data = "".join(f"  {escape_controls(line)}\n" for line in lines)
        sys.stdout.write(
            f"{run_config.source}: ok\n  {_summary(run_config)}\n{data}"
            f"every value, and where it comes from: nnzoo check {name} --all\n"
        )


def _describe_data(config: RunConfig) -> list[str]:
    """Lines on the data, if its files exist; raises ConfigError for keys that do not fit them."""
    from nnzoo.config.registry import DATA
    from nnzoo.config.run_config import locates_errors

    @locates_errors
    def describe(config: RunConfig) -> list[str]:
        entry = DATA.get(config.data.name)
        return [] if entry is None else entry.description(config.data)

    return describe(config)


def _summary(config: RunConfig) -> str:
    """The model, data and training of a config on one line."""
    train = config.train
    parts = [
        f"{config.model.name} on {config.data.name}",
        f"{config.optim.name}, learning rate {config.optim.lr:g}",
        f"{train.epochs:,} epoch{'s' if train.epochs > 1 else ''} of batch size {train.batch_size:,}",
        f"run folder {config.name}",
    ]
    return " · ".join(parts)
