"""The order of steps of several trainers that advance together, also where some have come further than others."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from nnzoo.kernels import openmp
from nnzoo.kernels.build import available
from nnzoo.training.optim import Optimizer
from nnzoo.training.thread_tuner import ThreadTuner
from nnzoo.training.train_step import Event, TrainerStack
from nnzoo.training.trainer import Trainer


class Turn(NamedTuple):
    """Members to advance together: a step on `rows` (members, n), or the end of the epoch if None."""

    tuner: ThreadTuner
    """Takes the steps of the stack."""
    members: list[int]
    """The index of each of the stack's trainers."""
    active: frozenset[int]
    """The members that are no placeholders."""
    rows: Tensor | None

    def advance(self) -> dict[int, Event]:
        """Take the step, or end the epoch; returns an event for each of `members`, by its place there."""
        if self.rows is None:
            return self.tuner.finish_epoch()
        return self.tuner.step(self.rows)


def lockstep(trainers: Sequence[Trainer], stopped: Collection[int]) -> Iterator[Turn]:
    """Yield what to compute next, until all trainers have finished or are in `stopped`.

    Trainers that are behind catch up first: a kill can fall between two saves. Placeholders replace
    those ahead meanwhile, since the rounding of sums depends on how many networks are computed at once.
    The caller takes each turn before it asks for the next one, and may add to `stopped` in between.
    """
    key: Any = None
    tuner: ThreadTuner | None = None
    try:
        while True:
            active = {i: t for i, t in enumerate(trainers) if not t.finished and i not in stopped}
            if not active:
                return
            position = min(map(_position, active.values()))
            ahead = min(
                (_position(t) for t in active.values() if _position(t) > position), default=None
            )
            current = frozenset(i for i, t in active.items() if _position(t) == position)
            passed = {
                i for i, t in enumerate(trainers) if _position(t) > position and i not in stopped
            }
            members = sorted(current | passed)
            if tuner is None or (current, members) != key:
                key = current, members
                first = active[min(current)]
                stack = TrainerStack(
                    [trainers[i] if i in current else _placeholder(first) for i in members]
                )
                tuner = ThreadTuner(stack)
            first = tuner.stack.trainers[members.index(min(current))]
            step_rows = tuner.stack.start_epoch()
            while first.state.step_in_epoch < len(step_rows) and (
                ahead is None or _position(first) != ahead
            ):
                yield Turn(tuner, members, current, step_rows[first.state.step_in_epoch])
                if not current.isdisjoint(stopped):
                    break
            else:
                if first.state.step_in_epoch == len(step_rows):
                    yield Turn(tuner, members, current, None)
    finally:
        openmp.wait_briefly(False)


def _position(trainer: Trainer) -> tuple[int, int]:
    return trainer.state.epoch, trainer.state.step_in_epoch


def _placeholder(trainer: Trainer) -> Trainer:
    """Return a copy of a trainer that computes the same, and of which nothing is kept."""
    trainer.synchronize()
    copied = copy.copy(trainer)
    copied.counters = None
    copied.model = copy.deepcopy(trainer.model)
    native = trainer.network.native and available(trainer.device)
    copied.optimizer = Optimizer(trainer.config.optim, copied.model, native)
    lr = trainer.lr_at(trainer.state.step)
    copied.optimizer.load_state_dict(copy.deepcopy(trainer.optimizer.state_dict(lr)))
    copied.host_loss = copy.deepcopy(trainer.host_loss)
    copied.state = copy.copy(trainer.state)
    copied.is_placeholder = True
    return copied
