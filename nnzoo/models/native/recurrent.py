"""Recurrent layers as `recurrent.c` computes them."""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.models.native.library import library, padded

Kind = Literal["rnn", "lstm", "gru"]
KINDS: tuple[Kind, ...] = ("rnn", "lstm", "gru")
# By kind: which groups of torch's rows (rnn: one; lstm: i, f, g, o; gru: r, z, n) stand in which
# place of recurrent.c, for the input's weights and for the state's.
_INPUT_ORDER = {"rnn": (0,), "lstm": (0, 1, 2, 3), "gru": (2, 0, 1)}
_STATE_ORDER = {"rnn": (0,), "lstm": (0, 1, 2, 3), "gru": (0, 1, 2)}


class Recurrent(torch.autograd.Function):
    """One layer of one direction from a zero state; formulas as in torch.nn.RNN, LSTM and GRU.

    kind: rnn, lstm or gru; relu in place of tanh (rnn, lstm); dtype: what products take. x (time, batch,
    features), parameters as torch's; gives all states (time, batch, hidden), the last one (batch,
    hidden) and, of an lstm, the last cell.
    """

    @staticmethod
    def forward(
        ctx: Any, kind: Kind, relu: bool, dtype: torch.dtype, x: Tensor, w_ih: Tensor,
        w_hh: Tensor, b_ih: Tensor, b_hh: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        real = w_hh.dtype
        low = dtype == torch.bfloat16
        lib = library(real)
        lanes = lib.vector_length()
        steps, batch, features = x.shape
        hidden = w_hh.shape[1]
        hp, kx = padded(hidden, lanes), padded(features + 1, lanes)
        groups = 1 if kind == "rnn" else 4
        kept = any(ctx.needs_input_grad)

        z = torch.empty(steps + 1, batch, kx + hp, dtype=dtype)
        z[:-1, :, :features].copy_(x)
        count = features + features % 2 if low else features
        wx = _pack(lib, low, _INPUT_ORDER[kind], hidden, hp, w_ih, count)
        wh = _pack(lib, low, _STATE_ORDER[kind], hidden, hp, w_hh, hp)
        bias = _bias(kind, b_ih, b_hh, hp)
        gates = torch.empty(steps if kept and kind != "rnn" else 1, batch, groups * hp, dtype=real)
        cells = torch.empty(0 if kind == "rnn" else steps + 1 if kept else 1, batch, hp, dtype=real)
        lib.forward(
            KINDS.index(kind), low, relu, torch.get_num_threads(), _long(steps), _long(batch),
            _long(kx), _long(hp), _long(features), _at(z), _at(wx), _at(wh),
            _at(bias), _at(gates),
            _long(gates.stride(0) if len(gates) > 1 else 0), _at(cells),
            _long(cells.stride(0) if len(cells) > 1 else 0),
        )  # fmt: skip
        states = z[1:, :, kx : kx + hidden]
        last = states[-1].to(real) if kind != "gru" else cells[-1, :, :hidden].clone()
        ctx.kind, ctx.relu, ctx.low, ctx.features, ctx.x_type = kind, relu, low, features, x.dtype
        ctx.save_for_backward(z, gates, cells, w_ih, w_hh)
        ctx.set_materialize_grads(False)
        return (states, last, cells[-1, :, :hidden].clone()) if kind == "lstm" else (states, last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        z, gates, cells, w_ih, w_hh = ctx.saved_tensors
        kind, low, features, real = ctx.kind, ctx.low, ctx.features, w_hh.dtype
        lib = library(real)
        steps, batch, width = z.shape[0] - 1, z.shape[1], gates.shape[2]
        hidden = w_hh.shape[1]
        hp = padded(hidden, lib.vector_length())
        kx = z.shape[2] - hp

        def wide(tensor: Tensor | None, *shape: int) -> Tensor:
            """A gradient in the layout of native.c."""
            padded = torch.zeros(*shape, hp, dtype=real)
            if tensor is not None:
                padded[..., :hidden].copy_(tensor)
            return padded

        given = None
        if grad is not None:
            given = grad.contiguous() if grad.dtype == real and hp == hidden else None
            given = wide(grad, steps, batch) if given is None else given
        dh = wide(lasts[0], batch)
        dc = wide(lasts[1], batch) if kind == "lstm" else dh
        w = _pack_back(lib, low, hp, w_hh)
        d = torch.empty(steps, batch, width, dtype=z.dtype)
        lib.backward(
            KINDS.index(kind), low, ctx.relu, torch.get_num_threads(), _long(steps), _long(batch),
            _long(kx), _long(hp), _at(z), _at(w), _at(gates), _at(cells),
            None if given is None else _at(given), _at(dh), _at(dc), _at(d),
        )  # fmt: skip

        def weights(product: Tensor) -> Tensor:
            """(groups * hp, in) as torch's (groups * hidden, in)."""
            groups = product.unflatten(0, (-1, hp))[:, :hidden]
            return groups.flatten(0, 1).to(real)

        by = d.flatten(0, 1)
        before = z[:-1].flatten(0, 1)
        if kind == "gru":
            # d is of n, r, z for the input and of r, z, n for the state.
            dw = weights(_weight_gradient(by[:, : 3 * hp], before[:, :kx])).roll(-hidden, 0)
            dw_hh = weights(_weight_gradient(by[:, hp:], before[:, kx - 1 :]))
            db_ih, db_hh = dw[:, kx - 1], dw_hh[:, 0]
            dw_ih, dw_hh = dw[:, :features], dw_hh[:, 1 : 1 + hidden]
        else:
            dw = weights(_weight_gradient(by, before))
            db_ih = db_hh = dw[:, kx - 1]
            dw_ih, dw_hh = dw[:, :features], dw[:, kx : kx + hidden]
        dx = None
        if ctx.needs_input_grad[3]:
            by = d.unflatten(2, (-1, hp))[:, :, : 3 if kind == "gru" else None, :hidden]
            order = torch.tensor(_INPUT_ORDER[kind])
            weight = w_ih.unflatten(0, (-1, hidden))[order].flatten(0, 1).to(z.dtype)
            dx = (by.reshape(steps * batch, -1) @ weight).unflatten(0, (steps, batch))
            dx = dx.to(ctx.x_type)
        return None, None, None, dx, dw_ih, dw_hh, db_ih, db_hh


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


_long = ctypes.c_long


def _pack(
    lib: Any, low: bool, order: tuple[int, ...], hidden: int, hp: int, weight: Tensor, count: int,
) -> Tensor:  # fmt: skip
    """A weight (groups * hidden, in) in native.c's layout, `count` inputs wide, its groups in this
    order, as a product takes it from the inputs to the groups."""
    weight = weight.detach()
    groups = len(order)
    to = torch.empty(groups * hp * count, dtype=torch.bfloat16 if low else weight.dtype)
    lib.pack(low, _long(groups), _order(order), _long(hidden), _long(hp), _long(1),
             _long(weight.shape[1]), _long(count), _at(weight), *map(_long, weight.stride()),
             _at(to))  # fmt: skip
    return to


def _pack_back(lib: Any, low: bool, hp: int, weight: Tensor) -> Tensor:
    """A weight (groups * hidden, hidden) as a product takes it back, from the groups to the state."""
    weight = weight.detach()
    hidden = weight.shape[1]
    groups = len(weight) // hidden
    to = torch.empty(hp * groups * hp, dtype=torch.bfloat16 if low else weight.dtype)
    lib.pack(low, _long(1), _order((0,)), _long(hidden), _long(hp), _long(groups), _long(hidden),
             _long(hp), _at(weight), *map(_long, reversed(weight.stride())), _at(to))  # fmt: skip
    return to


def _order(groups: tuple[int, ...]) -> Any:
    return (ctypes.c_int32 * len(groups))(*groups)


def _bias(kind: Kind, b_ih: Tensor, b_hh: Tensor, hp: int) -> Tensor:
    """(groups * hp) of both biases."""
    if kind == "gru":
        both, (n, m) = (b_ih + b_hh).chunk(3)[:2], (b_ih.chunk(3)[2], b_hh.chunk(3)[2])
        groups = torch.stack([n, *both, m])
    else:
        groups = (b_ih + b_hh).unflatten(0, (1 if kind == "rnn" else 4, -1))
    bias = groups.new_zeros(len(groups), hp)
    bias[:, : groups.shape[1]].copy_(groups)
    return bias


def _weight_gradient(d: Tensor, x: Tensor) -> Tensor:
    """The gradient (out, in) of a weight from d (rows, out) and x (rows, in)."""
    return d.t() @ x
