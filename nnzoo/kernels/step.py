"""Native code outside of autograd: normalization of images, loss with its gradient."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnzoo.kernels.build import library, supports_dtype
from nnzoo.kernels.call import (
    CPU,
    is_dense_cpu_tensor,
    is_eager,
    pointer_to,
    struct_fields,
)

LOSSES = ("cross_entropy", "mse", "mae", "huber")
_FLOATS = (torch.float32, torch.float64)
_DOUBLE_BYTES = ctypes.sizeof(ctypes.c_double)


# Images.


def supports_normalize(x: Tensor, offset: Tensor, scale: Tensor) -> bool:
    """Whether `normalize_uint8` takes these tensors."""
    return (
        is_dense_cpu_tensor(x)
        and x.dtype is torch.uint8
        and x.ndim == 4
        and supports_dtype(torch.float32)
        and all(
            [
                is_dense_cpu_tensor(t) and t.dtype is torch.float32 and t.numel() == x.shape[1]
                for t in (offset, scale)
            ]
        )
    )


def normalize_uint8(x: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """(x - offset) * scale in float32, bit for bit as torch computes it, in a third of the time.

    x (rows, channels, height, width) uint8; offset and scale: one float32 per channel. Raises TypeError or ValueError
    for other tensors."""
    rows, channels, height, width = x.shape
    x, offset, scale = x.contiguous(), offset.contiguous(), scale.contiguous()
    y = torch.empty(x.shape, dtype=torch.float32, device=CPU)
    sizes = torch.get_num_threads(), rows, channels, height * width
    pointers = (
        pointer_to(x, torch.uint8, x.shape),
        pointer_to(offset.flatten(), torch.float32, (channels,)),
        pointer_to(scale.flatten(), torch.float32, (channels,)),
        y.data_ptr(),
    )
    library().nnzoo_normalize_uint8(*map(ctypes.c_long, sizes), *map(ctypes.c_void_p, pointers))
    return y


# Losses.


class NativeLoss(NamedTuple):
    """A loss of torch.nn.functional, one of LOSSES. option: label smoothing, or the delta of the Huber loss;
    class_weights: (width,)."""

    name: str
    option: float = 0.0
    class_weights: Tensor | None = None


def supports_loss(output: Tensor, target: Tensor, loss: NativeLoss) -> bool:
    """Whether `loss_and_grad` computes a loss; see there."""
    dtype, class_weights = output.dtype, loss.class_weights
    weights_shape = None if class_weights is None else class_weights.shape
    return bool(
        is_eager()
        and is_dense_cpu_tensor(output)
        and is_dense_cpu_tensor(target)
        and (
            class_weights is None
            or (is_dense_cpu_tensor(class_weights) and class_weights.dtype is dtype)
        )
        and _loss_fits(loss.name, dtype, target.dtype, output.shape, target.shape, weights_shape)
        and dtype in _FLOATS
        and supports_dtype(dtype)
    )


@lru_cache(maxsize=256)
def _loss_fits(
    loss: str,
    dtype: torch.dtype,
    target_dtype: torch.dtype,
    output: tuple[int, ...],
    target: tuple[int, ...],
    class_weights: tuple[int, ...] | None,
) -> bool:
    """Whether types and shapes of target and class weights fit an output that is not empty."""
    if len(output) != 2 or not min(output) or class_weights not in (None, output[1:]):
        return False
    if loss == "cross_entropy":
        return target_dtype is torch.int64 and target == output[:1]
    return loss in LOSSES and target_dtype is dtype and target == output


@lru_cache(maxsize=256)
def _array_types(doubles: int, integers: int) -> tuple[Any, Any]:
    """Array types of such lengths; ctypes takes 7 microseconds to create one."""
    return ctypes.c_double * doubles, ctypes.c_int64 * integers


@lru_cache(maxsize=2)
def _loss_function(dtype: torch.dtype) -> tuple[Any, Any, dict[str, float]]:
    """The C function of a type, and how its arguments are packed."""
    layout, fields = struct_fields("loss_args")
    return library(dtype).nnzoo_loss, struct.Struct(layout).pack, fields


class LossMemory:
    """The arguments and results of a loss of several members.

    output, target, row_weights: as `loss_and_grad` takes them, dense. Raises TypeError or ValueError for others."""

    def __init__(
        self,
        output: Tensor,
        target: Tensor,
        loss: NativeLoss,
        denominators: Sequence[float],
        row_weights: Tensor | None = None,
    ) -> None:
        members, dtype, weights = len(denominators), output.dtype, loss.class_weights
        shape = None if weights is None else weights.shape
        if not _loss_fits(loss.name, dtype, target.dtype, output.shape, target.shape, shape):
            raise ValueError(f"output, target and class weights do not fit together ({loss.name})")
        if dtype not in _FLOATS or output.shape[0] % members:
            of_rows = f"{members} members of {len(output)} rows"
            raise TypeError(f"there is no native loss of {dtype} for {of_rows}")
        rows, width = output.shape
        self.members, self.target = members, target
        self.grad = torch.empty(output.shape, dtype=dtype, device=CPU)
        doubles, integers = _array_types(2 * members + rows, members + 1)
        # Denominators, each member's loss, and that of each row; correct predictions, and the first wrong row.
        self.values, self.counts = doubles(*denominators), integers()
        weights = None if weights is None else weights.contiguous()
        self.held = output, weights, row_weights
        start, counts = ctypes.addressof(self.values), ctypes.addressof(self.counts)
        self.function, pack, fields = _loss_function(dtype)
        args = fields | {
            "loss": LOSSES.index(loss.name),
            "threads": torch.get_num_threads(),
            "members": members,
            "batch": rows // members,
            "width": width,
            "option": loss.option,
            "output": pointer_to(output, dtype, (rows, width)),
            "target": pointer_to(target, target.dtype, target.shape),
            "class_weights": 0 if weights is None else pointer_to(weights, dtype, (width,)),
            "row_weights": 0
            if row_weights is None
            else pointer_to(row_weights, torch.float64, (rows,)),
            "denominators": start,
            "losses": start + members * _DOUBLE_BYTES,
            "row_losses": start + 2 * members * _DOUBLE_BYTES,
            "num_correct": counts,
            "wrong_row": counts + members * _DOUBLE_BYTES,
            "grad": self.grad.data_ptr(),
        }
        self.packed: bytes = pack(*args.values())

    def results(self) -> tuple[list[float], list[int]]:
        """Losses and numbers of correct predictions of the members; raises IndexError for a class that does not exist."""
        wrong_row = self.counts[self.members]
        if wrong_row >= 0:
            raise IndexError(f"Target {int(self.target[wrong_row])} is out of bounds.")
        return self.values[self.members : 2 * self.members], self.counts[: self.members]


def loss_and_grad(
    output: Tensor,
    target: Tensor,
    loss: NativeLoss,
    denominators: Sequence[float],
    row_weights: Tensor | None = None,
) -> tuple[list[float], list[int], Tensor]:
    """Loss, number of correct predictions and gradient for each of several members, whose rows follow member by member.

    output (members * batch, width) float32 or float64; target: classes int64 (members * batch,), or values like output;
    for values the loss is the mean of a row; denominators: of each member's mean loss; row_weights: (members * batch,)
    float64. Returns losses, times the weights, summed over the rows of each member, numbers of correct predictions, and
    the gradient of the sum of the mean losses. As in torch, a row of class -100 does not count. Raises IndexError for
    any other class that does not exist, TypeError or ValueError for other tensors.
    """
    row_weights = None if row_weights is None else row_weights.contiguous()
    memory = LossMemory(output.contiguous(), target.contiguous(), loss, denominators, row_weights)
    memory.function(memory.packed)
    return *memory.results(), memory.grad
