"""Losses as `loss.c` computes them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from nnzoo.kernels.library import library
from nnzoo.kernels.tensors import address, is_eager, is_plain, new, optional_address

_REAL = (torch.float32, torch.float64)
_DOUBLE = ctypes.sizeof(ctypes.c_double)
KINDS = ("cross_entropy", "mse", "mae", "huber")


_pack_call = struct.Struct("5q3Pd5P").pack
"""`struct call`."""


def takes(output: Tensor, target: Tensor, kind: str, weights: Tensor | None) -> bool:
    """Whether `judge` computes the loss; see there."""
    real = output.dtype
    return bool(
        is_eager() and is_plain(output) and is_plain(target)
        and (weights is None or (is_plain(weights) and weights.dtype is real))
        and _fits(output, target, kind, weights)
        and real in _REAL and library(real) is not None
    )  # fmt: skip


def _fits(output: Tensor, target: Tensor, kind: str, weights: Tensor | None) -> bool:
    """Whether types and shapes of the target, and of the weights, go with the output, and it is not empty."""
    shape = None if weights is None else weights.shape
    return _shapes_fit(kind, output.dtype, target.dtype, output.shape, target.shape, shape)


@lru_cache(maxsize=256)
def _shapes_fit(
    kind: str, real: torch.dtype, numbers: torch.dtype, output: tuple[int, ...], target: tuple[int, ...],
    weights: tuple[int, ...] | None,
) -> bool:  # fmt: skip
    if len(output) != 2 or not min(output) or (weights is not None and weights != output[1:]):
        return False
    if kind == "cross_entropy":
        return numbers is torch.int64 and target == output[:1]
    return numbers is real and target == output


@lru_cache(maxsize=256)
def _arrays(doubles: int, integers: int) -> tuple[Any, Any]:
    """Types of arrays of such lengths. ctypes makes one anew, in 7 microseconds, where nobody holds it."""
    return ctypes.c_double * doubles, ctypes.c_int64 * integers


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
    if not _fits(output, target, kind, weights) or output.shape[0] % members:
        raise ValueError(f"this output, target and weights do not go together ({kind})")
    if real not in _REAL:
        raise TypeError(f"there is no native loss of {real}")
    rows, width = output.shape
    output, target = output.contiguous(), target.contiguous()
    weights = None if weights is None else weights.contiguous()
    gradient = new(real, rows, width)
    # Totals, each member's loss, and that of each row.
    doubles, integers = _arrays(2 * members + rows, members)
    numbers, right = doubles(*totals), integers()
    place = ctypes.addressof(numbers)
    call = _pack_call(
        KINDS.index(kind), torch.get_num_threads(), members, rows // members, width,
        address(output, real, (rows, width)), address(target, target.dtype, target.shape),
        optional_address(weights, real, (width,)) or 0, option, place, place + members * _DOUBLE,
        ctypes.addressof(right), gradient.data_ptr(), place + 2 * members * _DOUBLE,
    )  # fmt: skip
    losses = library(real).losses
    if losses.restype is not ctypes.c_long:
        losses.restype = ctypes.c_long
    wrong = losses(call)
    if wrong >= 0:
        raise IndexError(f"Target {int(target[wrong])} is out of bounds.")
    return numbers[members : 2 * members], list(right), gradient
