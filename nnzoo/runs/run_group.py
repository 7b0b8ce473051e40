"""Several runs of one configuration, told as one: of other seeds, or each with another part of the data
to validate on.

Each is an ordinary run in a folder of its own below the group's. Where they can, runs of other seeds
train as one computation (`training.together`), else one after the other.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from nnzoo import file_io
from nnzoo.config import RunConfig
from nnzoo.config.data_options import ValSplit
from nnzoo.config.formatting import to_json
from nnzoo.device import use_threads
from nnzoo.errors import CheckpointError, DivergedError, UsageError
from nnzoo.runs import run
from nnzoo.runs.run import Resume, Run
from nnzoo.runs.run_dir import Folder
from nnzoo.runs.run_index import SUMMARY, members_of
from nnzoo.runs.train import SaveSchedule, diverged, save, train
from nnzoo.training import ensemble_trainer
from nnzoo.training.autotune import ensemble_threads
from nnzoo.training.ensemble_trainer import Event
from nnzoo.training.trainer import EpochEnd

Kind = Literal["seed", "fold"]
State = Literal["waiting", "complete", "diverged", "interrupted"]


@dataclass
class Member:
    """One run of a group; `number` is its seed or its fold."""

    kind: Kind
    number: int
    config: RunConfig
    folder: Folder
    state: State = "waiting"
    run: Run | None = None
    """While it is open."""
    error: str = ""
    best: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0
    val: dict[str, float] = field(default_factory=dict)
    """At the best epoch."""
    test: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"

    def to_dict(self) -> dict[str, Any]:
        record = {self.kind: self.number, "run": self.folder.path.name, "run_dir": str(self.folder.path),
                "state": self.state, "epochs": self.epochs, "best": self.best, "val": self.val,
                "test": self.test}  # fmt: skip
        return record | ({"error": self.error} if self.error else {})


@dataclass(frozen=True)
class MemberOpened:
    """A member's run was opened; its notes are in `Run.notes`."""

    run: Run


class Group:
    """The runs of a group in `path`, from the first to be trained to the last result."""

    def __init__(self, path: Path, kind: Kind, configs: dict[int, RunConfig]) -> None:
        self.path = path
        self.kind = kind
        self.members = [
            Member(kind, number, config, Folder(path / config.name))
            for number, config in configs.items()
        ]
        self.sequential_reason = "" if kind == "seed" else "each fold has other rows to train on"
        """Why they do not train as one; empty where they do, known when the first is open."""

    def events(
        self,
        device: torch.device,
        resume: Resume = "auto",
        fresh: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> Generator[dict[int, Event | MemberOpened], None, None]:
        """Train all to their end, and yield what happened at once, by the member's place in `members`.

        A member that diverges ends alone. stop: asked after each step; when it answers True what is
        training is saved and the iteration ends. Raises what `run.open_run` and `run.train` raise.
        """
        resuming = any(member.folder.holds_run for member in self.members) and not fresh
        if resume == "must" and not resuming:
            raise CheckpointError(f"--resume must: no checkpoint in {self.path}")
        if resume == "never" and resuming:
            raise CheckpointError(
                f"--resume never: {self.path} holds runs; use another name (-s name=…), or --fresh to "
                "start over (the old folders are kept)"
            )
        # Of the group: members that had not begun begin now.
        how: Resume = "auto" if resume == "must" else resume
        try:
            first = self._open(0, device, how, fresh, None)
            # Whoever lists runs learns from it which ones belong to the group.
            names = [member.folder.path.name for member in self.members]
            if members_of(self.path) != names:
                self.write_summary()
            yield {0: MemberOpened(first)}
            share_with = first if self.kind == "seed" else None
            self.sequential_reason = self.sequential_reason or ensemble_trainer.unsupported_reason(
                [first.trainer]
            )
            if not self.sequential_reason:
                for i in range(1, len(self.members)):
                    yield {i: MemberOpened(self._open(i, device, how, fresh, share_with))}
                trainers = [member.run.trainer for member in self.members if member.run]
                self.sequential_reason = ensemble_trainer.unsupported_reason(trainers)
            if not self.sequential_reason:
                yield from self._train_together(stop)
                return
            for i, member in enumerate(self.members):
                if member.run is None:
                    yield {i: MemberOpened(self._open(i, device, how, fresh, share_with))}
                for event in self._train_member(member, stop):
                    yield {i: event}
                self._finish(member)
                if member.state == "interrupted":
                    return
        finally:
            for member in self.members:
                self._close(member)

    def _open(
        self, i: int, device: torch.device, resume: Resume, fresh: bool, share_with: Run | None
    ) -> Run:
        member = self.members[i]
        member.run = run.open_run(
            member.config, self.path, device, resume, fresh, share_with=share_with
        )
        return member.run

    def _train_member(self, member: Member, stop: Callable[[], bool]) -> Iterator[Event]:
        assert member.run is not None
        use_threads(member.run.network.config.train)
        try:
            yield from train(member.run, stop)
        except DivergedError as error:
            member.state, member.error = "diverged", str(error)
            yield error

    def _train_together(
        self, stop: Callable[[], bool]
    ) -> Iterator[dict[int, Event | MemberOpened]]:
        """`run.train` for all members at once, saved at the same moments."""
        runs = [member.run for member in self.members if member.run]
        # What was resolved is what one network takes best.
        options = self.members[0].config.train
        if options.threads == "auto":
            active = [each.trainer for each in runs if not each.trainer.finished]
            count = ensemble_threads(active) if len(active) > 1 else 1
            options = options.model_copy(update={"threads": count})
        use_threads(options)
        clock = SaveSchedule(runs[0].trainer.config.train.save_every, runs[0].trainer)
        clock.cost *= len(runs)
        unsaved: set[int] = set()
        gone: set[int] = set()
        for happened in ensemble_trainer.events([each.trainer for each in runs], gone):
            told: dict[int, Event | MemberOpened] = {**happened}
            for i, event in happened.items():
                if isinstance(event, DivergedError):
                    told[i] = self._lost(i, event)
                    gone.add(i)
                elif isinstance(event, EpochEnd):
                    runs[i].folder.append_metrics(event.row)
            unsaved = (unsaved | happened.keys()) - gone
            due, stopping, started = clock.due(), stop(), time.monotonic()
            for i in sorted(unsaved):
                if due or stopping or runs[i].trainer.finished:
                    unsaved.discard(i)
                    try:
                        save(runs[i])
                    except DivergedError as error:
                        told[i] = self._lost(i, error)
                        gone.add(i)
            if due:
                clock.saved(time.monotonic() - started)
            try:
                yield told
            except GeneratorExit:  # nobody is left to show the events to
                for i in sorted(unsaved):
                    save(runs[i])
                raise
            if stopping:
                break
        for member in self.members:
            self._finish(member)

    def _lost(self, i: int, error: DivergedError) -> DivergedError:
        """A member's training has diverged: what is known of it."""
        member = self.members[i]
        assert member.run is not None
        error = diverged(member.run, error)
        member.state, member.error = "diverged", str(error)
        return error

    def _finish(self, member: Member) -> None:
        """Take the results of a member that is complete, and close its run."""
        assert member.run is not None
        trainer = member.run.trainer
        member.best, member.epochs = member.run.best(), trainer.epoch
        rows = [row for row in member.folder.rows() if row["epoch"] == trainer.best_epoch]
        member.val = {
            name.removeprefix("val_"): value
            for row in rows for name, value in row.items() if name.startswith("val_")
        }  # fmt: skip
        if member.state == "waiting":
            member.state = "complete" if trainer.finished else "interrupted"
        if member.state == "complete":
            member.test = member.run.finish()
        self._close(member)

    def _close(self, member: Member) -> None:
        if member.run is not None:
            member.run.lock.release()
            member.run = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        return all(member.state in ("complete", "diverged") for member in self.members)

    def summary(self) -> dict[str, Any]:
        """Mean, std and 95 % interval of every metric over the members that are complete."""
        complete = [member for member in self.members if member.state == "complete"]
        return {
            "kind": self.kind,
            "members": len(self.members),
            "complete": len(complete),
            "diverged": [m.number for m in self.members if m.state == "diverged"],
            "val": aggregate([member.val for member in complete]),
            "test": aggregate([member.test or {} for member in complete]),
            "baselines": aggregate_baselines([member.test for member in complete if member.test]),
        }

    def to_dict(self) -> dict[str, Any]:
        """What is told in the end, and stands in the group's summary.json."""
        members = [member.to_dict() for member in self.members]
        return {"run_dir": str(self.path), "summary": self.summary(), "members": members}

    def write_summary(self) -> None:
        file_io.write(self.path / SUMMARY, f"{to_json(self.to_dict())}\n".encode())


def seeds(config: RunConfig, count: int, out: Path) -> Group:
    """So many runs, of the config's seed and those that follow it, below `<out>/<name>-seeds/`."""
    numbers = range(config.seed, config.seed + count)
    configs = {seed: replace(config, name=f"seed-{seed}", seed=seed) for seed in numbers}
    return Group(out / f"{config.name}-seeds", "seed", configs)


def folds(config: RunConfig, count: int, out: Path) -> Group:
    """So many runs, each validating on another part of the rows, below `<out>/<name>-<count>-folds/`.

    Raises UsageError where rows have an order in time, or come out of a generator.
    """
    split = getattr(config.data, "split", None)
    if not isinstance(split, ValSplit):
        raise UsageError(
            f"--folds is for tables and images, not for '{config.data.name}': rows of a series must be "
            "judged by none that come before them, and generated ones can be drawn again; try --seeds"
        )
    configs = {}
    for fold in range(1, count + 1):
        part = split.model_copy(update={"folds": count, "fold": fold})
        data = config.data.model_copy(update={"split": part})
        configs[fold] = replace(config, name=f"fold-{fold}", data=data)
    return Group(out / f"{config.name}-{count}-folds", "fold", configs)


def aggregate(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`summary_stats` of each number that all results have."""
    names = [name for name, value in (results or [{}])[0].items() if type(value) is float]
    return {
        name: summary_stats([each[name] for each in results])
        for name in names if all(type(each.get(name)) is float for each in results)
    }  # fmt: skip


def aggregate_baselines(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`aggregate` of each baseline that all test results have, best first: of folds, each learns from
    other rows."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for test in tests:
        for baseline in test.get("baselines") or [test["baseline"]]:
            by_name.setdefault(baseline["name"], []).append(baseline)
    return [
        {"name": name} | aggregate(results)
        for name, results in by_name.items()
        if len(results) == len(tests)
    ]


def summary_stats(values: list[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1), the mean's 95 % interval by Student's t, and the ends; of one
    value there is neither deviation nor interval."""
    mean = statistics.fmean(values)
    found: dict[str, Any] = {"n": len(values), "mean": mean, "std": None, "ci95": None}
    if len(values) > 1:
        from scipy.special import stdtrit

        found["std"] = statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
        half = float(stdtrit(len(values) - 1, 0.975)) * found["std"] / math.sqrt(len(values))
        found["ci95"] = [mean - half, mean + half]
    return found | {"min": min(values), "max": max(values)}
