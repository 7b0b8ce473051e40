"""Statistics of the features of training rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import chunks

CHUNK = 8192  # rows that become float64 at once


def weighted_mean_and_std(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature of x (rows, ..., features) over rows of such weights (rows,)."""
    x = x.reshape(len(x), -1, x.shape[-1])
    total = weights.sum() * x.shape[1]
    mean = torch.zeros(x.shape[2], dtype=torch.float64)
    for rows in chunks(len(x), CHUNK):
        mean += torch.einsum("rtf,r->f", x[rows].double(), weights[rows]) / total
    squares = torch.zeros_like(mean)
    for rows in chunks(len(x), CHUNK):
        squares += torch.einsum("rtf,r->f", (x[rows].double() - mean) ** 2, weights[rows])
    return mean, (squares / total).sqrt()


def median_and_quartiles(x: Tensor) -> tuple[Tensor, Tensor]:
    """Median and distance between the quartiles of each column of x (rows, features) float64; where more than half of
    the values are the same and that distance is zero, half the range."""
    low, median, high = torch.from_numpy(np.quantile(x.numpy(), (0.25, 0.5, 0.75), axis=0))
    half_range = (x.amax(0) - x.amin(0)) / 2
    return median, torch.where(high > low, high - low, half_range)
