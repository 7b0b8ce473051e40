"""The study: what is stored of a search, and which process makes which trial.

Optuna keeps it, in SQLite, in a journal file or in a database server, and says which values come
next. What it does not do is done here: exactly as many trials as asked for, each by one process at
a time, and those of a process that has died taken over by another.

- Trials are numbered from 0, and only numbers below `trials` are made. A trial begins its life in
  the study as *waiting*; the storage lets one process alone turn it into *running*.
- Who makes a trial holds the lock of its folder, which the system lets go when a process dies. A
  trial that is running and whose lock is free has lost its process.
- Whose folders can be looked at depends on the disk: the folder of all trials has a name of its own
  in `.place`, and each trial says in which place it is made.
- What a sampler draws follows from the seed, the trial's number and the trials that are over; it has
  no memory of its own, so a study that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import platform
import sqlite3
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from nnzoo import __version__, file_io
from nnzoo.config import RunConfig
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.load import from_dict
from nnzoo.config.run_config import locates_errors
from nnzoo.config.sweep_space import Sweep, range_end, storage_kind
from nnzoo.config.train_options import SweepOptions, higher_is_better
from nnzoo.data.batches import derive
from nnzoo.data.dataset import Dataset
from nnzoo.errors import CheckpointError, ConfigError, UsageError
from nnzoo.evaluation.tasks import build_task
from nnzoo.file_io import file_lock, parse_json, read_plain
from nnzoo.models.network import read_dataset
from nnzoo.runs.config_diff import free_name
from nnzoo.runs.run_dir import OLD_STUDY, STUDY, archive_study
from nnzoo.sweep.storage import check_place, open_storage, shown

State = Literal["waiting", "running", "complete", "pruned", "diverged", "failed"]
FINISHED = ("complete", "pruned", "diverged", "failed")
# Neither changes what a trial ends with.
_MAY_CHANGE = (
    "name",
    "train.save_every",
    "train.tensorboard",
    *(f"data.{key}" for key in PATH_KEYS),
)
# Seconds, from the birth of a study, in which it is said what it is.
SAID = 5
_PLACE = "place "


@dataclass(frozen=True)
class TrialRecord:
    """What the study knows of a trial. values: key -> value as it stands in a file; value: its score,
    that of `epoch`; epochs: how many it made; host: where it runs or ran; reason: of a failure."""

    number: int
    state: State
    values: dict[str, Any]
    value: float | None = None
    epoch: int | None = None
    epochs: int = 0
    seconds: float | None = None
    host: str = ""
    reason: str = ""
    resolved: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: without what is not known."""
        facts = {"number": self.number, "state": self.state, "params": self.values,
                 "value": self.value, "epoch": self.epoch, "epochs": self.epochs,
                 "seconds": self.seconds, "host": self.host}  # fmt: skip
        return facts | ({"reason": self.reason} if self.reason else {})


@dataclass
class Claim:
    """A trial that this process makes, until `release`. resumed: another process had begun it."""

    number: int
    trial: optuna.Trial
    lock: FileLock
    resumed: bool

    def release(self) -> None:
        self.lock.release()


class Study:
    """An opened study; `notes`: how it was opened."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        study: optuna.Study,
        shown: str,
        lock: FileLock | None,
        begun: bool,
    ) -> None:
        """shown: the storage, as it may be said aloud; lock: of a storage that cannot tell by itself
        who came first; begun: by this process."""
        assert config.sweep is not None
        self.config = config
        self.sweep: Sweep = config.sweep
        self.folder = folder
        self.shown = shown
        self.study = study
        # Optuna's own copy in front of the storage, which does not read again what is over.
        self.storage = study._storage
        self.lock = lock or contextlib.nullcontext()
        self.id: int = self.storage.get_study_id_from_name(config.name)
        self.notes: list[str] = []
        self.place = ""
        self.begun = begun
        self.facts: dict[str, Any] = {}
        self.distributions = {
            key: _distribution(self.sweep, key) for key in self.sweep.options.space
        }

    # Where things lie.

    @property
    def trials(self) -> Path:
        return self.folder / "trials"

    @property
    def best_file(self) -> Path:
        """The best trial's config, for `nnzoo train`."""
        return self.folder / "best.yaml"

    @property
    def page(self) -> Path:
        return self.folder / "sweep.html"

    def folder_of(self, number: int) -> Path:
        return self.trials / str(number)

    @property
    def or_fresh(self) -> str:
        """What else one may do about a study of that name, as the end of a sentence."""
        own = self.sweep.options.storage == "auto"
        return ", or start over with --fresh (the old one is kept)" if own else ""

    @property
    def monitor(self) -> str:
        """The metric that decides."""
        monitor = self.config.train.monitor
        return "val_loss" if monitor == "auto" else monitor

    @property
    def higher(self) -> bool:
        """Whether more of it is better."""
        return higher_is_better(self.monitor)

    # Which trial next.

    def claim(self) -> Claim | None:
        """The next trial for this process: one that lost its process, else a new one, else None."""
        while True:
            # Two machines that add one at once may leave one too many: it waits, and is the next where
            # `trials` is raised.
            found = self._frozen()[: self.sweep.trials]
            for frozen in found:
                if frozen.state == TrialState.RUNNING and self._made_here(frozen):
                    lock = self._lock(frozen.number)
                    if lock is not None:
                        # It may have ended between the look at it and the lock.
                        if self.storage.get_trial(frozen._trial_id).state == TrialState.RUNNING:
                            return self._claimed(frozen, lock, resumed=True)
                        lock.release()
            for frozen in found:
                if frozen.state == TrialState.WAITING:
                    lock = self._lock(frozen.number)
                    if lock is not None:
                        if self._take(frozen):
                            return self._claimed(frozen, lock, resumed=False)
                        lock.release()
            if len(found) >= self.sweep.trials:
                return None
            waiting = optuna.trial.create_trial(state=TrialState.WAITING)
            self.storage.create_new_trial(self.id, template_trial=waiting)

    def _frozen(self) -> list[FrozenTrial]:
        """All trials, in order."""
        found = self.storage.get_all_trials(self.id, deepcopy=False)
        return sorted(found, key=lambda each: each.number)

    def _lock(self, number: int) -> FileLock | None:
        """The lock of a trial's folder, held; None where another process holds it."""
        lock = file_lock(self.folder_of(number) / ".trial")
        try:
            self.folder_of(number).mkdir(exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except OSError as error:
            raise _cannot_write(self.folder, error) from None
        return lock

    def _take(self, frozen: FrozenTrial) -> bool:
        """Turn a waiting trial into one that runs here; False where another process was faster."""
        if self.storage.get_trial(frozen._trial_id).state != TrialState.WAITING:
            return False
        # Before it runs, so that it never runs without a word on where. Machines that are equally fast
        # each say so, and the one that came first says that it did.
        self.storage.set_trial_user_attr(frozen._trial_id, _PLACE + self.place, platform.node())
        with self.lock:
            if self.storage.get_trial(frozen._trial_id).state != TrialState.WAITING:
                return False
            if not self.storage.set_trial_state_values(frozen._trial_id, TrialState.RUNNING):
                return False
        self.storage.set_trial_user_attr(frozen._trial_id, "place", self.place)
        return True

    def _made_here(self, frozen: FrozenTrial) -> bool:
        """Whether the folder of a running trial is one of this place."""
        places = _places(frozen)
        return frozen.user_attrs.get("place", places[0] if len(places) == 1 else None) == self.place

    def _claimed(self, frozen: FrozenTrial, lock: FileLock, resumed: bool) -> Claim:
        """A trial with its values drawn, or as they were drawn before."""
        number = frozen.number
        if self.sweep.options.sampler == "grid" and not resumed:
            places = self.sweep.grid_point(number)
            fixed = {key: _point(self.sweep, key, at) for key, at in places.items()}
            self.storage.set_trial_system_attr(frozen._trial_id, "fixed_params", fixed)
        self.study.sampler = self._sampler(number)
        trial = optuna.Trial(self.study, frozen._trial_id)
        for key, distribution in self.distributions.items():
            _draw(trial, key, distribution)
        return Claim(number, trial, lock, resumed)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = derive(self.config.seed, "sweep", number) % 2**32
        if self.sweep.options.sampler != "tpe":
            return optuna.samplers.RandomSampler(seed)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)

    def give_up(self, host: str) -> int:
        """Let the running trials of a machine that will not come back be made anew; how many."""
        count = 0
        for frozen in self._frozen():
            gone = frozen.state == TrialState.RUNNING and not self._made_here(frozen)
            if gone and _host(frozen) == host:
                self.storage.set_trial_state_values(frozen._trial_id, TrialState.WAITING)
                count += 1
        return count

    # What is known of trials.

    def values_of(self, params: dict[str, Any]) -> dict[str, Any]:
        """The values that stand in a file, of those that the study keeps."""
        return {
            key: _value(self.sweep, key, params[key]) for key in self.distributions if key in params
        }

    def config_of(self, row: TrialRecord, name: str) -> RunConfig:
        """The config of a trial; raises ConfigError where its values do not go together.

        Trials are to differ by their values alone, not by which precision a moment found the faster: what
        is 'auto' is float32 here.
        """
        tree = self.sweep.tree(row.values) | {"name": name}
        config = from_dict(tree, f"trial {row.number}")
        chosen = {"precision": "fp32"} if config.train.precision == "auto" else {}
        return replace(config, train=config.train.model_copy(update=chosen | row.resolved))

    def row(self, claim: Claim) -> TrialRecord:
        """What is known of a claimed trial."""
        return self._row(self.storage.get_trial(claim.trial._trial_id))

    def rows(self) -> list[TrialRecord]:
        """Every trial that has begun or is over, in order."""
        return [row for row in map(self._row, self._frozen()) if row.state != "waiting"]

    def _row(self, frozen: FrozenTrial) -> TrialRecord:
        facts = frozen.user_attrs.get("nnzoo", {})
        state: Any = facts.get("state") if frozen.state.is_finished() else frozen.state.name.lower()
        return TrialRecord(
            frozen.number, state, self.values_of(frozen.params), facts.get("value"), facts.get("epoch"),
            facts.get("epochs", 0), facts.get("seconds"), _host(frozen), facts.get("reason", ""),
            facts.get("resolved", {}),
        )  # fmt: skip

    def best(self) -> TrialRecord | None:
        """The complete trial with the best value; of equals the first."""
        complete = [row for row in self.rows() if row.state == "complete" and row.value is not None]
        sign = -1.0 if self.higher else 1.0
        return min(
            complete, key=lambda row: (sign * cast(float, row.value), row.number), default=None
        )

    # What happens to a trial.

    @property
    def prunes(self) -> bool:
        return self.sweep.options.pruner != "none"

    def hopeless(self, claim: Claim, epoch: int, value: float, last: bool) -> bool:
        """Note the value of an epoch (from 1), and say whether the trial should end here, unless it
        is its last epoch."""
        told = self.storage.get_trial(claim.trial._trial_id).intermediate_values
        if epoch not in told:
            claim.trial.report(value, epoch)
        elif epoch != max(told):
            return False  # it was not ended there, before it was interrupted
        return not last and epoch >= self.sweep.options.grace and claim.trial.should_prune()

    def tell(self, claim: Claim, row: TrialRecord) -> None:
        """Note how a trial ended."""
        facts = {"state": row.state, "value": row.value, "epoch": row.epoch, "epochs": row.epochs,
                 "seconds": row.seconds, "reason": row.reason, "resolved": row.resolved}  # fmt: skip
        self.storage.set_trial_user_attr(claim.trial._trial_id, "nnzoo", facts)
        if row.state == "complete":
            self.study.tell(claim.trial, row.value)
        else:
            # To Optuna one that diverged is one that was not worth to go on with: its sampler learns
            # from those, and from failed ones it does not.
            self.study.tell(claim.trial, state=TrialState.PRUNED)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While it writes what all processes of this place write."""
        with file_lock(self.trials / ".lock"):
            yield


def _places(frozen: FrozenTrial) -> list[str]:
    """The places that wanted to make a trial."""
    return [key.removeprefix(_PLACE) for key in frozen.user_attrs if key.startswith(_PLACE)]


def _host(frozen: FrozenTrial) -> str:
    """The machine that makes or made a trial."""
    places = _places(frozen)
    place = frozen.user_attrs.get("place", places[0] if places else "")
    return str(frozen.user_attrs.get(_PLACE + place, ""))


# Values.


def _distribution(sweep: Sweep, key: str) -> BaseDistribution:
    """A range, or a choice, as Optuna has it: of choices their texts, which any storage keeps."""
    given = sweep.options.space[key]
    if isinstance(given, list):
        return CategoricalDistribution([flow_yaml(each) for each in given])
    low, step = given.low, given.step
    if key in sweep.integer_keys:
        return IntDistribution(int(low), int(range_end(given)), given.log, int(step or 1))
    return FloatDistribution(float(low), float(range_end(given)), given.log, step)


def _value(sweep: Sweep, key: str, stored: Any) -> Any:
    """What stands in a file, of what Optuna keeps."""
    given = sweep.options.space[key]
    if isinstance(given, list):
        return next(each for each in given if flow_yaml(each) == stored)
    if given.step is not None and key not in sweep.integer_keys:
        # 0.1 + 2 × 0.1 is 0.3 to whoever wrote the file.
        low, step = Decimal(str(given.low)), Decimal(str(given.step))
        return float(low + round((Decimal(str(stored)) - low) / step) * step)
    return stored


def _point(sweep: Sweep, key: str, place: int) -> Any:
    """A value of a grid, as Optuna keeps it."""
    given = sweep.options.space[key]
    if isinstance(given, list):
        return flow_yaml(given[place])
    value = Decimal(str(given.low)) + place * Decimal(str(given.step or 1))
    return int(value) if key in sweep.integer_keys else float(value)


def _draw(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> None:
    """Let the sampler draw a value, unless it has."""
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(key, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(
            key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(
            key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )


# Opening.


@locates_errors
def open_study(config: RunConfig, out: Path, fresh: bool = False, lost: str | None = None) -> Study:
    """Join the study of a config, or begin it.

    fresh: set the one that is there aside; lost: a machine that will not come back. Raises
    ConfigError or UsageError where the config is not one to search with, or the study is another's.
    """
    if config.sweep is None:
        raise UsageError(
            "this config has no 'sweep' section; add one, for example:\n"
            "  sweep: {space: {optim.lr: {low: 1e-4, high: 1e-1, log: true}}}"
        )
    dataset = read_dataset(config)
    if "val" not in dataset.splits:
        raise ConfigError.at("sweep", "trials are compared by validation rows; data.split.val is 0")
    # Whether the metric that decides is one of these targets'.
    build_task(config.train, dataset.spec, None, None)
    _quiet()
    folder = out / config.name
    check_place(config, out)
    trials = folder / "trials"
    if trials.is_symlink():
        raise CheckpointError(f"{trials} is a link; remove it")
    try:
        trials.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    notes = []
    with file_lock(trials / ".lock"):
        interrupted = os.path.lexists(folder / OLD_STUDY)
        if fresh:
            _check_fresh(folder, config.sweep.options.storage)
        if interrupted or (fresh and _holds_study(folder)):
            notes.append(_set_aside(folder))
            if interrupted:
                notes[-1] = f"an interrupted --fresh is finished: {notes[-1]}"
        study = _connect(config, folder)
        study.facts = {
            "nnzoo": __version__,
            "config": replace(config, name="sweep").to_dict(),
            "sweep": config.sweep.options.model_dump(exclude={"trials", "storage"}),
            "fingerprint": dataset.fingerprint(),
            "targets": targets_of(dataset),
        }
        stored = _settled(study)
        _refuse_another(study, stored)
        study.place = _place(trials, stored["id"], study.or_fresh)
    study.notes += notes
    if stored["nnzoo"] != __version__:
        study.notes.append(
            f"the study was begun with nnzoo {stored['nnzoo']}; this is {__version__}"
        )
    if lost is not None:
        count = study.give_up(lost)
        study.notes.append(f"{count} trial{'s' if count != 1 else ''} of {lost} will be restarted")
    rows = study.rows()
    done = sum(row.state in FINISHED for row in rows)
    wanted = max(study.sweep.trials, len(rows))
    combinations = _combinations(study.sweep)
    if combinations < study.sweep.trials:
        study.notes.append(
            f"the space has {combinations:,} combinations, so some of {study.sweep.trials:,} trials are "
            "the same; sampler: grid makes each once"
        )
    if study.begun:
        study.notes.append(f"no study in {study.shown}: starting one of {wanted:,} trials")
    else:
        study.notes.append(
            f"joined the study in {study.shown}: {done:,} of {wanted:,} trials finished"
        )
    return study


def _combinations(sweep: Sweep) -> float:
    """How many there are; infinite where a range has any number of values."""
    space = sweep.options.space.items()
    if all(
        isinstance(given, list) or given.step or key in sweep.integer_keys for key, given in space
    ):
        return sweep.grid_size
    return math.inf


def targets_of(dataset: Dataset) -> str:
    """What is validated, as a hash: only values over the same rows can be compared."""
    targets = dataset.splits["val"].targets().contiguous()
    return hashlib.sha256(str(targets.shape).encode() + targets.numpy().tobytes()).hexdigest()[:16]


def _quiet() -> None:
    """Optuna speaks to stderr by itself, and warns of what it may change; what it says comes as
    errors, too."""
    optuna.logging.set_verbosity(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _cannot_write(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write to {folder}: {error.strerror}; choose another folder with --out"
    )


def _connect(config: RunConfig, folder: Path) -> Study:
    """The study in its storage, made where there is none; raises UsageError."""
    assert config.sweep is not None
    given = config.sweep.options.storage
    kind = storage_kind(given)
    path = Path(given) if kind in ("sqlite", "journal") else folder / "sweep.db"
    name = str(path) if kind == "auto" else shown(given)
    higher = higher_is_better(config.train.monitor)
    try:
        storage = open_storage(given, path)
        pruner, sampler = _pruner(config.sweep.options), optuna.samplers.RandomSampler(0)
        begun = True
        try:
            study = optuna.create_study(
                storage=storage, study_name=config.name, pruner=pruner, sampler=sampler,
                direction="maximize" if higher else "minimize",
            )  # fmt: skip
        except optuna.exceptions.DuplicatedStudyError:
            begun = False
            study = optuna.load_study(
                storage=storage, study_name=config.name, pruner=pruner, sampler=sampler
            )
        lock = (
            file_lock(Path(f"{path}.lock"))
            if isinstance(storage, RDBStorage) and kind != "server"
            else None
        )
        return Study(config, folder, study, name, lock, begun)
    except (ImportError, OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError,
            SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError) as error:  # fmt: skip
        # What a file holds may be anything, and Optuna reads it as it comes.
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        if isinstance(error, LookupError | TypeError | AttributeError):
            reason = f"it is not a study, or was changed ({type(error).__name__}: {reason})"
        raise UsageError(f"cannot open the study in {name}: {reason}") from None


def _pruner(options: SweepOptions) -> optuna.pruners.BasePruner:
    if options.pruner == "none":
        return optuna.pruners.NopPruner()
    if options.pruner == "median":
        return optuna.pruners.MedianPruner()
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=options.grace)


def _settled(study: Study) -> dict[str, Any]:
    """What the study says that it is, which is for the process to say that began it."""
    attrs = study.storage.get_study_user_attrs(study.id)
    if study.storage.get_all_trials(study.id, deepcopy=False) and "nnzoo" not in attrs:
        raise UsageError(f"the study '{study.config.name}' in {study.shown} is not one of nnzoo's")
    for _ in range(0 if study.begun else SAID * 10):
        if "nnzoo" in attrs:
            break
        time.sleep(0.1)
        attrs = study.storage.get_study_user_attrs(study.id)
    if "nnzoo" not in attrs:  # begun here, or by a process that died at once
        study.begun = True
        attrs = {"nnzoo": study.facts | {"id": uuid.uuid4().hex[:12]}}
        study.storage.set_study_user_attr(study.id, "nnzoo", attrs["nnzoo"])
    return dict(attrs["nnzoo"])


def _refuse_another(study: Study, stored: dict[str, Any]) -> None:
    """Raise UsageError naming the keys in which the study is another one."""
    before, after = _identity(stored), _identity(study.facts)
    differing = [
        f"  {key}: {before.get(key, 'not set')} there, {after.get(key, 'not set')} here"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
    if not differing and stored["fingerprint"] != study.facts["fingerprint"]:
        differing = ["  data: other rows or values there than here"]
    if differing:
        raise UsageError(
            f"{study.shown} holds a study of another config. Search this one beside it: "
            f"-s name={free_name(study.folder)}{study.or_fresh}\n" + "\n".join(differing)
        )


def _identity(facts: dict[str, Any]) -> dict[str, str]:
    """Key -> value as text, of everything that two processes of a study must have alike."""
    search = {key: value for key, value in facts["sweep"].items() if key != "space"}
    space = {f"sweep.space.{key}": value for key, value in facts["sweep"]["space"].items()}
    run = from_dict(facts["config"], "the study").flat()
    kept = {key: value for key, value in run.items() if not key.startswith(_MAY_CHANGE)}
    found = kept | {f"sweep.{key}": value for key, value in search.items()} | space
    return {key: flow_yaml(value) for key, value in found.items()}


def _place(trials: Path, study: str, or_fresh: str) -> str:
    """The name of a folder of trials, given once; raises UsageError where it is another study's."""
    file = trials / ".place"
    if os.path.lexists(file):
        try:
            content = parse_json(read_plain(file, 10_000))
            if content["study"] == study:
                return str(content["place"])
        except (OSError, ValueError, LookupError, TypeError):
            pass  # something else in its place
    elif not any(each.name.isdigit() for each in trials.iterdir()):
        place = uuid.uuid4().hex[:12]
        file_io.write(file, json.dumps({"study": study, "place": place}).encode())
        return place
    raise UsageError(
        f"{trials} holds the trials of another study; give this one another name (name: …){or_fresh}"
    )


def _check_fresh(folder: Path, storage: str) -> None:
    """Raise UsageError where a study is not the folder's own, CheckpointError where a trial is made."""
    if storage != "auto":
        raise UsageError(
            f"--fresh is for a study in its own folder; this one is in {shown(storage)}: "
            "give the new one another name (name: …)"
        )
    for each in (folder / "trials").iterdir():
        lock = file_lock(each / ".trial")
        try:
            if (each / ".trial").exists():
                with lock.acquire(timeout=0):
                    pass
        except Timeout:
            raise CheckpointError(
                f"another process is making trial {each.name} of {folder}"
            ) from None


def _holds_study(folder: Path) -> bool:
    there = any((folder / name).exists() for name in STUDY if name != "trials")
    return there or any(each.name.isdigit() for each in (folder / "trials").iterdir())


def _set_aside(folder: Path) -> str:
    """Move a study and its trials out of the way; returns a note."""
    try:
        aside = archive_study(folder)
        (folder / "trials").mkdir(exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot set {folder} aside: {error.strerror}") from None
    return f"the old study was moved to {aside}"
