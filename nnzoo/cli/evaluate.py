"""`nnzoo eval`: the metrics of a split beside a baseline."""

from __future__ import annotations

from nnzoo.cli.common import (
    DEFAULT_OUT,
    ConfigOption,
    CoverageOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    OptionalRunArgument,
    OutOption,
    SeedOption,
    SetOption,
    SplitOption,
    WeightsOption,
    load_config_option,
    load_torch,
    note,
)
from nnzoo.errors import UsageError, shell_word
from nnzoo.status import status
from nnzoo.text import Note


def eval_(
    checkpoint: OptionalRunArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    split: SplitOption = "test",
    coverage: CoverageOption = None,
    weights: WeightsOption = "best",
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    out: OutOption = DEFAULT_OUT,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Evaluate on a split, beside a baseline that needs no network."""
    from nnzoo import console
    from nnzoo.console import tables

    if (checkpoint is None) == (config is None):
        raise UsageError("give either RUN or --config: nnzoo eval checkpoints/cnn", code="E01")
    if checkpoint is not None and seed is not None:
        raise UsageError("--seed goes with --config: a RUN has its seed", code="E01")
    path, run_config = checkpoint, None
    if path is None:
        run_config = load_config_option(None, config, set_, seed)
        path = out / run_config.name
        group = out / f"{run_config.name}-seeds"
        path = group if group.is_dir() and not path.is_dir() else path
        if not path.is_dir():
            command = f"nnzoo train --config {shell_word(config or '')}"
            raise UsageError(f"no run in {path}; train first: {command}", code="E61")
    load_torch()
    from nnzoo.device import choose_device
    from nnzoo.runs.loaded_run import LoadedRun

    trained = LoadedRun.open(path, choose_device(device), weights, set_, run_config)
    with status("evaluating", log=False):
        result = trained.measure(split, coverage)
    for text in (*trained.notes, *trained.dataset.cuts):
        note(text)
    if trained.data_changed:
        note(Note("W50", "the data has changed since the run was trained"))
    if json_:
        console.print_json(result)
        return
    stdout, _ = console.make_consoles()
    stdout.print(f"{trained.file}", style="bold", markup=False, soft_wrap=True)
    tables.print_result(stdout, result, detail=True)
