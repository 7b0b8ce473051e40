"""Norms of gradients and Adam as `optimizer.c` computes them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from nnzoo.kernels.library import library
from nnzoo.kernels.tensors import address, is_plain, new, overlap

# Numbers of a block, as optimizer.c cuts them.
_BLOCK = 8192


class _Parameter(ctypes.Structure):
    """`struct parameter`."""

    _fields_ = (
        ("size", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("weight", "gradient", "mean", "square")),
        ("decay", ctypes.c_double),
        ("missed", ctypes.c_long),
    )


_pack_adam = struct.Struct("6d2q").pack
"""`struct adam`."""


def takes(weights: Sequence[Tensor]) -> bool:
    """Whether `Parameters` takes these weights."""
    plain = all(is_plain(w) and w.dtype is torch.float32 and w.is_contiguous() for w in weights)
    return plain and not overlap(weights) and library() is not None


class Parameters:
    """Weights, float32 and contiguous, of one member or stacks (members, ...) of several, with their weight
    decay and, for `adam`, its two averages. All stay where they are in memory, and none shares memory with
    another. Raises TypeError or ValueError for tensors that are not such."""

    def __init__(
        self, weights: Sequence[Tensor], decays: Sequence[float], members: int,
        means: Sequence[Tensor] = (), squares: Sequence[Tensor] = (),
    ) -> None:  # fmt: skip
        self.held = [*weights, *means, *squares]
        self.weights = list(weights)
        self.shapes = [each.shape for each in weights]
        self.numbers = ctypes.c_double * members
        self.table = (_Parameter * len(weights))()
        self.entries = list(self.table)
        self.sizes = ctypes.c_long(members), ctypes.c_long(len(weights))
        # What the table says: where the gradients are, and how many steps each weight has missed.
        self.places: list[int | None] = [None] * len(weights)
        self.missed: list[int] = []
        if overlap(self.held):
            raise ValueError("weights and averages share memory")
        for i, entry in enumerate(self.entries):
            shape = weights[i].shape
            if weights[i].numel() % members:
                raise ValueError(f"{tuple(shape)} are not the weights of {members} members")
            entry.size, entry.decay = weights[i].numel() // members, decays[i]
            entry.weight = address(weights[i], torch.float32, shape)
            if means:
                entry.mean = address(means[i], torch.float32, shape)
                entry.square = address(squares[i], torch.float32, shape)

        # For the squares of all blocks, where every weight has a gradient.
        blocks = sum(members * -(-entry.size // _BLOCK) for entry in self.entries)
        self.squares = new(torch.float64, blocks)
        self.squares_at = ctypes.c_void_p(self.squares.data_ptr())

    def norms(self, gradients: Sequence[Tensor | None]) -> list[float]:
        """The norm of each member's gradients together; None: of a weight that has none."""
        found, held = self.numbers(), self._point(gradients)
        threads = ctypes.c_long(torch.get_num_threads())
        library().norms(threads, *self.sizes, self.table, self.squares_at, found)
        del held
        return list(found)

    def adam(
        self, gradients: Sequence[Tensor | None], rate: float, betas: Sequence[float], epsilon: float,
        decoupled: bool, step: int, scales: Sequence[float], missed: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """The step-th (from 1) step of torch.optim.Adam, or with `decoupled` weight decay AdamW; each
        member's gradients are divided by one of `scales`. A weight without a gradient stays as it is; missed: in
        how many steps before this each had none, where any had."""
        beta1, beta2 = betas
        options = _pack_adam(
            rate, beta1, beta2, epsilon, 1 - beta1**step, 1 - beta2**step, decoupled, step
        )
        if list(missed) != self.missed:
            counts = missed or [0] * len(self.entries)
            for entry, count in zip(self.entries, counts, strict=True):
                entry.missed = count
            self.missed = list(missed)
        held = self._point(gradients)
        threads = ctypes.c_long(torch.get_num_threads())
        library().adam(threads, *self.sizes, self.table, self.numbers(*scales), options)
        increment_version(self.weights)
        del held

    def _point(self, gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Enter them into the table; valid as long as what is returned is held."""
        held, kind = gradients, torch.float32
        # As in `addresses`, of which this is one where every weight has a gradient; 0: see below.
        places = [
            None if x is None
            else x.data_ptr() if x.dtype is kind and x.shape == shape and x.is_cpu and x.is_contiguous()
            else 0
            for x, shape in zip(gradients, self.shapes, strict=True)
        ]  # fmt: skip
        if 0 in places:
            held = [None if x is None else x.contiguous() for x in gradients]
            places = [
                None if x is None else address(x, kind, shape)
                for x, shape in zip(held, self.shapes, strict=True)
            ]
        if places != self.places:
            for entry, where in zip(self.entries, places, strict=True):
                entry.gradient = where
            self.places = places
        return held
