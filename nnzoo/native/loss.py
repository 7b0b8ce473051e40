"""Losses as `loss.c` computes them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from nnzoo.native.library import library
from nnzoo.native.tensors import address, is_eager, is_plain, new, optional_address

_DOUBLE = ctypes.sizeof(ctypes.c_double)
KINDS = ("cross_entropy", "mse", "mae", "huber")


_pack_call = struct.Struct("5q3Pd5P").pack
"""`struct call`."""


def takes(output: Tensor, target: Tensor, kind: str, weights: Tensor | None) -> bool:
    """Whether `judge` computes the loss; see there."""
    real = output.dtype
    return bool(
        is_eager() and is_plain(output) and is_plain(target) and output.numel()
        and real in (torch.float32, torch.float64) and library(real) is not None
        and (weights is None or (is_plain(weights) and weights.dtype is real))
        and _fits(output, target, kind, weights)
    )  # fmt: skip


def _fits(output: Tensor, target: Tensor, kind: str, weights: Tensor | None) -> bool:
    """Whether types and shapes of the target, and of the weights, go with the output."""
    if output.ndim != 2 or (weights is not None and weights.shape != output.shape[1:]):
        return False
    if kind == "cross_entropy":
        return target.dtype is torch.int64 and target.shape == output.shape[:1]
    return target.dtype is output.dtype and target.shape == output.shape


def judge(
    output: Tensor, target: Tensor, kind: str, option: float, weights: Tensor | None,
    totals: Sequence[float],
) -> tuple[list[float], list[int], Tensor]:  # fmt: skip
    """What the rows of members lose, which follow each other.

    output (members * batch, width) float32 or float64; target: classes int64 (members * batch,), or numbers
    like output; kind: one of KINDS, formulas as in torch.nn.functional, of numbers the mean of a row; option:
    the label smoothing, or the delta of Huber's loss; weights: of the classes (width,), or None; totals:
    by what each member's loss is divided to be its mean. Gives each one's loss, summed over its rows; how
    many of its answers are right; and the gradient of all means for `output`. As in torch a row of class -100
    loses nothing. Raises IndexError for any other class that there is not, TypeError or ValueError for
    tensors that are not such.
    """
    members, real = len(totals), output.dtype
    if not _fits(output, target, kind, weights) or not output.numel() or len(output) % members:
        raise ValueError(f"this output, target and weights do not go together ({kind})")
    if real not in (torch.float32, torch.float64):
        raise TypeError(f"there is no native loss of {real}")
    rows, width = output.shape
    output, target = output.contiguous(), target.contiguous()
    weights = None if weights is None else weights.contiguous()
    gradient = new(real, rows, width)
    # Totals, each member's loss, and that of each row.
    numbers = (ctypes.c_double * (2 * members + rows))(*totals)
    right = (ctypes.c_int64 * members)()
    place = ctypes.addressof(numbers)
    call = _pack_call(
        KINDS.index(kind), torch.get_num_threads(), members, rows // members, width,
        address(output, real, (rows, width)), address(target, target.dtype, target.shape),
        optional_address(weights, real, (width,)) or 0, option, place, place + members * _DOUBLE,
        ctypes.addressof(right), gradient.data_ptr(), place + 2 * members * _DOUBLE,
    )  # fmt: skip
    losses = library(real).losses
    losses.restype = ctypes.c_long
    wrong = losses(call)
    if wrong >= 0:
        raise IndexError(f"Target {int(target[wrong])} is out of bounds.")
    return numbers[members : 2 * members], list(right), gradient
