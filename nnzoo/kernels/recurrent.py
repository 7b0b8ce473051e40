"""Recurrent layers as `recurrent.c` computes them."""

from __future__ import annotations

import ctypes
import math
import struct
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nnzoo.kernels import tensors
from nnzoo.kernels.library import lanes_of, library, padded
from nnzoo.kernels.tensors import (
    address,
    addresses,
    compact,
    differentiable_once,
    is_low,
    new,
    new_bytes,
    optional_address,
)

Kind = Literal["rnn", "lstm", "gru"]
KINDS: tuple[Kind, ...] = ("rnn", "lstm", "gru")
# How many groups of rows the weights have.
_GROUPS: dict[Kind, int] = {"rnn": 1, "lstm": 4, "gru": 3}


_CALL = struct.Struct("10qP4q10P4q4P")
"""`struct call`."""
_NOTHING = (0, 0, 0, 0, 0)


def takes(kind: Kind, x: Tensor, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> bool:
    """Whether `Recurrent` computes a layer: parameters as torch's, for x (time, [members,] batch, features)."""
    if not tensors.takes(x, w_hh, w_ih, b_ih, b_hh):
        return False
    return _shapes_fit(kind, x.shape, w_ih.shape, w_hh.shape, b_ih.shape, b_hh.shape)


@lru_cache(maxsize=256)
def _shapes_fit(
    kind: Kind, x: tuple[int, ...], w_ih: tuple[int, ...], w_hh: tuple[int, ...],
    b_ih: tuple[int, ...], b_hh: tuple[int, ...],
) -> bool:  # fmt: skip
    """Whether all are of the shapes of one layer, and none empty."""
    if len(w_hh) not in (2, 3) or len(x) != len(w_hh) + 1:
        return False
    stack, hidden = w_hh[:-2], w_hh[-1]
    rows = (*stack, _GROUPS[kind] * hidden)
    return (
        x[1:-2] == stack and w_hh[:-1] == rows and w_ih == (*rows, x[-1])
        and b_ih == rows and b_hh == rows and min(x) > 0 and hidden > 0
    )  # fmt: skip


class _Case(NamedTuple):
    """What follows from types, shapes and options alone."""

    real: torch.dtype
    dtype: torch.dtype
    """What products take."""
    sizes: tuple[int, ...]
    """With what a call begins."""
    x: tuple[int, ...]
    parameters: tuple[tuple[int, ...], ...]
    z: tuple[int, ...]
    states: tuple[tuple[int, ...], tuple[int, ...], int]
    """Their size, strides and offset in z."""
    last: tuple[int, ...]
    has_cell: bool
    work: int
    back: int
    """Bytes of a call's own memory, kept from forward on, and of the way back."""
    views: list[tuple[tuple[int, ...], tuple[int, ...], int]]
    numbers: int
    """Size, strides and offset of the gradients in memory for all of them, and how many numbers that holds."""


@lru_cache(maxsize=256)
def _case(
    options: tuple[Kind, bool, bool, int], real: torch.dtype, dtype: torch.dtype,
    x: tuple[int, ...], *parameters: tuple[int, ...],
) -> _Case:  # fmt: skip
    """The case of these types and shapes; options: kind, whether with relu, whether for the way back too, threads.
    Raises TypeError or ValueError for what is none."""
    kind, relu, kept, threads = options
    w_ih, w_hh, b_ih, b_hh = parameters
    if not _shapes_fit(kind, x, w_ih, w_hh, b_ih, b_hh):
        raise ValueError(f"these are not an input and the parameters of one {kind} layer")
    low, lanes = is_low(real, dtype), lanes_of(real)
    stack, hidden = w_hh[:-2], w_hh[-1]
    steps, batch, features = x[0], x[-2], x[-1]
    sizes = (
        KINDS.index(kind), int(low), int(relu), threads, math.prod(stack), steps, batch, features, hidden,
        int(kept),
    )  # fmt: skip
    row = padded(hidden, lanes) + padded(features + 1, lanes)
    z = (*stack, steps + 1, batch, row)
    *of_member, step, _, _ = _strides(z)
    states = (steps, *stack, batch, hidden), (step, *of_member, row, 1), step
    offsets = [0, *accumulate(math.prod(each) for each in parameters)]
    views = [
        (each, _strides(each), start)
        for each, (start, _) in zip(parameters, pairwise(offsets), strict=True)
    ]
    work, back = (_work(real, each, sizes) for each in (False, True))
    return _Case(
        real, dtype, sizes, x, parameters, z, states, (*stack, batch, hidden), kind == "lstm", work, back,
        views, offsets[-1],
    )  # fmt: skip


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of numbers behind each other."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


class Recurrent(torch.autograd.Function):
    """One layer of one direction from a zero state; formulas as in torch.nn.RNN, LSTM and GRU.

    kind: rnn, lstm or gru; relu in place of tanh (rnn, lstm); dtype: what products take. x (time, batch,
    features), parameters as torch's; gives all states (time, batch, hidden), the last one (batch,
    hidden) and, of an lstm, the last cell. Of several members parameters are stacks, (members, ...),
    and all others have that dimension before the batch. Raises TypeError or ValueError for tensors that are
    not such.
    """

    @staticmethod
    def forward(
        ctx: Any, kind: Kind, relu: bool, dtype: torch.dtype, x: Tensor, w_ih: Tensor,
        w_hh: Tensor, b_ih: Tensor, b_hh: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        case = _case(
            (kind, relu, any(ctx.needs_input_grad), torch.get_num_threads()), w_hh.dtype, dtype,
            x.shape, w_ih.shape, w_hh.shape, b_ih.shape, b_hh.shape,
        )  # fmt: skip
        real, x_type = case.real, x.dtype
        held, places = addresses((w_ih, w_hh, b_ih, b_hh), real, case.parameters)
        x, *where = _rows(x, dtype, real)
        z, work, last = new(dtype, *case.z), new_bytes(case.work), new(real, *case.last)
        cell = new(real, *case.last) if case.has_cell else None
        call = _CALL.pack(
            *case.sizes, *where, *places, z.data_ptr(), work.data_ptr(), 0, last.data_ptr(),
            0 if cell is None else cell.data_ptr(), *_NOTHING, 0, 0, 0, 0,
        )  # fmt: skip
        library(real).recurrent_forward(call)
        del held
        ctx.case = case, x_type
        ctx.save_for_backward(z, work, w_ih, w_hh, b_ih, b_hh)
        ctx.set_materialize_grads(False)
        # One call of torch's in place of four.
        states = z.as_strided(*case.states)
        return (states, last) if cell is None else (states, last, cell)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        case, x_type = ctx.case
        # Asked for once: hooks may make them anew each time, where they like.
        z, work, *parameters = ctx.saved_tensors
        real = case.real
        held, places = addresses(parameters, real, case.parameters)
        z, work = compact(z), compact(work)
        where: Any = _NOTHING
        if grad is not None:
            if grad.shape != case.states[0]:
                raise ValueError("the gradient of the states is not of their shape")
            grad, *where = _rows(grad, case.dtype, real)
        ends = [None if each is None else compact(each if each.dtype is real else each.to(real))
                for each in lasts]  # fmt: skip
        last, cell = (*ends, None)[:2]
        found, back = new(real, case.numbers), new_bytes(case.back)
        dx = new(real, *case.x) if ctx.needs_input_grad[3] else None
        call = _CALL.pack(
            *case.sizes, *_NOTHING, *places, address(z, case.dtype, case.z),
            address(work, torch.uint8, (case.work,)), back.data_ptr(), 0, 0, *where,
            optional_address(last, real, case.last) or 0, optional_address(cell, real, case.last) or 0,
            found.data_ptr(), 0 if dx is None else dx.data_ptr(),
        )  # fmt: skip
        library(real).recurrent_backward(call)
        del held
        if dx is not None:
            dx = dx.to(x_type)
        return None, None, None, dx, *[found.as_strided(*view) for view in case.views]


def _rows(
    x: Tensor, dtype: torch.dtype, real: torch.dtype
) -> tuple[Tensor, int, bool, int, int, int]:
    """x (time, [members,] batch, n) of a type that recurrent.c takes; where it is, whether it is bfloat16,
    and how many numbers lie from one time step, member and row to the next."""
    if x.dtype is not dtype and x.dtype is not real:
        x = x.to(dtype)
    strides, where = x.stride(), x.data_ptr()
    if strides[-1] != 1 or where % x.element_size():
        x = compact(x.contiguous())
        strides, where = x.stride(), x.data_ptr()
    if not x.is_cpu or not where:
        raise TypeError(f"native code takes tensors on the CPU here, not on {x.device}")
    member = strides[1] if len(strides) == 4 else 0
    return x, where, x.dtype is torch.bfloat16, strides[0], member, strides[-2]


def _work(real: torch.dtype, back: bool, sizes: tuple[int, ...]) -> int:
    """`recurrent_work`: bytes of the own memory of a call of such sizes, kept from forward on or of the way
    back."""
    function = library(real).recurrent_work
    function.restype = ctypes.c_long
    size: int = function(_CALL.pack(*sizes, *[0] * 23), back)
    return size
