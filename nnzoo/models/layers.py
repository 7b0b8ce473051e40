"""Small layers that several models share: torch's own modules, by native kernels or oneDNN where these are faster.

They have the names, parameters and results of torch's modules and fall back to them. Times in comments are those of
a step of 128 rows of MNIST with two threads of an AMD EPYC (Zen 5): an MLP of 512 and 256 units, and a CNN of 32
and 64 channels with dropout.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nnzoo.data.sampling import current_shard
from nnzoo.kernels.call import is_dense_cpu_tensor, is_eager
from nnzoo.kernels.openmp import has_full_team
from nnzoo.kernels.ops import Convolution, Epilogue, LinearChain
from nnzoo.kernels.plan import ConvOptions, supports_conv, supports_linear

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "mish": nn.Mish,
}


def activation_layer(name: str) -> nn.Module:
    """The module of an activation by its name in a config."""
    return _ACTIVATIONS[name]()


def parameter(module: nn.Module, name: str) -> Any:
    """A module's parameter (None if it has none), or the tensor in its place: a parametrization or pruned weight. Looking
    parameters up by name first, torch takes six lookups of a third of a microsecond."""
    parameters = module._parameters
    return parameters[name] if name in parameters else getattr(module, name)


# Dropout.

_DRAW_RANGE = 2**16


def uses_randomness(model: nn.Module) -> bool:
    """Whether a model draws random numbers in training; assumed of models that are not nnzoo's."""
    if type(model).__module__.partition(".")[0] != "nnzoo":
        return True
    rates = [getattr(m, "p", 0) or getattr(m, "dropout", 0) for m in model.modules()]
    return any(p for p in rates if isinstance(p, float | int))


def draws_fast(x: Tensor) -> bool:
    """Whether dropout of x uses masks of `dropout_mask` instead of torch's."""
    fits = is_eager() and is_dense_cpu_tensor(x) and x.dtype in (torch.float32, torch.bfloat16)
    return fits and torch.backends.mkldnn.is_available()


def dropout_mask(like: Tensor, dropout: float) -> tuple[Tensor, float]:
    """Return a mask (1 kept, 0 dropped) in the type, shape and layout of `like`, and the factor of kept values.

    A process that has a shard of the batch draws for the whole batch.
    """
    mask = torch.empty_like(like)
    first, count = 0, like.numel()
    shard = current_shard()
    if shard is not None and shard.rows and len(like) % shard.rows == 0:
        row = like.numel() // shard.rows  # of all copies of a row, in an ensemble
        first, count = shard.start * row, shard.total * row
    return mask, fill_dropout_mask(
        mask.as_strided((like.numel(),), (1,)), dropout, part=(first, count)
    )


@cache
def _num_kept(dropout: float) -> int:
    """How many of _DRAW_RANGE draws are kept."""
    return min(max(round((1 - dropout) * _DRAW_RANGE), 1), _DRAW_RANGE - 1)


def dropout_factor(dropout: float) -> float:
    """The factor of kept values, as `fill_dropout_mask` returns it."""
    return _DRAW_RANGE / _num_kept(dropout)


def fill_dropout_mask(
    flat: Tensor,
    dropout: float,
    generators: Sequence[torch.Generator | None] = (None,),
    part: tuple[int, int] | None = None,
) -> float:
    """Fill `flat` (n,), or (members, n) with one generator each, with ones, and zeros where a value is dropped; returns
    the factor of kept values. part: start of `flat` within all values that are drawn, and their number.

    torch draws value by value: 9 ms of 61 per step of the CNN. Here a draw of 64 bits from the same generator serves
    four values with 16 bits each: 1.2 ms. So the rate is a multiple of 1/65,536, and the factor follows from it.
    """
    length = flat.shape[-1]
    first, count = part or (0, length)
    kept = _num_kept(dropout)
    drawn = torch.empty(len(generators), (count + 3) // 4, dtype=torch.int64)
    for row, generator in zip(drawn, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    drawn = drawn.view(torch.int16)[:, first : first + length]
    torch.lt(drawn.view_as(flat), kept - _DRAW_RANGE // 2, out=flat)
    return _DRAW_RANGE / kept


class DropoutFunction(torch.autograd.Function):
    """x times a mask of zeros and ones, times a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return torch.mul(x, mask).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        (mask,) = ctx.saved_tensors
        if grad.stride() != mask.stride():  # one layout, which the layers before take as it is
            grad = torch.empty_like(mask).copy_(grad)
        return torch.mul(grad, mask).mul_(ctx.scale), None, None


class Dropout(nn.Dropout):
    """nn.Dropout with masks of `dropout_mask`."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if not (0 < self.p < 1 and draws_fast(x)):
            return super().forward(x)
        return cast(Tensor, DropoutFunction.apply(x, *dropout_mask(x, self.p)))


# Linear layers and convolutions.


@cache
def _onednn_linear() -> Any:
    """oneDNN's product with a bias, which torch does not document; None if torch has none."""
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return operator.default if operator is not None else None


def supports_onednn(x: Tensor, weight: Any, bias: Any) -> bool:
    """Whether oneDNN multiplies for a linear layer: x (rows, in), all float32. torch multiplies float32 by MKL, which takes
    twice as long on an AMD EPYC. With fewer threads than torch asks for oneDNN computes a part of the result only, or
    never returns."""
    if torch.is_autocast_enabled("cpu") or x.ndim != 2 or not x.numel() or not is_eager():
        return False
    if not all([is_dense_cpu_tensor(t) and t.dtype is torch.float32 for t in (x, weight, bias)]):
        return False
    has_onednn = torch.backends.mkldnn.is_available() and _onednn_linear() is not None
    return has_onednn and has_full_team()


class OnednnLinear(torch.autograd.Function):
    """x (rows, in), weight (out, in) and bias (out) to (rows, out) by oneDNN. Operands must be contiguous or the
    transpose of a contiguous tensor: others take 500 times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        return cast(Tensor, _onednn_linear()(x, weight, bias, "none", [], ""))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        multiply, grad = (
            _onednn_linear(),
            grad.contiguous(),
        )  # the gradient of a sum is one expanded value
        dx = multiply(grad, weight.t(), None, "none", [], "") if ctx.needs_input_grad[0] else None
        return dx, multiply(grad.t(), x.t(), None, "none", [], ""), grad.sum(0)


class Linear(nn.Linear):
    """nn.Linear with a bias: in training by native kernels, else by oneDNN."""

    use_native = True
    """Whether native kernels may be used; the network sets it by `train.kernels`."""
    batch_invariant = False
    """Whether a row's output must have the same bits in any batch: oneDNN's and torch's depend on how many rows it has."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = parameter(self, "weight"), parameter(self, "bias")
        wants_native = self.use_native and (self.training or self.batch_invariant)
        if wants_native and supports_linear(x, (weight, bias)):
            return cast(Tensor, LinearChain.apply(x, [None], weight, bias))
        if supports_onednn(x, weight, bias):
            if not torch.is_grad_enabled():  # the function takes 3 us more
                return cast(Tensor, _onednn_linear()(x.contiguous(), weight, bias, "none", [], ""))
            return cast(Tensor, OnednnLinear.apply(x, weight, bias))
        return functional.linear(x, weight, bias)


class Conv2d(nn.Conv2d):
    """nn.Conv2d by native kernels where there are any for its case."""

    use_native = True
    """Whether native kernels may be used; the network sets it by `train.kernels`."""

    @property
    def options(self) -> ConvOptions:
        padding: Any = self.padding
        stride: Any = self.stride
        dilation: Any = self.dilation
        return ConvOptions(stride, padding, dilation, self.groups, self.padding_mode)

    def is_native(self, x: Tensor) -> bool:
        """Whether native kernels compute the layer for x (rows, channels, height, width)."""
        weight, bias = parameter(self, "weight"), parameter(self, "bias")
        parameters = (weight,) if bias is None else (weight, bias)
        return self.use_native and supports_conv(x, self.options, *parameters)

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_native(x):
            return super().forward(x)
        weight, bias = parameter(self, "weight"), parameter(self, "bias")
        y = Convolution.apply(x, weight, self.stride, self.padding, Epilogue(), bias, None, None)
        return cast(Tensor, y)


class Converted:
    """Base of the classes that conversion.py puts before a module's own class."""


def single_layers(module: nn.RNNBase, copied: bool = False) -> list[nn.RNNBase]:
    """Return each layer of a recurrent module as a module of one layer, with the same parameters or copies.

    On CUDA the parameters of a layer are moved into one contiguous block, as cuDNN requires, out of the
    module's own memory.
    """
    kind: Any = next(c for c in type(module).__mro__ if not issubclass(c, Converted))
    directions = 2 if module.bidirectional else 1
    more = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    if module.proj_size:
        more["proj_size"] = module.proj_size
    layers = []
    for i in range(module.num_layers):
        width = (module.proj_size or module.hidden_size) * directions if i else module.input_size
        layer: nn.RNNBase = kind(
            input_size=width,
            hidden_size=module.hidden_size,
            bias=module.bias,
            batch_first=module.batch_first,
            bidirectional=module.bidirectional,
            device="meta",
            **more,
        )
        for name, _ in list(layer.named_parameters()):
            parameter = getattr(module, name.replace("_l0", f"_l{i}"))
            setattr(layer, name, nn.Parameter(parameter.detach().clone()) if copied else parameter)
        if hasattr(module, "use_native"):
            layer.use_native = module.use_native
        # The first forward would do it, when an optimizer already holds the weights.
        layer._update_flat_weights()
        layers.append(layer)
    return layers


class FrozenNorm:
    """A batch norm whose parameters are frozen: it computes by parts running statistics, in training too, and they stay.

    The class before the norm's own; no native kernel takes it together with a convolution.
    """

    def train(self, mode: bool = True) -> nn.Module:
        return cast(nn.Module, super().train(False))  # type: ignore[misc]


def uses_cudnn(module: nn.Module) -> bool:
    """Whether cuDNN computes a module's recurrent layers on CUDA; it has no LSTM with ReLU."""
    is_relu_lstm = isinstance(module, nn.LSTM) and getattr(module, "relu", False)
    return isinstance(module, nn.RNNBase) and not is_relu_lstm


def flatten_layers(model: nn.Module) -> None:
    """Make the weights of each recurrent layer contiguous, as cuDNN requires (in a copied model they are not).

    The weights move in memory, so call it before the optimizer is made.
    """
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
