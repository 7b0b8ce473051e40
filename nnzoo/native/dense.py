"""Linear layers in a row as `dense.c` computes them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.native import tensors
from nnzoo.native.library import lanes_of, library, padded, product_type
from nnzoo.native.tensors import address, compact, is_low, new, new_bytes


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


def takes(x: Tensor, parameters: Sequence[Tensor | None]) -> bool:
    """Whether `Dense` computes these layers: weight and bias of each, for x (rows, in)."""
    return tensors.takes(x, *parameters) and _is_chain(x, parameters)


def _is_chain(x: Tensor, parameters: Sequence[Any]) -> bool:
    """Whether each layer takes what the one before it gives, and has a bias for each of its outputs."""
    return _shapes_fit(x.shape, *[each.shape for each in parameters])


@lru_cache(maxsize=256)
def _shapes_fit(x: tuple[int, ...], *parameters: tuple[int, ...]) -> bool:
    if not x:
        return False
    ins, stack = x[-1], parameters[0][:-2]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if len(weight) < 2 or (weight[-1], weight[:-2], bias) != (ins, stack, weight[:-1]):
            return False
        ins = weight[-2]
        if not ins:
            return False
    members = math.prod(stack)
    return len(x) == 2 and len(stack) < 2 and min(members, *x) > 0 and x[0] % members == 0


class Dense(torch.autograd.Function):
    """Linear layers in a row, each but the last alone or with relu, or relu and dropout, behind it.

    x (rows, in); follows: for each layer None, or (mask, factor) of the dropout behind its relu: uint8
    (rows, out) of ones where a value is kept, or None, and what the kept ones are multiplied by; then
    weight (out, in) and bias (out) of each, or those of several members, (members, out, in) and
    (members, out), whose rows follow each other. Gives (rows, out of the last) in the weights' type.
    Raises TypeError or ValueError for tensors that are not such.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, follows: list[tuple[Tensor | None, float] | None], *parameters: Tensor
    ) -> Tensor:
        if not _is_chain(x, parameters):
            raise ValueError("each linear layer takes what the one before it gives")
        real, dtype = parameters[0].dtype, product_type(parameters[0])
        low = is_low(real, dtype)
        lib = library(real)
        lanes, rows = lanes_of(real), len(x)
        stack = parameters[0].shape[:-2]
        shapes = tuple(w.shape[-2:] for w in parameters[::2])
        x_type = x.dtype
        x = compact(x if x.dtype in (dtype, real) else x.to(dtype))
        masks = [None if f is None or f[0] is None else _padded_rows(f[0], padded(out, lanes))
                 for f, (out, _) in zip(follows, shapes, strict=True)]  # fmt: skip
        plan = tuple((f is not None, 1.0 if f is None else f[1]) for f in follows)
        held, given = _layers(shapes, stack, plan, parameters)
        where = [each.data_ptr() for each in held]
        for entry, mask, (out, _) in zip(given, masks, shapes, strict=True):
            if mask is not None:
                entry.mask = address(mask, torch.uint8, (rows, padded(out, lanes)))
        as_is = x.dtype == dtype and shapes[0][1] % lanes == 0
        members = stack.numel()
        sizes = (low, torch.get_num_threads(), members, rows // members, as_is)
        y = new(real, rows, shapes[-1][0])
        work = new_bytes(_work(real, False, shapes, *sizes))
        call = _call(sizes, len(shapes))
        call.x, call.x_low = address(x, x.dtype, (rows, shapes[0][1])), x.dtype == torch.bfloat16
        call.work, call.y = work.data_ptr(), y.data_ptr()
        lib.dense_forward(ctypes.byref(call), given)
        del held
        ctx.case = real, shapes, stack, plan, sizes, x_type, given, where
        ctx.save_for_backward(x if as_is else None, work, *parameters)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        real, shapes, stack, plan, sizes, x_type, given, where = ctx.case
        # Asked for once: hooks may make them anew each time, where they like.
        x, work, *parameters = ctx.saved_tensors
        lib = library(real)
        lanes, rows = lanes_of(real), sizes[2] * sizes[3]
        grad = compact(grad.to(real))
        held: list[Tensor] = []
        # Checked then; what lies at the same address lies in the same memory.
        if [each.data_ptr() for each in parameters] != where:
            held, given = _layers(shapes, stack, plan, parameters)
        call = _call(sizes, len(shapes))
        if x is not None:
            x = compact(x)
            call.x = address(x, torch.bfloat16 if call.low else real, (rows, shapes[0][1]))
        work = compact(work)
        call.work = address(work, torch.uint8, (_work(real, False, shapes, *sizes),))
        views, size = _gradients(shapes, tuple(stack), lanes)
        found = new(real, size)
        back = new_bytes(_work(real, True, shapes, *sizes))
        call.dy = address(grad, real, (rows, shapes[-1][0]))
        call.back, call.gradients, dx = back.data_ptr(), found.data_ptr(), None
        if ctx.needs_input_grad[0]:
            ins = shapes[0][1]
            dx = new(real, rows, padded(ins, lanes))
            call.dx = dx.data_ptr()
        lib.dense_backward(ctypes.byref(call), given)
        del held
        if dx is not None:
            dx = dx[:, :ins].to(x_type).contiguous()
        return dx, None, *(found.as_strided(*view) for view in views)


def _layers(
    shapes: Sequence[Sequence[int]],
    stack: tuple[int, ...],
    plan: tuple[tuple[bool, float], ...],
    parameters: Sequence[Tensor],
) -> tuple[list[Tensor], Any]:
    """The layers as `struct given`, without masks; valid as long as the tensors beside them are held."""
    held = [each.contiguous() for each in parameters]
    real = held[0].dtype
    entries: list[Any] = [
        (ins, out, address(held[2 * i], real, (*stack, out, ins)),
         address(held[2 * i + 1], real, (*stack, out)), relu, None, factor)
        for i, ((out, ins), (relu, factor)) in enumerate(zip(shapes, plan, strict=True))
    ]  # fmt: skip
    return held, (_Given * len(shapes))(*entries)


def _call(sizes: tuple[int, ...], count: int) -> _Call:
    low, threads, members, batch, as_is = sizes
    return _Call(low, threads, members, batch, count, None, 0, as_is)


@lru_cache(maxsize=256)
def _work(real: torch.dtype, back: bool, shapes: tuple[tuple[int, int], ...], *sizes: int) -> int:
    """`dense_work`: bytes of a call's own memory, kept from forward on or of the way back."""
    given = (_Given * len(shapes))(*(_Given(ins, out) for out, ins in shapes))
    function = library(real).dense_work
    function.restype = ctypes.c_long
    size: int = function(ctypes.byref(_call(sizes, len(shapes))), given, back)
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
