"""`nnzoo train`: train a run, or a group of runs (--seeds, --folds); a signal saves the run and stops it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nnzoo.cli.common import (
    DEFAULT_OUT,
    ConfigArgument,
    ConfigOption,
    DebugOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    VerboseOption,
    load_config_option,
    load_torch,
    run_parent,
)
from nnzoo.cli.process import gc_frozen, graceful_shutdown, interrupted, tune_process_memory
from nnzoo.errors import DivergedError, UsageError, require
from nnzoo.process_group import init_process_group

if TYPE_CHECKING:
    from nnzoo.cli.train_display import TrainDisplay
    from nnzoo.config import RunConfig
    from nnzoo.runs.run import Run
    from nnzoo.runs.run_group import Group

MAX_MEMBERS = 1000
Events = dict[int, Any]
Start = Callable[[Callable[[], bool]], Generator[Events, None, None]]


ResumeOption = Annotated[
    Literal["auto", "must", "never"],
    typer.Option(
        metavar="auto|must|never",
        help="Resume the run in its folder: auto = if there is one, must = fail if there is none, "
        "never = fail if there is one.",
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Train N runs with N consecutive seeds."),
]
FoldsOption = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="K-fold cross-validation: K runs, each validating on another K-th of the rows.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option("--watch", help="Show the run on a local page while it trains (`nnzoo watch`)."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Build everything, take one step, write nothing.")
]


def train(
    source: ConfigArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    resume: ResumeOption = "auto",
    fresh: FreshOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    seeds: SeedsOption = None,
    folds: FoldsOption = None,
    out: OutOption = DEFAULT_OUT,
    verbose: VerboseOption = None,
    json_: JsonOption = False,
    dry_run: DryRunOption = False,
    watch: WatchOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network, or resume its run where it was interrupted."""
    processes = init_process_group()
    with processes.error_barrier():
        run_config = load_config_option(source, config, set_, seed)
        _check_options(run_config, seeds, folds, not processes.is_distributed)
        load_torch()
        from nnzoo.cli import train_display
        from nnzoo.cli.viewer_process import ViewerProcess
        from nnzoo.console import Output
        from nnzoo.device import choose_device
        from nnzoo.runs import run

        out, where = run_parent(source or config, out), choose_device(device, processes)
        tune_process_memory()
        group = None if dry_run else _open_group(run_config, seeds, folds, out)
        if group is None:
            options = run.RunOptions(out, where, resume, fresh, not dry_run)
            options = replace(options, is_auto_device=device == "auto")
            current = run.open_run(run_config, options, processes)
    output = Output.open(verbose, json_) if processes.is_main_process else Output.open(0, False)
    display = train_display.TrainDisplay(output, run_config, group)
    if dry_run:
        train_display.show_dry_run(output, current)
        return
    with ViewerProcess(output) as viewer:
        if watch and processes.is_main_process:
            display.on_start = viewer.start
        if group is None:
            _train_run(current, display)
        else:
            code = _train_and_show(partial(group.events, where, resume, fresh), display)
            _finish_group(group, display, code)
        viewer.keep()


def _train_run(current: Run, display: TrainDisplay) -> None:
    from nnzoo.runs.run_group import MemberOpened
    from nnzoo.runs.train import train_runs

    opened = {0: MemberOpened(current)}
    code = _train_and_show(partial(train_runs, [current]), display, opened)
    _finish_run(current, display, code)


def _train_and_show(start: Start, display: TrainDisplay, first: Events | None = None) -> int:
    """Train until the end or a signal, whose exit code is returned, else 0; first: events to show before."""
    with graceful_shutdown() as stopped, gc_frozen(), display:
        if first is not None:
            display.show(first)
        # Closing saves, if events cannot be shown any more.
        with closing(start(lambda: stopped[0] != 0)) as events:
            for event in events:
                display.show(event)
    return stopped[0]


def _check_options(
    config: RunConfig, seeds: int | None, folds: int | None, single_process: bool
) -> None:
    """Raise UsageError if options do not go together or need a package that is not installed."""
    if config.train.tensorboard:
        require("tensorboard", "train.tensorboard", "tensorboard")
    for option, count in (("--seeds", seeds), ("--folds", folds)):
        if count is not None and not 2 <= count <= MAX_MEMBERS:
            raise UsageError(f"{option}: expected 2 to {MAX_MEMBERS:,}, got {count:,}", code="E02")
    if seeds is not None and folds is not None:
        raise UsageError(
            "--seeds with --folds: one at a time; folds of another division: --set data.split.seed=1",
            code="E01",
        )
    if (seeds or folds) and not single_process:
        raise UsageError(
            "--seeds and --folds train in one process; start them without torchrun", code="E01"
        )


def _open_group(config: RunConfig, seeds: int | None, folds: int | None, out: Path) -> Group | None:
    """The group that --seeds or --folds asks for; None for a single run."""
    from nnzoo.runs import run_group

    if seeds is not None:
        return run_group.seeds(config, seeds, out)
    return run_group.folds(config, folds, out) if folds is not None else None


def _finish_group(group: Group, display: TrainDisplay, code: int) -> None:
    """Print the summary of a group, or how to resume it after a signal; code: the signal's exit code."""
    if not group.ended:
        raise interrupted(code, "saved")
    group.write_summary()
    display.report_group(group)
    if group.summary()["diverged"]:
        raise typer.Exit(DivergedError.exit_code)


def _finish_run(run: Run, display: TrainDisplay, code: int) -> None:
    """Print the results of a run, or how to resume it after a signal; code: the signal's exit code."""
    trainer = run.trainer
    if not trainer.finished:
        code = trainer.processes.all_reduce_max(code)  # perhaps another process was sent the signal
        saved = f"saved at step {trainer.state.step} (epoch {trainer.state.epoch + 1})"
        raise interrupted(code, saved, trainer.processes)
    display.report_run(run)
