"""A group of runs of one configuration with aggregated results: seeds, or folds of cross-validation.

Each member is an ordinary run in its own folder below the group's. Seeds are trained in one batch where that is
supported (`training.train_step`), everything else sequentially.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from nnzoo import file_io
from nnzoo.config import RunConfig
from nnzoo.config.formatting import to_json
from nnzoo.config.split_options import ValSplit
from nnzoo.device import use_threads
from nnzoo.errors import CheckpointError, DivergedError, UsageError
from nnzoo.evaluation.metrics import metric_range
from nnzoo.evaluation.verdicts import count_verdicts, shown_baselines
from nnzoo.runs.resume import Resume
from nnzoo.runs.run import Run, RunOptions, open_run
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.run_index import members_of
from nnzoo.runs.train import train_runs
from nnzoo.training.autotune import stack_threads
from nnzoo.training.train_step import Event, unsupported_reason

Kind = Literal["seed", "fold"]
State = Literal["waiting", "complete", "diverged", "interrupted"]


@dataclass
class Member:
    """One run of a group; `number` is its seed or its fold."""

    kind: Kind
    number: int
    config: RunConfig
    folder: RunDir
    state: State = "waiting"
    run: Run | None = None
    """The open run; None before and after."""
    error: str = ""
    best: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0
    val: dict[str, float] = field(default_factory=dict)
    """Validation metrics of the best epoch."""
    test: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"

    def to_dict(self) -> dict[str, Any]:
        record = {
            self.kind: self.number,
            "run": self.folder.path.name,
            "run_dir": str(self.folder.path),
            "state": self.state,
            "epochs": self.epochs,
            "best": self.best,
            "val": self.val,
            "test": self.test,
        }
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
            Member(kind, number, config, RunDir(path / config.name))
            for number, config in configs.items()
        ]
        self.sequential_reason = "" if kind == "seed" else "each fold has other rows to train on"
        """Why members are trained sequentially; empty if in one batch. Known once the first is open."""

    def events(
        self,
        device: torch.device,
        resume: Resume = "auto",
        fresh: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> Generator[dict[int, Event | MemberOpened], None, None]:
        """Train all to their end, and yield events by the member's index.

        A member that diverges ends alone. stop: called after each step; when it returns True, runs are saved
        and the iteration ends. Raises what `run.open_run` and `run.train` raise.
        """
        resuming = any(member.folder.holds_run for member in self.members) and not fresh
        if resume == "must" and not resuming:
            raise CheckpointError(f"--resume must: no checkpoint in {self.path}", code="E67")
        if resume == "never" and resuming:
            hint = (
                "use another name (-s name=…), or --fresh to start over (the old folders are kept)"
            )
            raise CheckpointError(f"--resume never: {self.path} holds runs; {hint}", code="E67")
        # "must" is meant for the group: members that had not started start now.
        options = RunOptions(
            self.path, device, "auto" if resume == "must" else resume, fresh, is_member=True
        )
        try:
            first = self._open(0, options, None)
            # The summary lists the runs of the group.
            names = [member.folder.path.name for member in self.members]
            if members_of(self.path) != names:
                self.write_summary()
            yield {0: MemberOpened(first)}
            share_with = first if self.kind == "seed" else None
            self.sequential_reason = self.sequential_reason or unsupported_reason([first.trainer])
            if not self.sequential_reason:
                for i in range(1, len(self.members)):
                    yield {i: MemberOpened(self._open(i, options, share_with))}
                trainers = [member.run.trainer for member in self.members if member.run]
                self.sequential_reason = unsupported_reason(trainers)
            if not self.sequential_reason:
                yield from self._train(range(len(self.members)), stop)
                return
            for i, member in enumerate(self.members):
                if member.run is None:
                    yield {i: MemberOpened(self._open(i, options, share_with))}
                yield from self._train([i], stop)
                if member.state == "interrupted":
                    return
        finally:
            for member in self.members:
                self._close(member)

    def _open(self, i: int, options: RunOptions, share_with: Run | None) -> Run:
        member = self.members[i]
        member.run = open_run(member.config, options, share_with=share_with)
        return member.run

    def _train(
        self, indices: Sequence[int], stop: Callable[[], bool]
    ) -> Iterator[dict[int, Event | MemberOpened]]:
        """Train some members, which are open, in one batch."""
        runs = [run for i in indices if (run := self.members[i].run)]
        options = runs[0].network.config.train
        if len(runs) > 1 and self.members[0].config.train.threads == "auto":
            # The stored value is the best for one network.
            active = [run.trainer for run in runs if not run.trainer.finished]
            count = stack_threads(active) if len(active) > 1 else 1
            options = options.model_copy(update={"threads": count})
        use_threads(options)
        with closing(train_runs(runs, stop)) as source:
            for result in source:
                events = {indices[k]: event for k, event in result.items()}
                for i, event in events.items():
                    if isinstance(event, DivergedError):
                        self.members[i].state, self.members[i].error = "diverged", str(event)
                yield {**events}
        for i in indices:
            self._finish(self.members[i])

    def _finish(self, member: Member) -> None:
        """Take the results of a member that is complete, and close its run."""
        assert member.run is not None
        trainer = member.run.trainer
        member.best, member.epochs = member.run.best(), trainer.state.epoch
        rows = [row for row in member.folder.rows() if row["epoch"] == trainer.state.best_epoch]
        member.val = {
            name.removeprefix("val_"): value
            for row in rows
            for name, value in row.items()
            if name.startswith("val_")
        }
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
        """The content of the group's summary.json."""
        members = [member.to_dict() for member in self.members]
        return {"run_dir": str(self.path), "summary": self.summary(), "members": members}

    def write_summary(self) -> None:
        file_io.write(self.path / file_io.SUMMARY, f"{to_json(self.to_dict())}\n".encode())


def seeds(config: RunConfig, count: int, out: Path) -> Group:
    """A group of `count` runs, with the config's seed and the ones that follow it, below `<out>/<name>-seeds/`."""
    numbers = range(config.seed, config.seed + count)
    configs = {seed: replace(config, name=f"seed-{seed}", seed=seed) for seed in numbers}
    return Group(out / f"{config.name}-seeds", "seed", configs)


def folds(config: RunConfig, count: int, out: Path) -> Group:
    """A group of `count` runs, each validating on another part of the rows, below `<out>/<name>-<count>-folds/`.

    Raises UsageError if rows have an order in time, or are generated.
    """
    split = getattr(config.data, "split", None)
    if not isinstance(split, ValSplit):
        raise UsageError(
            f"--folds is for tables and images, not for '{config.data.name}': rows of a series must be "
            "judged by none that come before them, and generated ones can be drawn again; try --seeds",
            code="E43",
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
        name: summary_stats([result[name] for result in results], metric_range(name))
        for name in names
        if all(type(result.get(name)) is float for result in results)
    }


def aggregate_baselines(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`aggregate` of each baseline that all test results have, best first: of folds, each learns from
    other rows."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for test in tests:
        for baseline in shown_baselines(test):
            by_name.setdefault(baseline["name"], []).append(baseline)
    shared = {name: results for name, results in by_name.items() if len(results) == len(tests)}
    return [_summarize_baseline(name, results) for name, results in shared.items()]


def _summarize_baseline(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    summary = {"name": name} | aggregate(results)
    if all("comparison" in result for result in results):
        summary["comparison"] = count_verdicts([result["comparison"] for result in results])
    return summary


def summary_stats(
    values: list[float], limits: tuple[float, float] = (-math.inf, math.inf)
) -> dict[str, Any]:
    """Mean, standard deviation (n - 1), the mean's 95 % interval by Student's t within `limits`, and the ends; of
    one value there is neither deviation nor interval."""
    mean = statistics.fmean(values)
    stats: dict[str, Any] = {"n": len(values), "mean": mean, "std": None, "ci95": None}
    if len(values) > 1:
        from scipy.special import stdtrit

        stats["std"] = statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
        half = float(stdtrit(len(values) - 1, 0.975)) * stats["std"] / math.sqrt(len(values))
        stats["ci95"] = [max(limits[0], mean - half), min(limits[1], mean + half)]
    return stats | {"min": min(values), "max": max(values)}
