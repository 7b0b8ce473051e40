"""`nnzoo eval`: exact metrics of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from nnzoo.cli.common import (
    SPLITS,
    ConfigOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    load_config_option,
    load_torch,
    note,
    one_of,
)
from nnzoo.cli.usage import complete_words
from nnzoo.errors import UsageError, shell_word
from nnzoo.status import status


def eval_(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="A run folder, or a .pt file.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="train|val|test",
            autocompletion=complete_words(*SPLITS),
            help="The rows to evaluate.",
        ),
    ] = "test",
    weights: Annotated[
        str,
        typer.Option(
            metavar="best|last",
            autocompletion=complete_words("best", "last"),
            help="Which weights of the run.",
        ),
    ] = "best",
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    out: OutOption = Path("checkpoints"),
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Evaluate on a split and compare with a baseline that needs no network."""
    from nnzoo import console
    from nnzoo.console import tables

    one_of("--split", split, SPLITS)
    one_of("--weights", weights, ("best", "last"))
    if (checkpoint is None) == (config is None):
        raise UsageError("give either RUN or --config: nnzoo eval checkpoints/cnn")
    if checkpoint is not None and seed is not None:
        raise UsageError("--seed goes with --config: a RUN has its seed")
    path, run_config = checkpoint, None
    if path is None:
        run_config = load_config_option(None, config, set_, seed)
        path = out / run_config.name
        if not path.is_dir():
            raise UsageError(
                f"no run in {path}; train first: nnzoo train --config {shell_word(config or '')}"
            )
    load_torch()
    from nnzoo.device import choose_device
    from nnzoo.runs.loaded_run import LoadedRun

    trained = LoadedRun.open(path, choose_device(device), cast(Any, weights), set_, run_config)
    for text in trained.notes:
        note(text)
    with status("evaluating", log=False):
        result = trained.measure(split)
    if trained.data_changed:
        note("the data has changed since the run was trained")
    if json_:
        console.print_json(result)
        return
    stdout, _ = console.make_consoles()
    stdout.print(f"{trained.file}", style="bold", markup=False, soft_wrap=True)
    tables.print_result(stdout, result, detail=True)
