"""Norms of gradients and Adam as `optimizer.c` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from nnzoo.native.library import library


class _Parameter(ctypes.Structure):
    """`struct parameter`."""

    _fields_ = (
        ("size", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("weight", "gradient", "mean", "square")),
        ("decay", ctypes.c_double),
    )


class _Adam(ctypes.Structure):
    """`struct adam`."""

    _fields_ = (
        *((name, ctypes.c_double) for name in (
            "rate", "beta1", "beta2", "epsilon", "correction1", "correction2"
        )),
        ("decoupled", ctypes.c_long),
    )  # fmt: skip


class Parameters:
    """Weights, float32 and contiguous, of one member or stacks (members, ...) of several, with their weight
    decay and, for `adam`, its two averages. All stay where they are in memory."""

    def __init__(
        self, weights: Sequence[Tensor], decays: Sequence[float], members: int,
        means: Sequence[Tensor] = (), squares: Sequence[Tensor] = (),
    ) -> None:  # fmt: skip
        self.held = [*weights, *means, *squares]
        self.members = members
        self.numbers = ctypes.c_double * members
        self.table = (_Parameter * len(weights))()
        for i, entry in enumerate(self.table):
            entry.size, entry.decay = weights[i].numel() // members, decays[i]
            entry.weight = weights[i].data_ptr()
            if means:
                entry.mean, entry.square = means[i].data_ptr(), squares[i].data_ptr()

    def norms(self, gradients: Sequence[Tensor]) -> list[float]:
        """The norm of each member's gradients together."""
        found, held = self.numbers(), self._point(gradients)
        library().norms(*self._table(), found)
        del held
        return list(found)

    def adam(
        self, gradients: Sequence[Tensor], rate: float, betas: Sequence[float], epsilon: float,
        decoupled: bool, step: int, scales: Sequence[float],
    ) -> None:  # fmt: skip
        """The step-th (from 1) step of torch.optim.Adam, or with `decoupled` weight decay AdamW; each
        member's gradients are divided by one of `scales`."""
        options = _Adam(rate, *betas, epsilon, *(1 - beta**step for beta in betas), decoupled)
        held = self._point(gradients)
        library().adam(*self._table(), self.numbers(*scales), ctypes.byref(options))
        del held

    def _point(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Enter them into the table; valid as long as what is returned is held."""
        held = [each.contiguous() for each in gradients]
        for entry, gradient in zip(self.table, held, strict=True):
            entry.gradient = gradient.data_ptr()
        return held

    def _table(self) -> tuple[ctypes.c_long, ctypes.c_long, ctypes.c_long, object]:
        threads, members, count = torch.get_num_threads(), self.members, len(self.table)
        return ctypes.c_long(threads), ctypes.c_long(members), ctypes.c_long(count), self.table
