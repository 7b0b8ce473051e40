"""The search: makes the trials of a study one after another, each an ordinary run, and yields events."""

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
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.train import train
from nnzoo.sweep.open_study import hash_targets
from nnzoo.sweep.study import FINISHED, Claim, Study, TrialRecord
from nnzoo.text import format_metric
from nnzoo.training.trainer import EpochEnd


@dataclass(frozen=True)
class TrialStart:
    """A trial starts, or resumes where another process left it. epochs: the most it may take."""

    record: TrialRecord
    epochs: int
    resumed: bool


@dataclass(frozen=True)
class TrialEpoch:
    """One epoch of the running trial is over; `metrics` is its line of metrics.jsonl."""

    record: TrialRecord
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TrialEnd:
    """A trial is over; `best`: none before it was better."""

    record: TrialRecord
    best: bool


Event = TrialStart | TrialEpoch | TrialEnd


def search(
    study: Study, device: torch.device, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Make trials until there are as many as asked for, and yield events.

    stop: called after each step; when it returns True the trial is saved, to be resumed by the next
    process, and the iteration ends. Raises CheckpointError if the disk or the storage fails.
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
            if device.type == "cuda":  # the next trial may need it in blocks of other sizes
                gc.collect()
                torch.cuda.empty_cache()
    except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"the study in {study.storage_name} cannot be read or written: {reason}; the same command resumes it",
            code="E75",
        ) from None


def _trial(
    study: Study, claim: Claim, device: torch.device, stop: Callable[[], bool]
) -> Iterator[Event]:
    """Make a trial until it ends, and store how, or until it is stopped."""
    record = study.record(claim)
    folder = RunDir(study.folder_of(claim.number))
    try:
        config = study.trial_config(record, str(claim.number))
        yield TrialStart(record, config.train.epochs, claim.resumed)
        current = run.open_run(config, run.RunOptions(study.trials, device, is_member=True))
        try:
            _check_validation_rows(study, current)
            for metrics in _epochs(current, stop):
                record = replace(record, epochs=metrics["epoch"])
                yield TrialEpoch(record, metrics)
                if study.prunes and _should_prune(study, claim, current, metrics):
                    record = replace(record, state="pruned")
                    break
        finally:
            current.lock.release()
        if record.state == "running" and not current.trainer.finished:
            return  # stopped, and saved
        record = _end_record(study, record, current)
    except DivergedError as error:
        record = replace(record, state="diverged", reason=_short(error))
    except (ConfigError, DataError) as error:
        record = replace(record, state="failed", reason=_short(error))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        record = replace(record, state="failed", reason="out of memory")
    study.finish(claim, record)
    _delete_checkpoints(folder, keep_best=record.state == "complete")
    best = study.best()
    is_best = best is not None and best.number == record.number
    if is_best:
        write_best(study, record)
    yield TrialEnd(record, is_best)


def _epochs(current: run.Run, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl: those of earlier processes, then one per epoch trained here."""
    yield from current.folder.rows()
    events = train(current, stop)
    if current.trainer.config.train.tensorboard:
        from nnzoo.tensorboard import record

        events = record(current, events)
    for event in events:
        if isinstance(event, EpochEnd):
            yield event.row


def _should_prune(study: Study, claim: Claim, current: run.Run, metrics: dict[str, Any]) -> bool:
    value = metrics.get(study.monitor)
    value = math.nan if value is None else value
    return study.should_prune(claim, metrics["epoch"], value, current.trainer.finished)


def _check_validation_rows(study: Study, current: run.Run) -> None:
    """Raise DataError if a trial has other validation targets than the others."""
    if hash_targets(current.dataset) != study.identity["targets"]:
        raise DataError(
            "it has other validation rows than the other trials, so it cannot be compared",
            code="E43",
        )


def _end_record(study: Study, record: TrialRecord, current: run.Run) -> TrialRecord:
    """The record of a trial whose training has ended."""
    state, train = current.trainer.state, current.trainer.config.train
    keys = ("precision", "threads", "kernels", "compile", "norm_statistics")
    seconds = sum(row["seconds"] or 0.0 for row in current.folder.rows())
    resolved = {key: getattr(train, key) for key in keys}
    record = replace(record, seconds=round(seconds, 3), resolved=resolved)
    if record.state == "pruned":
        return record
    if state.best_value is None:
        return replace(record, state="failed", reason=f"{study.monitor} is not a number")
    return replace(record, state="complete", value=state.best_value, epoch=state.best_epoch)


def _short(error: NnzooError) -> str:
    """The first line of a message; of a config's issues the first."""
    if isinstance(error, ConfigError):
        issue = error.issues[0]
        return f"{issue.path}: {issue.message}"[:300]
    return str(error).split("\n")[0][:300]


def _delete_checkpoints(folder: RunDir, keep_best: bool) -> None:
    """Delete the checkpoints of a finished trial, but for the best weights of a complete one."""
    for path in folder.path.glob("*.pt"):
        if not (keep_best and path == folder.best):
            path.unlink(missing_ok=True)


def best_config(study: Study, best: TrialRecord) -> RunConfig:
    """The config that trains the best trial again, bit-identical on the same machine: no value that
    affects the bits is 'auto'."""
    return study.trial_config(best, f"{study.config.name[:95]}-best")


def write_best(study: Study, best: TrialRecord) -> None:
    """Write best.yaml."""
    head = (
        f"# Trial {best.number} of the sweep '{study.config.name}': {study.monitor} "
        f"{format_metric(best.value)} at epoch {best.epoch}.\n"
        f"#   nnzoo train {shell_word(study.best_file)}\n"
    )
    text = head + to_yaml(best_config(study, best).to_dict())
    with study.writing():
        latest = study.best()  # another process may have found a better one meanwhile
        if latest is not None and latest.number == best.number:
            file_io.write(study.best_file, text.encode())


def finish(study: Study) -> None:
    """Write best.yaml, and delete the checkpoints left by killed processes."""
    for record in study.records():
        if record.state in FINISHED:
            folder = RunDir(study.folder_of(record.number))
            _delete_checkpoints(folder, keep_best=record.state == "complete")
    best = study.best()
    if best is not None:
        write_best(study, best)
