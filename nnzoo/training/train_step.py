"""Training steps of one network, or of several of one architecture in one batch.

Each trainer keeps its own seed, learning rate, clipping, best weights and position, and is after every step
as if it had trained alone: its weights and optimizer moments are slices of stacks that the steps work on.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from nnzoo.data.augment import Changes, RowGenerators, apply_changes, draw_changes
from nnzoo.data.dataset import chunks, max_input_size
from nnzoo.data.sampling import BatchShard, batch_shard, batch_sizes, derive_seed, seed_all
from nnzoo.data.sequences import Inputs, PaddedSequences, repeat_rows
from nnzoo.errors import DivergedError
from nnzoo.evaluation.evaluate import eval_batch_size
from nnzoo.evaluation.tasks.task import LossResult
from nnzoo.models.layers import uses_randomness
from nnzoo.training.optim import Optimizer
from nnzoo.training.step_batches import StepBatches
from nnzoo.training.step_plan import StepPlans, StepResult
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer

if TYPE_CHECKING:
    from nnzoo.models.stacked import StackedModel
    from nnzoo.training.device_step import DeviceStep

# Limit in bytes of the confusion matrices of all members.
MAX_CONFUSION_BYTES = 1 << 30
Event = StepEnd | EpochEnd | DivergedError


def unsupported_reason(trainers: Sequence[Trainer]) -> str:
    """Return why these trainers cannot step as one; empty if they can."""
    first = trainers[0]
    if first.network.compiled is not None:
        return "train.compile compiles a single network"
    if first.row_stream is not None:
        return "the training rows have no room on the GPU, and stream to it for one network"
    if len({trainer.network.precision for trainer in trainers}) > 1:
        return "some were started with another precision (train.precision)"
    confusion_bytes = 8 * first.task.outputs**2 * len(trainers)
    if first.task.is_classification and confusion_bytes > MAX_CONFUSION_BYTES:
        return "the confusion matrices of so many classes do not fit into memory at once"
    from nnzoo.models import stacked

    return stacked.unsupported_reason(first.model, first.device)


class TrainerStack:
    """One or several trainers at the same position, whose steps are one computation.

    A single one is trained as it is, also by several processes; the models of several are stacked.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first = trainers[0]
        self.trainers = list(trainers)
        self.options = first.config.train
        self.task = first.task
        self.stream = first.row_stream
        self.split = first.splits["train"] if self.stream is None else self.stream.split
        self.augment = getattr(first.config.data, "augment", None)
        self.processes = first.processes
        self.network, self.optimizer = first.network, first.optimizer
        self.uses_randomness = uses_randomness(first.model)
        self.copies: int = getattr(first.model, "ensemble", 1)
        """Outputs per row in training: of each member of an ensemble in one network."""
        self.batches = StepBatches(
            self.split, self.task, self.processes, self.options.batch_size, self.copies
        )
        self.targets_per_row = self.batches.targets_per_row
        self.stacked: StackedModel | None = None
        self.last_time = time.perf_counter()
        if len(trainers) > 1:
            from nnzoo.models.stacked import StackedModel

            self.stacked = StackedModel([trainer.model for trainer in trainers])
            stacks = [stack for stack in self.stacked.parameters.values() if stack.requires_grad]
            optimizers = [trainer.optimizer for trainer in trainers]
            self.optimizer = Optimizer.stacked(optimizers, stacks)
            self.uses_randomness = self.stacked.uses_randomness
            # Preprocessing and task are the same for all.
            self.network = copy.copy(first.network)
            self.network.compiled = self.stacked
        self.device_step: DeviceStep | None = None
        """Takes the steps on a GPU, where the host need not wait for them."""
        if first.device.type == "cuda":
            from nnzoo.training import device_step

            if not device_step.eager_reason(trainers):
                self.device_step = device_step.DeviceStep(self)
        self.plans = StepPlans(self)

    def start_epoch(self) -> Sequence[Tensor]:
        """Return the row numbers (members, n) int64 of each step of the epoch; the networks are set to train."""
        first = self.trainers[0]
        self.last_time = time.perf_counter()
        rows = torch.stack([trainer.epoch_rows() for trainer in self.trainers])
        if self.stream is not None:
            self.stream.start_epoch(rows[0], first.step_sizes)
        rows = rows.to(first.device)
        for trainer in self.trainers:
            trainer.network.train()
        if self.device_step is not None:
            self.device_step.start_epoch()
        self.plans.start_epoch()
        return rows.split(first.step_sizes, 1)

    def train_step(self, rows: Tensor) -> dict[int, Event]:
        """Take one optimizer step on the rows (members, n) int64, in batches of `train.batch_size` each; of
        several processes each computes its shard of every batch.

        Returns an event for each member: DivergedError for one that cannot continue, which is then
        as it was before the step.
        """
        if self.stream is not None:
            self.stream.load(self.trainers[0].state.step_in_epoch)
        if self.uses_randomness:
            self._seed_dropout()
        if self.device_step is not None:
            return {0: self.device_step.train_step(rows) or self._advance(0)}
        buffers = self._copy_buffers() if self.options.on_nan == "skip" else None
        planned = None if self.plans.key is None else self.plans.compute(rows)
        losses, num_correct, denominators, norms = planned or self._compute_gradients(rows)
        if self.optimizer.clips_values:
            self.optimizer.clip_by_value()
        lrs = self._learning_rates()
        finite = [math.isfinite(a) and math.isfinite(b) for a, b in zip(norms, losses, strict=True)]
        self._update_weights(lrs, norms, finite)
        # The members' fractions add up to what has passed since the last step.
        passed, self.last_time = -self.last_time, time.perf_counter()
        seconds = (passed + self.last_time) / len(self.trainers)
        events: dict[int, Event] = {}
        for i, trainer in enumerate(self.trainers):
            trainer.state.elapsed += seconds
            if finite[i]:
                trainer.record_step(
                    norms[i],
                    losses[i],
                    float(denominators[i]),
                    num_correct[i],
                    rows.shape[1] * self.targets_per_row,
                )
            else:
                self._scatter_gradients(i)
                try:
                    trainer.skip_step(lrs[i], losses[i], buffers[i] if buffers else [])
                except DivergedError as error:
                    events[i] = error
                    continue
            events[i] = self._advance(i)
        return events

    def _advance(self, member: int) -> StepEnd:
        """Move a member to its next step."""
        state = self.trainers[member].state
        state.step += 1
        state.step_in_epoch += 1
        steps = len(self.trainers[member].step_sizes)
        return StepEnd(state.epoch + 1, state.step_in_epoch, steps, state.step)

    def wait(self) -> None:
        """Wait until what a GPU has been given is done."""
        if self.device_step is not None:
            trainer = self.trainers[0]
            trainer.synchronize()
            passed, self.last_time = -self.last_time, time.perf_counter()
            trainer.state.elapsed += passed + self.last_time

    def accumulate_gradients(self, rows: Tensor) -> tuple[list[LossResult], list[Tensor | float]]:
        """Accumulate the gradients of a step's rows on this process; returns the loss of each batch, and the denominator
        of the loss of each member."""
        batches, results = self.batches.load(rows), []
        denominators = self.batches.denominators(rows, batches)
        carried = self.trainers[0].carried
        places = [] if carried is None else self.batches.places(rows, batches)
        for i, (x, y, weights, shard) in enumerate(batches):
            if carried is not None:
                carried.start(rows.shape[1], *places[i])
            with nullcontext() if shard is None else batch_shard(shard):
                output = self.network(self.augmented(x, i, shard))
            if carried is not None:
                carried.keep()
            result = self.task.compute_loss(output, y, denominators, weights)
            result.backward()
            results.append(result)
        if carried is not None:
            carried.finish(rows.shape[1], places, self.processes)
        return results, denominators

    def _compute_gradients(self, rows: Tensor) -> StepResult:
        """Accumulate the gradients of a step's rows by autograd, over all processes."""
        self.optimizer.zero_grad()
        results, denominators = self.accumulate_gradients(rows)
        losses, num_correct = results[0].to_lists()
        if len(results) > 1:
            losses, num_correct = _add_lists([result.to_lists() for result in results])
        if self.processes.is_distributed:
            used = [self.processes.all_reduce(mask) for mask in self.optimizer.used_rows()]
            losses[0], total = self.processes.add_gradients(
                self.optimizer.parameters, losses[0], num_correct[0]
            )
            num_correct[0] = int(total)
            self.optimizer.keep_rows(used)
        norms = self.optimizer.grad_norms()
        return StepResult(losses, num_correct, denominators, norms)

    def finish_epoch(self) -> dict[int, Event]:
        """Validate each member and move it to the next epoch; returns an event for each."""
        self.wait()
        reports = self._validate() if self.stacked is not None else [None]
        events: dict[int, Event] = {}
        for i, (trainer, report) in enumerate(zip(self.trainers, reports, strict=True)):
            if trainer.is_placeholder:
                trainer.state.start_next_epoch()
                events[i] = EpochEnd({}, False, [])
                continue
            try:
                events[i] = trainer.finish_epoch(report)
            except DivergedError as error:
                events[i] = error
        return events

    @torch.no_grad()
    def _validate(self) -> list[dict[str, Any] | None]:
        """Return each member's metrics of the validation rows, as `evaluate` does; None without such rows."""
        assert self.stacked is not None
        count = len(self.trainers)
        split = self.trainers[0].splits.get("val")
        if not split:
            return [None] * count
        for trainer in self.trainers:
            trainer.recompute_statistics()
        device = self.network.device
        size = max_input_size(split)
        metrics: list[Any] = [self.task.split_metrics(split, device) for _ in self.trainers]
        self.stacked.training = False
        for chunk in chunks(len(split), max(1, eval_batch_size(size) // count)):
            x, y = split.batch(torch.arange(chunk.start, chunk.stop, device=device))
            output = self.network(repeat_rows(x, count))
            for member, part in zip(metrics, output.chunk(count), strict=True):
                self.task.add_batch(member, part, y)
        self.stacked.training = True
        return [self.task.compute_metrics(member) for member in metrics]

    def _seed_dropout(self) -> None:
        seeds = [derive_seed(t.config.seed, "step", t.state.step) for t in self.trainers]
        if self.stacked is None:
            seed_all(seeds[0], self.network.device)
            return
        for seed, generator in zip(seeds, self.stacked.generators, strict=True):
            generator.manual_seed(seed)

    def augmented(self, x: Inputs, batch: int, shard: BatchShard | None) -> Inputs:
        """Return the inputs of a batch of the step, augmented."""
        if self.augment is None or isinstance(x, PaddedSequences):
            return x
        if self.device_step is not None:
            return apply_changes(x, self.augment, self.device_step.changes(batch))
        generators = self._row_generators([t.state.step for t in self.trainers], batch, shard)
        changes = draw_changes(x.shape, self.augment, generators)
        if x.device.type != "cpu":
            changes = changes.map(lambda part: part.to(x.device))
        return apply_changes(x, self.augment, changes)

    def _row_generators(
        self, steps: Sequence[int], batch: int, shard: BatchShard | None = None
    ) -> RowGenerators:
        """Return the generators of the changes of each member's images in a batch of its step."""
        seeds = [
            derive_seed(trainer.config.seed, "augment", step, batch)
            for trainer, step in zip(self.trainers, steps, strict=True)
        ]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return RowGenerators(*generators, shard=shard)

    def draw_changes(self, step: int, rows: int) -> list[Changes]:
        """Draw how the images of each batch of a step (counted over the run) of so many rows are changed; empty without
        augmentation."""
        if self.augment is None:
            return []
        shape = self.network.data_spec.input.shape
        return [
            draw_changes((size, *shape), self.augment, self._row_generators([step], batch))
            for batch, size in enumerate(batch_sizes(rows, self.options.batch_size))
        ]

    def _copy_buffers(self) -> list[list[Tensor]]:
        """Return copies of each member's buffers, for a step that is skipped."""
        return [[buffer.clone() for buffer in t.model.buffers()] for t in self.trainers]

    def _learning_rates(self) -> list[float]:
        """Return each member's learning rate of this step."""
        if self.stacked is None:
            return [self.trainers[0].lr_at(self.trainers[0].state.step)]
        lrs: dict[tuple[int, float], float] = {}
        for trainer in self.trainers:  # of one config: only a plateau or a skipped step differs
            key = trainer.state.step, trainer.state.lr_scale
            if key not in lrs:
                lrs[key] = trainer.lr_at(trainer.state.step)
        return [lrs[t.state.step, t.state.lr_scale] for t in self.trainers]

    def _update_weights(self, lrs: list[float], norms: list[float], finite: list[bool]) -> None:
        """Take an optimizer step for every member whose gradients are finite."""
        is_single = self.stacked is None
        if all(finite) and (is_single or (len(set(lrs)) == 1 and self.optimizer.in_lockstep)):
            self.optimizer.step(lrs[0], norms)
            return
        for i, trainer in enumerate(self.trainers):
            if finite[i]:
                self._scatter_gradients(i)
                trainer.optimizer.step(lrs[i], [norms[i]])
                trainer.optimizer.zero_grad()

    def _scatter_gradients(self, i: int) -> None:
        """Give a member's parameters their slices of the stacked gradients."""
        if self.stacked is None:
            return
        stacks = self.optimizer.parameters
        for parameter, stack in zip(self.trainers[i].parameters, stacks, strict=True):
            parameter.grad = cast(Tensor, stack.grad)[i]


def _add_lists(
    results: Sequence[tuple[list[float], list[int]]],
) -> tuple[list[float], list[int]]:
    """Add up each member's losses and correct predictions over the batches of a step."""
    losses, num_correct = results[0]
    for more_losses, more_correct in results[1:]:
        losses = [a + b for a, b in zip(losses, more_losses, strict=True)]
        num_correct = [a + b for a, b in zip(num_correct, more_correct, strict=True)]
    return losses, num_correct


def train_single_step(trainer: Trainer, rows: Tensor) -> None:
    """Take one step of a single trainer on the rows (n,) int64; raises DivergedError."""
    stack = TrainerStack([trainer])
    event = stack.train_step(rows[None])[0]
    stack.wait()
    if isinstance(event, DivergedError):
        raise event
    if trainer.counters is not None and trainer.counters.error is not None:
        raise trainer.counters.error


def dry_run(trainer: Trainer) -> None:
    """Take one step, and compute a row of each other split: whatever fails in a run fails here."""
    rows = TrainerStack([trainer]).start_epoch()[0]
    train_single_step(trainer, rows[0])
    first = torch.zeros(1, dtype=torch.int64, device=trainer.device)
    trainer.network.eval()
    for name, split in trainer.splits.items():
        if name != "train":
            x, y = split.batch(first)
            metrics: Any = trainer.task.split_metrics(split, trainer.device)
            trainer.task.add_batch(metrics, trainer.network(x), y)
