"""Recurrent layers as `recurrent.c` computes them."""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.native.library import library, padded

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
    hidden) and, of an lstm, the last cell. Of several members parameters are stacks, (members, ...),
    and all others have that dimension before the batch.
    """

    @staticmethod
    def forward(
        ctx: Any, kind: Kind, relu: bool, dtype: torch.dtype, x: Tensor, w_ih: Tensor,
        w_hh: Tensor, b_ih: Tensor, b_hh: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        real, stack = w_hh.dtype, w_hh.shape[:-2]
        low = dtype == torch.bfloat16
        lib = library(real)
        lanes = lib.vector_length()
        steps, batch, features = len(x), x.shape[-2], x.shape[-1]
        hidden = w_hh.shape[-1]
        hp, kx = padded(hidden, lanes), padded(features + 1, lanes)
        groups = 1 if kind == "rnn" else 4
        kept = any(ctx.needs_input_grad)
        members = stack.numel()
        threads = torch.get_num_threads()
        shape = (ctypes.c_long * 10)(
            KINDS.index(kind), low, relu, threads, members, steps, batch, kx, hp, features
        )

        z = torch.empty(*stack, steps + 1, batch, kx + hp, dtype=dtype)
        z[..., :-1, :, :features].copy_(x.movedim(0, -3))
        count = features + features % 2 if low else features
        wx = _pack(lib, low, _INPUT_ORDER[kind], hp, w_ih, count)
        wh = _pack(lib, low, _STATE_ORDER[kind], hp, w_hh, hp)
        bias = _bias(kind, b_ih, b_hh, hp)
        many = steps if kept and kind != "rnn" else 1
        gates = torch.empty(*stack, many, batch, groups * hp, dtype=real)
        many = 0 if kind == "rnn" else steps + 1 if kept else 1
        cells = torch.empty(*stack, many, batch, hp, dtype=real)
        lib.forward(
            shape, _at(z), _at(wx), _at(wh), _at(bias),
            _at(gates), _long(gates.stride(-3) if gates.shape[-3] > 1 else 0),
            _at(cells), _long(cells.stride(-3) if cells.shape[-3] > 1 else 0),
        )  # fmt: skip
        states = z[..., 1:, :, kx : kx + hidden].movedim(-3, 0)
        cell = None if kind == "rnn" else cells[..., -1, :, :hidden].clone()
        last = states[-1].to(real) if cell is None or kind == "lstm" else cell
        ctx.shape, ctx.kind, ctx.low, ctx.x_type = shape, kind, low, x.dtype
        ctx.save_for_backward(z, gates, cells, w_ih, w_hh)
        ctx.set_materialize_grads(False)
        return (states, last, cell) if cell is not None and kind == "lstm" else (states, last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        z, gates, cells, w_ih, w_hh = ctx.saved_tensors
        kind, low, real, stack = ctx.kind, ctx.low, w_hh.dtype, w_hh.shape[:-2]
        lib = library(real)
        _, _, _, _, _, steps, batch, kx, hp, features = ctx.shape
        width, hidden = gates.shape[-1], w_hh.shape[-1]

        def wide(tensor: Tensor | None, *shape: int) -> Tensor:
            """A gradient in the layout of recurrent.c."""
            padded = torch.zeros(*stack, *shape, hp, dtype=real)
            if tensor is not None:
                padded[..., :hidden].copy_(tensor)
            return padded

        given = None
        if grad is not None:
            grad = grad.movedim(0, -3)
            given = grad.contiguous() if grad.dtype == real and hp == hidden else None
            given = wide(grad, steps, batch) if given is None else given
        dh = wide(lasts[0], batch)
        dc = wide(lasts[1], batch) if kind == "lstm" else dh
        w = _pack_back(lib, low, hp, w_hh)
        d = torch.empty(*stack, steps, batch, width, dtype=z.dtype)
        lib.backward(
            ctx.shape, _at(z), _at(w), _at(gates), _at(cells),
            None if given is None else _at(given), _at(dh), _at(dc), _at(d),
        )  # fmt: skip

        def weights(product: Tensor) -> Tensor:
            """(groups * hp, in) as torch's (groups * hidden, in)."""
            groups = product.unflatten(-2, (-1, hp))[..., :hidden, :]
            return groups.flatten(-3, -2).to(real)

        by_input, by_state = _products(lib, ctx.shape, kind, low, z, d)
        if kind == "gru":
            # d is of n, r, z for the input and of r, z, n for the state.
            dw = weights(by_input[..., : 3 * hp, :]).roll(-hidden, -2)
            db_ih, db_hh = dw[..., kx - 1], weights(by_input[..., hp:, kx - 1 :])[..., 0]
        else:
            dw = weights(by_input)
            db_ih = db_hh = dw[..., kx - 1]
        dw_ih, dw_hh = dw[..., :features], weights(by_state)[..., :hidden]
        dx = None
        if ctx.needs_input_grad[3]:
            by = d.unflatten(-1, (-1, hp))[..., : 3 if kind == "gru" else None, :hidden]
            order = torch.tensor(_INPUT_ORDER[kind])
            weight = w_ih.unflatten(-2, (-1, hidden)).index_select(-3, order).flatten(-3, -2)
            by = by.reshape(*stack, steps * batch, -1) @ weight.to(z.dtype)
            dx = by.unflatten(-2, (steps, batch)).movedim(-3, 0).to(ctx.x_type)
        return None, None, None, dx, dw_ih, dw_hh, db_ih, db_hh


def _products(
    lib: Any, shape: Any, kind: Kind, low: bool, z: Tensor, d: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of all weights: of the input's (..., groups * hp, kx), and of the state's, without the
    group of a gru in which it has no part. In bfloat16 oneDNN's product, at 0.86 of what the processor can
    do; in float32 MKL's took 1.13 to 1.25 times as long as ours."""
    (kx, hp), skipped = shape[7:9], shape[8] if kind == "gru" else 0
    if not low:
        c = torch.empty(*d.shape[:-3], d.shape[-1], kx + hp, dtype=d.dtype)
        lib.weight_gradients(shape, _at(z), _at(d), _at(c))
    else:
        by, before = d.flatten(-3, -2).mT, z[..., :-1, :, :].flatten(-3, -2)
        if skipped:
            return by @ before[..., :kx], by[..., skipped:, :] @ before[..., kx:]
        c = by @ before
    return c[..., :kx], c[..., skipped:, kx:]


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


_long = ctypes.c_long


def _pack(
    lib: Any, low: bool, order: tuple[int, ...], hp: int, weight: Tensor, count: int,
) -> Tensor:  # fmt: skip
    """A weight (..., groups * hidden, in) in the layout of recurrent.c, `count` inputs wide, its groups in this
    order, as a product takes it from the inputs to the groups."""
    groups, (outs, ins) = len(order), weight.shape[-2:]
    return _packed(lib, low, order, outs // groups, hp, 1, ins, count, weight, (ins, 1))


def _pack_back(lib: Any, low: bool, hp: int, weight: Tensor) -> Tensor:
    """A weight (..., groups * hidden, hidden) as a product takes it back, from the groups to the state."""
    outs, hidden = weight.shape[-2:]
    return _packed(lib, low, (0,), hidden, hp, outs // hidden, hidden, hp, weight, (1, hidden))


def _packed(
    lib: Any, low: bool, order: tuple[int, ...], h: int, hp: int, parts: int, k: int, kp: int,
    weight: Tensor, strides: tuple[int, int],
) -> Tensor:  # fmt: skip
    """`pack` of recurrent.c; strides: by_out and by_in."""
    weight = weight.detach().contiguous()
    members, groups = weight.shape[:-2].numel(), len(order)
    to = torch.empty(
        members * groups * hp * parts * kp, dtype=torch.bfloat16 if low else weight.dtype
    )
    lib.pack(low, torch.get_num_threads(), _long(members), _long(groups),
             (ctypes.c_int32 * groups)(*order), _long(h), _long(hp), _long(parts), _long(k), _long(kp),
             _at(weight), *map(_long, strides), _at(to))  # fmt: skip
    return to


def _bias(kind: Kind, b_ih: Tensor, b_hh: Tensor, hp: int) -> Tensor:
    """(..., groups * hp) of both biases."""
    if kind == "gru":
        both, n, m = (b_ih + b_hh).chunk(3, -1)[:2], b_ih.chunk(3, -1)[2], b_hh.chunk(3, -1)[2]
        groups = torch.stack([n, *both, m], -2)
    else:
        groups = (b_ih + b_hh).unflatten(-1, (1 if kind == "rnn" else 4, -1))
    bias = groups.new_zeros(*groups.shape[:-1], hp)
    bias[..., : groups.shape[-1]].copy_(groups)
    return bias
