"""Training steps on a GPU for which the host never waits.

A step is tensor code from its rows to the new weights: where something is not finite, `where` decides, and the host
learns of it later. Learning rates and the random changes of images are known when an epoch starts and are sent
then. Counters are in a `DeviceState`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor

from nnzoo.data.augment import Changes
from nnzoo.data.streaming import page_locked
from nnzoo.errors import DivergedError
from nnzoo.training.clipping import clip_by_value, clip_divisors
from nnzoo.training.device_state import DeviceState
from nnzoo.training.updates import UPDATES, Update

if TYPE_CHECKING:
    from nnzoo.evaluation.tasks.task import LossResult
    from nnzoo.training.train_step import TrainerStack
    from nnzoo.training.trainer import Trainer

# Steps whose learning rates and changes of images are sent at once.
PLAN_STEPS = 64
# Seconds between two looks at what the GPU has counted.
CHUNK_SECONDS = 0.02


def eager_reason(trainers: Sequence[Trainer]) -> str:
    """Why the host waits in every step of these trainers on a GPU; empty if it does not."""
    first = trainers[0]
    if len(trainers) > 1:
        return "each of several networks in one batch decides by itself whether it takes a step"
    if first.processes.is_distributed:
        return "several processes agree on every step"
    if first.optimizer.embeddings:
        return "which rows of an embedding a step changes is known after a wait"
    if first.splits["train"].lengths is not None:
        return "sequences of different lengths are packed by the host"
    return ""


class Plan(NamedTuple):
    """Learning rates and changes of images of coming steps, on the GPU."""

    first: int
    """The first of them, counted over the run from 0."""
    sizes: list[int]
    """The rows of each."""
    lrs: list[Tensor]
    """The learning rate of each, float32."""
    changes: list[list[Changes]]
    """Changes of the images of each batch of each step; empty lists without augmentation."""


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy float32 tensors to a GPU in one piece, without waiting for what it does meanwhile."""
    sizes = [tensor.numel() for tensor in tensors]
    locked = page_locked((sum(sizes),), torch.float32)
    torch.cat([tensor.reshape(-1) for tensor in tensors], out=locked)
    parts = locked.to(device, non_blocking=True).split(sizes)
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


class DeviceStep:
    """The steps of one trainer on its GPU; `stack` computes their gradients."""

    def __init__(self, stack: TrainerStack) -> None:
        self.stack = stack
        self.trainer = trainer = stack.trainers[0]
        trainer.synchronize()
        self.optimizer = trainer.optimizer
        self.counters = trainer.counters = DeviceState(trainer, self.optimizer.names)
        self.last_look = time.perf_counter()
        self.plan = Plan(0, [], [], [])

    def start_epoch(self) -> None:
        """Plan the first steps that are left of the epoch."""
        self.trainer.synchronize()
        self._make_plan(self._next_sizes())

    def _next_sizes(self) -> list[int]:
        """Return the rows of the next steps of the epoch that are planned at once."""
        return self.trainer.step_sizes[self.trainer.state.step_in_epoch :][:PLAN_STEPS]

    def _make_plan(self, sizes: Sequence[int]) -> None:
        """Send the learning rates and the changes of images of the next steps, of so many rows each, to the GPU."""
        trainer, state = self.trainer, self.trainer.state
        rates = [trainer.lr_at(state.step + i) for i in range(len(sizes))]
        changes = [self.stack.draw_changes(state.step + i, size) for i, size in enumerate(sizes)]
        drawn = [part for step in changes for batch in step for part in batch if part is not None]
        sent = iter(send([torch.tensor(rates, dtype=torch.float32), *drawn], trainer.device))
        lrs = next(sent)
        on_device = [[batch.map(lambda _: next(sent)) for batch in step] for step in changes]
        self.plan = Plan(state.step, list(sizes), list(lrs.unbind()), on_device)

    def changes(self, batch: int) -> Changes:
        """Changes of the images of a batch of the next step."""
        return self.plan.changes[self.trainer.state.step - self.plan.first][batch]

    def train_step(self, rows: Tensor) -> DivergedError | None:
        """Launch a step on the rows (1, n) int64; returns the error of an earlier one that has ended the run."""
        counters = self.counters
        now = time.perf_counter()
        if now - self.last_look >= CHUNK_SECONDS and counters.is_sent:
            self.last_look = now
            counters.peek()
        if counters.error is None:
            step = self.trainer.state.step - self.plan.first
            if step < 0 or self.plan.sizes[step : step + 1] != [rows.shape[1]]:
                sizes = self._next_sizes()
                # A step that is timed has rows of its own, and goes on past the end of an epoch.
                self._make_plan(sizes if sizes[:1] == [rows.shape[1]] else [rows.shape[1]])
                step = 0
            self._launch(rows, self.plan.lrs[step])
        return counters.error

    def _launch(self, rows: Tensor, lr: Tensor) -> None:
        """Tensor code alone."""
        optimizer, counters = self.optimizer, self.counters
        optimizer.zero_grad()
        buffers = self._copied_buffers()
        results, denominators = self.stack.accumulate_gradients(rows)
        gradients = optimizer.gradients()
        missing = [i for i, gradient in enumerate(gradients) if gradient is None]
        counters.launch(missing)
        present = [gradient for gradient in gradients if gradient is not None]
        loss, num_correct = _add_results(results)
        taken, norm = counters.count_step(
            loss,
            _as_double(denominators[0], loss),
            num_correct,
            rows.shape[1] * self.stack.targets_per_row,
            self._norms(gradients, loss),
        )
        clip = optimizer.options.clip
        if clip is not None and clip.value is not None:
            clip_by_value(present, clip.value)
        divisor = None if clip is None else clip_divisors(norm, clip)
        updates = counters.updates.float()
        # Adam's kernels read the number of a step also where they do not take it.
        steps = torch.where(taken, updates, updates + 1)
        self._update_weights(Update(lr, divisor, steps, taken))
        for buffer, before in buffers:
            buffer.copy_(torch.where(taken, buffer, before))
        carried = self.trainer.carried
        if carried is not None and self.trainer.skips_bad_steps:
            carried.tensors = tuple(torch.where(taken, t, 0.0) for t in carried.tensors)

    def _copied_buffers(self) -> list[tuple[Tensor, Tensor]]:
        """The buffers that a step changes, with copies, where the run goes on after one that is not finite."""
        if not self.trainer.skips_bad_steps:
            return []
        return [(buffer, buffer.clone()) for buffer in self.trainer.model.buffers()]

    def _norms(self, gradients: Sequence[Tensor | None], like: Tensor) -> Tensor:
        """The norm of each parameter's gradient (parameters,) float32; 0 without one."""
        present = [gradient for gradient in gradients if gradient is not None]
        norms = iter(torch._foreach_norm(present) if present else ())
        zero = torch.zeros_like(like, dtype=torch.float32)
        return torch.stack([zero if g is None else next(norms).float() for g in gradients])

    @torch.no_grad()
    def _update_weights(self, update: Update) -> None:
        options = self.optimizer.options
        for whole_group in self.optimizer.groups:
            group, gradients = whole_group.with_gradients()
            if gradients:
                UPDATES[options.name](options, group, gradients, update.scaled(group))


def _add_results(results: Sequence[LossResult]) -> tuple[Tensor, Tensor]:
    """The summed loss and the correct predictions of a step's batches, float64."""
    losses = torch.cat([cast(Tensor, result.loss_sums).double() for result in results]).sum()
    correct = [result.num_correct for result in results]
    if isinstance(correct[0], list):
        return losses, torch.zeros_like(losses)
    return losses, torch.cat([cast(Tensor, c).double() for c in correct]).sum()


def _as_double(number: Tensor | float, like: Tensor) -> Tensor:
    """A number as a tensor of its own beside `like`, float64, without a copy from the host."""
    if isinstance(number, Tensor):
        return number.double()
    return torch.full_like(like, number)
