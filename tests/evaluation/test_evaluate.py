"""Baselines: majority class, mean, last value, last season, linear regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import f1_score, mean_absolute_error, mean_squared_error, r2_score

from nnzoo.config.data_options import SeriesOptions
from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.preprocess import Scale
from nnzoo.data.series import Series, windows
from nnzoo.evaluation.baselines import compute_baselines
from nnzoo.evaluation.tasks.build import build_task


def series(
    values: np.ndarray, window: int, horizon: int, season: int = 0, targets: int = 1
) -> Dataset:
    names = [f"f{i}" for i in range(values.shape[1])]
    options = SeriesOptions(name="series", path="", window=window, horizon=horizon)
    columns = [ColumnSpec(name) for name in names]
    return windows([Series(values)], columns, names[:targets], options, season)


def scores(dataset: Dataset, split: str = "test") -> dict[str, dict[str, Any]]:
    scale = None
    if dataset.spec.task != "classification":
        scale = Scale(len(dataset.spec.targets), "none")
    task = build_task(TrainOptions(), dataset.spec, None, scale)
    results = compute_baselines(dataset, split, task)
    if dataset.spec.task != "classification":
        assert results == sorted(results, key=lambda result: result["mse"])
    return {result["name"]: result for result in results}


def wave(rows: int, features: int = 1) -> np.ndarray:
    rng = np.random.default_rng(3)
    time = np.arange(rows)[:, None]
    return (
        50
        + 10 * np.sin(2 * np.pi * time / 12 + np.arange(features))
        + rng.standard_normal((rows, features))
    )


def test_the_majority_class_is_that_of_the_training_rows() -> None:
    x = torch.zeros(9, 1)
    train, test = torch.tensor([0, 1, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 2, 2, 2, 0, 0, 0])
    splits: Any = {"train": TensorSplit(x[:6], train), "test": TensorSplit(x, test)}
    dataset = Dataset(DataSpec(InputSpec("table", (1,)), "classification", ["a", "b", "c"]), splits)
    result = scores(dataset)["majority class"]
    dummy = DummyClassifier(strategy="most_frequent").fit(x[:6], train)
    assert result["label"] == "b"
    assert result["accuracy"] == pytest.approx(dummy.score(x, test))
    macro = f1_score(test, dummy.predict(x), average="macro", zero_division=0)
    assert result["f1_macro"] == pytest.approx(macro)


def test_the_mean_is_that_of_the_training_rows_for_each_target() -> None:
    x = torch.zeros(5, 1)
    train, test = torch.tensor([[1.0], [2.0], [6.0]]), torch.tensor([[0.0], [5.0]])
    splits: Any = {"train": TensorSplit(x[:3], train), "test": TensorSplit(x[:2], test)}
    dataset = Dataset(DataSpec(InputSpec("table", (1,)), "regression", targets=["y"]), splits)
    result = scores(dataset)
    assert list(result) == ["mean"]
    assert result["mean"]["mse"] == (9 + 4) / 2
    assert result["mean"]["mae"] == 2.5
    assert result["mean"]["r2"] == pytest.approx(r2_score(test, torch.full_like(test, 3)))


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
