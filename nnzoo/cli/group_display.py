"""`nnzoo train --seeds` and `--folds`: the events of a group of runs shown, and what came out of all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from nnzoo.cli.process import graceful_shutdown, signal_name
from nnzoo.config import RunConfig
from nnzoo.errors import DivergedError, UsageError, shell_word

if TYPE_CHECKING:
    from nnzoo.runs.run_group import Group

MOST = 1000


def check_counts(seeds: int | None, folds: int | None, alone: bool) -> None:
    """Raise UsageError where what was asked for cannot be: before anything is loaded."""
    for option, count in (("--seeds", seeds), ("--folds", folds)):
        if count is not None and not 2 <= count <= MOST:
            raise UsageError(f"{option}: expected 2 to {MOST:,}, got {count:,}")
    if seeds is not None and folds is not None:
        raise UsageError(
            "--seeds with --folds: one at a time; folds of another division: -s data.split.seed=1"
        )
    if not alone:
        raise UsageError("--seeds and --folds train in one process; start them without torchrun")


def train_several(
    config: RunConfig,
    counts: tuple[int | None, int | None],
    where: tuple[Path, str],
    start: tuple[str, bool],
    verbose: int | None,
    json_: bool,
    resume_command: Callable[[], str],
) -> None:
    """Train a group and show it. counts: (seeds, folds); where: (out, device); start: (resume, fresh);
    resume_command: what resumes the group. Ends with the exit code of a signal, or of
    a member that diverged."""
    from nnzoo import console
    from nnzoo.console import tables
    from nnzoo.device import choose_device
    from nnzoo.runs import run_group
    from nnzoo.training.trainer import EpochEnd

    seeds, folds = counts
    out, device = where
    stdout, stderr = console.make_consoles()
    if verbose is None:
        verbose = 1 if stderr.is_terminal and not json_ else 2
    if folds is not None:
        group = run_group.folds(config, folds, out)
    else:
        assert seeds is not None
        group = run_group.seeds(config, seeds, out)

    def say(text: str, style: str = "") -> None:
        if verbose:
            console.print_text(stderr, text, style)

    shown = GroupDisplay(group, stderr, verbose)
    how = ""
    curves: dict[int, Callable[[dict[str, Any]], None]] = {}
    resume, fresh = start
    with graceful_shutdown() as stopped, shown, ExitStack() as open_curves:
        events = group.events(
            choose_device(device), cast(Any, resume), fresh, lambda: stopped[0] != 0
        )
        open_curves.enter_context(closing(events))  # saves where they cannot be shown any more
        for happened in events:
            for i, event in happened.items():
                member = group.members[i]
                named: dict[str, Any] = {member.kind: member.number}
                if not how and not isinstance(event, run_group.MemberOpened):
                    say(how := shown.how())
                if isinstance(event, run_group.MemberOpened):
                    if json_ and i == 0:
                        start_event = {"event": "start", "run_dir": str(group.path), "kind": group.kind,
                                       "runs": [str(each.folder.path) for each in group.members]}  # fmt: skip
                        notes = {"notes": [*event.run.dataset.notes, *event.run.notes]}
                        console.print_json(start_event | {"config": config.to_dict()} | notes)
                    for note in shown.opened(i, event.run):
                        say(note)
                    if config.train.tensorboard:
                        from nnzoo.tensorboard import writing

                        curves[i] = open_curves.enter_context(writing(event.run))
                elif isinstance(event, EpochEnd):
                    shown.epoch(i, event)
                    if i in curves:
                        curves[i](event.row)
                    if json_:
                        console.print_json({"event": "epoch", **named, **event.row})
                    for finding in event.findings:
                        epoch = event.row["epoch"]
                        if json_:
                            told = {"event": "warning", **named, "epoch": epoch}
                            console.print_json(told | asdict(finding))
                        else:
                            say(f"{member}, epoch {epoch}: {finding}", "yellow")
                elif isinstance(event, DivergedError):
                    say(f"{member}: {event}", "red")
                    if json_:
                        console.print_json({"event": "diverged", **named, "error": str(event)})
                else:
                    shown.step(i, event)
    if not group.ended:
        say(f"{signal_name(stopped[0])}: saved; resume with:\n  {resume_command()}")
        raise typer.Exit(stopped[0])
    group.write_summary()
    ended = group.to_dict()
    if json_:
        console.print_json({"event": "end", **ended})
    elif verbose:
        tables.print_group(stdout, ended)
        first = group.members[0].folder.path
        say(f"next: nnzoo runs {shell_word(group.path)}", "dim")
        say(f"      nnzoo report {shell_word(first)}", "dim")
    if ended["summary"]["diverged"]:
        raise typer.Exit(DivergedError.exit_code)


class GroupDisplay:
    """The live bar, or a line an epoch; a context manager."""

    def __init__(self, group: Group, stderr: Any, verbose: int) -> None:
        self.group = group
        self.stderr = stderr
        self.verbose = verbose
        self.steps = [0] * len(group.members)
        self.bar: Any = None
        self.epochs = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *details: Any) -> None:
        if self.bar is not None:
            self.bar.__exit__(*details)

    def opened(self, i: int, run: Any) -> list[str]:
        """What is to be said of a member's run: of the first what it is, of each how it starts."""
        from nnzoo.console.progress import ProgressBar

        trainer, member = run.trainer, self.group.members[i]
        self.epochs = trainer.config.train.epochs
        self.steps[i] = trainer.step
        lines = []
        if i == 0:
            network = run.network
            rows = " · ".join(f"{count:,} {name}" for name, count in network.facts["rows"].items())
            size = sum(p.numel() for p in network.model.parameters())
            what = (
                f"{network.config.model.name} ({size:,} parameters) on {network.config.data.name}"
            )
            lines += [f"{what}, {network.device}; rows: {rows}", *run.dataset.notes]
        # That it starts is news of the first; the others say what is otherwise.
        notes = run.notes[:-1] if i and run.state == "new" else run.notes
        lines += [f"{member}: {note}" for note in notes]
        if self.verbose == 1 and self.bar is None:
            steps = len(trainer.groups) * len(self.group.members)
            self.bar = ProgressBar(self.stderr, self.epochs, steps, sum(self.steps), [])
            self.bar.__enter__()
        return lines

    def how(self) -> str:
        """How the members train."""
        head = f"{len(self.group.members)} {self.group.kind}s"
        why = self.group.sequential_reason
        return f"{head}, trained sequentially: {why}" if why else f"{head}, trained in one batch"

    def step(self, i: int, event: Any) -> None:
        self.steps[i] = event.step
        if self.bar is not None:
            self.bar.step(sum(self.steps), event.epoch)

    def epoch(self, i: int, event: Any) -> None:
        from nnzoo.console.progress import epoch_line

        row = event.row
        self.steps[i] = row["step"]
        if self.bar is not None:
            self.bar.epoch(row | {"step": sum(self.steps)}, row["epoch"])
        elif self.verbose == 2:
            line = epoch_line(row, self.epochs, event.best, self.stderr.width)
            self.stderr.print(f"{self.group.members[i]}  {line}", markup=False, soft_wrap=True)
