"""Linear layers in a row as `dense.c` computes them."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.native.library import library, padded, product_type


class _Given(ctypes.Structure):
    """`struct given`."""

    _fields_ = (
        ("ins", ctypes.c_long), ("outs", ctypes.c_long), ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p), ("relu", ctypes.c_long), ("mask", ctypes.c_void_p),
        ("factor", ctypes.c_double),
    )  # fmt: skip


class _Call(ctypes.Structure):
    """`struct call`."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("low", "threads", "members", "batch", "count")),
        ("x", ctypes.c_void_p), ("x_low", ctypes.c_long), ("as_is", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("work", "back", "y", "dy", "gradients", "dx")),
    )  # fmt: skip


class Dense(torch.autograd.Function):
    """Linear layers in a row, each but the last alone or with relu, or relu and dropout, behind it.

    x (rows, in); follows: for each layer None, or (mask, factor) of the dropout behind its relu: uint8
    (rows, out) of ones where a value is kept, or None, and what the kept ones are multiplied by; then
    weight (out, in) and bias (out) of each, or those of several members, (members, out, in) and
    (members, out), whose rows follow each other. Gives (rows, out of the last) in the weights' type.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, follows: list[tuple[Tensor | None, float] | None], *parameters: Tensor
    ) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        real, dtype = weights[0].dtype, product_type(weights[0])
        lib = library(real)
        lanes, rows = lib.vector_length(), len(x)
        members = len(weights[0]) if weights[0].ndim == 3 else 1
        shapes = tuple(w.shape[-2:] for w in weights)
        ctx.x_type = x.dtype
        x = (x if x.dtype in (dtype, real) else x.to(dtype)).contiguous()
        masks = [None if f is None or f[0] is None else _padded_rows(f[0], padded(out, lanes))
                 for f, (out, _) in zip(follows, shapes, strict=True)]  # fmt: skip
        given = (_Given * len(weights))(*(
            _Given(ins, out, weight.data_ptr(), bias.data_ptr(), follow is not None,
                   None if mask is None else mask.data_ptr(), 1.0 if follow is None else follow[1])
            for (out, ins), weight, bias, follow, mask
            in zip(shapes, weights, biases, follows, masks, strict=True)
        ))  # fmt: skip
        low = dtype == torch.bfloat16
        as_is = x.dtype == dtype and shapes[0][1] % lanes == 0
        y = torch.empty(rows, shapes[-1][0], dtype=real)
        call = _Call(low, torch.get_num_threads(), members, rows // members, len(weights),
                     x.data_ptr(), x.dtype == torch.bfloat16, as_is)  # fmt: skip
        work = torch.empty(_work(real, False, shapes, *_sizes(call)), dtype=torch.uint8)
        call.work, call.y = work.data_ptr(), y.data_ptr()
        lib.dense_forward(ctypes.byref(call), given)
        ctx.call, ctx.given, ctx.shapes = call, given, shapes
        ctx.save_for_backward(x if as_is else None, work, *masks, *parameters)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        call, given = ctx.call, ctx.given
        parameters = ctx.saved_tensors[-2 * len(given) :]
        real = parameters[0].dtype
        lib = library(real)
        lanes = lib.vector_length()
        grad = grad.to(real).contiguous()
        views, size = _gradients(ctx.shapes, tuple(parameters[0].shape[:-2]), lanes)
        found = torch.empty(size, dtype=real)
        back = torch.empty(_work(real, True, ctx.shapes, *_sizes(call)), dtype=torch.uint8)
        call.back = back.data_ptr()
        call.dy, call.gradients, dx = grad.data_ptr(), found.data_ptr(), None
        if ctx.needs_input_grad[0]:
            ins = ctx.shapes[0][1]
            dx = torch.empty(len(grad), padded(ins, lanes), dtype=real)
            call.dx = dx.data_ptr()
        lib.dense_backward(ctypes.byref(call), given)
        if dx is not None:
            dx = dx[:, :ins].to(ctx.x_type).contiguous()
        return dx, None, *(found.as_strided(*view) for view in views)


def _sizes(call: _Call) -> tuple[int, ...]:
    """What the memory of a call depends on, beside the layers."""
    return call.low, call.threads, call.members, call.batch, call.as_is


@lru_cache(maxsize=256)
def _work(real: torch.dtype, back: bool, shapes: tuple[tuple[int, int], ...], *sizes: int) -> int:
    """`dense_work`: bytes of a call's own memory, kept from forward on or of the way back."""
    low, threads, members, batch, as_is = sizes
    given = (_Given * len(shapes))(*(_Given(ins, out) for out, ins in shapes))
    call = _Call(low, threads, members, batch, len(shapes), None, 0, as_is)
    function = library(real).dense_work
    function.restype = ctypes.c_long
    size: int = function(ctypes.byref(call), given, back)
    return size


@lru_cache(maxsize=256)
def _gradients(
    shapes: tuple[tuple[int, int], ...], stack: tuple[int, ...], lanes: int
) -> tuple[list[tuple[tuple[int, ...], tuple[int, ...], int]], int]:
    """Size, strides and offset of each layer's gradients in dense.c's memory for all of them, and how
    many numbers that holds."""
    views: list[tuple[tuple[int, ...], tuple[int, ...], int]] = []
    offset, members = 0, 1 if not stack else stack[0]
    for out, ins in shapes:
        row, width = padded(ins, lanes), padded(out, lanes)
        views.append(((*stack, out, ins), (*(out * row for _ in stack), row, 1), offset))
        offset += members * out * row
        views.append(((*stack, out), (*(width for _ in stack), 1), offset))
        offset += members * width
    return views, offset


def _padded_rows(mask: Tensor, width: int) -> Tensor:
    """A mask (rows, n) as a contiguous (rows, width), zeros behind."""
    if mask.shape[1] == width:
        return mask.contiguous()
    wide = mask.new_zeros(len(mask), width)
    wide[:, : mask.shape[1]].copy_(mask)
    return wide
