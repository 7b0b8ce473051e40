"""A study: the trials of a search as they are stored, and which process makes which trial.

Optuna stores it, in SQLite, a journal file or a database server, and suggests values. This module adds
what Optuna lacks: exactly as many trials as asked for, each made by one process at a time, and the
trials of a process that has died are taken over by another.

- Trials are numbered from 0, and only numbers below `trials` are made. A trial is first stored as
  *waiting*; the storage lets one process alone turn it into *running*.
- The process that makes a trial holds the lock of its folder, which the system releases when the
  process dies. A trial that is running and whose lock is free has lost its process.
- Locks can be tested only on the disk that they are on: the folder of all trials has an id in `.place`
  (its site), and each trial names the site where it is made.
- A sampler's draws follow from the seed, the trial's number and the finished trials; it has no memory of
  its own, so an interrupted study resumes as if it had not been interrupted.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from nnzoo.config import RunConfig
from nnzoo.config.run_config import from_dict
from nnzoo.config.sweep_options import SweepOptions
from nnzoo.config.sweep_space import Sweep
from nnzoo.config.train_options import higher_is_better
from nnzoo.errors import CheckpointError
from nnzoo.file_io import file_lock
from nnzoo.sweep.storage import StudyStorage, cached_backend
from nnzoo.sweep.trial_values import TrialValues

State = Literal["waiting", "running", "complete", "pruned", "diverged", "failed"]
FINISHED = ("complete", "pruned", "diverged", "failed")
# Attributes of a stored trial: the site that makes it; the sites that have tried to, each with its host.
_SITE, _SITE_HOST = "place", "place "


@dataclass(frozen=True)
class TrialRecord:
    """The stored facts of a trial.

    values: config key -> value as in a file; value: its score, reached at `epoch`; epochs: the number of
    epochs made; host: the machine that makes or made it; reason: of a failure.
    """

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
        """The record as JSON has it."""
        record = {
            "number": self.number,
            "state": self.state,
            "params": self.values,
            "value": self.value,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "host": self.host,
        }
        return record | ({"reason": self.reason} if self.reason else {})


@dataclass
class Claim:
    """A trial that this process makes, until `release`. resumed: another process had started it."""

    number: int
    id: int
    trial: optuna.Trial
    lock: FileLock
    resumed: bool

    def release(self) -> None:
        self.lock.release()


class Study:
    """An opened study; `notes`: how it was opened."""

    def __init__(
        self, config: RunConfig, folder: Path, optuna_study: optuna.Study, opened: StudyStorage
    ) -> None:
        assert config.sweep is not None
        self.config = config
        self.sweep: Sweep = config.sweep
        self.folder = folder
        self.optuna_study = optuna_study
        self.storage = cached_backend(optuna_study, opened.backend)
        self.storage_name = opened.name
        self.lock = opened.lock or contextlib.nullcontext()
        self.id: int = self.storage.get_study_id_from_name(config.name)
        self.values = TrialValues(self.sweep, config.seed)
        self.notes: list[str] = []
        # Set by `open_study`.
        self.site = ""
        self.is_new = False
        self.identity: dict[str, Any] = {}

    @property
    def keys(self) -> list[str]:
        """The config keys that are searched."""
        return list(self.values.distributions)

    @property
    def trials(self) -> Path:
        """The folder of the trials' runs."""
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
    def monitor(self) -> str:
        """The metric that trials are compared by."""
        monitor = self.config.train.monitor
        return "val_loss" if monitor == "auto" else monitor

    @property
    def higher_is_better(self) -> bool:
        return higher_is_better(self.monitor)

    @property
    def prunes(self) -> bool:
        return self.sweep.options.pruner != "none"

    # Claims: which trial this process makes next.

    def claim(self) -> Claim | None:
        """The next trial for this process: one that lost its process, else a new one, else None."""
        while True:
            # Two machines that add one at once may leave one too many: it waits, and is the next where
            # `trials` is raised.
            trials = self._frozen()[: self.sweep.trials]
            for claim_one in (self._claim_orphan, self._claim_waiting):
                for frozen in trials:
                    claim = claim_one(frozen)
                    if claim is not None:
                        return claim
            if len(trials) >= self.sweep.trials:
                return None
            waiting = optuna.trial.create_trial(state=TrialState.WAITING)
            self.storage.create_new_trial(self.id, template_trial=waiting)

    def _frozen(self) -> list[FrozenTrial]:
        """All stored trials, in order."""
        trials = self.storage.get_all_trials(self.id, deepcopy=False)
        return sorted(trials, key=lambda frozen: frozen.number)

    def _trial_id(self, frozen: FrozenTrial) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.id, frozen.number)

    def _state(self, trial_id: int) -> TrialState:
        return self.storage.get_trial(trial_id).state

    def _claim_orphan(self, frozen: FrozenTrial) -> Claim | None:
        """Claim a running trial of this site whose process has died; None if it is not one."""
        if frozen.state != TrialState.RUNNING or not self._is_here(frozen):
            return None
        lock = self._lock(frozen.number)
        # It may have ended between the query and the lock.
        if lock is not None and self._state(self._trial_id(frozen)) == TrialState.RUNNING:
            return self._claimed(frozen, lock, resumed=True)
        if lock is not None:
            lock.release()
        return None

    def _claim_waiting(self, frozen: FrozenTrial) -> Claim | None:
        """Claim a trial that nobody has started; None if another process was faster."""
        if frozen.state != TrialState.WAITING:
            return None
        lock = self._lock(frozen.number)
        if lock is not None and self._set_running(frozen):
            return self._claimed(frozen, lock, resumed=False)
        if lock is not None:
            lock.release()
        return None

    def _lock(self, number: int) -> FileLock | None:
        """The lock of a trial's folder, held; None if another process holds it."""
        lock = file_lock(self.folder_of(number) / ".trial")
        try:
            self.folder_of(number).mkdir(exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        return lock

    def _set_running(self, frozen: FrozenTrial) -> bool:
        """Turn a waiting trial into one that runs here; False if another process was faster."""
        trial_id = self._trial_id(frozen)
        if self._state(trial_id) != TrialState.WAITING:
            return False
        # Written before it runs, so that no running trial is without a site. Machines that are equally
        # fast write one each; the one that came first also writes _SITE.
        self.storage.set_trial_user_attr(trial_id, _SITE_HOST + self.site, platform.node())
        with self.lock:
            if self._state(trial_id) != TrialState.WAITING:
                return False
            if not self.storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                return False
        self.storage.set_trial_user_attr(trial_id, _SITE, self.site)
        return True

    def _is_here(self, frozen: FrozenTrial) -> bool:
        """Whether the folder of a running trial is on this site's disk."""
        sites = _sites(frozen)
        return frozen.user_attrs.get(_SITE, sites[0] if len(sites) == 1 else None) == self.site

    def _claimed(self, frozen: FrozenTrial, lock: FileLock, resumed: bool) -> Claim:
        """A trial with its values drawn, or as they were drawn before."""
        self.optuna_study.sampler = self.values.sampler(frozen.number)
        trial_id = self._trial_id(frozen)
        trial = optuna.Trial(self.optuna_study, trial_id)
        self.values.suggest(trial)
        return Claim(frozen.number, trial_id, trial, lock, resumed)

    def requeue_host(self, host: str) -> int:
        """Let the running trials of a machine that will not come back be restarted; returns how many."""
        count = 0
        for frozen in self._frozen():
            is_running = frozen.state == TrialState.RUNNING
            if is_running and not self._is_here(frozen) and _host(frozen) == host:
                self.storage.set_trial_state_values(self._trial_id(frozen), TrialState.WAITING)
                count += 1
        return count

    # Records: the stored facts of trials.

    def trial_config(self, record: TrialRecord, name: str) -> RunConfig:
        """The config of a trial; raises ConfigError if its values do not go together.

        Trials are to differ by their values alone, not by the precision that a benchmark happened to
        find faster: 'auto' is float32 here.
        """
        tree = self.sweep.tree(record.values) | {"name": name}
        config = from_dict(tree, f"trial {record.number}")
        chosen = {"precision": "fp32"} if config.train.precision == "auto" else {}
        return replace(config, train=config.train.model_copy(update=chosen | record.resolved))

    def record(self, claim: Claim) -> TrialRecord:
        """The record of a claimed trial."""
        return self._record(self.storage.get_trial(claim.id))

    def records(self) -> list[TrialRecord]:
        """Every trial that has started or finished, in order."""
        records = map(self._record, self._frozen())
        return [record for record in records if record.state != "waiting"]

    def _record(self, frozen: FrozenTrial) -> TrialRecord:
        end = frozen.user_attrs.get("nnzoo", {})
        state: Any = end.get("state") if frozen.state.is_finished() else frozen.state.name.lower()
        known = ("value", "epoch", "epochs", "seconds", "reason", "resolved")
        values = self.values.from_stored(frozen.params)
        details = {key: end[key] for key in known if key in end}
        return TrialRecord(frozen.number, state, values, host=_host(frozen), **details)

    def best(self) -> TrialRecord | None:
        """The complete trial with the best value; of equals the first."""
        complete = [
            record
            for record in self.records()
            if record.state == "complete" and record.value is not None
        ]
        sign = -1.0 if self.higher_is_better else 1.0
        return min(
            complete,
            key=lambda record: (sign * cast(float, record.value), record.number),
            default=None,
        )

    def should_prune(self, claim: Claim, epoch: int, value: float, last: bool) -> bool:
        """Store the score of an epoch (from 1); return whether to end the trial there.

        Always False in the last epoch, and before `sweep.grace` epochs.
        """
        reported = self.storage.get_trial(claim.id).intermediate_values
        if epoch not in reported:
            claim.trial.report(value, epoch)
        elif epoch != max(reported):
            return False  # it was not ended there, before it was interrupted
        return not last and epoch >= self.sweep.options.grace and claim.trial.should_prune()

    def finish(self, claim: Claim, record: TrialRecord) -> None:
        """Store how a trial ended."""
        names = ("state", "value", "epoch", "epochs", "seconds", "reason", "resolved")
        end = {name: getattr(record, name) for name in names}
        self.storage.set_trial_user_attr(claim.id, "nnzoo", end)
        if record.state == "complete":
            self.optuna_study.tell(claim.trial, record.value)
        else:
            # A diverged trial counts as pruned: Optuna's samplers learn from those, not from failed ones.
            self.optuna_study.tell(claim.trial, state=TrialState.PRUNED)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the files that all workers on this disk share."""
        with file_lock(self.trials / ".lock"):
            yield


def build_pruner(options: SweepOptions) -> optuna.pruners.BasePruner:
    """Optuna's pruner for `sweep.pruner`; `Study.should_prune` calls it after each epoch."""
    if options.pruner == "none":
        return optuna.pruners.NopPruner()
    if options.pruner == "median":
        return optuna.pruners.MedianPruner()
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=options.grace)


def cannot_write(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write to {folder}: {error.strerror}; choose another folder with --out", code="E68"
    )


def _sites(frozen: FrozenTrial) -> list[str]:
    """The sites that have tried to make a trial."""
    names = frozen.user_attrs
    return [name.removeprefix(_SITE_HOST) for name in names if name.startswith(_SITE_HOST)]


def _host(frozen: FrozenTrial) -> str:
    """The machine that makes or made a trial."""
    sites = _sites(frozen)
    site = frozen.user_attrs.get(_SITE, sites[0] if sites else "")
    return str(frozen.user_attrs.get(_SITE_HOST + site, ""))
