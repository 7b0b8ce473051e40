"""Batches of a training step: their inputs, targets and weights, and the denominators of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from nnzoo.data.dataset import Split
from nnzoo.data.sampling import BatchShard, batch_sizes
from nnzoo.data.sequences import Inputs
from nnzoo.distributed import SingleProcess
from nnzoo.evaluation.tasks.task import Task


class Batch(NamedTuple):
    x: Inputs
    y: Tensor
    weights: Tensor | None
    shard: BatchShard | None
    """The rows of the whole batch that this process has; None for all."""


class StepBatches:
    """Loads the batches of a step of one member or several from a split; of several processes each loads its shard.

    copies: outputs per row in training, of each member of an ensemble in one network.
    """

    def __init__(
        self, split: Split, task: Task, processes: SingleProcess, batch_size: int, copies: int
    ) -> None:
        self.split = split
        self.task = task
        self.processes = processes
        self.batch_size = batch_size
        self.copies = copies
        self.targets_per_row = task.targets_per_row * copies
        """Outputs per row that have a loss of their own in training."""

    def load(self, rows: Tensor) -> list[Batch]:
        """Load the batches of a step: rows (members, n) int64 to inputs of (members * batch) rows."""
        batches = []
        for part in rows.split(batch_sizes(rows.shape[1], self.batch_size), 1):
            shard = None
            if self.processes.is_distributed:
                total = part.shape[1]
                shard = BatchShard(*self.processes.shard_range(total), total)
                part = shard.of(part, 1)
            part = part.flatten()
            x, y = self.split.batch(part)
            weights = None if self.split.weights is None else self._weights_of(part)
            if self.copies > 1:
                y = y.repeat_interleave(self.copies, 0)
                weights = None if weights is None else weights.repeat_interleave(self.copies)
            batches.append(Batch(x, y, weights, shard))
        return batches

    def places(self, rows: Tensor, batches: Sequence[Batch]) -> list[tuple[int, int]]:
        """Return the first row and the end of each batch within the step."""
        places, first = [], 0
        for size, batch in zip(batch_sizes(rows.shape[1], self.batch_size), batches, strict=True):
            shard = batch.shard or BatchShard(0, size, size)
            places.append((first + shard.start, first + shard.stop))
            first += size
        return places

    def denominators(self, rows: Tensor, batches: Sequence[Batch]) -> list[Tensor | float]:
        """Return for each member the divisor that makes the summed loss of the step's rows a mean."""
        per_row = self.targets_per_row
        differ = self.task.is_classification or self.split.weights is not None
        if self.processes.is_distributed and differ and per_row == self.copies:
            y = self.split.targets().index_select(0, rows[0])
            return [self.task.denominator(y, self._weights_of(rows[0])) * self.copies]
        if self.processes.is_distributed:
            return [float(rows.shape[1] * per_row)]
        members = len(rows)
        if members == len(batches) == 1:  # every step of most runs
            return [self.task.denominator(batches[0].y, batches[0].weights)]
        parts = [self._batch_denominators(batch, members) for batch in batches]
        return [sum(member) for member in zip(*parts, strict=True)]

    def _batch_denominators(self, batch: Batch, members: int) -> list[Tensor | float]:
        """Return each member's part of the divisor in a batch."""
        weights = [None] * members if batch.weights is None else batch.weights.chunk(members)
        return [
            self.task.denominator(y, of_rows)
            for y, of_rows in zip(batch.y.chunk(members), weights, strict=True)
        ]

    def _weights_of(self, rows: Tensor) -> Tensor | None:
        """Return the weights of training rows (int64), None where they have none."""
        weights = self.split.weights
        return None if weights is None else weights.index_select(0, rows)
