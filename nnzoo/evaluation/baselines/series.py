"""Baselines of forecasts: the last value, the last season, the mean of the season, and linear regression."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import Split, WindowSplit, chunks
from nnzoo.data.preprocess import fit_rows
from nnzoo.data.timestamps.index import TimeIndex
from nnzoo.evaluation.baselines.baseline import Predict, Problem
from nnzoo.evaluation.baselines.budget import Budget
from nnzoo.evaluation.baselines.simple import target_mean

# Linear regression: rows at once, the most inputs that it is solved for, and the ridge per row.
LINEAR_CHUNK = 4096
MAX_LINEAR_INPUTS = 2048
RIDGE = 1e-6


def _windows(split: Split) -> WindowSplit:
    assert isinstance(split, WindowSplit)
    return split


class _Forecast:
    """A baseline of forecasts that reads the target's past alone."""

    name: str
    is_free = True

    def label(self, problem: Problem) -> str:
        return self.name.replace("_", " ")

    def supports(self, problem: Problem) -> bool:
        return isinstance(problem.train, WindowSplit)


class LastValue(_Forecast):
    """The last value of the window, repeated."""

    name = "last_value"

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        def predict(rows: Split) -> Tensor:
            windows = _windows(rows)
            last = windows.past_targets(torch.tensor([windows.window - 1]))
            return last.repeat(1, windows.horizon, 1).flatten(1)

        return predict


class LastSeason(_Forecast):
    """The value one season before, or two or more where the horizon is longer."""

    name = "last_season"

    def supports(self, problem: Problem) -> bool:
        train, period = problem.train, problem.spec.seasonal_period
        return isinstance(train, WindowSplit) and 1 < period <= train.window

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        period = problem.spec.seasonal_period

        def predict(rows: Split) -> Tensor:
            windows = _windows(rows)
            steps = windows.window - period + torch.arange(windows.horizon) % period
            return windows.past_targets(steps).flatten(1)

        return predict


class SeasonalMean(_Forecast):
    """The mean of the training values of the same series at the same position of the season; the mean of all training
    values where there are none."""

    name = "seasonal_mean"

    def supports(self, problem: Problem) -> bool:
        return isinstance(problem.train, WindowSplit) and problem.spec.seasonal_period > 1

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        train = _windows(problem.train)
        series, positions = season_positions(
            problem.dataset.time_index, len(train.target_values), problem.spec.seasonal_period
        )
        cells = series * (int(positions.max()) + 1) + positions
        used = torch.nonzero(train.used())[:, 0]
        values = train.target_values[used].double()
        totals = torch.zeros(int(cells.max()) + 1, values.shape[1], dtype=torch.float64)
        totals.index_add_(0, cells[used], values)
        counts = torch.bincount(cells[used], minlength=len(totals))[:, None]
        means = torch.where(counts > 0, totals / counts.clamp(min=1), values.mean(0))

        def predict(rows: Split) -> Tensor:
            windows = _windows(rows)
            first = windows.starts[:, None] + windows.window
            return means[cells[first + torch.arange(windows.horizon)]].flatten(1)

        return predict


def season_positions(index: TimeIndex | None, steps: int, period: int) -> tuple[Tensor, Tensor]:
    """The series of each time step, and its position in the season: (steps,) int64 each.

    The season lasts, where times are known, as long as `period` steps usually do, so that missing steps shift nothing,
    and positions are counted in the usual step; else positions count the rows of the series.
    """
    numbers = np.arange(steps)
    if index is None:
        return torch.zeros(steps, dtype=torch.int64), torch.from_numpy(numbers % period)
    series = index.series_numbers(numbers)
    positions = (numbers - index.starts[series]) % period
    if index.times is not None:
        times = index.times
        if times.dtype.kind == "M":
            times = times.astype("M8[us]").astype(np.int64)
        season = times[period:] - times[:-period]
        step = np.diff(times)
        season, step = season[series[period:] == series[:-period]], step[np.diff(series) == 0]
        if len(season) and np.median(season) > 0 and np.median(step) > 0:
            past = (times - times.min()) % np.median(season)
            slots = round(float(np.median(season) / np.median(step)))
            positions = np.rint(past / np.median(step)).astype(np.int64) % slots
    return torch.from_numpy(series), torch.from_numpy(positions)


class LinearForecast:
    """Ridge regression from the values of the window to those of the horizon."""

    name = "linear"
    is_free = False

    def label(self, problem: Problem) -> str:
        return "linear"

    def supports(self, problem: Problem) -> bool:
        train = problem.train
        return (
            isinstance(train, WindowSplit)
            and train.window * train.values.shape[1] <= MAX_LINEAR_INPUTS
        )

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        """Solve for the weights; subtracting the mean of the targets keeps the digits of large values, and the ridge
        does not pull predictions towards zero."""
        train, mean = _windows(problem.train), target_mean(problem.train)
        inputs = train.window * train.values.shape[1]
        seen = fit_rows(train)
        center, std = seen.mean(0), seen.std(0)
        # A feature that is constant in training gets no weight, whatever values it has later.
        std = torch.where(std > 1e-12 * center.abs(), std, torch.inf)

        def design_matrix(split: WindowSplit, chunk: slice) -> tuple[Tensor, Tensor]:
            x, y = split.batch(torch.arange(chunk.start, chunk.stop))
            x = ((x - center) / std).flatten(1)
            return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1), y - mean

        gram = torch.zeros(inputs + 1, inputs + 1, dtype=torch.float64)
        moment = torch.zeros(inputs + 1, len(mean), dtype=torch.float64)
        for chunk in chunks(len(train), LINEAR_CHUNK):
            x, y = design_matrix(train, chunk)
            gram += x.T @ x
            moment += x.T @ y
            budget.progress(chunk.stop / len(train))
        gram.diagonal().add_(RIDGE * len(train))
        weights = torch.linalg.solve(gram, moment)

        def predict(rows: Split) -> Tensor:
            windows = _windows(rows)
            slices = chunks(len(windows), LINEAR_CHUNK)
            parts = [design_matrix(windows, chunk)[0] @ weights for chunk in slices]
            return torch.cat(parts) + mean

        return predict
