"""Norms of gradients and Adam as `optimizer.c` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from nnzoo.native.library import library
from nnzoo.native.tensors import address, is_plain, new, overlap

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


class _Adam(ctypes.Structure):
    """`struct adam`."""

    _fields_ = (
        *((name, ctypes.c_double) for name in (
            "rate", "beta1", "beta2", "epsilon", "correction1", "correction2"
        )),
        ("decoupled", ctypes.c_long), ("step", ctypes.c_long),
    )  # fmt: skip


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
        self.members = members
        self.numbers = ctypes.c_double * members
        self.table = (_Parameter * len(weights))()
        if overlap(self.held):
            raise ValueError("weights and averages share memory")
        for i, entry in enumerate(self.table):
            shape = weights[i].shape
            if weights[i].numel() % members:
                raise ValueError(f"{tuple(shape)} are not the weights of {members} members")
            entry.size, entry.decay = weights[i].numel() // members, decays[i]
            entry.weight = address(weights[i], torch.float32, shape)
            if means:
                entry.mean = address(means[i], torch.float32, shape)
                entry.square = address(squares[i], torch.float32, shape)

        # For the squares of all blocks, where every weight has a gradient.
        blocks = sum(members * -(-entry.size // _BLOCK) for entry in self.table)
        self.squares = new(torch.float64, blocks)

    def norms(self, gradients: Sequence[Tensor | None]) -> list[float]:
        """The norm of each member's gradients together; None: of a weight that has none."""
        found, held = self.numbers(), self._point(gradients)
        where = ctypes.c_void_p(self.squares.data_ptr())
        library().norms(*self._sizes(), self.table, where, found)
        del held
        return list(found)

    def adam(
        self, gradients: Sequence[Tensor | None], rate: float, betas: Sequence[float], epsilon: float,
        decoupled: bool, step: int, scales: Sequence[float], missed: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """The step-th (from 1) step of torch.optim.Adam, or with `decoupled` weight decay AdamW; each
        member's gradients are divided by one of `scales`. A weight without a gradient stays as it is; missed: in
        how many steps before this each had none, where any had."""
        corrections = (1 - beta**step for beta in betas)
        options = _Adam(rate, *betas, epsilon, *corrections, decoupled, step)
        for entry, count in zip(self.table, missed, strict=False):
            entry.missed = count
        held = self._point(gradients)
        library().adam(*self._sizes(), self.table, self.numbers(*scales), ctypes.byref(options))
        increment_version(self.weights)
        del held

    def _point(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Enter them into the table; valid as long as what is returned is held."""
        held = [None if each is None else each.contiguous() for each in gradients]
        for entry, weight, gradient in zip(self.table, self.weights, held, strict=True):
            entry.gradient = (
                None if gradient is None else address(gradient, torch.float32, weight.shape)
            )
        return held

    def _sizes(self) -> tuple[ctypes.c_long, ctypes.c_long, ctypes.c_long]:
        threads, members, count = torch.get_num_threads(), self.members, len(self.table)
        return ctypes.c_long(threads), ctypes.c_long(members), ctypes.c_long(count)
