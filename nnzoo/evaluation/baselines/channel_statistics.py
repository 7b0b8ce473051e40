"""Baseline of recordings: a linear model on each channel's mean, spread, minimum, maximum, slope, and the length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import Split, TensorSplit, chunks
from nnzoo.data.sequences import SequenceSplit
from nnzoo.evaluation.baselines.baseline import Predict, Problem, evenly_spaced
from nnzoo.evaluation.baselines.budget import Budget
from nnzoo.evaluation.baselines.linear_model import Rows, Standardize, fit_linear

NAME = "linear on channel statistics"
STATISTICS = 5
"""Statistics of each channel: mean, standard deviation, minimum, maximum, and slope over the steps."""

# Limits: statistics of a recording, values of all training rows (evenly spaced rows are taken of more), and values of
# recordings that are read at once.
MAX_STATISTICS = 2048
MAX_TRAIN_VALUES = 1 << 24
CHUNK_VALUES = 1 << 22


class ChannelLinear:
    """Logistic or ridge regression on the statistics of recordings."""

    name = "linear"
    is_free = False

    def label(self, problem: Problem) -> str:
        return NAME

    def supports(self, problem: Problem) -> bool:
        return (
            problem.spec.input.kind == "series"
            and is_sequences(problem.train)
            and STATISTICS * num_channels(problem.train) + 1 <= MAX_STATISTICS
        )

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        train, outputs = problem.train, len(problem.task.names)
        x = channel_statistics(train)
        chosen = evenly_spaced(len(x), MAX_TRAIN_VALUES // max(x.shape[1], outputs))
        x, y = x[chosen], train.targets()[chosen]
        weights = problem.row_weights(train)
        standardize = Standardize(x)
        rows = Rows(
            standardize(x),
            y if problem.num_classes else y.double(),
            None if weights is None else weights[chosen],
        )
        coefficients, bias = fit_linear(rows, None, problem.link, outputs, budget)
        return lambda split: standardize(channel_statistics(split)) @ coefficients + bias


def is_sequences(split: Split) -> bool:
    """Whether the inputs of a split are (rows, time, channels), or sequences of different lengths."""
    return isinstance(split, SequenceSplit) or (
        isinstance(split, TensorSplit) and split.x.ndim == 3
    )


def num_channels(split: Split) -> int:
    """The number of channels of sequences."""
    return int(split.tensors()[0].shape[-1])


def channel_statistics(split: Any) -> Tensor:
    """Compute the statistics of each row, (rows, 5 * channels + 1) float64: those of each channel, then the length."""
    longest = split.x.shape[1] if isinstance(split, TensorSplit) else int(split.lengths.max())
    size = max(1, CHUNK_VALUES // (longest * num_channels(split)))
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
