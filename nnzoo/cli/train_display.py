"""The display of `nnzoo train`: how a run or a group of runs starts, its epochs, and its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from nnzoo.config import RunConfig
from nnzoo.console import Output, tables
from nnzoo.console.progress import ProgressBar, epoch_line
from nnzoo.errors import DivergedError, shell_word
from nnzoo.evaluation.observations import curve_observations
from nnzoo.evaluation.thresholds import STATS_SAMPLES
from nnzoo.evaluation.verdicts import baseline_lines
from nnzoo.runs.run_group import Group, MemberOpened
from nnzoo.status import status
from nnzoo.text import codes_of, reworded
from nnzoo.training.train_step import dry_run
from nnzoo.training.trainer import EpochEnd, StepEnd

if TYPE_CHECKING:
    from nnzoo.data.data_spec import DataSpec
    from nnzoo.runs.run import Run


class TrainDisplay:
    """Shows the events of a run, or of the members of a group; a context manager."""

    def __init__(self, output: Output, config: RunConfig, group: Group | None = None) -> None:
        self.output = output
        self.config = config
        self.group = group
        self.runs: dict[int, Run] = {}
        self.steps: dict[int, int] = {}
        self.bar: ProgressBar | None = None
        self.on_start: Callable[[Path], None] = lambda folder: None
        """Called with the folder of the run or the group once a run is there."""
        self._rows: list[dict[str, Any]] = []  # the epochs of this start
        self._has_marks = False
        self._how_shown = False
        self._curves: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._contexts = ExitStack()

    def __enter__(self) -> TrainDisplay:
        return self

    def __exit__(self, *details: Any) -> None:
        self._contexts.__exit__(*details)

    def show(self, events: Mapping[int, MemberOpened | StepEnd | EpochEnd | DivergedError]) -> None:
        """Show simultaneous events by the member's index (0 for a single run)."""
        for i, event in events.items():
            if isinstance(event, MemberOpened):
                self._show_start(i, event.run)
                continue
            self._show_how()
            if isinstance(event, EpochEnd):
                self._show_epoch(i, event)
            elif isinstance(event, DivergedError):
                if self.group is None:
                    raise event
                self.output.say(f"error {event.code}: {self._prefix(i, ': ')}{event}", "red")
                self.output.event("diverged", **self._label(i), code=event.code, error=str(event))
            else:
                self.steps[i] = event.step
                if self.bar is not None:
                    self.bar.step(sum(self.steps.values()), event.epoch)

    def _label(self, i: int) -> dict[str, int]:
        """How JSON names a member: {"seed": 3}; empty for a single run."""
        return {self.group.kind: self.group.members[i].number} if self.group else {}

    def _prefix(self, i: int, separator: str) -> str:
        """How text names a member: "seed 3", and the separator; empty for a single run."""
        return f"{self.group.members[i]}{separator}" if self.group else ""

    def _show_start(self, i: int, run: Run) -> None:
        self.runs[i], self.steps[i] = run, run.trainer.state.step
        if i == 0:
            announce(self.output, run)
            self._emit_start(run)
            self.on_start(self.group.path if self.group else run.folder.path)
        # The last note of a new run is that it starts: once is enough.
        notes = run.notes[:-1] if i and run.state == "new" else run.notes
        for note in notes:
            self.output.say(reworded(note, f"{self._prefix(i, ': ')}{note}"))
        if run.trainer.config.train.tensorboard and run.trainer.processes.is_main_process:
            from nnzoo.tensorboard import epoch_writer

            self._curves[i] = self._contexts.enter_context(epoch_writer(run))
        if self.output.verbose == 1 and (self.group or not run.trainer.finished):
            self._open_bar(run)

    def _emit_start(self, run: Run) -> None:
        notes = [*run.dataset.notes, *run.notes]
        if self.group is None:
            start: dict[str, Any] = {"run_dir": str(run.folder.path), "state": run.state}
        else:
            folders = [str(member.folder.path) for member in self.group.members]
            start = {"run_dir": str(self.group.path), "kind": self.group.kind, "runs": folders}
        start |= {"config": self.config.to_dict(), "notes": notes, "note_codes": codes_of(notes)}
        self.output.event("start", **start)

    def _open_bar(self, run: Run) -> None:
        if self.bar is not None:
            return
        trainer = run.trainer
        members = len(self.group.members) if self.group else 1
        rows = [] if self.group else run.folder.rows()
        steps = len(trainer.step_sizes) * members
        self.bar = ProgressBar(
            self.output.stderr, trainer.config.train.epochs, steps, sum(self.steps.values()), rows
        )
        self._contexts.enter_context(self.bar)

    def _show_how(self) -> None:
        """Print how the members of a group are trained, once all members of the batch are open."""
        if self.group is None or self._how_shown:
            return
        self._how_shown = True
        reason = self.group.sequential_reason
        how = f"sequentially: {reason}" if reason else "in one batch"
        self.output.say(f"{len(self.group.members)} {self.group.kind}s, trained {how}")

    def _show_epoch(self, i: int, event: EpochEnd) -> None:
        row, trainer = event.row, self.runs[i].trainer
        self._rows.append(row)
        self.steps[i] = row["step"]
        if i in self._curves:
            self._curves[i](row)
        self.output.event("epoch", **self._label(i), **row)
        if self.bar is not None:
            best_epoch = 0 if self.group else trainer.state.best_epoch
            self.bar.epoch(row | {"step": sum(self.steps.values())}, best_epoch)
        elif self.output.verbose == 2 and not self.output.json:
            width = self.output.stderr.width
            more = [event.threads] if event.threads else []
            line = epoch_line(row, trainer.config.train.epochs, event.best, width, more)
            self.output.line(f"{self._prefix(i, '  ')}{line}")
            self._has_marks |= event.best
        for finding in event.findings:
            epoch = row["epoch"]
            self.output.event("warning", **self._label(i), epoch=epoch, **asdict(finding))
            if not self.output.json:
                self.output.say(f"{self._prefix(i, ', ')}epoch {epoch}: {finding}", "yellow")

    def report_run(self, run: Run) -> None:
        """Evaluate a run that is complete; print its results and what to do next."""
        output, trainer = self.output, run.trainer
        self._print_speed(run)
        with status("evaluating on the test rows", log=False):
            result = run.finish()
        observations = curve_observations(
            run.folder.rows(), trainer.state.best_epoch, trainer.config
        )
        remarks = observations + ([] if result is None else baseline_lines(result))
        lines = {"remarks": remarks, "remark_codes": codes_of(remarks)}
        output.event("end", run_dir=str(run.folder.path), best=run.best(), test=result, **lines)
        if output.json or not output.verbose:
            return
        if result is not None:
            output.stderr.print()
            tables.print_result(output.stdout, result, detail=False)
        else:
            output.line("no test rows (data.split.test), so no result")
        best = f"best weights: epoch {trainer.state.best_epoch} of {trainer.state.epoch}"
        output.stdout.print(f"\nrun: {run.folder.path} ({best})", markup=False, soft_wrap=True)
        for observation in observations:
            output.say(observation, "yellow")
        spec, folder = run.network.data_spec, run.folder.path
        _print_commands(output, _run_commands(folder, spec))

    def _print_speed(self, run: Run) -> None:
        if not self._rows:
            return
        trainer, rows = run.trainer, self._rows
        seconds = sum(row["seconds"] for row in rows)
        skipped = sum(row.get("skipped", 0) for row in rows)
        epochs = f"{len(rows)} epoch{'s' if len(rows) > 1 else ''}"
        samples = trainer.num_samples * trainer.task.targets_per_row
        unit = "tokens" if trainer.task.targets_per_row > 1 else "samples"
        speed = len(rows) * samples / seconds if seconds else 0
        early = ", stopped early" if trainer.stopped_early else ""
        steps = "steps" if skipped > 1 else "step"
        nan = f", {skipped} {steps} skipped (train.on_nan)" if skipped else ""
        marks = f"; * = best so far by {trainer.monitor.name}" if self._has_marks else ""
        self.output.say(
            f"trained {epochs} in {seconds:.1f} s ({speed:,.0f} {unit}/s){early}{nan}{marks}"
        )

    def report_group(self, group: Group) -> None:
        """Print the summary of a group whose members have all ended."""
        output, summary = self.output, group.to_dict()
        output.event("end", **summary)
        if not output.json and output.verbose:
            tables.print_group(output.stdout, summary)
            spec = next(run.network.data_spec for run in self.runs.values())
            _print_commands(output, _group_commands(group.path, spec))


def announce(output: Output, run: Run) -> None:
    """Print the network, its data and device, and the notes on the data."""
    if not output.verbose:
        return
    network, spec = run.network, run.network.data_spec
    rows = " · ".join(f"{count:,} {name}" for name, count in spec.num_rows.items())
    parameters = sum(p.numel() for p in network.model.parameters())
    config = network.config
    output.stderr.print(
        f"[bold]{escape(config.model.name)}[/] ({parameters:,} parameters) on "
        f"[bold]{escape(config.data.name)}[/], {network.device}",
        soft_wrap=True,
    )
    classes = len(spec.labels)
    targets = f"{classes} classes" if classes else f"target {', '.join(spec.targets)}"
    if spec.task == "multilabel":
        targets = f"{classes} labels"
    if spec.task == "language_model":
        targets = "the next token of each"
    output.say(f"rows: {rows}; {network.preprocess.input_spec}; {targets}")
    for note in run.dataset.notes:
        output.say(note)


def _run_commands(folder: Path, spec: DataSpec) -> list[tuple[str, str]]:
    """Next commands for a trained network, each with its purpose."""
    return [
        (f"nnzoo report {shell_word(folder)}", "HTML page"),
        (f"nnzoo inspect {shell_word(folder)}", "what it learned, as images"),
        _predict_command(folder, spec, "new data"),
    ]


def _group_commands(folder: Path, spec: DataSpec) -> list[tuple[str, str]]:
    """Next commands for a group of networks, each with its purpose."""
    runs = (f"nnzoo runs {shell_word(folder)}", "its networks")
    if spec.task == "language_model":
        return [runs]
    return [
        runs,
        (f"nnzoo report {shell_word(folder)}", "HTML page of their mean"),
        _predict_command(folder, spec, "new data, by their mean"),
    ]


def _predict_command(folder: Path, spec: DataSpec, purpose: str) -> tuple[str, str]:
    if spec.task == "language_model":
        return f"nnzoo generate {shell_word(folder)}", "new text"
    examples = {"image": " photos/", "tokens": " 'some text'"}
    inputs = "" if spec.task == "forecasting" else examples.get(spec.input.kind, " new.csv")
    return f"nnzoo predict {shell_word(folder)}{inputs}", purpose


def _print_commands(output: Output, commands: list[tuple[str, str]]) -> None:
    """Print the next commands, with their purposes where the terminal is wide enough."""
    width = max(len(command) for command, _ in commands)
    fits = width + 10 + max(len(purpose) for _, purpose in commands) <= output.stderr.width
    for i, (command, purpose) in enumerate(commands):
        line = f"{'next:' if i == 0 else '':<5} {command}"
        output.line(f"{line:<{width + 6}}  # {purpose}" if fits else line, "dim")


def show_dry_run(output: Output, run: Run) -> None:
    """Take one step on the first rows and show the layers."""
    import torch

    from nnzoo.evaluation import layer_stats

    announce(output, run)
    for note in run.notes:
        output.say(note)
    trainer, network = run.trainer, run.network
    count = min(trainer.num_samples, trainer.config.train.batch_size, STATS_SAMPLES)
    x, _ = trainer.splits["train"].batch(torch.arange(count, device=network.device))
    layers = [layer.to_dict() for layer in layer_stats.collect_layer_stats(network, x).layers]
    dry_run(trainer)
    if not trainer.processes.is_main_process:
        return
    per_epoch = len(trainer.step_sizes)
    output.event("dry-run", layers=layers, steps_per_epoch=per_epoch, steps=trainer.total_steps)
    if not output.json:
        tables.print_layers(output.stdout, layers)
        output.stdout.print(
            f"\none step taken, nothing written; a run has {trainer.total_steps:,} steps "
            f"({per_epoch:,} per epoch)"
        )
