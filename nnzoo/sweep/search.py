"""The search: one trial after the other, each an ordinary run; it yields what happened."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import optuna
import torch
from sqlalchemy.exc import SQLAlchemyError

from nnzoo import file_io
from nnzoo.config import RunConfig
from nnzoo.config.formatting import to_yaml
from nnzoo.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    NnzooError,
    is_out_of_memory,
    shell_word,
)
from nnzoo.runs import run
from nnzoo.runs.run_dir import Folder
from nnzoo.runs.train import train
from nnzoo.sweep.open_study import hash_targets
from nnzoo.sweep.study import FINISHED, Claim, Study, TrialRecord
from nnzoo.text import format_metric
from nnzoo.training.trainer import EpochEnd


@dataclass(frozen=True)
class TrialStart:
    """A trial begins, or goes on where another process left it. epochs: how many it may take."""

    row: TrialRecord
    epochs: int
    resumed: bool


@dataclass(frozen=True)
class TrialEpoch:
    """One epoch of the running trial is over; `metrics` is its line of metrics.jsonl."""

    row: TrialRecord
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TrialEnd:
    """A trial is over; `best`: none before it was better."""

    row: TrialRecord
    best: bool


Event = TrialStart | TrialEpoch | TrialEnd


def search(
    study: Study, device: torch.device, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Make trials until there are as many as asked for, and yield what happened.

    stop: asked after each step; when it answers True the trial is saved, to be gone on with by the
    next process, and the iteration ends. Raises CheckpointError where disk or storage fail.
    """
    try:
        while not stop():
            claim = study.claim()
            if claim is None:
                return
            try:
                yield from _trial(study, claim, device, stop)
            finally:
                claim.release()
            if device.type == "cuda":  # what one trial held, another may need in other pieces
                gc.collect()
                torch.cuda.empty_cache()
    except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"the study in {study.storage_name} cannot be read or written: {reason}; the same command resumes it"
        ) from None


def _trial(
    study: Study, claim: Claim, device: torch.device, stop: Callable[[], bool]
) -> Iterator[Event]:
    """One trial to its end, which the study is told, or to where it was stopped."""
    row = study.record(claim)
    folder = Folder(study.folder_of(claim.number))
    try:
        config = study.config_of(row, str(claim.number))
        yield TrialStart(row, config.train.epochs, claim.resumed)
        current = run.open_run(config, run.RunOptions(study.trials, device))
        try:
            _refuse_other_rows(study, current)
            for metrics in _rows(current, stop):
                row = replace(row, epochs=metrics["epoch"])
                yield TrialEpoch(row, metrics)
                if study.prunes and _hopeless(study, claim, current, metrics):
                    row = replace(row, state="pruned")
                    break
        finally:
            current.lock.release()
        if row.state == "running" and not current.trainer.finished:
            return  # stopped, and saved
        row = _result(study, row, current)
    except DivergedError as error:
        row = replace(row, state="diverged", reason=_short(error))
    except (ConfigError, DataError) as error:
        row = replace(row, state="failed", reason=_short(error))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        row = replace(row, state="failed", reason="out of memory")
    study.finish(claim, row)
    _tidy(folder, keep_best=row.state == "complete")
    best = study.best()
    leads = best is not None and best.number == row.number
    if leads:
        write_best(study, row)
    yield TrialEnd(row, leads)


def _rows(current: run.Run, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl: those that are there already, then one for each epoch."""
    yield from current.folder.rows()
    events = train(current, stop)
    if current.trainer.config.train.tensorboard:
        from nnzoo.tensorboard import record

        events = record(current, events)
    for event in events:
        if isinstance(event, EpochEnd):
            yield event.row


def _hopeless(study: Study, claim: Claim, current: run.Run, metrics: dict[str, Any]) -> bool:
    value = metrics.get(study.monitor)
    epoch, last = metrics["epoch"], current.trainer.finished
    return study.should_prune(claim, epoch, math.nan if value is None else value, last)


def _refuse_other_rows(study: Study, current: run.Run) -> None:
    """Raise DataError where a trial is not validated by the same values as the others."""
    if hash_targets(current.dataset) != study.identity["targets"]:
        raise DataError(
            "it has other validation rows than the other trials, so it cannot be compared"
        )


def _result(study: Study, row: TrialRecord, current: run.Run) -> TrialRecord:
    """What is known of a trial at its end."""
    trainer = current.trainer
    train = trainer.config.train
    row = replace(
        row,
        seconds=round(sum(each["seconds"] or 0.0 for each in current.folder.rows()), 3),
        resolved={
            key: getattr(train, key)
            for key in ("precision", "threads", "kernels", "compile", "norm_statistics")
        },
    )
    if row.state == "pruned":
        return row
    if trainer.state.best_value is None:
        return replace(row, state="failed", reason=f"{study.monitor} is not a number")
    return replace(
        row, state="complete", value=trainer.state.best_value, epoch=trainer.state.best_epoch
    )


def _short(error: NnzooError) -> str:
    """The first line of a message; of a config's issues the first."""
    if isinstance(error, ConfigError):
        issue = error.issues[0]
        return f"{issue.path}: {issue.message}"[:300]
    return str(error).split("\n")[0][:300]


def _tidy(folder: Folder, keep_best: bool) -> None:
    """Leave of a trial that is over its config and its curve, and the weights of a complete one."""
    for path in folder.path.glob("*.pt"):
        if not (keep_best and path == folder.best):
            path.unlink(missing_ok=True)


def best_config(study: Study, best: TrialRecord) -> RunConfig:
    """The config that trains the best trial again, bit for bit where it is trained on the same
    machine: nothing in it is 'auto' that would be chosen anew."""
    return study.config_of(best, f"{study.config.name[:95]}-best")


def write_best(study: Study, best: TrialRecord) -> None:
    """Write best.yaml."""
    head = (
        f"# Trial {best.number} of the sweep '{study.config.name}': {study.monitor} "
        f"{format_metric(best.value)} at epoch {best.epoch}.\n"
        f"#   nnzoo train {shell_word(study.best_file)}\n"
    )
    text = head + to_yaml(best_config(study, best).to_dict())
    with study.writing():
        now = study.best()  # another process may have found a better one meanwhile
        if now is not None and now.number == best.number:
            file_io.write(study.best_file, text.encode())


def finish(study: Study) -> None:
    """Write what is known when this process has no more to do, and tidy up after those that were
    killed."""
    for row in study.records():
        if row.state in FINISHED:
            _tidy(Folder(study.folder_of(row.number)), keep_best=row.state == "complete")
    best = study.best()
    if best is not None:
        write_best(study, best)
