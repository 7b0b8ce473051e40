"""Convolutions and what stands behind them, computed together where native layers have the case.

They have the names, parameters and numbers of torch's modules and fall back to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from nnzoo.kernels.convolution import (
    Behind,
    Convolution,
    Norm,
    convolves,
    normalizes,
    shape_of,
)
from nnzoo.kernels.tensors import parameter
from nnzoo.models.layers import Dropout, has_hooks, keep_mask


class Conv2d(nn.Conv2d):
    """nn.Conv2d, natively where `native.convolution` has its case."""

    use_native = True
    """Whether native layers may be used; the network sets it by `train.kernels`."""

    def is_native(self, x: Tensor) -> bool:
        """Whether native layers take the case."""
        return self.use_native and convolves(self, x)

    def natively(self, x: Tensor, behind: Behind, norm: nn.BatchNorm2d | None = None) -> Tensor:
        """The layer and what stands behind it; norm: the module of `behind.norm`."""
        weights = [parameter(self, "weight"), parameter(self, "bias"), None, None]
        if norm is not None:
            weights[2:] = parameter(norm, "weight"), parameter(norm, "bias")
        y = Convolution.apply(x, *weights, self.stride, self.padding, behind)
        return cast(Tensor, y)

    def forward(self, x: Tensor) -> Tensor:
        return self.natively(x, Behind()) if self.is_native(x) else super().forward(x)


class Features(nn.Sequential):
    """nn.Sequential that, in training, hands a convolution and the batch norm, max pooling, relu and dropout
    behind it to native layers together, where they have the case. Input (rows, channels, ...).

    Not in evaluation, where hooks may want to see what each layer gives.
    """

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            if self.training and isinstance(layer, Conv2d) and layer.is_native(x):
                x = layer(x) if has_hooks(layer) else _with_followers(layer, x, layers)
            else:
                x = layer(x)
        return x


def _with_followers(conv: Conv2d, x: Tensor, layers: list[nn.Module]) -> Tensor:
    """A native convolution and those of the next layers that stand behind it, which are taken away."""

    def take(suits: Callable[[Any], bool]) -> Any:
        fits = layers and suits(layers[0]) and not has_hooks(layers[0])
        return layers.pop(0) if fits else None

    weight = parameter(conv, "weight")
    given = shape_of(x, weight, conv.stride, cast(tuple[int, int], conv.padding))
    # Of one value a channel batch norm tells what is wrong.
    module: Any = take(
        lambda layer: (
            _normalizes(layer, conv.out_channels, weight.dtype) and math.prod(given) > given[1]
        )
    )
    norm = None
    if module is not None:
        module.num_batches_tracked.add_(1)
        norm = Norm(module.running_mean, module.running_var, module.momentum, module.eps)
    pool = take(_halves) is not None
    behind = Behind(norm, pool, relu=take(lambda layer: isinstance(layer, nn.ReLU)) is not None)
    dropout = take(lambda layer: behind.relu and isinstance(layer, Dropout) and 0 < layer.p < 1)
    if dropout is not None:
        shape = behind.shape(given)
        like = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        mask, factor = keep_mask(like, dropout.p)
        behind = behind._replace(mask=mask, factor=factor)
    return conv.natively(x, behind, module)


def _normalizes(layer: nn.Module, channels: int, dtype: torch.dtype) -> bool:
    """Whether it is torch's batch norm of one process, with weights and running statistics, that goes with so many
    channels of a type."""
    return type(layer) is nn.BatchNorm2d and normalizes(layer, channels, dtype)


def _halves(layer: nn.Module) -> bool:
    """Whether it is max pooling of 2x2 at stride 2."""
    return isinstance(layer, nn.MaxPool2d) and (
        layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode
    ) in [(size, size, 0, 1, False) for size in (2, (2, 2))]  # fmt: skip
