"""Forecasts of a split by series and time: charts, errors per series, and labels of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from nnzoo.data.dataset import Dataset, WindowSplit
from nnzoo.predict.predictions import Predictions
from nnzoo.report import charts

Array = np.ndarray[Any, Any]

MAX_CHARTS = 4
MAX_STEPS = 300  # time steps per chart, the last ones
MAX_SERIES = 30


@dataclass(frozen=True)
class Forecasts:
    """Charts and errors of the first target, one step ahead.

    charts: (caption, chart). series: {name, rows, rmse, mae} each, the largest error first. more: the
    number of series that are left out.
    """

    charts: list[tuple[str, Markup]]
    series: list[dict[str, Any]]
    more: int = 0


def target_steps(dataset: Dataset, split: str) -> Array:
    """Return the first time step that each row of a split of windows forecasts (rows,)."""
    rows: Any = dataset.splits[split]
    assert isinstance(rows, WindowSplit)
    return np.asarray(rows.starts.cpu().numpy() + rows.window)


def row_label(dataset: Dataset, split: str, row: int) -> str:
    """Name a row for people: its series and time or its recording if they are known, else its number."""
    if dataset.time_index is None or not isinstance(dataset.splits[split], WindowSplit):
        return dataset.row_name(split, row)
    return dataset.time_index.label(int(target_steps(dataset, split)[row]))


def describe_forecasts(
    dataset: Dataset, split: str, predictions: Predictions, target: str
) -> Forecasts:
    """Draw some series over time, from the largest error to the smallest, and list the errors of all."""
    index = dataset.time_index
    assert index is not None and predictions.targets is not None
    values, targets = predictions.values[:, 0], predictions.targets[:, 0]
    steps = target_steps(dataset, split)
    numbers = index.series_numbers(steps)
    errors = values - targets
    series = []
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        summary = {
            "name": index.names[number],
            "rows": len(rows),
            "rmse": float(np.sqrt(np.mean(errors[rows] ** 2))),
            "mae": float(np.abs(errors[rows]).mean()),
        }
        series.append((summary, rows))
    series.sort(key=lambda pair: -pair[0]["rmse"])
    drawn = []
    for rank in sorted({round(i) for i in np.linspace(0, len(series) - 1, MAX_CHARTS)}):
        summary, rows = series[rank]
        rows, name = rows[-MAX_STEPS:], summary["name"]
        times = None if index.times is None else index.times[steps[rows]]
        band = None
        if predictions.low is not None and predictions.high is not None:
            band = predictions.low[rows, 0], predictions.high[rows, 0]
        chart = charts.over_time(targets[rows], values[rows], target, times, name, band)
        drawn.append((_caption(name, rank, len(series)), chart))
    listed = [summary for summary, _ in series] if len(series) > 1 else []
    return Forecasts(drawn, listed[:MAX_SERIES], max(0, len(listed) - MAX_SERIES))


def _caption(name: str, rank: int, count: int) -> str:
    """Name a series and the rank of its error."""
    if count == 1:
        return name
    ends = {0: "the largest error", count - 1: "the smallest error"}
    return f"{name} ({ends.get(rank, f'error {rank + 1} of {count} by size')})"
