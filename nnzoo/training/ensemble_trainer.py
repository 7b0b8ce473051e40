"""Several trainers of one architecture, over the same rows, whose steps are one computation.

Each keeps its own seed, rate, clipping, best weights and position, and is at any moment what it would
be alone: its weights and what its optimizer remembers are slices of stacks that the steps work on.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence, Set
from typing import Any, cast

import torch
from torch import Tensor

from nnzoo.data.augment import Draws, augment
from nnzoo.data.dataset import chunks
from nnzoo.data.sampling import batch_sizes, derive, epoch_order
from nnzoo.errors import DivergedError
from nnzoo.evaluation.evaluate import eval_batch_size
from nnzoo.kernels.build import available
from nnzoo.models import ensemble
from nnzoo.models.ensemble import BatchedModel
from nnzoo.training.optim import Optimizer
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer, gc_frozen

# Bytes of the confusion matrices that all members count into at once.
MATRICES = 1 << 30
Event = StepEnd | EpochEnd | DivergedError


def unsupported_reason(trainers: Sequence[Trainer]) -> str:
    """Why these trainers do not step as one; empty where they do."""
    first = trainers[0]
    if first.network.compiled is not None:
        return "a compiled model (train.compile) is one network's"
    if len({each.network.precision for each in trainers}) > 1:
        return "some were begun in another precision (train.precision)"
    if first.task.is_classification and 8 * first.task.outputs**2 * len(trainers) > MATRICES:
        return "the confusion matrices of so many classes do not fit into memory at once"
    return ensemble.unsupported_reason(first.model, first.device)


class EnsembleTrainer:
    """Trainers that stand at the same step of the same epoch."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first = trainers[0]
        self.trainers = list(trainers)
        self.train = first.config.train
        self.task = first.task
        self.rows = first.splits["train"]
        self.stacked = BatchedModel([each.model for each in trainers])
        self.stacks = list(self.stacked.parameters.values())
        self.optimizer = Optimizer.stacked([each.optimizer for each in trainers], self.stacks)
        # What is between a batch and the model, and behind it, is the same for all.
        self.network = copy.copy(first.network)
        self.network.compiled = self.stacked
        # Whether all have taken as many steps: a skipped one is not counted.
        self.in_lockstep = len({count.steps for count in self.optimizer.counts}) == 1

    def train_step(self, rows: Tensor) -> dict[int, DivergedError]:
        """One step of each on its rows (members, n) int64, as `Trainer.train_step`; gives the errors
        of those that cannot go on, which stay as they were before the step."""
        if self.stacked.uses_randomness:
            self.seed()
        self.optimizer.zero_grad()
        batches = [self.rows.batch(part.flatten())
                   for part in rows.split(batch_sizes(rows.shape[1], self.train.batch_size), 1)]  # fmt: skip
        members = range(len(self.trainers))
        weights = [self.weights(y) for _, y in batches]
        totals = [sum(each[i] for each in weights) for i in members]
        skips = self.train.on_nan == "skip"
        buffers = [each.clone() for each in self.stacked.buffers.values()] if skips else []
        results = []
        for i, (x, y) in enumerate(batches):
            result = self.task.compute_loss(self.network(self.augmented(x, i)), y, totals)
            result.backward()
            results.append(result)
        lost, hits = zip(*(result.to_lists() for result in results), strict=True)
        loss = [sum(each[i] for each in lost) for i in members]
        right = [sum(each[i] for each in hits) for i in members]
        norms = self.optimizer.norms()
        good = [math.isfinite(a) and math.isfinite(b) for a, b in zip(norms, loss, strict=True)]
        self.update(norms, good)
        diverged: dict[int, DivergedError] = {}
        for i, trainer in enumerate(self.trainers):
            if good[i]:
                trainer.note(norms[i], loss[i], float(totals[i]), right[i], rows.shape[1])
            else:
                self.in_lockstep = False
                try:
                    self.scatter_gradients(i)
                    rate = trainer.lr_at(trainer.step)
                    trainer.skip(rate, loss[i], [each[i] for each in buffers])
                except DivergedError as error:
                    diverged[i] = error
                    continue
            trainer.step += 1
            trainer.step_in_epoch += 1
        return diverged

    @torch.no_grad()
    def validate(self) -> list[dict[str, Any] | None]:
        """What `evaluate` gives of the validation rows, for each; None where there are none."""
        count = len(self.trainers)
        split = self.trainers[0].splits.get("val")
        if not split:
            return [None] * count
        for trainer in self.trainers:
            trainer.renew_statistics()
        device = self.network.device
        size = split.batch(torch.zeros(1, dtype=torch.int64, device=device))[0].numel()
        sums: list[Any] = [self.task.new_metrics(device, len(split)) for _ in self.trainers]
        self.stacked.training = False
        for piece in chunks(len(split), max(1, eval_batch_size(size) // count)):
            x, y = split.batch(torch.arange(piece.start, piece.stop, device=device))
            output = self.network(x.repeat(count, *[1] * (x.ndim - 1)))
            for each, part in zip(sums, output.chunk(count), strict=True):
                self.task.update(each, part, y)
        self.stacked.training = True
        return [self.task.compute_metrics(each) for each in sums]

    def seed(self) -> None:
        for trainer, generator in zip(self.trainers, self.stacked.generators, strict=True):
            generator.manual_seed(derive(trainer.config.seed, "step", trainer.step))

    def augmented(self, x: Tensor, batch: int) -> Tensor:
        options = self.trainers[0].augment
        if options is None:
            return x
        seeds = [derive(t.config.seed, "augment", t.step, batch) for t in self.trainers]
        return augment(x, options, Draws(*(torch.Generator().manual_seed(each) for each in seeds)))

    def weights(self, y: Tensor) -> list[Tensor | float]:
        """By what the summed loss of each is divided."""
        return [self.task.denominator(each) for each in y.chunk(len(self.trainers))]

    def update(self, norms: list[float], good: list[bool]) -> None:
        """A step of the optimizers of all whose gradient is finite."""
        known: dict[tuple[int, float], float] = {}
        for each in self.trainers:  # of one config: only a plateau makes a difference
            if (place := (each.step, each.lr_scale)) not in known:
                known[place] = each.lr_at(each.step)
        rates = [known[each.step, each.lr_scale] for each in self.trainers]
        if self.in_lockstep and all(good) and len(set(rates)) == 1:
            self.optimizer.step(rates[0], norms)
            return
        for i, trainer in enumerate(self.trainers):
            if good[i]:
                self.scatter_gradients(i)
                trainer.optimizer.step(rates[i], [norms[i]])
                trainer.optimizer.zero_grad()

    def scatter_gradients(self, i: int) -> None:
        """Give a trainer's parameters their gradients."""
        for parameter, stack in zip(self.trainers[i].parameters, self.stacks, strict=True):
            parameter.grad = cast(Tensor, stack.grad)[i]


def events(trainers: Sequence[Trainer], gone: Set[int]) -> Iterator[dict[int, Event]]:
    """Train all to their end: what happened at once, by the trainer's place in `trainers`.

    Those that stand furthest back go first, until they have caught up with the next: a kill may have
    come between the saves of two. Of those ahead stand-ins take part meanwhile, since how sums are
    rounded depends on how many networks are computed at once. A trainer that diverges, or is put into
    `gone` between events, is left out from then on. Stopping between events loses nothing.
    """
    lost: set[int] = set()
    slots: list[int] = []
    stack: list[Trainer] = []
    active = {i: each for i, each in enumerate(trainers) if not each.finished}
    together: EnsembleTrainer | None = None
    chosen: list[int] = []
    with gc_frozen():
        while active:
            places = {i: (each.epoch, each.step_in_epoch) for i, each in active.items()}
            here = min(places.values())
            ahead = min((place for place in places.values() if place > here), default=None)
            before = chosen, slots
            chosen = [i for i, place in places.items() if place == here]
            passed = {
                i for i, each in enumerate(trainers) if (each.epoch, each.step_in_epoch) > here
            } - lost
            slots = sorted({*chosen, *passed})
            if (chosen, slots) != before:
                first = active[chosen[0]]
                stack = [active[i] if i in chosen else _placeholder(first) for i in slots]
                together = EnsembleTrainer(stack) if len(stack) > 1 else None
            for happened in _to_end_of_epoch(stack, together, ahead):
                told = {i: e for i, e in zip(slots, happened, strict=True) if i in chosen}
                yield told
                over = {i for i, e in told.items() if isinstance(e, DivergedError)} | (
                    gone & set(chosen)
                )
                over |= {i for i in chosen if active[i].finished}
                lost |= {i for i in over if not active[i].finished}
                for i in over:
                    del active[i]
                if over:
                    break


def _placeholder(trainer: Trainer) -> Trainer:
    """A trainer that computes what this one does, and of which nothing is kept."""
    copied = copy.copy(trainer)
    copied.model = copy.deepcopy(trainer.model)
    copied.parameters = list(copied.model.parameters())
    native = trainer.network.native and available(trainer.device)
    copied.optimizer = Optimizer(trainer.config.optim, copied.model, native)
    rate = trainer.lr_at(trainer.step)
    copied.optimizer.load_state_dict(copy.deepcopy(trainer.optimizer.state_dict(rate)))
    copied.sums = copy.deepcopy(trainer.sums)
    copied.is_placeholder = True
    return copied


def _to_end_of_epoch(
    trainers: list[Trainer], together: EnsembleTrainer | None, ahead: tuple[int, int] | None
) -> Iterator[list[Event]]:
    """The steps of trainers that stand at the same place, as far as others stand (epoch, group), and
    the end of the epoch; an event each."""
    first = trainers[0]
    count = len(first.step_sizes)
    orders = [epoch_order(each.rows, each.config.seed, each.epoch) for each in trainers]
    parts = torch.stack(orders).to(first.device).split(first.step_sizes, 1)
    for trainer in trainers:
        trainer.network.train()
    last = time.perf_counter()
    while first.step_in_epoch < count and (first.epoch, first.step_in_epoch) != ahead:
        rows = parts[first.step_in_epoch]
        diverged = together.train_step(rows) if together else _alone(first, rows[0])
        # Each has its share of the time, so that those of all add up to what has passed.
        now = time.perf_counter()
        happened: list[Event] = []
        for i, trainer in enumerate(trainers):
            trainer.elapsed += (now - last) / len(trainers)
            step = StepEnd(trainer.epoch + 1, trainer.step_in_epoch, count, trainer.step)
            happened.append(diverged.get(i, step))
        last = now
        yield happened
    if first.step_in_epoch == count:
        validated = together.validate() if together else [None]
        yield [_finish_epoch(each, val) for each, val in zip(trainers, validated, strict=True)]


def _alone(trainer: Trainer, rows: Tensor) -> dict[int, DivergedError]:
    try:
        trainer.train_step(rows)
    except DivergedError as error:
        return {0: error}
    return {}


def _finish_epoch(trainer: Trainer, validated: dict[str, Any] | None) -> Event:
    if trainer.is_placeholder:
        trainer.epoch, trainer.step_in_epoch, trainer.elapsed = trainer.epoch + 1, 0, 0.0
        return EpochEnd({}, False, [])
    try:
        return trainer.finish_epoch(validated)
    except DivergedError as error:
        return error
