"""Small pieces that several families share, and torch's own layers in less time on a CPU.

The fast ones have the names, parameters and numbers of torch's modules and fall back to them by one
rule, `fast`. Times in comments are those of a step of 128 rows of MNIST with two threads of an AMD
EPYC (Zen 5): an MLP of 512 and 256 units, and a CNN of 32 and 64 channels with dropout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nnzoo.data.sampling import current_share
from nnzoo.kernels import dense
from nnzoo.kernels.dense import Dense as NativeDense
from nnzoo.kernels.openmp import has_full_team
from nnzoo.kernels.tensors import is_eager, is_plain, parameter

_aten = torch.ops.aten

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}
_DRAW = 2**16


def activation_layer(name: str) -> nn.Module:
    """The module of an activation by the name that a config gives it."""
    return _ACTIVATIONS[name]()


def fast(x: Tensor, *types: torch.dtype) -> bool:
    """The rule: where torch has oneDNN and x is on its CPU, of one of these types, and nothing compiles the
    network (`train.compile`), which knows torch's own layers best, or transforms it."""
    known = is_eager() and is_plain(x) and x.dtype in types
    return known and torch.backends.mkldnn.is_available()


def multiplies(x: Tensor, parameters: Iterable[object]) -> bool:
    """Whether linear layers with these parameters are products in float32 for x: in bfloat16 torch's own are
    oneDNN's already, and autograd in C++ takes 0.05 ms less than in Python."""
    if not fast(x, torch.float32) or not x.numel() or torch.is_autocast_enabled("cpu"):
        return False
    return all(is_plain(p) and cast(Tensor, p).dtype is torch.float32 for p in parameters)


def multiplier(dtype: torch.dtype, device: str, ndim: int = 2) -> Callable[..., Tensor]:
    """`_multiplier`, or torch's own product where the calling thread gets fewer threads than torch asks
    for: oneDNN's then computes a part of the result, or never ends."""
    return _multiplier(dtype, device, ndim, device == "cpu" and has_full_team())


@cache
def _multiplier(dtype: torch.dtype, device: str, ndim: int, is_full: bool) -> Callable[..., Tensor]:
    """The product of a type on a kind of device: of x (rows, in), weight (out, in), bias (out) or
    None, and what follows, "none", "relu" or "tanh"; it gives (rows, out). With `ndim` 3 that of the
    weights (members, out, in) of several members, whose rows follow each other in x.

    In float32 torch multiplies by MKL, which on an AMD EPYC takes 1.9 to 2.3 times as long as
    oneDNN: 0.7 ms of 2.2 a step of the MLP, 3.8 of 61 of the CNN; relu and tanh cost next to nothing
    in it. oneDNN wants each of x and weight contiguous, or the transpose of what is (others take 500
    times as long). Its operator is not a documented one: where torch has none, torch's own is used.
    """
    if ndim == 3:
        return linear_by_member
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    at_hand = operator is not None and torch.backends.mkldnn.is_available()
    if not is_full or dtype not in (torch.float32, torch.bfloat16) or not at_hand:
        return _linear
    call = cast(Any, operator).default
    return lambda x, weight, bias=None, then="none": call(x, weight, bias, then, [], "")


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
    y = nn.functional.linear(x, weight, bias)
    return y if then == "none" else cast(Tensor, getattr(torch, then)(y))


def linear_by_member(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none"
) -> Tensor:
    """x (members * batch, in) with weight (members, out, in) and bias (members, out): (members *
    batch, out). One product of stacks: 10 of 32x784x64 took 0.4 ms, oneDNN's one by one 0.56."""
    x, weight = x.unflatten(0, (len(weight), -1)), weight.mT
    y = torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)
    y = y.flatten(0, 1)
    return y if then == "none" else cast(Tensor, getattr(torch, then)(y))


def keep_mask(x: Tensor, dropout: float) -> tuple[Tensor, float]:
    """Ones where a value of x is kept and zeros where it is dropped, in x's type and layout, and
    what the kept ones are multiplied by. A process that has a share of the batch draws for all of it.
    """
    mask = torch.empty_like(x)
    first, count = 0, x.numel()
    share = current_share()
    if share is not None and share.rows == len(x):
        row = math.prod(x.shape[1:])
        first, count = share.start * row, share.total * row
    flat = mask.as_strided((x.numel(),), (1,))
    return mask, draw_mask(flat, dropout, part=(first, count))


def draw_mask(
    flat: Tensor, dropout: float, generators: Sequence[torch.Generator | None] = (None,),
    part: tuple[int, int] | None = None,
) -> float:  # fmt: skip
    """Fill `flat` (n,), or (members, n) with a generator each, with ones, and zeros where a value is
    dropped; by what the kept are multiplied. part: where `flat` begins in what is drawn, and how much
    that is.

    torch draws for one value after the other: 9 ms of 61 a step of the CNN. Here a draw of 64 bits
    from the same generator serves four values, each with 16 bits of its own: 1.2 ms. So the rate is
    a multiple of 1/65,536, and the factor follows from the rate that there is.
    """
    length = flat.shape[-1]
    first, count = part or (0, length)
    kept = min(max(round((1 - dropout) * _DRAW), 1), _DRAW - 1)
    draws = torch.empty(len(generators), (count + 3) // 4, dtype=torch.int64)
    for own, generator in zip(draws, generators, strict=True):
        own.random_(-(2**63), None, generator=generator)
    drawn = draws.view(torch.int16)[:, first : first + length]
    torch.lt(drawn.view_as(flat), kept - _DRAW // 2, out=flat)
    return _DRAW / kept


class Drop(torch.autograd.Function):
    """x times a mask of zeros and ones, times a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.factor = factor
        return torch.mul(x, mask).mul_(factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        (mask,) = ctx.saved_tensors
        if grad.stride() != mask.stride():  # one layout, which the layers before take as it is
            grad = torch.empty_like(mask).copy_(grad)
        return torch.mul(grad, mask).mul_(ctx.factor), None, None


class Dropout(nn.Dropout):
    """nn.Dropout with masks of `keep_mask`."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and 0 < self.p < 1 and fast(x, torch.float32, torch.bfloat16)):
            return super().forward(x)
        dropped: Tensor = Drop.apply(x, *keep_mask(x, self.p))
        return dropped


class Dense(torch.autograd.Function):
    """Linear layers in a row, each alone or with relu, or relu and dropout, behind it.

    x (rows, in); plan: for each layer None, or the rate of the dropout after its relu; then weight
    (out, in) and bias (out) of each. One function for all of them: 0.1 ms of 1.6 a step of the MLP
    less than one for each, of autograd and Python, and no masks are kept: where a value was dropped
    or below zero it is zero.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: list[float | None], *parameters: Tensor) -> Tensor:
        weights = parameters[::2]
        multiply = multiplier(x.dtype, x.device.type)
        values = [x.contiguous()]
        ctx.factors = []
        for weight, bias, dropout in zip(weights, parameters[1::2], plan, strict=True):
            x = multiply(values[-1], weight, bias, "none" if dropout is None else "relu")
            factor = None if dropout is None else 1.0
            if dropout:
                mask, factor = keep_mask(x, dropout)
                x.mul_(mask).mul_(factor)
            ctx.factors.append(factor)
            values.append(x)
        ctx.save_for_backward(*values, *weights)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        count = len(ctx.factors)
        values, weights = ctx.saved_tensors[: count + 1], ctx.saved_tensors[count + 1 :]
        multiply = multiplier(grad.dtype, grad.device.type)
        grad = grad.contiguous()  # that of a sum is one number, spread out
        gradients: list[Tensor] = []
        for i in reversed(range(count)):
            if ctx.factors[i] is not None:
                grad = _aten.threshold_backward(grad, values[i + 1], 0)
                if ctx.factors[i] != 1:
                    grad.mul_(ctx.factors[i])
            gradients += [grad.sum(0), multiply(grad.t(), values[i].t())]
            if i or ctx.needs_input_grad[0]:
                grad = multiply(grad, weights[i].t())
        return grad if ctx.needs_input_grad[0] else None, None, *reversed(gradients)


def _dense(x: Tensor, plan: list[float | None], parameters: list[Tensor]) -> Tensor:
    y: Tensor = Dense.apply(x, plan, *parameters)
    return y


def natively(
    x: Tensor,
    plan: list[float | None],
    parameters: list[Tensor],
    mask: Callable[[int, float], tuple[Tensor, float]] | None = None,
) -> Tensor:
    """`Dense` by native layers, also of several members (`NativeDense`).

    mask: what is drawn for a layer of a width, uint8 (rows, width), and by what the kept ones are
    multiplied, as `keep_mask`."""

    def draw(width: int, dropout: float) -> tuple[Tensor, float]:
        return keep_mask(torch.empty(len(x), width, dtype=torch.uint8), dropout)

    mask = mask or draw
    *plan, ends = plan
    follows: list[tuple[Tensor | None, float] | None] = []
    for weight, dropout in zip(parameters[::2], [*plan, None], strict=True):
        if not dropout:
            follows.append(None if dropout is None else (None, 1.0))
            continue
        follows.append(mask(weight.shape[-2], dropout))
    y = cast(Tensor, NativeDense.apply(x, follows, *parameters))
    if ends is not None:
        y = y.relu()
    return cast(Tensor, Drop.apply(y, *mask(y.shape[1], ends))) if ends else y


def weights_of(layer: nn.Linear) -> list[Tensor]:
    """Weight and bias."""
    return [parameter(layer, "weight"), parameter(layer, "bias")]


class Linear(nn.Linear):
    """nn.Linear with a bias, in training by native layers, else by `multiplier`: also for what `Stack` leaves to
    its modules."""

    use_native = True
    """Whether native layers may be used; the network sets it by `train.kernels`."""

    def forward(self, x: Tensor) -> Tensor:
        parameters = weights_of(self)
        if self.training and self.use_native and dense.takes(x, parameters):
            return natively(x, [None], parameters)
        if not (x.ndim == 2 and multiplies(x, parameters)):
            return super().forward(x)
        return _dense(x, [None], parameters)


def has_hooks(layer: nn.Module) -> bool:
    """Whether something wants to know when this module is called, or changes it then (pruning, spectral norm):
    it is not computed together with others."""
    return bool(
        layer._forward_pre_hooks or layer._forward_hooks
        or layer._backward_pre_hooks or layer._backward_hooks
    )  # fmt: skip


def rows_of(
    layers: Iterable[nn.Module],
) -> Iterator[tuple[list[nn.Linear], list[float | None]] | nn.Module]:
    """Layers in their order, Linear, ReLU and Dropout in a row as one: its linear layers, and for each None
    or the rate of the dropout after its relu."""
    row: list[nn.Linear] = []
    plan: list[float | None] = []
    for layer in layers:
        if has_hooks(layer):
            if row:
                yield row, plan
            yield layer
            row, plan = [], []
        elif isinstance(layer, Linear):
            row.append(layer)
            plan.append(None)
        elif row and plan[-1] is None and isinstance(layer, nn.ReLU):
            plan[-1] = 0.0
        elif row and plan[-1] == 0 and isinstance(layer, Dropout):
            plan[-1] = layer.p
        else:
            if row:
                yield row, plan
            yield layer
            row, plan = [], []
    if row:
        yield row, plan


class Stack(nn.Sequential):
    """nn.Sequential that, in training, hands Linear, ReLU and Dropout in a row to native layers, or where
    there are none to `Dense`.

    Input (rows, ...), of two dimensions where it comes to a Linear. Not in evaluation, where hooks
    may want to see what each layer gives.
    """

    use_native = True
    """Whether native layers may be used; the network sets it by `train.kernels`."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return cast(Tensor, super().forward(x))
        for part in rows_of(self):
            x = part(x) if isinstance(part, nn.Module) else self._row(*part, x)
        return x

    def _row(self, row: list[nn.Linear], plan: list[float | None], x: Tensor) -> Tensor:
        """Linear layers, relu and dropout in a row."""
        parameters = [p for layer in row for p in weights_of(layer)]
        if self.use_native and dense.takes(x, parameters):
            return natively(x, plan, parameters)
        if x.ndim == 2 and multiplies(x, parameters):
            return _dense(x, plan, parameters)
        for layer, dropout in zip(row, plan, strict=True):
            x = layer(x)
            if dropout is not None:
                x = x.relu()
            if dropout:
                x = Dropout(dropout)(x)
        return x
