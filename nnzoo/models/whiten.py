"""Whitening of images by a fixed first convolution (`model.whiten`), computed from training rows.

Neighboring pixels and colors are strongly correlated, which slows training. The filters are the first principal components
of all 2x2 patches, each divided by its standard deviation, and their negatives, so that ReLU loses nothing (Page 2019,
"How to train your ResNet"; Jordan 2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nnzoo.data.dataset import Split
from nnzoo.errors import ConfigError
from nnzoo.models.layers import Conv2d, activation_layer

if TYPE_CHECKING:
    from nnzoo.models.network import Network

KERNEL = 2
# The most components that are used, of 12 in color: those of least variance are mostly noise (JPEG halves the resolution
# of colors), and native kernels take multiples of 16 filters: with 24 a step of cnn_cifar10_fast takes 180 ms, with 16 135.
MAX_COMPONENTS = 8
# Added to the variance of each component.
EPS = 5e-4
# Evenly spaced training rows that patches are taken from.
MAX_ROWS = 5000
CHUNK = 500


class WhiteningConv(Conv2d):
    """Convolution of 2x2 without padding to two channels per component; only the bias is trained."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * min(MAX_COMPONENTS, channels * KERNEL**2), KERNEL)
        self.weight.requires_grad_(False)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]


def whitening_layers(
    channels: int, size: tuple[int, ...], activation: str
) -> tuple[list[nn.Module], int, tuple[int, ...]]:
    """Return the layers of `model.whiten`, and the channels and size (height, width) of their output."""
    if min(size) < KERNEL:
        raise ConfigError.at("model.whiten", f"needs images of at least {KERNEL}×{KERNEL} pixels")
    conv = WhiteningConv(channels)
    out = tuple(length - KERNEL + 1 for length in size)
    return [conv, activation_layer(activation)], conv.out_channels, out


def patch_covariance(images: Tensor) -> Tensor:
    """Return the mean of the products x x' over all 2x2 patches x of images (rows, channels, height, width), float64."""
    patches = images.unfold(2, KERNEL, 1).unfold(3, KERNEL, 1)  # rows, channels, h, w, 2, 2
    flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * KERNEL**2).double()
    return flat.T @ flat / len(flat)


def whitening_filters(covariance: Tensor, channels: int) -> Tensor:
    """Return the filters (2 * components, channels, 2, 2), float32, by falling variance, for a covariance of patches."""
    variance, components = torch.linalg.eigh(covariance)
    # An eigenvector's sign is arbitrary: its largest entry is made positive.
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    filters = (components * largest.sign() / (variance.clamp(min=0) + EPS).sqrt()).T.flip(0)[
        :MAX_COMPONENTS
    ]
    filters = filters.reshape(-1, channels, KERNEL, KERNEL).float()
    return torch.cat([filters, -filters])


@torch.no_grad()
def fit_whitening(network: Network, train: Split) -> None:
    """Set the filters of a fresh network, where it has such a layer, from its preprocessed training rows."""
    for layer in network.model.modules():
        if isinstance(layer, WhiteningConv):
            count = min(len(train), MAX_ROWS)
            rows = torch.linspace(0, len(train) - 1, count, dtype=torch.float64).round().long()
            covariance = torch.zeros(())
            for part in rows.split(CHUNK):
                images = network.preprocess(train.batch(part)[0])
                covariance = covariance + patch_covariance(images) * (len(part) / count)
            layer.weight.copy_(whitening_filters(covariance, layer.in_channels))


@torch.no_grad()
def copy_whitening(fresh: Network, network: Network) -> None:
    """Copy the filters from a network of the same architecture and data."""
    for to, layer in zip(fresh.model.modules(), network.model.modules(), strict=True):
        if isinstance(to, WhiteningConv) and isinstance(layer, WhiteningConv):
            to.weight.copy_(layer.weight)
