"""Opening a study: join the one that a config names, or create it; refuse another config's or other data."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import time
import uuid
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from filelock import Timeout
from sqlalchemy.exc import SQLAlchemyError

from nnzoo import __version__, file_io
from nnzoo.config import RunConfig
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.run_config import from_dict, locates_errors
from nnzoo.config.train_options import higher_is_better
from nnzoo.data.dataset import Dataset
from nnzoo.data.read_dataset import read_dataset
from nnzoo.errors import CheckpointError, ConfigError, UsageError
from nnzoo.evaluation.tasks.build import build_task
from nnzoo.file_io import file_lock, parse_json, read_plain
from nnzoo.runs.config_diff import free_name
from nnzoo.runs.run_dir import OLD_STUDY, STUDY, archive_study
from nnzoo.sweep.storage import check_location, open_storage, storage_name
from nnzoo.sweep.study import FINISHED, Study, build_pruner, cannot_write
from nnzoo.text import Note

# Keys that may differ between the workers of a study: they do not change how a trial ends.
_JOINABLE_KEYS = (
    "name",
    "train.save_every",
    "train.tensorboard",
    *(f"data.{key}" for key in PATH_KEYS),
)
# Seconds that the creator of a study may take to write its identity.
REGISTER_TIMEOUT = 5
# Raised by Optuna and databases for files that may hold anything.
_STORAGE_ERRORS = (
    ImportError,
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    SQLAlchemyError,
    sqlite3.Error,
    optuna.exceptions.OptunaError,
)


@locates_errors
def open_study(config: RunConfig, out: Path, fresh: bool = False, lost: str | None = None) -> Study:
    """Join the study of a config, or create it.

    fresh: move the existing one to another folder first; lost: a machine that will not come back. Raises
    ConfigError or UsageError if the config is not one to search with, or the study is another's.
    """
    if config.sweep is None:
        raise UsageError.at(
            "sweep",
            "this config has no 'sweep' section; add one, for example:\n"
            "  sweep: {space: {optim.lr: {low: 1e-4, high: 1e-1, log: true}}}",
            code="E12",
        )
    dataset = _read_dataset(config)
    silence_optuna()
    folder = out / config.name
    check_location(config, out)
    trials = _create_trials_folder(folder)
    with file_lock(trials / ".lock"):
        notes = _archive_old(folder, fresh, config.sweep.options.storage)
        study = _connect(config, folder)
        study.identity = {
            "nnzoo": __version__,
            "config": replace(config, name="sweep").to_dict(),
            "sweep": config.sweep.options.model_dump(exclude={"trials", "storage"}),
            "fingerprint": dataset.fingerprint(),
            "targets": hash_targets(dataset),
        }
        stored = _register_or_read(study)
        _check_same_study(study, stored)
        study.site = _site(study, stored["id"])
    if stored["nnzoo"] != __version__:
        text = f"the study was created with nnzoo {stored['nnzoo']}; this is {__version__}"
        notes.append(Note("N38", text))
    if lost is not None:
        count = study.requeue_host(lost)
        notes.append(
            Note("N38", f"{count} trial{'s' if count != 1 else ''} of {lost} will be restarted")
        )
    study.notes = notes + _start_notes(study)
    return study


def _read_dataset(config: RunConfig) -> Dataset:
    """The data; raises ConfigError if trials cannot be compared by them."""
    dataset = read_dataset(config)
    if "val" not in dataset.splits:
        raise ConfigError.at(
            "sweep", "trials are compared by validation rows; data.split.val is 0", code="E18"
        )
    build_task(config.train, dataset.spec, None, None)  # checks the monitor
    return dataset


def silence_optuna() -> None:
    """Turn off Optuna's log and its warnings of experimental features; its errors are raised anyway."""
    optuna.logging.set_verbosity(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def hash_targets(dataset: Dataset) -> str:
    """A hash of the validation targets: only scores on the same rows can be compared."""
    targets = dataset.splits["val"].targets().contiguous()
    return hashlib.sha256(str(targets.shape).encode() + targets.numpy().tobytes()).hexdigest()[:16]


def _start_notes(study: Study) -> list[str]:
    notes: list[str] = []
    records = study.records()
    finished = sum(record.state in FINISHED for record in records)
    total = max(study.sweep.trials, len(records))
    combinations = study.values.combinations
    if combinations < study.sweep.trials:
        text = (
            f"the space has {combinations:,} combinations, so some of {study.sweep.trials:,} trials are "
            "the same; sampler: grid makes each once"
        )
        notes.append(Note("N38", text))
    if study.is_new:
        notes.append(
            Note("N38", f"no study in {study.storage_name}: starting one of {total:,} trials")
        )
    else:
        text = (
            f"joined the study in {study.storage_name}: {finished:,} of {total:,} trials finished"
        )
        notes.append(Note("N38", text))
    return notes


# The folder.


def _create_trials_folder(folder: Path) -> Path:
    trials = folder / "trials"
    if trials.is_symlink():
        raise CheckpointError(f"{trials} is a link; remove it", code="E75")
    try:
        trials.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return trials


def _archive_old(folder: Path, fresh: bool, storage: str) -> list[str]:
    """Move the old study away for --fresh, or finish a move that was interrupted; returns notes."""
    interrupted = os.path.lexists(folder / OLD_STUDY)
    if fresh:
        _check_fresh(folder, storage)
    if not (interrupted or (fresh and _holds_study(folder))):
        return []
    try:
        archive = archive_study(folder)
        (folder / "trials").mkdir(exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"cannot move the old study in {folder}: {error.strerror}", code="E75"
        ) from None
    finished = "an interrupted --fresh is finished: " if interrupted else ""
    return [Note("N32", f"{finished}the old study was moved to {archive}")]


def _check_fresh(folder: Path, storage: str) -> None:
    """Raise UsageError for a study outside of its folder, CheckpointError while a trial is made."""
    if storage != "auto":
        raise UsageError(
            f"--fresh is for a study in its own folder; this one is in {storage_name(storage, folder)}: "
            "give the new one another name (name: …)",
            code="E75",
        )
    for trial in (folder / "trials").iterdir():
        lock = file_lock(trial / ".trial")
        try:
            if (trial / ".trial").exists():
                with lock.acquire(timeout=0):
                    pass
        except Timeout:
            raise CheckpointError(
                f"another process is making trial {trial.name} of {folder}", code="E75"
            ) from None


def _holds_study(folder: Path) -> bool:
    if any((folder / name).exists() for name in STUDY if name != "trials"):
        return True
    return any(path.name.isdigit() for path in (folder / "trials").iterdir())


def _site(study: Study, study_id: str) -> str:
    """The id of the folder of trials, written once; raises UsageError if it is another study's."""
    file = study.trials / ".place"
    if os.path.lexists(file):
        try:
            content = parse_json(read_plain(file, 10_000))
            if content["study"] == study_id:
                return str(content["place"])
        except (OSError, ValueError, LookupError, TypeError):
            pass  # not a file of nnzoo's
    elif not any(path.name.isdigit() for path in study.trials.iterdir()):
        site = uuid.uuid4().hex[:12]
        file_io.write(file, json.dumps({"study": study_id, "place": site}).encode())
        return site
    raise UsageError(
        f"{study.trials} holds the trials of another study; give this one another name "
        f"(name: …){_or_fresh(study)}",
        code="E75",
    )


# The storage.


def _connect(config: RunConfig, folder: Path) -> Study:
    """The study in its storage, created if there is none; raises UsageError."""
    assert config.sweep is not None
    options = config.sweep.options
    higher = higher_is_better(config.train.monitor)
    try:
        opened = open_storage(options.storage, folder)
        common: dict[str, Any] = {
            "storage": opened.backend,
            "study_name": config.name,
            "pruner": build_pruner(options),
            "sampler": optuna.samplers.RandomSampler(0),
        }
        try:
            created = optuna.create_study(**common, direction="maximize" if higher else "minimize")
            study = Study(config, folder, created, opened)
            study.is_new = True
        except optuna.exceptions.DuplicatedStudyError:
            study = Study(config, folder, optuna.load_study(**common), opened)
        return study
    except _STORAGE_ERRORS as error:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        if isinstance(error, LookupError | TypeError | AttributeError):
            reason = f"it is not a study, or was changed ({type(error).__name__}: {reason})"
        name = storage_name(options.storage, folder)
        raise UsageError(f"cannot open the study in {name}: {reason}", code="E75") from None


# The identity.


def _register_or_read(study: Study) -> dict[str, Any]:
    """The study's identity as it is stored; written here if this process has created the study."""
    attributes = study.storage.get_study_user_attrs(study.id)
    if study.storage.get_all_trials(study.id, deepcopy=False) and "nnzoo" not in attributes:
        raise UsageError(
            f"the study '{study.config.name}' in {study.storage_name} is not one of nnzoo's",
            code="E75",
        )
    for _ in range(0 if study.is_new else REGISTER_TIMEOUT * 10):
        if "nnzoo" in attributes:
            break
        time.sleep(0.1)
        attributes = study.storage.get_study_user_attrs(study.id)
    if "nnzoo" not in attributes:  # created here, or by a process that died at once
        study.is_new = True
        attributes = {"nnzoo": study.identity | {"id": uuid.uuid4().hex[:12]}}
        study.storage.set_study_user_attr(study.id, "nnzoo", attributes["nnzoo"])
    return dict(attributes["nnzoo"])


def _check_same_study(study: Study, stored: dict[str, Any]) -> None:
    """Raise UsageError naming the keys in which the stored study differs."""
    before, after = _comparable(stored), _comparable(study.identity)
    differing = [
        f"  {key}: {before.get(key, 'not set')} there, {after.get(key, 'not set')} here"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
    if not differing and stored["fingerprint"] != study.identity["fingerprint"]:
        differing = ["  data: other rows or values there than here"]
    if differing:
        raise UsageError(
            f"{study.storage_name} holds a study of another config. Search this one beside it: "
            f"-s name={free_name(study.folder)}{_or_fresh(study)}\n" + "\n".join(differing),
            code="E09",
        )


def _comparable(identity: dict[str, Any]) -> dict[str, str]:
    """Key -> value as text, of everything that must be the same for all workers of a study."""
    sweep = identity["sweep"]
    values = from_dict(identity["config"], "the study").flat()
    values = {key: value for key, value in values.items() if not key.startswith(_JOINABLE_KEYS)}
    values |= {f"sweep.{key}": value for key, value in sweep.items() if key != "space"}
    values |= {f"sweep.space.{key}": value for key, value in sweep["space"].items()}
    return {key: flow_yaml(value) for key, value in values.items()}


def _or_fresh(study: Study) -> str:
    """The end of a sentence that offers --fresh; empty if that is impossible."""
    own_folder = study.sweep.options.storage == "auto"
    return ", or start over with --fresh (the old one is kept)" if own_folder else ""
