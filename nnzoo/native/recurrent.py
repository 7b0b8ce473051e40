"""Recurrent layers as `recurrent.c` computes them."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.native.library import library, padded

Kind = Literal["rnn", "lstm", "gru"]
KINDS: tuple[Kind, ...] = ("rnn", "lstm", "gru")


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


class Recurrent(torch.autograd.Function):
    """One layer of one direction from a zero state; formulas as in torch.nn.RNN, LSTM and GRU.

    kind: rnn, lstm or gru; relu in place of tanh (rnn, lstm); dtype: what products take. x (time, batch,
    features), parameters as torch's; gives all states (time, batch, hidden), the last one (batch,
    hidden) and, of an lstm, the last cell. Of several members parameters are stacks, (members, ...),
    and all others have that dimension before the batch.
    """

    @staticmethod
    def forward(
        ctx: Any, kind: Kind, relu: bool, dtype: torch.dtype, x: Tensor, w_ih: Tensor,
        w_hh: Tensor, b_ih: Tensor, b_hh: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        real, stack, hidden = w_hh.dtype, w_hh.shape[:-2], w_hh.shape[-1]
        lib = library(real)
        lanes = lib.vector_length()
        steps, batch, features = len(x), x.shape[-2], x.shape[-1]
        ctx.x_type = x.dtype
        parameters = [each.contiguous() for each in (w_ih, w_hh, b_ih, b_hh)]
        sizes = (
            KINDS.index(kind), dtype == torch.bfloat16, relu, torch.get_num_threads(),
            stack.numel(), steps, batch, features, hidden, any(ctx.needs_input_grad),
        )  # fmt: skip
        call = _Call(*sizes)
        x, *where = _rows(x, dtype, real)
        call.x, call.x_low, call.x_time, call.x_member, call.x_batch = where
        call.w_ih, call.w_hh, call.b_ih, call.b_hh = (each.data_ptr() for each in parameters)
        row = padded(hidden, lanes) + padded(features + 1, lanes)
        z = torch.empty(*stack, steps + 1, batch, row, dtype=dtype)
        work = torch.empty(_work(real, False, *sizes), dtype=torch.uint8)
        last = torch.empty(*stack, batch, hidden, dtype=real)
        cell = torch.empty_like(last) if kind == "lstm" else None
        call.z, call.work, call.last = z.data_ptr(), work.data_ptr(), last.data_ptr()
        call.cell = None if cell is None else cell.data_ptr()
        lib.recurrent_forward(ctypes.byref(call))
        ctx.call, ctx.sizes, ctx.x_shape = call, sizes, x.shape
        ctx.save_for_backward(z, work, *parameters)
        ctx.set_materialize_grads(False)
        # One call of torch's in place of four.
        *of_member, step, _, _ = z.stride()
        states = z.as_strided((steps, *stack, batch, hidden), (step, *of_member, row, 1), step)
        return (states, last) if cell is None else (states, last, cell)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        call, (_, _, *parameters) = ctx.call, ctx.saved_tensors
        real = parameters[1].dtype
        dtype = torch.bfloat16 if call.low else real
        where = [None, 0, 0, 0, 0]
        if grad is not None:
            grad, *where = _rows(grad, dtype, real)
        call.dy, call.dy_low, call.dy_time, call.dy_member, call.dy_batch = where
        given = [None if each is None else each.to(real).contiguous() for each in lasts]
        at = [None if each is None else each.data_ptr() for each in (*given, None)]
        call.dlast, call.dcell = at[:2]
        ends = [0, *accumulate(each.numel() for each in parameters)]
        found = torch.empty(ends[-1], dtype=real)
        back = torch.empty(_work(real, True, *ctx.sizes), dtype=torch.uint8)
        call.back = back.data_ptr()
        call.gradients, dx = found.data_ptr(), None
        if ctx.needs_input_grad[3]:
            dx = torch.empty(ctx.x_shape, dtype=real)
            call.dx = dx.data_ptr()
        library(real).recurrent_backward(ctypes.byref(call))
        if dx is not None:
            dx = dx.to(ctx.x_type)
        views = [
            found.as_strided(each.shape, each.stride(), start)
            for each, start in zip(parameters, ends[:-1], strict=True)
        ]
        return None, None, None, dx, *views


def _rows(
    x: Tensor, dtype: torch.dtype, real: torch.dtype
) -> tuple[Tensor, int, bool, int, int, int]:
    """x (time, [members,] batch, n) of a type that recurrent.c takes; where it is, whether it is bfloat16,
    and how many numbers lie from one time step, member and row to the next."""
    x = x if x.dtype in (dtype, real) else x.to(dtype)
    x = x if x.stride(-1) == 1 else x.contiguous()
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
