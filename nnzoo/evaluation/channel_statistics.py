"""Baseline for recordings: a linear model on each channel's mean, spread, minimum, maximum, slope, and the length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.data.dataset import Split, TensorSplit, chunks
from nnzoo.data.sequences import SequenceSplit

NAME = "linear on channel statistics"
STATISTICS = 5
"""Statistics of each channel: mean, standard deviation, minimum, maximum, and slope over the steps."""

# Weight of half the squared weights against the summed loss, as scikit-learn's default, on standardized statistics.
PENALTY = 1.0
# Limits: statistics of a recording, values of all training rows (evenly spaced rows are taken of more), iterations of
# L-BFGS, and values of recordings that are read at once.
MAX_STATISTICS = 2048
MAX_TRAIN_VALUES = 1 << 24
MAX_ITERATIONS = 100
CHUNK_VALUES = 1 << 22


def fit_predict(train: Split, rows: Split, classes: int) -> Tensor | None:
    """Fit to the training rows, and predict others.

    classes: their number, 0 for a regression. Returns logits (rows, classes) or values (rows, outputs), float64; None
    if these are no sequences, or of too many channels.
    """
    if not (is_sequences(train) and is_sequences(rows)):
        return None
    x = channel_statistics(train)
    if x is None:
        return None
    most = max(2, MAX_TRAIN_VALUES // max(x.shape[1], classes))
    chosen = torch.linspace(0, len(x) - 1, min(most, len(x))).round().long()
    x, y = x[chosen], train.targets()[chosen]
    mean, std = x.mean(0), x.std(0, correction=0)
    # A statistic that is constant in training gets no weight, whatever it is later.
    std = torch.where(std > 1e-12 * mean.abs(), std, torch.inf)

    def design_matrix(values: Tensor) -> Tensor:
        return ((values - mean) / std).nan_to_num(0.0, 0.0, 0.0)

    other = x if rows is train and len(x) == len(train) else channel_statistics(rows)
    assert other is not None
    if classes:
        weights, bias = _logistic_regression(design_matrix(x), y, classes)
    else:
        weights, bias = _ridge_regression(design_matrix(x), y.double())
    return design_matrix(other) @ weights + bias


def is_sequences(split: Split) -> bool:
    """Whether the inputs of a split are (rows, time, channels), or sequences of different lengths."""
    return isinstance(split, SequenceSplit) or (
        isinstance(split, TensorSplit) and split.x.ndim == 3
    )


def channel_statistics(split: Any) -> Tensor | None:
    """Compute the statistics of each row, (rows, 5 * channels + 1) float64: those of each channel, then the length;
    None if they are too many."""
    longest = split.x.shape[1] if isinstance(split, TensorSplit) else int(split.lengths.max())
    channels = split.tensors()[0].shape[-1]
    if STATISTICS * channels + 1 > MAX_STATISTICS:
        return None
    size = max(1, CHUNK_VALUES // (longest * channels))
    return torch.cat([_chunk_statistics(split, rows) for rows in chunks(len(split), size)])


def _chunk_statistics(split: Any, rows: slice) -> Tensor:
    if isinstance(split, SequenceSplit):
        offsets = split.offsets[rows.start : rows.stop + 1].numpy()
        values = split.values[offsets[0] : offsets[-1]].cpu().double().numpy()
        starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    else:
        x = split.batch(torch.arange(rows.start, rows.stop))[0].double()
        values = x.flatten(0, 1).numpy()
        starts = np.arange(len(x)) * x.shape[1]
        lengths = np.full(len(x), x.shape[1])
    count = lengths[:, None].astype(np.float64)
    # Beyond the range of float64 squares are infinite, and such a statistic gets no weight.
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.reduceat(values, starts) / count
        centered = values - np.repeat(mean, lengths, 0)
        std = np.sqrt(np.add.reduceat(centered**2, starts) / count)
        steps = np.arange(len(values)) - np.repeat(starts + (lengths - 1) / 2, lengths)
        slope = np.add.reduceat(centered * steps[:, None], starts)
        slope /= np.where(count > 1, count * (count**2 - 1) / 12, 1.0)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return torch.from_numpy(np.concatenate([mean, std, low, high, slope, count], 1))


def _ridge_regression(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (statistics, outputs) and bias (outputs,) of ridge regression; x: centered."""
    mean = y.mean(0)
    gram = x.T @ x
    gram.diagonal().add_(PENALTY)
    return torch.linalg.solve(gram, x.T @ (y - mean)), mean


def _logistic_regression(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (statistics, classes) and bias (classes,) of multinomial logistic regression by L-BFGS."""
    weights = torch.zeros(x.shape[1], classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=MAX_ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = functional.cross_entropy(x @ weights + bias, y, reduction="sum")
        total = (total + PENALTY / 2 * weights.square().sum()) / len(x)
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)
    return weights.detach(), bias.detach()
