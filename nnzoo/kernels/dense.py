"""Linear layers in a row as `dense.c` computes them."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnzoo.kernels import tensors
from nnzoo.kernels.library import lanes_of, library, padded, product_type
from nnzoo.kernels.tensors import (
    address,
    addresses,
    compact,
    differentiable_once,
    is_low,
    new,
    new_bytes,
)

_CALL = struct.Struct("5qP2q6P")
"""`struct call`."""
_GIVEN = "qqPPqPd"
"""`struct given` of a layer."""


def takes(x: Tensor, parameters: Sequence[Tensor | None]) -> bool:
    """Whether `Dense` computes these layers: weight and bias of each, for x (rows, in)."""
    if not tensors.takes(x, *parameters):
        return False
    return _shapes_fit(x.shape, *[each.shape for each in parameters])  # type: ignore[union-attr]


@lru_cache(maxsize=256)
def _shapes_fit(x: tuple[int, ...], *parameters: tuple[int, ...]) -> bool:
    """Whether each layer takes what the one before it gives, and has a bias for each of its outputs."""
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


class _Case(NamedTuple):
    """What follows from types, shapes and layers alone."""

    real: torch.dtype
    low: bool
    x_type: torch.dtype
    """The type of x as C takes it."""
    as_is: bool
    """Whether the first layer's products take x as it is."""
    shapes: tuple[tuple[int, int], ...]
    """(out, in) of each layer."""
    parameters: tuple[tuple[int, ...], ...]
    rows: int
    widths: tuple[int, ...]
    """Whole vectors of a row of each layer's outputs."""
    sizes: tuple[int, int, int, int, int]
    """With what a call begins."""
    layers: list[tuple[int, int, bool, float]]
    """Of each in, out, whether relu is behind it, and the factor of dropout."""
    pack: Any
    """Makes `struct given` of all layers."""
    work: int
    back: int
    """Bytes of a call's own memory, kept from forward on, and of the way back."""
    views: list[tuple[tuple[int, ...], tuple[int, ...], int]]
    numbers: int
    """Gradients in dense.c's memory for all of them, and how many numbers that holds."""


@lru_cache(maxsize=256)
def _case(
    real: torch.dtype, product: torch.dtype, x_type: torch.dtype, threads: int,
    plan: tuple[float | None, ...], x: tuple[int, ...], *parameters: tuple[int, ...],
) -> _Case:  # fmt: skip
    """The case of these types, threads and shapes; plan: for each layer the factor of the dropout behind its relu,
    or None where there is no relu. Raises TypeError or ValueError for what is none."""
    if not _shapes_fit(x, *parameters):
        raise ValueError("each linear layer takes what the one before it gives")
    low = is_low(real, product)
    if x_type not in (product, real):
        x_type = product
    lanes = lanes_of(real)
    rows, stack = x[0], parameters[0][:-2]
    shapes = tuple((each[-2], each[-1]) for each in parameters[::2])
    as_is = x_type is product and shapes[0][1] % lanes == 0
    members = math.prod(stack)
    sizes = (int(low), threads, members, rows // members, len(shapes))
    layers = [
        (ins, out, factor is not None, 1.0 if factor is None else factor)
        for (out, ins), factor in zip(shapes, plan, strict=True)
    ]
    pack = struct.Struct(_GIVEN * len(shapes)).pack
    work, back = (_work(real, each, shapes, sizes, as_is) for each in (False, True))
    views, numbers = _gradients(shapes, stack, lanes)
    return _Case(
        real, low, x_type, as_is, shapes, parameters, rows, tuple(padded(out, lanes) for out, _ in shapes),
        sizes, layers, pack, work, back, views, numbers,
    )  # fmt: skip


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
        real, wants_type = parameters[0].dtype, x.dtype
        case = _case(
            real, product_type(parameters[0]), wants_type, torch.get_num_threads(),
            tuple([None if each is None else each[1] for each in follows]),
            x.shape, *[each.shape for each in parameters],
        )  # fmt: skip
        x = compact(x if wants_type is case.x_type else x.to(case.x_type))
        held, places = addresses(parameters, real, case.parameters)
        masks = [None if f is None or f[0] is None else _padded_rows(f[0], width)
                 for f, width in zip(follows, case.widths, strict=True)]  # fmt: skip
        layers = _layers(case, places, masks)
        y = new(real, case.rows, case.shapes[-1][0])
        work = new_bytes(case.work)
        call = _CALL.pack(
            *case.sizes, address(x, case.x_type, (case.rows, case.shapes[0][1])),
            case.x_type is torch.bfloat16, case.as_is, work.data_ptr(), 0, y.data_ptr(), 0, 0, 0,
        )  # fmt: skip
        library(real).dense_forward(call, layers)
        del held
        ctx.case = case, wants_type, layers, places
        ctx.save_for_backward(x if case.as_is else None, work, *parameters)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        case, x_type, layers, places = ctx.case
        # Asked for once: hooks may make them anew each time, where they like.
        x, work, *parameters = ctx.saved_tensors
        real, (out, ins) = case.real, (case.shapes[-1][0], case.shapes[0][1])
        grad = compact(grad if grad.dtype is real else grad.to(real))
        held, now = addresses(parameters, real, case.parameters)
        if now != places:
            layers = _layers(case, now, [None] * len(case.shapes))
        at_x = 0
        if x is not None:
            x = compact(x)
            at_x = address(x, case.x_type, (case.rows, ins))
        work = compact(work)
        found, back = new(real, case.numbers), new_bytes(case.back)
        dx = new(real, case.rows, padded(ins, lanes_of(real))) if ctx.needs_input_grad[0] else None
        call = _CALL.pack(
            *case.sizes, at_x, 0, case.as_is, address(work, torch.uint8, (case.work,)),
            back.data_ptr(), 0, address(grad, real, (case.rows, out)), found.data_ptr(),
            0 if dx is None else dx.data_ptr(),
        )  # fmt: skip
        library(real).dense_backward(call, layers)
        del held
        if dx is not None:
            dx = dx[:, :ins].to(x_type).contiguous()
        return dx, None, *[found.as_strided(*view) for view in case.views]


def _layers(case: _Case, places: Sequence[int], masks: Sequence[Tensor | None]) -> bytes:
    """The layers as `struct given`, whose parameters lie there; valid as long as those and the masks are held."""
    values: list[float] = []
    for i, ((ins, out, relu, factor), mask) in enumerate(zip(case.layers, masks, strict=True)):
        at_mask = 0
        if mask is not None:
            at_mask = address(mask, torch.uint8, (case.rows, case.widths[i]))
        values += (ins, out, places[2 * i], places[2 * i + 1], relu, at_mask, factor)
    layers: bytes = case.pack(*values)
    return layers


def _work(
    real: torch.dtype, back: bool, shapes: Sequence[tuple[int, int]], sizes: Sequence[int], as_is: bool
) -> int:  # fmt: skip
    """`dense_work`: bytes of a call's own memory, kept from forward on or of the way back."""
    layers = b"".join(struct.pack(_GIVEN, ins, out, 0, 0, 0, 0, 0) for out, ins in shapes)
    function = library(real).dense_work
    function.restype = ctypes.c_long
    size: int = function(_CALL.pack(*sizes, 0, 0, as_is, 0, 0, 0, 0, 0, 0), layers, back)
    return size


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
