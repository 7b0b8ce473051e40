"""Baselines of forecasts: last value, last season, mean of the season, linear regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.series import Series, windows
from nnzoo.data.timestamps.index import TimeIndex
from nnzoo.evaluation.baselines.series import season_positions
from tests.evaluation.baselines.problems import problem, results


def series(
    values: np.ndarray, window: int, horizon: int, season: int = 0, targets: int = 1
) -> Dataset:
    names = [f"f{i}" for i in range(values.shape[1])]
    options = SeriesOptions(name="series", path="", window=window, horizon=horizon)
    columns = [ColumnSpec(name) for name in names]
    return windows([Series(values)], columns, names[:targets], options, season)


def scores(dataset: Dataset, split: str = "test") -> dict[str, dict[str, Any]]:
    scored = results(problem(dataset), split)
    if dataset.spec.task != "classification":
        assert list(scored.values()) == sorted(scored.values(), key=lambda result: result["mse"])
    return scored


def wave(rows: int, features: int = 1) -> np.ndarray:
    rng = np.random.default_rng(3)
    time = np.arange(rows)[:, None]
    return (
        50
        + 10 * np.sin(2 * np.pi * time / 12 + np.arange(features))
        + rng.standard_normal((rows, features))
    )


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_last_value_is_repeated_over_the_horizon(horizon: int) -> None:
    values = wave(200, 2)
    result = scores(series(values, 6, horizon, targets=2))["last value"]
    first = range(160, 200 - horizon + 1)  # the last fifth tests
    truth = np.stack([values[t : t + horizon].ravel() for t in first])
    guess = np.stack([np.tile(values[t - 1], horizon) for t in first])
    assert result["mse"] == pytest.approx(mean_squared_error(truth, guess))
    assert result["mae"] == pytest.approx(mean_absolute_error(truth, guess))


@pytest.mark.parametrize("horizon", [1, 4, 12, 30])
def test_the_last_season_is_repeated_where_the_horizon_is_longer(horizon: int) -> None:
    values = wave(400)
    result = scores(series(values, 15, horizon, season=12))["last season"]
    first = range(320, 400 - horizon + 1)
    truth = np.stack([values[t : t + horizon, 0] for t in first])
    guess = np.stack([[values[t - 12 + h % 12, 0] for h in range(horizon)] for t in first])
    assert result["mse"] == pytest.approx(mean_squared_error(truth, guess))


@pytest.mark.parametrize("season", [0, 1, 16])
def test_no_seasonal_baseline_where_no_season_fits_into_the_window(season: int) -> None:
    assert "last season" not in scores(series(wave(200), 15, 2, season=season))


@pytest.mark.parametrize(("horizon", "targets"), [(1, 1), (4, 2)])
def test_the_linear_baseline_is_scikit_learns_linear_regression(horizon: int, targets: int) -> None:
    values = wave(300, 3)
    dataset = series(values, 8, horizon, targets=targets)
    data = {}
    for name in ("train", "test"):
        split = dataset.splits[name]
        x, y = split.batch(torch.arange(len(split)))
        data[name] = (x.flatten(1).numpy(), y.numpy())
    model = LinearRegression().fit(*data["train"])
    truth, guess = data["test"][1], model.predict(data["test"][0])
    result = scores(dataset)["linear"]
    assert result["mse"] == pytest.approx(mean_squared_error(truth, guess), rel=1e-4)
    assert result["r2"] == pytest.approx(r2_score(truth, guess), rel=1e-4)


def test_a_covariate_that_starts_to_change_after_training_does_not_blow_up_the_linear_baseline() -> (
    None
):
    values = wave(300, 2)
    calm = values.copy()
    values[:, 1] = 0.1  # not exact in binary: its mean differs from it by rounding
    values[250:, 1] = 9.0
    calm[:, 1] = 0.1
    assert scores(series(values, 8, 1))["linear"]["mse"] == pytest.approx(
        scores(series(calm, 8, 1))["linear"]["mse"]
    )


def test_baselines_never_use_validation_or_test_rows() -> None:
    values = wave(300)
    poisoned = values.copy()
    poisoned[270:] = -1e6
    clean, dirty = series(values, 8, 1), series(poisoned, 8, 1)
    # Validation ends at 240: nothing of it may move.
    assert scores(clean, "val") == scores(dirty, "val")
    poisoned[210:] = -1e6
    dirty = series(poisoned, 8, 1)
    assert scores(clean, "train") == scores(dirty, "train")


def test_r2_of_the_baselines_keeps_its_digits_for_large_numbers() -> None:
    values = 1e9 + wave(300)
    result = scores(series(values, 8, 1))
    expected = scores(series(values - 1e9, 8, 1))
    for name in ("mean", "last value", "linear"):
        assert result[name]["r2"] == pytest.approx(expected[name]["r2"], abs=1e-4), name


@pytest.mark.parametrize("horizon", [1, 30])
def test_the_seasonal_mean_is_that_of_the_training_values_at_the_same_position(
    horizon: int,
) -> None:
    values = wave(400, 2)
    dataset = series(values, 15, horizon, season=12, targets=2)
    result = scores(dataset)["seasonal mean"]
    end = int(dataset.splits["train"].tensors()[2].max()) + 15 + horizon
    means = np.stack([values[:end][position:end:12].mean(0) for position in range(12)])
    first = range(320, 400 - horizon + 1)
    truth = np.stack([values[t : t + horizon].ravel() for t in first])
    guess = np.stack([means[np.arange(t, t + horizon) % 12].ravel() for t in first])
    assert result["mse"] == pytest.approx(mean_squared_error(truth, guess))


def test_each_series_has_its_seasonal_mean() -> None:
    levels = [0.0, 1000.0]
    pattern = np.tile(np.arange(4.0), 50)[:, None]
    options = SeriesOptions(name="series", path="", window=5, horizon=2)
    parts = [Series(pattern + level, None, str(level)) for level in levels]
    dataset = windows(parts, [ColumnSpec("f")], ["f"], options, 4)
    assert scores(dataset)["seasonal mean"]["rmse"] < 1e-9


def test_positions_in_a_season_follow_the_clock_where_steps_are_missing() -> None:
    days = np.datetime64("2024-01-01") + np.arange(140)  # from a Monday on
    weekdays = days[np.isin((days.astype(int) + 3) % 7, range(6))]  # without Sundays
    for times, period in ((days, 7), (weekdays, 6)):
        kept = np.delete(times, [20, 21, 50, 90])
        index = TimeIndex.of([""], [kept.astype("M8[us]")], [len(kept)])
        _, positions = season_positions(index, len(kept), period)
        np.testing.assert_array_equal(positions, (kept.astype(int) + 3) % 7)
    months = np.arange("1990-01", "2020-01", dtype="M8[M]")
    index = TimeIndex.of([""], [months.astype("M8[us]")], [len(months)])
    _, positions = season_positions(index, len(months), 12)
    np.testing.assert_array_equal(positions, np.arange(360) % 12)


def test_positions_in_a_season_count_rows_where_times_are_unknown() -> None:
    series_numbers, positions = season_positions(
        TimeIndex.of(["a", "b"], [None, None], [5, 4]), 9, 3
    )
    assert series_numbers.tolist() == [0] * 5 + [1] * 4
    assert positions.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 0]
    assert season_positions(None, 5, 3)[1].tolist() == [0, 1, 2, 0, 1]
