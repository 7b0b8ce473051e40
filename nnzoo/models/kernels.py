"""Recurrent layers of one direction as autograd functions: one matrix product a time step.

Each also takes the weights of several members, stacked (members, ...): the rows of x, h and c are then
those of the first member, of the second, and so on, as many each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.models.layers import multiplier

_aten = torch.ops.aten


def _by_member(x: Tensor, members: int) -> Tensor:
    """(time, members * batch, n) as (members, time * batch, n)."""
    return x.unflatten(1, (members, -1)).transpose(0, 1).flatten(1, 2)


def _gradients(
    multiply: Callable[..., Tensor], d: Tensor, x: Tensor, like: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients (out, in) of a weight and (out,) of its bias from d (time, batch, out) and x (time,
    batch, in); of stacks where the weight `like` is one."""
    if like.ndim == 3:
        d, x = _by_member(d, len(like)), _by_member(x, len(like))
        return (x.mT @ d).mT, d.sum(1)
    d, x = d.flatten(0, 1), x.flatten(0, 1)
    db = d.sum(0)
    if d.dtype == torch.float32:
        # x is the narrower of the two, and the one that oneDNN copies to transpose it.
        return multiply(x.t(), d.t()).t(), db
    return d.t() @ x, db


def _over_time(
    multiply: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """The product (time, batch, out) of all time steps of x (time, batch, in) at once."""
    if weight.ndim == 3:
        y = multiply(_by_member(x, len(weight)).flatten(0, 1), weight, bias)
        return y.unflatten(0, (len(weight), len(x), -1)).transpose(0, 1).flatten(1, 2)
    return multiply(x.flatten(0, 1), weight, bias).unflatten(0, x.shape[:2])


def _activate(kind: str, x: Tensor, out: Tensor, minus_one: Tensor) -> None:
    """tanh or relu of x into out; minus_one is -1, made once since that takes as long as adding it."""
    if kind == "relu":
        out.copy_(x).relu_()
    else:
        # 2 sigmoid(2x) - 1, off by at most 2e-7: torch's float32 tanh on CPU takes 3 to 5 times as
        # long as the three of them.
        torch.add(x, x, out=out).sigmoid_()
        torch.add(minus_one, out, alpha=2, out=out)


def _activate_backward(kind: str, grad: Tensor, y: Tensor, out: Tensor) -> None:
    """The gradient before tanh or relu from the one after it and what it gave."""
    if kind == "relu":
        _aten.threshold_backward.grad_input(grad, y, 0, grad_input=out)
    else:
        _aten.tanh_backward.grad_input(grad, y, grad_input=out)


def _sigmoid_backward(grad: Tensor, y: Tensor, out: Tensor) -> None:
    _aten.sigmoid_backward.grad_input(grad, y, grad_input=out)


def _product_type(x: Tensor, weight: Tensor) -> torch.dtype:
    """What the products run in: under autocast, its type in place of float32."""
    device = x.device.type
    lower = weight.dtype == torch.float32 and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if lower else weight.dtype


def _joined(x: Tensor, h: Tensor, dtype: torch.dtype) -> Tensor:
    """(time + 1, batch, features + hidden): the input of each step beside the state before it; the
    states are still to be filled in, but the first."""
    steps, batch, features = x.shape
    z = torch.empty(steps + 1, batch, features + h.shape[1], dtype=dtype, device=x.device)
    z[:-1, :, :features].copy_(x)
    z[-1, :, :features].zero_()
    z[0, :, features:].copy_(h)
    return z


class Rnn(torch.autograd.Function):
    """h_t = f(W x_t + U h_{t-1} + b) (Elman 1990), f being tanh or relu.

    x (time, batch, features), h (batch, hidden), parameters as in torch.nn.RNN; gives all states
    (time, batch, hidden) and the last one.
    """

    @staticmethod
    def forward(
        ctx: Any, kind: str, x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor,
        b_hh: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        dtype = _product_type(x, w_hh)
        features = x.shape[2]
        z = _joined(x, h, dtype)
        weight, bias = torch.cat([w_ih, w_hh], -1).to(dtype), (b_ih + b_hh).to(dtype)
        states = z[1:, :, features:]
        multiply = multiplier(dtype, x.device.type, w_hh.ndim)
        last = h
        for inputs, state in zip(z[:-1].unbind(), states.unbind(), strict=True):
            last = multiply(inputs, weight, bias, kind)
            state.copy_(last)
        ctx.kind, ctx.features = kind, features
        ctx.types = (x.dtype, h.dtype, w_hh.dtype)
        ctx.save_for_backward(z, weight)
        ctx.set_materialize_grads(False)
        return states, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_last: Tensor | None) -> Any:
        z, weight = ctx.saved_tensors
        states = z[1:, :, ctx.features :]
        w_ih, w_hh = (
            w.contiguous()
            for w in weight.split([ctx.features, weight.shape[-1] - ctx.features], -1)
        )
        d = torch.empty_like(states, memory_format=torch.contiguous_format)
        dh = torch.zeros_like(d[0]) if grad_last is None else grad_last
        multiply, u = multiplier(d.dtype, d.device.type, w_hh.ndim), w_hh.mT
        at, state = d.unbind(), states.unbind()
        for t in range(len(at) - 1, -1, -1):
            if grad is not None:
                dh = dh + grad[t]
            _activate_backward(ctx.kind, dh, state[t], at[t])
            if t or ctx.needs_input_grad[2]:
                dh = multiply(at[t], u)
        x_type, h_type, w_type = ctx.types
        dw, db = (each.to(w_type) for each in _gradients(multiply, d, z[:-1], w_hh))
        dx = _over_time(multiply, d, w_ih.mT).to(x_type) if ctx.needs_input_grad[1] else None
        dw_ih, dw_hh = dw[..., : ctx.features], dw[..., ctx.features :]
        return None, dx, dh.to(h_type), dw_ih, dw_hh, db, db


class Lstm(torch.autograd.Function):
    """c_t = f c_{t-1} + i g, h_t = o a(c_t) (Gers et al. 2000), a being tanh or relu.

    i, f, o = sigmoid(W x_t + U h_{t-1} + b), and g the same with a. x (time, batch, features), h and
    c (batch, hidden), parameters as in torch.nn.LSTM; gives all states (time, batch, hidden), the
    last one and the last cell.
    """

    @staticmethod
    def forward(
        ctx: Any, kind: str, x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor,
        b_ih: Tensor, b_hh: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        dtype = _product_type(x, w_hh)
        steps, batch, features = x.shape
        size = w_hh.shape[-1]
        z = _joined(x, h, dtype)
        # torch's order i, f, g, o becomes o, i, f, g: the sigmoids side by side, and so what the
        # gradient of the cell is multiplied with.
        weight = torch.cat([w_ih, w_hh], -1).roll(size, -2).to(dtype)
        bias = (b_ih + b_hh).roll(size, -1).to(dtype)
        states = z[1:, :, features:]
        gates = c.new_empty(steps, batch, 4 * size)
        cells = c.new_empty(steps + 1, batch, size)
        active = c.new_empty(steps, batch, size)
        cells[0] = c
        sigmoids = gates[:, :, : 3 * size].unbind()
        o, i, f, g = (gate.unbind() for gate in gates.split(size, 2))
        cell, act, state = cells.unbind(), active.unbind(), states.unbind()
        multiply, minus_one = multiplier(dtype, x.device.type, w_hh.ndim), c.new_full((), -1)
        for t, inputs in enumerate(z[:-1].unbind()):
            before = multiply(inputs, weight, bias)
            torch.sigmoid(before[:, : 3 * size], out=sigmoids[t])
            _activate(kind, before[:, 3 * size :], g[t], minus_one)
            torch.mul(f[t], cell[t], out=cell[t + 1]).addcmul_(i[t], g[t])
            _activate(kind, cell[t + 1], act[t], minus_one)
            torch.mul(o[t], act[t], out=state[t])
        ctx.kind, ctx.features = kind, features
        ctx.types = (x.dtype, h.dtype, w_hh.dtype)
        ctx.save_for_backward(z, weight, gates, cells, active)
        ctx.set_materialize_grads(False)
        return states, states[-1].clone(), cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, grad_last: Tensor | None, grad_cell: Tensor | None
    ) -> Any:
        z, weight, gates, cells, active = ctx.saved_tensors
        steps, batch, size = active.shape
        w_ih, w_hh = (
            w.contiguous()
            for w in weight.split([ctx.features, weight.shape[-1] - ctx.features], -1)
        )
        o, i, f, g = gates.split(size, 2)
        # By what the gradients of the state (o) and the cell (i, f, g) become those before the gates:
        # for all steps at once, since none of it depends on them.
        factors = torch.empty_like(gates)
        by_o, by_i, by_f, by_g = factors.split(size, 2)
        _sigmoid_backward(active, o, by_o)
        _sigmoid_backward(g, i, by_i)
        _sigmoid_backward(cells[:-1], f, by_f)
        _activate_backward(ctx.kind, i, g, by_g)
        by_cell = torch.empty_like(active)
        _activate_backward(ctx.kind, o, active, by_cell)
        # In their place, where the products take them as they are: it is a large tensor less.
        d = factors if z.dtype == factors.dtype else torch.empty_like(gates, dtype=z.dtype)
        d_o, d_ifg = d[:, :, :size], d[:, :, size:].unflatten(2, (3, size))
        by_ifg = factors[:, :, size:].unflatten(2, (3, size))
        dh = active.new_zeros(batch, size) if grad_last is None else grad_last
        dc = active.new_zeros(batch, size) if grad_cell is None else grad_cell.clone()
        multiply, u = multiplier(d.dtype, d.device.type, w_hh.ndim), w_hh.mT
        for t in range(steps - 1, -1, -1):
            if grad is not None:
                dh = dh + grad[t]
            dc.addcmul_(dh, by_cell[t])
            torch.mul(dh, by_o[t], out=d_o[t])
            torch.mul(dc.unsqueeze(1), by_ifg[t], out=d_ifg[t])
            if t or ctx.needs_input_grad[2]:
                dh = multiply(d[t], u)
            dc.mul_(f[t])
        x_type, h_type, w_type = ctx.types
        dw, db = (each.to(w_type) for each in _gradients(multiply, d, z[:-1], w_hh))
        dw, db = dw.roll(-size, -2), db.roll(-size, -1)
        dx = _over_time(multiply, d, w_ih.mT).to(x_type) if ctx.needs_input_grad[1] else None
        dw_ih, dw_hh = dw[..., : ctx.features], dw[..., ctx.features :]
        return None, dx, dh.to(h_type), dc, dw_ih, dw_hh, db, db


class Gru(torch.autograd.Function):
    """h_t = (1 - z) n + z h_{t-1} (Cho et al. 2014, reset after the product as in torch.nn.GRU).

    r, z = sigmoid(W x_t + b + U h_{t-1} + b'), n = tanh(W x_t + b + r (U h_{t-1} + b')).
    x (time, batch, features), h (batch, hidden), parameters as in torch.nn.GRU; gives all states
    (time, batch, hidden) and the last one.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[Tensor, Tensor]:
        dtype = _product_type(x, w_hh)
        steps, batch, _ = x.shape
        size = w_hh.shape[-1]
        types = (x.dtype, h.dtype, w_hh.dtype)
        x, w_ih, w_hh = x.to(dtype), w_ih.to(dtype), w_hh.to(dtype)
        b_ih, b_hh = b_ih.to(dtype), b_hh.to(dtype)
        multiply, minus_one = multiplier(dtype, x.device.type, w_hh.ndim), h.new_full((), -1)
        from_x = _over_time(multiply, x, w_ih, b_ih)
        states = h.new_empty(steps + 1, batch, size)
        states[0] = h
        # The states as the products take them.
        low = states if dtype == h.dtype else states.to(dtype)
        gates = h.new_empty(steps, batch, 2 * size)
        new = h.new_empty(steps, batch, size)
        inner = h.new_empty(steps, batch, size)
        r, z = (gate.unbind() for gate in gates.split(size, 2))
        x_gates, x_new = (part.unbind() for part in from_x.split([2 * size, size], 2))
        gate, n, inn, state, given = (each.unbind() for each in (gates, new, inner, states, low))
        for t in range(steps):
            h_gates, h_new = multiply(given[t], w_hh, b_hh).split([2 * size, size], 1)
            torch.add(x_gates[t], h_gates, out=gate[t]).sigmoid_()
            inn[t].copy_(h_new)
            _activate("tanh", torch.addcmul(x_new[t], r[t], inn[t]), n[t], minus_one)
            torch.lerp(n[t], state[t], z[t], out=state[t + 1])
            if low is not states:
                given[t + 1].copy_(state[t + 1])
        ctx.types = types
        ctx.save_for_backward(x, w_ih, w_hh, states, low, gates, new, inner)
        ctx.set_materialize_grads(False)
        return low[1:], low[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_last: Tensor | None) -> Any:
        x, w_ih, w_hh, states, low, gates, new, inner = ctx.saved_tensors
        steps, batch, size = new.shape
        r, z = gates.split(size, 2)
        # By what the gradient of the state becomes those before the gates r and z and of the inner
        # product, for all steps at once; and the one before n.
        factors = new.new_empty(steps, batch, 3, size)
        by_n = torch.empty_like(new)
        _activate_backward("tanh", 1 - z, new, by_n)
        _sigmoid_backward(by_n * inner, r, factors[:, :, 0])
        _sigmoid_backward(states[:-1] - new, z, factors[:, :, 1])
        torch.mul(by_n, r, out=factors[:, :, 2])
        d = torch.empty(steps, batch, 3, size, dtype=x.dtype, device=x.device)
        # From that of the state before the first to that of the last.
        dhs = torch.empty_like(states)
        dhs[-1] = 0 if grad_last is None else grad_last
        multiply, u = multiplier(d.dtype, d.device.type, w_hh.ndim), w_hh.mT
        at, flat, by, dh = d.unbind(), d.flatten(2).unbind(), factors.unbind(), dhs.unbind()
        keep = z.unbind()
        for t in range(steps - 1, -1, -1):
            if grad is not None:
                dh[t + 1].add_(grad[t])
            torch.mul(dh[t + 1].unsqueeze(1), by[t], out=at[t])
            if t or ctx.needs_input_grad[1]:
                torch.addcmul(multiply(flat[t], u), dh[t + 1], keep[t], out=dh[t])
        x_type, h_type, w_type = ctx.types
        hh = _gradients(multiply, d.flatten(2), low[:-1], w_hh)
        # From here on d is that of the input's share, which differs in n alone.
        torch.mul(dhs[1:], by_n, out=d[:, :, 2])
        ih = _gradients(multiply, d.flatten(2), x, w_hh)
        d = d.flatten(2)
        dx = _over_time(multiply, d, w_ih.mT).to(x_type) if ctx.needs_input_grad[0] else None
        dw_ih, db_ih, dw_hh, db_hh = (each.to(w_type) for each in (*ih, *hh))
        return dx, dhs[0].to(h_type), dw_ih, dw_hh, db_ih, db_hh
