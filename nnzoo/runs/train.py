"""Training of an open run: checkpoints on schedule, a line of metrics per epoch, a result at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING

from nnzoo.config.options import parse_duration
from nnzoo.device import device_label
from nnzoo.errors import CheckpointError, DivergedError, PeerFailedError
from nnzoo.runs import checkpoint
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer

if TYPE_CHECKING:
    from nnzoo.runs.run import Run

# Seconds, against the start of a process.
CHEAP = 0.05


def train(
    run: Run, stop: Callable[[], bool] = lambda: False
) -> Generator[StepEnd | EpochEnd, None, None]:
    """Train to the end, saving by `train.save_every`, and yield the trainer's events.

    stop: asked after each step; when it answers True the run is saved and the iteration ends. So it
    is where the caller closes the iterator. Of several processes the one that leads writes, and all
    stop after the same step.
    Raises DivergedError, which names the checkpoint that is left, and CheckpointError.
    """
    trainer = run.trainer
    leads = trainer.processes.is_main_process
    clock = SaveSchedule(trainer.config.train.save_every, trainer)
    due = False
    try:
        for event in trainer.events():
            if isinstance(event, EpochEnd) and leads:
                run.folder.append_metrics(event.row)
            due = trainer.finished or clock.due()
            if due and leads:
                started = time.monotonic()
                save(run)
                clock.saved(time.monotonic() - started)
            if trainer.finished and leads:
                run.write_result("complete")
            yield event
            if trainer.processes.all_agree_to_stop(stop()):
                if leads and not due:  # else previous.pt would become a copy of last.pt
                    save(run)
                return
    except GeneratorExit:  # a `break` in a notebook, or nobody is left to show the events to
        if leads and not due:
            save(run)
        raise
    except DivergedError as error:
        if not leads:
            raise PeerFailedError(error.exit_code) from None
        raise diverged(run, error) from None


def diverged(run: Run, error: DivergedError) -> DivergedError:
    """The error that ended a run, with the checkpoint that is left; the run's folder tells it too."""
    with suppress(CheckpointError):  # what went wrong first is what counts
        run.write_result("diverged")
    left = f"the last checkpoint, {run.folder.last}, is from before it"
    if not run.folder.last.exists():
        left = "no checkpoint was written yet"
    return DivergedError(f"{error}\n{left}")


def save(run: Run) -> None:
    """Write last.pt, and then best.pt where there is a better one.

    last.pt holds the best weights too: where a crash comes in between, `open_run` writes best.pt.
    Raises CheckpointError, or DivergedError rather than to save weights that are no numbers.
    """
    trainer = run.trainer
    trainer.check_weights()
    run.folder.sync_metrics()
    content = run.network.state()
    # The same tensors are written once.
    now_best = trainer.best_epoch == trainer.epoch and trainer.step_in_epoch == 0
    best = content["model"] if now_best else trainer.best_weights
    content |= {"trainer": trainer.state(), "best_model": best}
    content |= {"processes": trainer.processes.world_size, "device": device_label(trainer.device)}
    checkpoint.save(run.folder.last, content, keep=run.folder.previous)
    save_best(run)


def save_best(run: Run) -> None:
    """Write best.pt unless it holds the best weights already."""
    trainer = run.trainer
    if not trainer.best_weights or run.saved_best == trainer.best_epoch:
        return
    if run.saved_best < 0 and run.folder.best_epoch() == trainer.best_epoch:
        run.saved_best = trainer.best_epoch
        return
    best = {"model": trainer.best_weights, "epoch": trainer.best_epoch}
    checkpoint.save(run.folder.best, run.network.state() | best)
    run.saved_best = trainer.best_epoch


class SaveSchedule:
    """When the next checkpoint is due, by `train.save_every`."""

    def __init__(self, duration: str, trainer: Trainer) -> None:
        self.number, self.unit = parse_duration(duration)
        self.trainer = trainer
        self.last = self.now()
        # Until a first one has been timed: weights, best weights and the optimizer's two averages.
        size = sum(p.numel() * p.itemsize for p in trainer.parameters)
        self.cost = 0.005 + 4 * size / 200e6

    def now(self) -> float:
        if self.unit in ("s", "%"):
            return time.monotonic()
        if self.unit == "step":
            return self.trainer.step
        # Behind the last step the epoch is not over yet: its end is a better place to save.
        groups = len(self.trainer.step_sizes)
        return self.trainer.epoch + self.trainer.step_in_epoch % groups / groups

    def due(self) -> bool:
        if self.unit == "%":
            # Where it costs next to nothing, there is something to go back to after one epoch.
            first = (
                self.trainer.epoch == 1 and self.trainer.step_in_epoch == 0 and self.cost < CHEAP
            )
            return first or (self.now() - self.last) * self.number / 100 >= self.cost
        # Fractions of an epoch are rounded to steps: half a step is neither here nor there.
        slack = 0.5 / len(self.trainer.step_sizes) if self.unit == "epoch" else 0.0
        return self.now() - self.last >= self.number - slack

    def saved(self, seconds: float) -> None:
        """A checkpoint was written, which took so long."""
        self.last, self.cost = self.now(), seconds
