"""FusedSequential: nn.Sequential that computes runs of layers by one native kernel each in training.

Linear layers in a row with their ReLU and dropout are one kernel, and so is a convolution with the batch norm, 2x2 max
pooling, ReLU and dropout after it. Layers are grouped once per module, and kernels planned once per shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from nnzoo.kernels.ops import BatchNorm, Convolution, Epilogue, LinearChain
from nnzoo.kernels.plan import ConvOptions, conv_shape, supports_conv, supports_linear
from nnzoo.models.layers import Conv2d, Dropout, DropoutFunction, Linear, dropout_mask

MaskFactory = Callable[[int, float], tuple[Tensor, float]]
"""Dropout mask, uint8 (rows, width), and factor of kept values, for a layer of a width and a rate."""


class LinearGroup(NamedTuple):
    """Linear layers in a row, each alone or followed by ReLU, or by ReLU and dropout."""

    layers: list[nn.Module]
    """All, in order."""
    linears: list[Linear]
    dropouts: list[float | None]
    """Per linear layer the dropout rate after its ReLU; None without ReLU."""


class ConvGroup(NamedTuple):
    """A convolution and those of the layers after it that its kernel computes, too."""

    layers: list[nn.Module]
    """All, in order."""
    conv: Conv2d
    options: ConvOptions
    norm: nn.BatchNorm2d | None
    max_pool: bool
    relu: bool
    dropout: float


Group = LinearGroup | ConvGroup | nn.Module


def has_hooks(layer: nn.Module) -> bool:
    """Whether something observes or changes a module when it is called (pruning, spectral norm): it is not fused."""
    return bool(
        layer._forward_pre_hooks
        or layer._forward_hooks
        or layer._backward_pre_hooks
        or layer._backward_hooks
    )


def group_layers(layers: Sequence[nn.Module]) -> list[Group]:
    """Layers in their order, those that one kernel can compute as one group."""
    remaining, groups = list(layers), []
    while remaining:
        layer = remaining[0]
        group: Group = layer
        if isinstance(layer, Linear) and not has_hooks(layer):
            group = _linear_group(remaining)
        elif isinstance(layer, Conv2d) and not has_hooks(layer):
            group = _conv_group(remaining)
        groups.append(group)
        del remaining[: 1 if isinstance(group, nn.Module) else len(group.layers)]
    return groups


def _linear_group(layers: Sequence[nn.Module]) -> LinearGroup:
    """The group that begins with the first layer, which is Linear."""
    group = LinearGroup([], [], [])
    for layer in layers:
        if has_hooks(layer):
            break
        if isinstance(layer, Linear):
            group.linears.append(layer)
            group.dropouts.append(None)
        elif isinstance(layer, nn.ReLU) and group.dropouts[-1] is None:
            group.dropouts[-1] = 0.0
        elif isinstance(layer, Dropout) and group.dropouts[-1] == 0:
            group.dropouts[-1] = layer.p
        else:
            break
        group.layers.append(layer)
    return group


def _conv_group(layers: Sequence[nn.Module]) -> ConvGroup:
    """The group that begins with the first layer, which is Conv2d."""
    grouped = [layers[0]]

    def take_next(fits: Callable[[Any], bool]) -> Any:
        rest = layers[len(grouped) :]
        if not rest or has_hooks(rest[0]) or not fits(rest[0]):
            return None
        grouped.append(rest[0])
        return rest[0]

    norm = take_next(lambda layer: type(layer) is nn.BatchNorm2d)
    pool = take_next(_is_max_pool_2x2)
    relu = take_next(lambda layer: isinstance(layer, nn.ReLU))
    dropout = relu and take_next(lambda layer: isinstance(layer, Dropout) and 0 < layer.p < 1)
    p = dropout.p if dropout else 0.0
    conv = cast(Conv2d, layers[0])
    options, has_pool, has_relu = conv.options, pool is not None, relu is not None
    return ConvGroup(grouped, conv, options, norm, has_pool, has_relu, p)


def _is_max_pool_2x2(layer: nn.Module) -> bool:
    """Whether it is max pooling of 2x2 at stride 2."""
    return isinstance(layer, nn.MaxPool2d) and (
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.ceil_mode,
    ) in [(size, size, 0, 1, False) for size in (2, (2, 2))]


def run_linear_group(
    x: Tensor,
    dropouts: Sequence[float | None],
    parameters: Sequence[Tensor],
    draw: MaskFactory | None = None,
) -> Tensor:
    """Compute a LinearGroup by native kernels from weight and bias of each layer, also of several members."""
    if draw is None:
        rows = len(x)

        def draw(width: int, dropout: float) -> tuple[Tensor, float]:
            return dropout_mask(torch.empty(rows, width, dtype=torch.uint8), dropout)

    epilogues: list[tuple[Tensor | None, float] | None] = []
    for weight, dropout in zip(parameters[::2], (*dropouts[:-1], None), strict=True):
        if dropout:
            epilogues.append(draw(weight.shape[-2], dropout))
        else:
            epilogues.append(None if dropout is None else (None, 1.0))
    y = cast(Tensor, LinearChain.apply(x, epilogues, *parameters))
    last = dropouts[-1]  # the kernel's last layer has no epilogue
    if last is not None:
        y = y.relu()
    return cast(Tensor, DropoutFunction.apply(y, *draw(y.shape[1], last))) if last else y


def run_conv_group(group: ConvGroup, x: Tensor) -> Tensor | None:
    """Compute a ConvGroup by its native kernel; None if there is none for x and the parameters as they are."""
    conv, norm = group.conv, group.norm
    weight, bias = conv._parameters.get("weight"), conv._parameters.get("bias")
    if weight is None or not conv.use_native:
        return None
    tensors: list[Any] = [weight] if bias is None else [weight, bias]
    if norm is not None:
        statistics: tuple[Any, Any] = norm.running_mean, norm.running_var
        tensors += [norm._parameters.get("weight"), norm._parameters.get("bias"), *statistics]
    options = group.options
    if not supports_conv(x, options, *tensors):
        return None
    stride, padding = options.stride, cast(tuple[int, int], options.padding)
    batch, _, *size = conv_shape(x.shape, weight.shape, stride, padding)
    shape = conv_shape(x.shape, weight.shape, stride, padding, group.max_pool)
    if min(shape) < 1:
        return None
    epilogue = Epilogue(None, group.max_pool, group.relu)
    gamma = beta = None
    if norm is not None:
        # With one value per channel batch norm raises what is wrong.
        if not isinstance(norm.momentum, float) or batch * math.prod(size) == 1:
            return None
        if not (statistics[0].is_contiguous() and statistics[1].is_contiguous()):
            return None
        cast(Tensor, norm.num_batches_tracked).add_(1)
        gamma, beta = tensors[-4:-2]
        epilogue = epilogue._replace(norm=BatchNorm(*statistics, norm.momentum, norm.eps))
    if group.dropout:
        like = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        mask, scale = dropout_mask(like, group.dropout)
        epilogue = epilogue._replace(dropout_mask=mask, dropout_scale=scale)
    return cast(Tensor, Convolution.apply(x, weight, stride, padding, epilogue, bias, gamma, beta))


class FusedSequential(nn.Sequential):
    """nn.Sequential whose groups of layers native kernels compute in training, where there are any for the case.

    Input (rows, ...). Not in evaluation, where hooks may read the output of each layer.
    """

    use_native = True
    """Whether native kernels may be used; the network sets it by `train.kernels`."""
    _groups: list[Group]
    _grouped_as: list[Any] | None = None
    """The key of the cached groups: everything that the grouping depends on."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or torch.compiler.is_compiling():
            return cast(Tensor, super().forward(x))
        layers = self._modules.values()
        # Grouped anew if a layer was replaced, converted or got a hook or another rate.
        state = [
            (
                id(layer),
                type(layer),
                layer.__dict__.get("p"),
                bool(
                    layer._forward_pre_hooks
                    or layer._forward_hooks
                    or layer._backward_pre_hooks
                    or layer._backward_hooks
                ),
            )
            for layer in layers
        ]
        if state != self._grouped_as:
            self._groups, self._grouped_as = group_layers(cast(Any, layers)), state
        for group in self._groups:
            if isinstance(group, nn.Module):
                x = group(x)
                continue
            y = None
            if isinstance(group, ConvGroup):
                y = run_conv_group(group, x)
            elif self.use_native:
                parameters: list[Any] = [
                    layer._parameters.get(name)
                    for layer in group.linears
                    for name in ("weight", "bias")
                ]
                if supports_linear(x, parameters):
                    y = run_linear_group(x, group.dropouts, parameters)
            if y is None:
                for layer in group.layers:
                    x = layer(x)
            else:
                x = y
        return x
