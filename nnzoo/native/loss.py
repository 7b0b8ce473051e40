"""Losses as `loss.c` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from nnzoo.native.library import library

KINDS = ("cross_entropy", "mse", "mae", "huber")


class _Call(ctypes.Structure):
    """`struct call`."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("kind", "threads", "members", "batch", "width")),
        *((name, ctypes.c_void_p) for name in ("output", "target", "weights")),
        ("option", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("totals", "losses", "right", "gradient", "each")),
    )


def judge(
    output: Tensor, target: Tensor, kind: str, option: float, weights: Tensor | None,
    totals: Sequence[float],
) -> tuple[list[float], list[int], Tensor]:  # fmt: skip
    """What the rows of members lose, which follow each other.

    output (members * batch, width) float32 or float64; target: classes int64 (members * batch,), or numbers
    like output; kind: one of KINDS, formulas as in torch.nn.functional, of numbers the mean of a row; option:
    the label smoothing, or the delta of Huber's loss; weights: of the classes (width,), or None; totals:
    by what each member's loss is divided to be its mean. Gives each one's loss, summed over its rows; how
    many of its answers are right; and the gradient of all means for `output`.
    """
    members, (rows, width) = len(totals), output.shape
    output, target = output.contiguous(), target.contiguous()
    gradient = torch.empty_like(output)
    each = torch.empty(rows, dtype=torch.float64)
    numbers = ctypes.c_double * members
    by, lost, right = numbers(*totals), numbers(), (ctypes.c_int64 * members)()
    call = _Call(
        KINDS.index(kind), torch.get_num_threads(), members, rows // members, width,
        output.data_ptr(), target.data_ptr(), None if weights is None else weights.data_ptr(), option,
        *(ctypes.addressof(array) for array in (by, lost, right)), gradient.data_ptr(),
        each.data_ptr(),
    )  # fmt: skip
    library(output.dtype).losses(ctypes.byref(call))
    return list(lost), list(right), gradient
