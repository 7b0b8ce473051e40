"""Baselines that read no input: majority class and mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, r2_score

from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from tests.evaluation.baselines.problems import problem, results


def test_the_majority_class_is_that_of_the_training_rows() -> None:
    x = torch.zeros(9, 1)
    train, test = torch.tensor([0, 1, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 2, 2, 2, 0, 0, 0])
    splits: Any = {"train": TensorSplit(x[:6], train), "test": TensorSplit(x, test)}
    dataset = Dataset(
        DataSpec(
            InputSpec("table", (1,)), "classification", list("abc"), columns=[ColumnSpec("x")]
        ),
        splits,
    )
    result = results(problem(dataset))["majority class"]
    dummy = DummyClassifier(strategy="most_frequent").fit(x[:6], train)
    assert result["label"] == "b"
    assert result["accuracy"] == pytest.approx(dummy.score(x, test))
    macro = f1_score(test, dummy.predict(x), average="macro", zero_division=0)
    assert result["f1_macro"] == pytest.approx(macro)


def test_the_mean_is_that_of_the_training_rows_for_each_target() -> None:
    x = torch.zeros(5, 1)
    train, test = torch.tensor([[1.0], [2.0], [6.0]]), torch.tensor([[0.0], [5.0]])
    splits: Any = {"train": TensorSplit(x[:3], train), "test": TensorSplit(x[:2], test)}
    dataset = Dataset(
        DataSpec(InputSpec("table", (1,)), "regression", targets=["y"], columns=[ColumnSpec("x")]),
        splits,
    )
    result = results(problem(dataset))
    assert result["mean"]["mse"] == (9 + 4) / 2
    assert result["mean"]["mae"] == 2.5
    assert result["mean"]["r2"] == pytest.approx(r2_score(test, torch.full_like(test, 3)))


def test_rows_count_by_their_weights() -> None:
    x, weights = torch.zeros(3, 1).double(), torch.tensor([1.0, 1.0, 3.0]).double()
    columns = [ColumnSpec("x")]
    spec = DataSpec(InputSpec("table", (1,)), "classification", ["a", "b"], columns=columns)
    train: Any = TensorSplit(x, torch.tensor([0, 0, 1]), weights=weights)
    scored = results(problem(Dataset(spec, {"train": train, "test": train})), "test", "majority")
    assert scored["majority class"]["label"] == "b"
    spec = DataSpec(InputSpec("table", (1,)), "regression", targets=["y"], columns=columns)
    train = TensorSplit(x, torch.tensor([[0.0], [5.0], [10.0]]), weights=weights)
    scored = results(problem(Dataset(spec, {"train": train, "test": train})), "test", "mean")
    assert scored["mean"]["mae"] == pytest.approx((7 + 2 + 3) / 3)
