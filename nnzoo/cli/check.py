"""`nnzoo check`: what is wrong with a config, or what it says."""

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
    config_of,
)
from nnzoo.cli.messages import issues
from nnzoo.errors import ConfigError

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
    """List every error in a config, or show each value and where it comes from."""
    from nnzoo.config.shelf import DATA
    from nnzoo.config.show import checked, resolved_lines, to_json
    from nnzoo.errors import shell_word, visible

    try:
        run_config = config_of(source, config, set_, seed)
    except ConfigError as error:
        if not json_:
            raise
        sys.stdout.write(f"{to_json({'issues': issues(error)})}\n")
        raise typer.Exit(error.exit_code) from None
    if json_:
        sys.stdout.write(f"{to_json(checked(run_config))}\n")
    elif all_:
        sys.stdout.write("\n".join(resolved_lines(run_config)) + "\n")
    else:
        name = shell_word(str(source or config))
        entry = DATA.get(run_config.data.name)
        lines = [] if entry is None else entry.description(run_config.data)
        data = "".join(f"  {visible(line)}\n" for line in lines)
        sys.stdout.write(
            f"{run_config.source}: ok\n  {_summary(run_config)}\n{data}"
            f"every value, and where it comes from: nnzoo check {name} --all\n"
        )


def _summary(config: RunConfig) -> str:
    """What the config trains, on one line."""
    train = config.train
    parts = [
        f"{config.model.name} on {config.data.name}",
        f"{config.optim.name}, learning rate {config.optim.lr:g}",
        f"{train.epochs:,} epoch{'s' if train.epochs > 1 else ''} of batch size {train.batch_size:,}",
        f"run folder {config.name}",
    ]
    return " · ".join(parts)
