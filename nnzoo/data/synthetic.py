"""Generated sources: a sine wave to forecast, and the adding problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nnzoo.config.data_options import AddingOptions, SineOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.series import Series, windows


def load_sine(options: SineOptions, spec: DataSpec | None = None) -> Dataset:
    """amplitude * sin(2 pi t / period) + noise, cut into windows."""
    time = np.arange(options.length)
    values = options.amplitude * np.sin(2 * np.pi * time / options.period)
    rng = np.random.default_rng([options.seed, 0x51])
    values = values + options.noise * rng.standard_normal(options.length)
    period = round(options.period)
    return windows([Series(values[:, None])], [ColumnSpec("sine")], ["sine"], options, period)


def load_adding(options: AddingOptions, spec: DataSpec | None = None) -> Dataset:
    """Two features a time step: a number from [0, 1) and a mark; exactly two steps are marked, one
    in each half, and the target is the sum of the two marked numbers.

    Hochreiter & Schmidhuber, "Long short-term memory" (1997), experiment 4, in the form of Le et
    al. (2015). Always answering 1 scores a mean squared error of 1/6.
    """
    splits: dict[str, Any] = {}
    sizes = {"train": options.train, "val": options.val, "test": options.test}
    for i, (part, count) in enumerate(sizes.items()):
        if not count:
            continue
        rng = np.random.default_rng([options.seed, 0xADD, i])
        half = options.length // 2
        numbers = rng.random((count, options.length))
        first = rng.integers(0, half, count)
        second = rng.integers(half, options.length, count)
        rows = np.arange(count)
        marks = np.zeros_like(numbers)
        marks[rows, first] = marks[rows, second] = 1
        target = numbers[rows, first] + numbers[rows, second]
        x = torch.from_numpy(np.stack([numbers, marks], 2))
        splits[part] = TensorSplit(x, torch.from_numpy(target[:, None]))
    columns = [ColumnSpec("number"), ColumnSpec("mark")]
    shape = (options.length, 2)
    spec = DataSpec(InputSpec("series", shape), "regression", [], ["sum"], columns)
    return Dataset(spec, splits)
