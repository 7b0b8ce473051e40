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


def is_sorted(lengths: np.ndarray) -> bool:
    """Whether each member's longest sequences, of lengths (members, batch), come first."""
    return bool((lengths[:, 1:] <= lengths[:, :-1]).all())


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
        # A copy: C trusts these numbers. NumPy takes a microsecond for what takes torch several.
        sorted_lengths = lengths.numpy().copy()
        if sorted_lengths[:, -1].min() < 1 or not is_sorted(sorted_lengths):
            raise ValueError("lengths are at least 1, and each member's longest comes first")
        self.lengths = torch.from_numpy(sorted_lengths)
        self.members, self.batch = sorted_lengths.shape
        self.steps = int(sorted_lengths[:, 0].max())
        counts = (sorted_lengths[:, None, :] > np.arange(self.steps)[:, None]).sum(2)
        offsets = np.zeros((self.members, self.steps + 1), np.int64)
        offsets[:, 1:] = counts.cumsum().reshape(counts.shape)
        offsets[1:, 0] = offsets[:-1, -1]
        self.offsets = torch.from_numpy(offsets)
        """(members, steps + 1) the row at which each step begins; the last is behind those of the member."""
        self.rows = int(offsets[-1, -1])

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
