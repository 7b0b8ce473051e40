"""Forecasts of a split of windows by series and date: charts, errors of each series, names of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from nnzoo.data.dataset import Dataset, WindowSplit
from nnzoo.report import charts
from nnzoo.report.predictions import Compared

Array = np.ndarray[Any, Any]

MAX_CHARTS = 4
MAX_STEPS = 300  # time steps of a chart: the last ones
MAX_SERIES = 30


@dataclass(frozen=True)
class Forecasts:
    """charts: what each shows, and its SVG; series: name, rows, rmse and mae of each, the largest error
    first, of the first target one step ahead; more: how many series are not among them."""

    charts: list[tuple[str, Markup]]
    series: list[dict[str, Any]]
    more: int = 0


def target_steps(dataset: Dataset, split: str) -> Array:
    """The first time step that each row of a split of windows forecasts."""
    rows: Any = dataset.splits[split]
    assert isinstance(rows, WindowSplit)
    return np.asarray(rows.starts.cpu().numpy() + rows.window)


def row_label(dataset: Dataset, split: str, row: int) -> str:
    """A row of a split for people: its series and date where they are known, else its number."""
    if dataset.time_index is None or not isinstance(dataset.splits[split], WindowSplit):
        return f"row {row}"
    return dataset.time_index.label(int(target_steps(dataset, split)[row]))


def describe_forecasts(
    dataset: Dataset, split: str, predictions: Compared, target: str
) -> Forecasts:
    """Charts of some series over their time, from the largest error to the smallest."""
    index = dataset.time_index
    assert index is not None
    steps = target_steps(dataset, split)
    numbers = index.series_numbers(steps)
    errors = predictions.answer[:, 0] - predictions.truth[:, 0]
    series = []
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        series.append(
            {
                "name": index.names[number],
                "rows": len(rows),
                "rmse": float(np.sqrt(np.mean(errors[rows] ** 2))),
                "mae": float(np.abs(errors[rows]).mean()),
                "places": rows,
            }
        )
    series.sort(key=lambda each: -each["rmse"])
    chosen = sorted({round(i) for i in np.linspace(0, len(series) - 1, MAX_CHARTS)})
    drawn = []
    for place in chosen:
        rows = series[place]["places"][-MAX_STEPS:]
        when = None if index.times is None else index.times[steps[rows]]
        name = series[place]["name"]
        caption = _caption(name, place, len(series))
        shown = (predictions.truth[rows, 0], predictions.answer[rows, 0])
        drawn.append((caption, charts.over_time(*shown, target, when, name)))
    several = series if len(series) > 1 else []
    for each in series:
        del each["places"]
    return Forecasts(drawn, several[:MAX_SERIES], max(0, len(several) - MAX_SERIES))


def _caption(name: str, place: int, count: int) -> str:
    """What a chart shows: which series, and how its error ranks."""
    if count == 1:
        return name
    ends = {0: "the largest error", count - 1: "the smallest error"}
    return f"{name} ({ends.get(place, f'error {place + 1} of {count} by size')})"
