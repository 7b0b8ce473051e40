"""Training of open runs: checkpoints on schedule, a line of metrics per epoch, a result at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from nnzoo.config.options import parse_duration
from nnzoo.device import device_label
from nnzoo.errors import CheckpointError, DivergedError, PeerFailedError
from nnzoo.runs import checkpoint
from nnzoo.training.lockstep import lockstep
from nnzoo.training.train_step import Event
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer

if TYPE_CHECKING:
    from nnzoo.runs.run import Run

# Seconds of a save that are negligible compared with the start of a process.
CHEAP = 0.05
# Seconds between two writes of progress.json; or so many times what a write takes, if that is more.
PROGRESS_SECONDS, PROGRESS_RATIO = 0.5, 1000


def _never() -> bool:
    return False


def train_runs(
    runs: Sequence[Run], stop: Callable[[], bool] = _never
) -> Generator[dict[int, Event], None, None]:
    """Train runs to their end and yield their events by index; several step in one batch.

    They are saved by `train.save_every`, at their end, when the iterator is closed, and when `stop`,
    which is called after each step, returns True: then the iteration ends. A run that diverges ends
    with a DivergedError as its event. The main rank writes, and all stop after the same step.
    Raises CheckpointError.
    """
    processes = runs[0].trainer.processes
    schedule = SaveSchedule([run.trainer for run in runs])
    progress = ProgressClock(runs)
    unsaved: set[int] = set()
    diverged: set[int] = set()
    try:
        for turn in lockstep([run.trainer for run in runs], diverged):
            results = turn.advance()
            events = {i: results[k] for k, i in enumerate(turn.members) if i in turn.active}
            unsaved |= events.keys()
            is_due = schedule.is_due()
            if is_due or not all(isinstance(event, StepEnd) for event in events.values()):
                if is_due:
                    with schedule.measure_save():
                        _write(runs, events, unsaved)
                else:
                    _write(runs, events, set())
                diverged |= {i for i, event in events.items() if isinstance(event, DivergedError)}
                finished = {i for i in unsaved if runs[i].trainer.finished}
                unsaved = set() if is_due else unsaved - diverged - finished
            if time.monotonic() >= progress.due:
                progress.write(events)
            yield events
            if processes.all_agree_to_stop(stop()):
                failed: dict[int, Event] = {}
                _write(runs, failed, unsaved)
                if failed:
                    yield failed
                return
    except GeneratorExit:  # a `break` in a notebook, or events that cannot be shown any more
        failed = {}
        _write(runs, failed, unsaved)
        for event in failed.values():
            if isinstance(event, DivergedError):
                raise event from None
        raise
    finally:
        progress.close()


def _write(runs: Sequence[Run], events: dict[int, Event], due: set[int]) -> None:
    """Write what a turn's events change in the run folders: metrics, results, and checkpoints of the runs
    that are due or finished. A run whose weights cannot be saved gets a DivergedError as its event.
    """
    for i in sorted(events.keys() | due):
        run, event = runs[i], events.get(i)
        if not run.trainer.processes.is_main_process:
            if isinstance(event, DivergedError):
                raise PeerFailedError(event.exit_code)
            continue
        try:
            if isinstance(event, DivergedError):
                raise event
            if isinstance(event, EpochEnd):
                run.folder.append_metrics(event.row)
                if run.recorder is not None:
                    run.recorder.record_epoch(event)
            if i in due or run.trainer.finished:
                save(run)
            if run.trainer.finished:
                run.write_result("complete")
        except DivergedError as error:
            events[i] = record_divergence(run, error)


def record_divergence(run: Run, error: DivergedError) -> DivergedError:
    """Write the result of a run that diverged; returns the error with the checkpoint that is left."""
    with suppress(CheckpointError):  # the divergence is the more important message
        run.write_result("diverged")
    if run.recorder is not None:
        run.recorder.record_divergence(error)
    left = f"the last checkpoint, {run.folder.last}, is from before it"
    if not run.folder.last.exists():
        left = "no checkpoint was written yet"
    return DivergedError(f"{error}\n{left}")


def train(run: Run, stop: Callable[[], bool] = _never) -> Generator[StepEnd | EpochEnd, None, None]:
    """`train_runs` for a single run: yields its events, and raises DivergedError."""
    with closing(train_runs([run], stop)) as source:
        for events in source:
            if isinstance(event := events[0], DivergedError):
                raise event
            yield event


def save(run: Run) -> None:
    """Write last.pt, and best.pt if there is a better one.

    last.pt holds the best weights too: after a crash in between, `open_run` writes best.pt.
    Raises CheckpointError, and DivergedError instead of saving weights that are not finite.
    """
    trainer = run.trainer
    trainer.check_weights()
    run.folder.sync_metrics()
    content = run.network.state()
    # Tensors that are the same object are written once.
    state = trainer.state
    is_best = state.best_epoch == state.epoch and state.step_in_epoch == 0
    best = content["model"] if is_best else trainer.best_weights
    content |= {"trainer": trainer.state_dict(), "best_model": best}
    content |= {"processes": trainer.processes.world_size, "device": device_label(trainer.device)}
    checkpoint.save(run.folder.last, content, keep=run.folder.previous)
    save_best(run)


def save_best(run: Run) -> None:
    """Write best.pt unless it holds the best weights already, with their calibration once the run is finished."""
    trainer, best_epoch = run.trainer, run.trainer.state.best_epoch
    if not trainer.best_weights or run.saved_best == (best_epoch, trainer.finished):
        return
    calibration = run.calibration() if trainer.finished else None
    if run.saved_best is None:
        content = run.folder.best_content()
        is_saved = content.get("epoch") == best_epoch and (
            calibration is None or _is_calibrated(content, run)
        )
    else:
        is_saved = run.saved_best[0] == best_epoch and calibration is None
    if not is_saved:
        best = {"model": trainer.best_weights, "epoch": best_epoch}
        best |= {} if calibration is None else {"calibration": calibration.state()}
        checkpoint.save(run.folder.best, run.network.state() | best)
    run.saved_best = best_epoch, trainer.finished


def _is_calibrated(content: dict[str, Any], run: Run) -> bool:
    """Whether best.pt has the calibration of the run's section `eval`."""
    stored = content.get("config", {}).get("eval")
    return "calibration" in content and stored == run.network.config.eval.model_dump(mode="json")


class SaveSchedule:
    """Decides when trainers, of one config, are saved next, by `train.save_every`."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = trainers
        self.number, self.unit = parse_duration(trainers[0].config.train.save_every)
        self.steps_per_epoch = len(trainers[0].step_sizes)
        self.last = self._now()
        # An estimate until a save has been timed: weights, best weights and two optimizer moments.
        size = sum(p.numel() * p.itemsize for t in trainers for p in t.parameters)
        self.cost = 0.005 * len(trainers) + 4 * size / 200e6
        """Seconds of a save."""

    def _now(self) -> float:
        """Return the time in the schedule's unit: seconds, steps or epochs."""
        if self.unit in ("s", "%"):
            return time.monotonic()
        if self.unit == "step":
            return max(trainer.state.step for trainer in self.trainers)
        # After its last step the epoch is not over yet: its end is a better place to save.
        return max(
            t.state.epoch + t.state.step_in_epoch % self.steps_per_epoch / self.steps_per_epoch
            for t in self.trainers
        )

    def is_due(self) -> bool:
        if self.unit == "%":
            # A cheap first checkpoint after one epoch, so that there is something to resume from.
            state = self.trainers[0].state
            is_first = state.epoch == 1 and state.step_in_epoch == 0 and self.cost < CHEAP
            return is_first or (self._now() - self.last) * self.number / 100 >= self.cost
        # Fractions of an epoch are rounded to steps.
        slack = 0.5 / self.steps_per_epoch if self.unit == "epoch" else 0.0
        return self._now() - self.last >= self.number - slack

    @contextmanager
    def measure_save(self) -> Iterator[None]:
        """Time a save and restart the schedule."""
        start = time.monotonic()
        yield
        self.last, self.cost = self._now(), time.monotonic() - start


class ProgressClock:
    """Writes progress.json of runs that advance together, by the clock: a step costs one comparison."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.recorders = {i: run.recorder for i, run in enumerate(runs) if run.recorder is not None}
        self.due = time.monotonic() if self.recorders else math.inf
        """When the next write is due."""

    def write(self, events: Mapping[int, Any]) -> None:
        """Write the steps among the events, by the runs' indices."""
        start = time.monotonic()
        for i, event in events.items():
            if isinstance(event, StepEnd) and i in self.recorders:
                self.recorders[i].write_progress(event)
        end = time.monotonic()
        self.due = end + max(PROGRESS_SECONDS, PROGRESS_RATIO * (end - start))

    def close(self) -> None:
        for recorder in self.recorders.values():
            recorder.folder.remove_progress()
