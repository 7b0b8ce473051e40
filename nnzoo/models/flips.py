"""Test-time augmentation (`eval.flip`): the mean of a model's outputs for images and their mirror images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# By the value of `eval.flip`, the dimensions along which an image (channels, height, width) is mirrored, per view.
FLIPS: dict[str, list[list[int]]] = {
    "none": [],
    "horizontal": [[-1]],
    "vertical": [[-2]],
    "both": [[-1], [-2], [-2, -1]],
}


def with_flips(model: Callable[[Any], Any], flip: str) -> Callable[[Any], Any]:
    """Return a function of images (batch, channels, height, width) to the mean of the model's outputs (batch, outputs) for
    them and their mirror images; the model itself in training, and with flip "none"."""
    if flip == "none" or getattr(model, "training", False):
        return model

    def mean_over_flips(x: Tensor) -> Tensor:
        return torch.stack([model(x), *(model(x.flip(dims)) for dims in FLIPS[flip])]).mean(0)

    return mean_over_flips
