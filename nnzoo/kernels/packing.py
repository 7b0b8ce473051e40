"""The layout of sequences of different lengths in one tensor without padding."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class PackedShape(NamedTuple):
    """Sizes of a packing."""

    members: int
    batch: int
    steps: int
    rows: int


def is_sorted(lengths: list[int]) -> bool:
    """Whether the longest comes first."""
    return sorted(lengths, reverse=True) == lengths


class Packing:
    """The order of the time steps of sequences in the rows of a tensor (rows, features).

    Member by member come the first steps of all its sequences, then the second steps of those that have one, and so
    on. Sequences are sorted, the longest first, so that those that have a step are always the first ones. For one
    member it is the order of torch.nn.utils.rnn.PackedSequence.
    """

    def __init__(self, lengths: Tensor) -> None:
        """Raise TypeError or ValueError for lengths other than (members, batch) int64 on the CPU, at least 1, each
        member's longest first."""
        if lengths.dtype is not torch.int64 or not lengths.is_cpu:
            raise TypeError(
                f"lengths are int64 on the CPU, not {lengths.dtype} on {lengths.device}"
            )
        if lengths.ndim != 2 or not lengths.numel():
            raise ValueError(f"lengths are (members, batch), not {tuple(lengths.shape)}")
        # Lists of Python: in a step each call of torch or NumPy takes longer than such loops.
        members = lengths.tolist()
        if not all(map(is_sorted, members)) or min(row[-1] for row in members) < 1:
            raise ValueError("lengths are at least 1, and each member's longest comes first")
        # A copy: C trusts these numbers.
        self.lengths = lengths.clone(memory_format=torch.contiguous_format)
        self.members, self.batch = lengths.shape
        self.steps: int = max(row[0] for row in members)
        offsets, self.rows = [], 0
        for row in members:
            count = self.batch
            for step in range(self.steps):
                offsets.append(self.rows)
                while count and row[count - 1] <= step:
                    count -= 1
                self.rows += count
            offsets.append(self.rows)
        self.offsets = torch.tensor(offsets).view(self.members, -1)
        """(members, steps + 1) the row at which each step begins; the last is behind those of the member."""

    @property
    def shape(self) -> PackedShape:
        return PackedShape(self.members, self.batch, self.steps, self.rows)

    @property
    def counts(self) -> Tensor:
        """(members, steps) int64: how many sequences have each step."""
        return self.offsets.diff(dim=1)

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """The step of each row, and its sequence among those of all members; (rows,) int64 each."""
        offsets = self.offsets.numpy()
        counts = (offsets[:, 1:] - offsets[:, :-1]).ravel()
        step = np.repeat(np.tile(np.arange(self.steps), self.members), counts)
        first = offsets[:, :-1] - np.arange(0, self.members * self.batch, self.batch)[:, None]
        sequence = np.arange(self.rows) - np.repeat(first.ravel(), counts)
        return torch.from_numpy(step), torch.from_numpy(sequence)

    @cached_property
    def reverse(self) -> Tensor:
        """(rows,) int64: the row with the step as far from the end of its sequence as each one is from the beginning."""
        step, sequence = self.places
        mirrored = self.lengths.flatten()[sequence] - 1 - step
        member = sequence // self.batch
        return self.offsets[member, mirrored] + sequence - member * self.batch
