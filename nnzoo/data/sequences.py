"""Sequences of different lengths: a batch with its lengths, and a split that pads batches when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class PaddedSequences:
    """A batch of sequences of different lengths.

    values: (batch, time, features), zeros behind the end of each sequence; time is the longest. lengths: (batch,)
    int64, at least 1, on the CPU whatever the device of the values, because control flow follows from them.
    """

    values: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mask(self) -> Tensor:
        """Which steps are real: (batch, time) bool, on the device of the values."""
        steps = torch.arange(self.values.shape[1])
        return (steps < self.lengths[:, None]).to(self.values.device)

    def with_values(self, values: Tensor) -> PaddedSequences:
        """The same lengths with other values (batch, time, ...)."""
        return PaddedSequences(values, self.lengths)

    def detach(self) -> PaddedSequences:
        return self.with_values(self.values.detach())

    def to(self, device: torch.device) -> PaddedSequences:
        return self.with_values(self.values.to(device))

    def repeat_rows(self, count: int) -> PaddedSequences:
        """The whole batch, `count` times."""
        repeats = [count] + [1] * (self.values.ndim - 1)
        return PaddedSequences(self.values.repeat(repeats), self.lengths.repeat(count))

    def rows_and_starts(self) -> tuple[Tensor, Tensor]:
        """All steps as rows (rows, features), and at which row each sequence begins: (batch,) int64 on the CPU."""
        return self.values.flatten(0, 1), torch.arange(len(self)) * self.values.shape[1]

    def __getitem__(self, rows: Tensor | slice) -> PaddedSequences:
        """Some rows, padded to the longest of them."""
        lengths = self.lengths[rows]
        longest = int(lengths.max()) if len(lengths) else 0
        return PaddedSequences(self.values[rows][:, :longest], lengths)


class GatheredSequences(PaddedSequences):
    """A batch of sequences that are one behind the other in a larger tensor, padded when its values are asked for:
    recurrent layers take the steps without padding."""

    def __init__(self, rows: Tensor, starts: Tensor, lengths: Tensor) -> None:
        """rows: (steps, features) of all sequences; starts: (batch,) int64 on the CPU, where each of the batch begins."""
        self.__dict__.update(rows=rows, starts=starts, lengths=lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def values(self) -> Tensor:
        # A shard of a batch may have no rows.
        steps = torch.arange(int(self.lengths.max()) if len(self) else 0)
        mask = steps < self.lengths[:, None]
        rows: Tensor = self.__dict__["rows"]
        # Padding reads the first step, a valid address, and is then zero.
        index = torch.where(mask, self.__dict__["starts"][:, None] + steps, 0).to(rows.device)
        values = rows.index_select(0, index.view(-1)).view(*mask.shape, rows.shape[1])
        return values.masked_fill_(~mask.unsqueeze(-1).to(rows.device), 0)

    def rows_and_starts(self) -> tuple[Tensor, Tensor]:
        return self.__dict__["rows"], self.__dict__["starts"]


Inputs = Tensor | PaddedSequences
"""A batch of inputs as networks take it: (batch, *shape), or sequences of different lengths."""


def repeat_rows(x: Inputs, count: int) -> Inputs:
    """A whole batch, `count` times."""
    if isinstance(x, PaddedSequences):
        return x.repeat_rows(count)
    return x.repeat(count, *[1] * (x.ndim - 1))


def single_row(x: Inputs, row: int) -> Tensor:
    """Return one row as a batch of one, a sequence at its own length."""
    one = x[row : row + 1]
    return one.values if isinstance(one, PaddedSequences) else one


def single_rows(x: Inputs) -> list[Tensor]:
    """Return each row as a batch of one, a sequence at its own length."""
    return [single_row(x, row) for row in range(len(x))]


def map_values(function: Callable[[Tensor], Tensor], x: Inputs) -> Inputs:
    """Apply a function of each step's features, such as a scaling, to a batch; padding stays zero."""
    if not isinstance(x, PaddedSequences):
        return function(x)
    values = function(x.values)
    return x.with_values(values.masked_fill(~x.mask.unsqueeze(-1), 0))


def pad(sequences: list[Tensor]) -> PaddedSequences:
    """Pad sequences, each (time, features), to the longest."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return PaddedSequences(torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True), lengths)


@dataclass(frozen=True)
class SequenceSplit:
    """Sequences of different lengths in one tensor, each with its class or numbers in `y`.

    values: (steps, features) of all sequences; offsets: (rows + 1,) int64 on the CPU, where each begins and the
    last ends.
    """

    values: Tensor
    offsets: Tensor
    y: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def lengths(self) -> Tensor:
        """(rows,) int64 on the CPU."""
        return self.offsets.diff()

    def batch(self, rows: Tensor) -> tuple[PaddedSequences, Tensor]:
        chosen = rows.cpu()
        starts = self.offsets[chosen]
        lengths = self.offsets[chosen + 1] - starts
        return GatheredSequences(self.values, starts, lengths), self.y.index_select(0, rows)

    def targets(self) -> Tensor:
        return self.y

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> SequenceSplit:
        # One row a time step: the statistics are those of a channel, whatever its time.
        return replace(self, values=inputs(self.values).contiguous(), y=targets(self.y))

    def to(self, device: torch.device) -> SequenceSplit:
        weights = None if self.weights is None else self.weights.to(device)
        return replace(self, values=self.values.to(device), y=self.y.to(device), weights=weights)

    def tensors(self) -> list[Tensor]:
        weights = [] if self.weights is None else [self.weights]
        return [self.values, self.offsets, self.y, *weights]

    def contents(self) -> Iterator[tuple[tuple[int, ...], Iterator[Tensor]]]:
        for tensor in self.tensors():
            yield tuple(tensor.shape), iter([tensor])

    def select(self, rows: Tensor) -> SequenceSplit:
        """The sequences of some rows (int64), in their order."""
        lengths = self.lengths[rows]
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        # From a step of the result to the same step here.
        shift = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], lengths)
        return SequenceSplit(
            self.values[torch.arange(len(shift)) + shift],
            offsets,
            self.y.index_select(0, rows),
            None if self.weights is None else self.weights.index_select(0, rows),
        )
