"""Recurrent layers as `recurrent.c` computes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor

from nnzoo.native import tensors
from nnzoo.native.library import lanes_of, library, padded
from nnzoo.native.tensors import (
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


class _Call(ctypes.Structure):
    """`struct call`."""

    _fields_ = (
        *((name, ctypes.c_long) for name in (
            "kind", "low", "relu", "threads", "members", "steps", "batch", "features", "hidden", "kept",
        )),
        ("x", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("x_low", "x_time", "x_member", "x_batch")),
        *((name, ctypes.c_void_p) for name in (
            "w_ih", "w_hh", "b_ih", "b_hh", "z", "work", "back", "last", "cell", "dy",
        )),
        *((name, ctypes.c_long) for name in ("dy_low", "dy_time", "dy_member", "dy_batch")),
        *((name, ctypes.c_void_p) for name in ("dlast", "dcell", "gradients", "dx")),
    )  # fmt: skip


def takes(kind: Kind, x: Tensor, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> bool:
    """Whether `Recurrent` computes a layer: parameters as torch's, for x (time, [members,] batch, features)."""
    return tensors.takes(x, w_hh, w_ih, b_ih, b_hh) and _fits(kind, x, w_ih, w_hh, b_ih, b_hh)


def _fits(kind: Kind, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> bool:
    """Whether all are of the shapes of one layer, and none empty."""
    stack, hidden = w_hh.shape[:-2], w_hh.shape[-1]
    rows = (*stack, _GROUPS[kind] * hidden)
    return (
        x.ndim == 3 + len(stack) and w_hh.ndim in (2, 3) and x.shape[1:-2] == stack
        and w_hh.shape[:-1] == rows and w_ih.shape == (*rows, x.shape[-1])
        and b_ih.shape == rows and b_hh.shape == rows and x.numel() > 0 and hidden > 0
    )  # fmt: skip


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
        if not _fits(kind, x, w_ih, w_hh, b_ih, b_hh):
            raise ValueError(f"these are not an input and the parameters of one {kind} layer")
        real, stack, hidden = w_hh.dtype, w_hh.shape[:-2], w_hh.shape[-1]
        low = is_low(real, dtype)
        lib = library(real)
        lanes = lanes_of(real)
        steps, batch, features = len(x), x.shape[-2], x.shape[-1]
        sizes = (
            KINDS.index(kind), low, relu, torch.get_num_threads(),
            stack.numel(), steps, batch, features, hidden, any(ctx.needs_input_grad),
        )  # fmt: skip
        call = _Call(*sizes)
        held = _bind(call, real, stack, (w_ih, w_hh, b_ih, b_hh))
        x_shape, x_type = x.shape, x.dtype
        x, *where = _rows(x, dtype, real)
        call.x, call.x_low, call.x_time, call.x_member, call.x_batch = where
        row = padded(hidden, lanes) + padded(features + 1, lanes)
        z = new(dtype, *stack, steps + 1, batch, row)
        work = new_bytes(_work(real, False, *sizes))
        last = new(real, *stack, batch, hidden)
        cell = new(real, *stack, batch, hidden) if kind == "lstm" else None
        call.z, call.work, call.last = z.data_ptr(), work.data_ptr(), last.data_ptr()
        call.cell = None if cell is None else cell.data_ptr()
        lib.recurrent_forward(ctypes.byref(call))
        del held
        ctx.case = real, dtype, stack, sizes, row, x_shape, x_type
        ctx.save_for_backward(z, work, w_ih, w_hh, b_ih, b_hh)
        ctx.set_materialize_grads(False)
        # One call of torch's in place of four.
        *of_member, step, _, _ = z.stride()
        states = z.as_strided((steps, *stack, batch, hidden), (step, *of_member, row, 1), step)
        return (states, last) if cell is None else (states, last, cell)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        real, dtype, stack, sizes, row, x_shape, x_type = ctx.case
        # Asked for once: hooks may make them anew each time, where they like.
        z, work, *parameters = ctx.saved_tensors
        call = _Call(*sizes)
        steps, batch, hidden = call.steps, call.batch, call.hidden
        held = _bind(call, real, stack, parameters)
        z, work = compact(z), compact(work)
        call.z = address(z, dtype, (*stack, steps + 1, batch, row))
        call.work = address(work, torch.uint8, (_work(real, False, *sizes),))
        if grad is not None:
            if grad.shape != (steps, *stack, batch, hidden):
                raise ValueError("the gradient of the states is not of their shape")
            grad, *where = _rows(grad, dtype, real)
            call.dy, call.dy_low, call.dy_time, call.dy_member, call.dy_batch = where
        ends = [None if each is None else compact(each.to(real)) for each in lasts]
        last, cell = (*ends, None)[:2]
        call.dlast = optional_address(last, real, (*stack, batch, hidden))
        call.dcell = optional_address(cell, real, (*stack, batch, hidden))
        offsets = [0, *accumulate(each.numel() for each in held)]
        found = new(real, offsets[-1])
        back = new_bytes(_work(real, True, *sizes))
        call.back = back.data_ptr()
        call.gradients, dx = found.data_ptr(), None
        if ctx.needs_input_grad[3]:
            dx = new(real, *x_shape)
            call.dx = dx.data_ptr()
        library(real).recurrent_backward(ctypes.byref(call))
        if dx is not None:
            dx = dx.to(x_type)
        views = [
            found.as_strided(each.shape, each.stride(), start)
            for each, start in zip(held, offsets[:-1], strict=True)
        ]
        return None, None, None, dx, *views


def _bind(
    call: _Call, real: torch.dtype, stack: tuple[int, ...], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """Enter the parameters into a call; valid as long as what is returned is held."""
    held = [each.contiguous() for each in parameters]
    rows = (*stack, _GROUPS[KINDS[call.kind]] * call.hidden)
    call.w_ih = address(held[0], real, (*rows, call.features))
    call.w_hh = address(held[1], real, (*rows, call.hidden))
    call.b_ih, call.b_hh = address(held[2], real, rows), address(held[3], real, rows)
    return held


def _rows(
    x: Tensor, dtype: torch.dtype, real: torch.dtype
) -> tuple[Tensor, int, bool, int, int, int]:
    """x (time, [members,] batch, n) of a type that recurrent.c takes; where it is, whether it is bfloat16,
    and how many numbers lie from one time step, member and row to the next."""
    x = x if x.dtype in (dtype, real) else x.to(dtype)
    if x.stride(-1) != 1 or x.data_ptr() % x.element_size():
        x = compact(x.contiguous())
    if not x.is_cpu or not x.data_ptr():
        raise TypeError(f"native code takes tensors on the CPU here, not on {x.device}")
    strides = x.stride()
    member = strides[1] if x.ndim == 4 else 0
    return x, x.data_ptr(), x.dtype == torch.bfloat16, strides[0], member, strides[-2]


@lru_cache(maxsize=256)
def _work(real: torch.dtype, back: bool, *sizes: int) -> int:
    """`recurrent_work`: bytes of the own memory of a call of such sizes, kept from forward on or of the way
    back."""
    function = library(real).recurrent_work
    function.restype = ctypes.c_long
    size: int = function(ctypes.byref(_Call(*sizes)), back)
    return size
