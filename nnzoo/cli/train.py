"""`nnzoo train`: the loop's events shown, and a run stopped by a signal saved."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nnzoo.cli.common import (
    ConfigArgument,
    ConfigOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    load_config_option,
    load_torch,
    one_of,
    run_parent,
    tune_process_memory,
)
from nnzoo.cli.process import graceful_shutdown, signal_name
from nnzoo.cli.usage import complete_words
from nnzoo.distributed import joined
from nnzoo.errors import shell_word
from nnzoo.extras import require
from nnzoo.status import status

if TYPE_CHECKING:
    from nnzoo.runs.run import Run


def train(
    source: ConfigArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|must|never",
            autocompletion=complete_words("auto", "must", "never"),
            help="Resume from the run folder: auto = if it matches this config, must = fail otherwise, "
            "never = refuse.",
        ),
    ] = "auto",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; the old folder is renamed, not deleted.")
    ] = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Train N runs with N consecutive seeds."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(metavar="K", help="K-fold cross-validation: K runs, each validating on another K-th of the rows."),
    ] = None,
    out: OutOption = Path("checkpoints"),
    verbose: Annotated[
        int | None,
        typer.Option("--verbose", "-v", metavar="0|1|2", show_default=False,
                     help="0 silent, 1 live bar, 2 one line per epoch [default: 1 on a terminal, else 2]"),
    ] = None,
    json_: JsonOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, take one step, write nothing.")
    ] = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Train a network, or resume its run where it was interrupted."""
    processes = joined()
    with processes.together():
        one_of("--resume", resume, ("auto", "must", "never"))
        one_of("--verbose", verbose, (0, 1, 2))
        run_config = load_config_option(source, config, set_, seed)
        if run_config.train.tensorboard:
            require("tensorboard", "train.tensorboard", "tensorboard")
        if seeds is not None or folds is not None:
            from nnzoo.cli.group_display import check_counts, train_several

            check_counts(seeds, folds, processes.alone)
            if not dry_run:  # else one of them is enough
                tune_process_memory()
                load_torch()
                out = run_parent(source or config, out)
                train_several(run_config, (seeds, folds), (out, device), (resume, fresh), verbose,
                              json_, resume_command)  # fmt: skip
                return
        load_torch()
        from nnzoo import console
        from nnzoo.console import tables
        from nnzoo.device import choose_device
        from nnzoo.runs import run

        out = run_parent(source or config, out)
        where = choose_device(device, processes)
        tune_process_memory()
        current = run.start(
            run_config, out, where, cast(Any, resume), fresh, not dry_run, processes
        )
    stdout, stderr = console.make_consoles()
    if not processes.leads:
        verbose, json_ = 0, False
    if verbose is None:
        verbose = 1 if stderr.is_terminal and not json_ else 2
    if verbose:
        _announce(stderr, current)
    if dry_run:
        _dry_run(stdout, current, json_)
        return
    trainer = current.trainer
    if json_:
        console.print_json({"event": "start", "run_dir": str(current.folder.path),
                            "state": current.state, "config": run_config.to_dict(),
                            "notes": [*current.dataset.notes, *current.notes]})  # fmt: skip
    with graceful_shutdown() as stopped:
        _train(current, stderr, verbose, json_, lambda: stopped[0] != 0)
    if not trainer.finished:
        # Of several processes perhaps not all were sent the signal that stops them all.
        code = processes.largest(stopped[0])
        if processes.leads:
            stderr.print(
                f"{signal_name(code)}: saved at step {trainer.step} (epoch {trainer.epoch + 1}); resume with:\n"
                f"  {resume_command(processes.alone)}", markup=False, soft_wrap=True,
            )  # fmt: skip
        raise typer.Exit(code)
    with status("evaluating on the test rows", log=False):
        result = current.conclude()
    if json_:
        console.print_json({"event": "end", "run_dir": str(current.folder.path),
                            "best": current.best(), "test": result,
                            "remarks": _remarks(current, result)})  # fmt: skip
    elif verbose:
        if result is not None:
            stderr.print()
            tables.print_result(stdout, result, detail=False)
        else:
            stderr.print("no test rows (data.split.test), so no result")
        _where(stdout, current)
        for remark in _remarks(current, result):
            console.print_text(stderr, remark, style="yellow")
        _next_commands(stderr, current)


def resume_command(alone: bool = True) -> str:
    """The command that resumes where this one was stopped."""
    command = "nnzoo" if alone else "torchrun … -m nnzoo"
    return f"{command} {shlex.join(strip_start_options(sys.argv[1:]))}"


def strip_start_options(words: list[str]) -> list[str]:
    """A command line without what decides how a run starts, so that it goes on."""
    kept = []
    for i, word in enumerate(words):
        value_of_resume = i > 0 and words[i - 1] == "--resume"
        if word not in ("--fresh", "--resume") and not value_of_resume:
            kept.append(word)
    return [word for word in kept if not word.startswith("--resume=")]


def _announce(stderr: Any, current: Run) -> None:
    """Print what is trained on what, and the notes."""
    from rich.markup import escape

    from nnzoo.console import print_text

    network, facts = current.network, current.network.facts
    rows = " · ".join(f"{count:,} {name}" for name, count in facts["rows"].items())
    parameters = sum(p.numel() for p in network.model.parameters())
    config = network.config
    stderr.print(f"[bold]{escape(config.model.name)}[/] ({parameters:,} parameters) on "
                 f"[bold]{escape(config.data.name)}[/], {network.device}", soft_wrap=True)  # fmt: skip
    classes = len(facts["spec"].get("labels", []))
    what = f"{classes} classes" if classes else f"target {', '.join(facts['spec']['targets'])}"
    print_text(stderr, f"rows: {rows}; {network.preprocess.in_kind}; {what}")
    for note in [*current.dataset.notes, *current.notes]:
        print_text(stderr, note)


def _train(current: Run, stderr: Any, verbose: int, json_: bool, stop: Callable[[], bool]) -> None:
    """Run the loop to its end, showing its events."""
    from nnzoo import console
    from nnzoo.console.progress import ProgressBar, epoch_line
    from nnzoo.runs.run import train as events
    from nnzoo.training.trainer import EpochEnd

    trainer = current.trainer
    epochs = trainer.config.train.epochs
    source = events(current, stop)
    if trainer.config.train.tensorboard and trainer.processes.leads:
        from nnzoo.tensorboard import record

        source = record(current, source)
    bar = None
    trained: list[float] = []
    skipped = starred = 0
    if verbose == 1 and not trainer.finished:
        bar = ProgressBar(stderr, epochs, len(trainer.groups), trainer.step, current.folder.rows())
        bar.__enter__()
    try:
        for event in source:
            if isinstance(event, EpochEnd):
                trained.append(event.row["seconds"])
                skipped += event.row.get("skipped", 0)
                if json_:
                    console.print_json({"event": "epoch", **event.row})
                elif verbose == 2:
                    line = epoch_line(event.row, epochs, event.best, stderr.width)
                    stderr.print(line, markup=False, soft_wrap=True)
                    starred += event.best
                if bar is not None:
                    bar.epoch(event.row, trainer.best_epoch)
                for finding in event.findings:
                    if json_:
                        told = {"event": "warning", "epoch": event.row["epoch"]}
                        console.print_json(told | asdict(finding))
                    elif verbose:
                        text = f"epoch {event.row['epoch']}: {finding}"
                        console.print_text(stderr, text, style="yellow")
            elif bar is not None:
                bar.step(event.step, event.epoch)
    finally:
        source.close()  # where the events cannot be shown any more: the run is saved
        if bar is not None:
            bar.__exit__(None, None, None)
    if verbose and trained:
        seconds = sum(trained)
        count = f"{len(trained)} epoch{'s' if len(trained) > 1 else ''}"
        rate = len(trained) * trainer.rows / seconds if seconds else 0
        early = ", stopped early" if trainer.stopped_early else ""
        steps = "steps" if skipped > 1 else "step"
        lost = f", {skipped} {steps} skipped (train.on_nan)" if skipped else ""
        marked = f"; * = best so far by {trainer.monitor}" if starred else ""
        console.print_text(
            stderr, f"trained {count} in {seconds:.1f} s ({rate:,.0f} rows/s){early}{lost}{marked}"
        )


def _where(stdout: Any, current: Run) -> None:
    trainer = current.trainer
    stdout.print(
        f"\nrun: {current.folder.path} (best weights: epoch {trainer.best_epoch} of "
        f"{trainer.epoch})", markup=False, soft_wrap=True,
    )  # fmt: skip


def _remarks(current: Run, result: dict[str, Any] | None) -> list[str]:
    """What the curves and the result say, in words."""
    from nnzoo.evaluation.observations import about_curves, against_baseline

    rows, trainer = current.folder.rows(), current.trainer
    remarks = about_curves(rows, trainer.best_epoch, trainer.config)
    return remarks + (against_baseline(result) if result is not None else [])


def _next_commands(stderr: Any, current: Run) -> None:
    """What to do with a trained network."""
    from nnzoo.predict.predictions import forecasts

    run = current.folder.path
    inputs = " photos/" if current.network.facts["kind"] == "image" else " new.csv"
    inputs = "" if forecasts(current.network) else inputs
    lines = [
        (f"nnzoo report {shell_word(run)}", "HTML page"),
        (f"nnzoo inspect {shell_word(run)}", "what it learned, as images"),
        (f"nnzoo predict {shell_word(run)}{inputs}", "new data"),
    ]
    width = max(len(command) for command, _ in lines)
    fits = width + 10 + max(len(purpose) for _, purpose in lines) <= stderr.width
    for i, (command, purpose) in enumerate(lines):
        line = f"{'next:' if i == 0 else '':<5} {command}"
        if fits:
            line = f"{line:<{width + 6}}  # {purpose}"
        stderr.print(line, style="dim", markup=False, soft_wrap=True)


def _dry_run(stdout: Any, current: Run, json_: bool) -> None:
    """Take one step on the first rows and show the layers."""
    import torch

    from nnzoo import console
    from nnzoo.console import tables
    from nnzoo.evaluation import layer_stats
    from nnzoo.training import diagnostics

    trainer, network = current.trainer, current.network
    count = min(trainer.rows, trainer.config.train.batch_size, diagnostics.ROWS)
    first = torch.arange(count, device=network.device)
    x, _ = trainer.splits["train"].batch(first)
    rows = [layer.to_dict() for layer in layer_stats.collect_layer_stats(network, x).layers]
    trainer.try_step()
    if not trainer.processes.leads:
        return
    steps = {"steps_per_epoch": len(trainer.groups), "steps": trainer.total_steps}
    if json_:
        console.print_json({"event": "dry-run", "layers": rows, **steps})
        return
    tables.print_layers(stdout, rows)
    stdout.print(f"\none step taken, nothing written; a run has {trainer.total_steps:,} steps "
                 f"({len(trainer.groups):,} per epoch)")  # fmt: skip
