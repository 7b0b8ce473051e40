"""The baseline of recordings: statistics of channels, and the linear model on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Split, TensorSplit
from nnzoo.data.sequences import SequenceSplit
from nnzoo.evaluation.baselines import channel_statistics
from nnzoo.evaluation.baselines.budget import Budget
from nnzoo.evaluation.baselines.linear_model import DEFAULT_PENALTY
from tests.evaluation.baselines.problems import results, split_problem


def recordings(rows: int, seed: int = 0, channels: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(i % 3, 1 + i % 2, (rng.integers(1, 20), channels)) for i in range(rows)]


def split_of(arrays: list[np.ndarray], y: Any) -> SequenceSplit:
    offsets = np.cumsum([0, *map(len, arrays)])
    values = torch.from_numpy(np.concatenate(arrays))
    return SequenceSplit(values, torch.from_numpy(offsets), torch.as_tensor(y))


def reference(array: np.ndarray) -> np.ndarray:
    slope = np.polyfit(np.arange(len(array)), array, 1)[0] if len(array) > 1 else 0 * array[0]
    parts = [array.mean(0), array.std(0), array.min(0), array.max(0), slope, [len(array)]]
    return np.concatenate(parts)


@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
def test_statistics_are_those_of_each_recording(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(channel_statistics, "CHUNK_VALUES", chunk)
    arrays = recordings(12)
    x = channel_statistics.channel_statistics(split_of(arrays, torch.zeros(12)))
    np.testing.assert_allclose(x.numpy(), np.stack([reference(array) for array in arrays]))
    equal = np.stack([array[:1].repeat(5, 0) * np.arange(5)[:, None] for array in arrays])
    x = channel_statistics.channel_statistics(TensorSplit(torch.from_numpy(equal), torch.zeros(12)))
    expected = np.stack([reference(array) for array in equal])
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_classifier_is_scikit_learns_logistic_regression(classes: int) -> None:
    train, test = recordings(60), recordings(30, seed=1)
    y = np.arange(60) % classes
    logits = fit_predict(split_of(train, y), split_of(test, y[:30]), classes)
    features = [np.stack([reference(array) for array in arrays]) for arrays in (train, test)]
    scaler = StandardScaler().fit(features[0])
    # scikit-learn has one weight for two classes, the difference of two, whose penalty is half of theirs.
    penalty = 2.0 if classes == 2 else 1.0
    model = LogisticRegression(C=penalty, tol=1e-8, max_iter=1000)
    model.fit(scaler.transform(features[0]), y)
    expected = model.predict_proba(scaler.transform(features[1]))
    np.testing.assert_allclose(logits.softmax(1).numpy(), expected, atol=1e-4)


def test_the_regression_is_scikit_learns_ridge() -> None:
    train, test = recordings(40), recordings(30, seed=1)
    y = np.random.default_rng(2).standard_normal((40, 2)) + 100
    values = fit_predict(split_of(train, y), split_of(test, y[:30]), 0)
    features = [np.stack([reference(array) for array in arrays]) for arrays in (train, test)]
    scaler = StandardScaler().fit(features[0])
    model = Ridge(DEFAULT_PENALTY).fit(scaler.transform(features[0]), y)
    np.testing.assert_allclose(values.numpy(), model.predict(scaler.transform(features[1])))


def spec_of(labels: list[str], channels: int = 2) -> DataSpec:
    spec = InputSpec("series", (19, channels), variable_length=True)
    task_name: Any = "classification" if labels else "regression"
    return DataSpec(spec, task_name, labels, [] if labels else ["y"])


def fit_predict(train: Split, rows: Split, classes: int) -> torch.Tensor:
    problem = split_problem(spec_of([str(i) for i in range(classes)]), {"train": train})
    return channel_statistics.ChannelLinear().fit(problem, Budget())(rows)


def baselines(splits: dict[str, Split], labels: list[str]) -> list[dict[str, Any]]:
    return list(results(split_problem(spec_of(labels), splits)).values())


def test_the_better_baseline_comes_first_with_the_metrics_of_the_majority_class() -> None:
    arrays = recordings(60)
    easy = torch.tensor([int(len(array) > 9) for array in arrays])
    splits: dict[str, Split] = {"train": split_of(arrays, easy), "test": split_of(arrays, easy)}
    first, second = baselines(splits, ["short", "long"])
    assert first["name"] == "linear on channel statistics" and first["accuracy"] > 0.9
    assert second["name"] == "majority class" and first["auc"] > second["auc"] == 0.5
    assert first.keys() == second.keys() - {"label"}
    hard: dict[str, Split] = {"train": split_of(arrays, torch.arange(60) % 5 % 2)}
    hard["test"] = split_of(recordings(60, seed=4), torch.zeros(60, dtype=torch.int64))
    assert baselines(hard, ["a", "b"])[0]["name"] == "majority class"


def test_a_number_is_predicted_from_channel_statistics() -> None:
    arrays = recordings(60)
    y = torch.tensor([[array.mean() * 2 + len(array)] for array in arrays])
    splits: dict[str, Split] = {"train": split_of(arrays, y), "test": split_of(arrays, y)}
    first, second = baselines(splits, [])
    assert [first["name"], second["name"]] == [channel_statistics.NAME, "mean"]
    assert first["r2"] > 0.95 and first.keys() == second.keys()


def test_constant_huge_and_many_channels_are_survived() -> None:
    huge = [np.full((3, 2), 1e300) * (1 - 2 * (i % 2)) for i in range(6)]
    y = torch.arange(6) % 2
    logits = fit_predict(split_of(huge, y), split_of(huge, y), 2)
    assert logits.isfinite().all()
    wide: Split = TensorSplit(torch.zeros(4, 2, 500), torch.arange(4) % 2)
    many = split_problem(spec_of(["a", "b"], 500), {"train": wide})
    assert not channel_statistics.ChannelLinear().supports(many)


def test_of_many_recordings_evenly_spaced_ones_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_statistics, "MAX_TRAIN_VALUES", 11 * 20)
    arrays = recordings(60)
    y = torch.arange(60) % 2
    chosen = torch.linspace(0, 59, 20).round().long()
    whole = split_of(arrays, y)
    a = fit_predict(whole, whole, 2)
    b = fit_predict(whole.select(chosen), whole, 2)
    assert torch.equal(a, b)
