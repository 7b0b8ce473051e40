"""Gradient-boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split, TensorSplit
from nnzoo.evaluation.baselines import trees
from nnzoo.evaluation.baselines.budget import Budget, OverBudgetError
from tests.evaluation.baselines.problems import problem, split_problem

PARTS = {"train": slice(0, 200), "val": slice(200, 260), "test": slice(260, 400)}


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ITERATIONS", 20)
    monkeypatch.setattr(trees, "FIRST_ITERATIONS", 4)


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.stack([rng.standard_normal(400), rng.integers(-1, 4, 400)], 1)
    signal = np.abs(x[:, 0]) + (x[:, 1] == 2) + 0.3 * rng.standard_normal(400)
    x[::13, 0] = np.nan
    return x, signal


def spec_of(labels: list[str], targets: int = 1) -> DataSpec:
    columns = [ColumnSpec("number"), ColumnSpec("category", list("abcd"))]
    task: Any = "classification" if labels else "regression"
    names = [] if labels else [f"y{i}" for i in range(targets)]
    return DataSpec(InputSpec("table", (2,)), task, labels, names, columns)


def splits_of(x: np.ndarray, y: np.ndarray, *names: str) -> dict[str, Split]:
    return {
        name: TensorSplit(torch.from_numpy(x[PARTS[name]]), torch.from_numpy(y[PARTS[name]]))
        for name in names
    }


def encoded(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0], np.where(x[:, 1] < 0, np.nan, x[:, 1])], 1)


def fit(spec: DataSpec, splits: dict[str, Split], split: str = "test") -> np.ndarray:
    of = split_problem(spec, splits)
    return trees.BoostedTrees().fit(of, Budget())(splits[split]).numpy()


@pytest.mark.parametrize("classes", [2, 3])
def test_without_validation_rows_it_is_scikit_learns_model(classes: int) -> None:
    x, signal = table()
    y = np.digitize(signal, [0.8, 1.4][: classes - 1])
    scores = fit(spec_of(list("abc"[:classes])), splits_of(x, y, "train", "test"))
    model = HistGradientBoostingClassifier(
        max_iter=20, early_stopping=False, categorical_features=[1], random_state=0
    )
    model.fit(encoded(x[:200]), y[:200])
    np.testing.assert_allclose(scores, model.predict_proba(encoded(x[260:])), atol=1e-9)


def test_validation_rows_choose_how_many_trees_there_are() -> None:
    x, signal = table()
    flipped = np.random.default_rng(2).random(400) < 0.35
    y = (signal > 1).astype(int) ^ flipped
    scores = fit(spec_of(["no", "yes"]), splits_of(x, y, *PARTS))
    losses = []
    for count in range(1, 21):
        model = HistGradientBoostingClassifier(
            max_iter=count, early_stopping=False, categorical_features=[1], random_state=0
        ).fit(encoded(x[:200]), y[:200])
        losses.append(log_loss(y[200:260], model.predict_proba(encoded(x[200:260]))))
        if losses[-1] == min(losses):
            best = model.predict_proba(encoded(x[260:]))
    assert np.argmin(losses) < 19
    np.testing.assert_allclose(scores, best, atol=1e-9)


def test_each_target_of_numbers_has_its_model() -> None:
    x, signal = table()
    y = np.stack([signal, -2 * signal], 1)
    values = fit(spec_of([], 2), splits_of(x, y, "train", "test"))
    model = HistGradientBoostingRegressor(
        max_iter=20, early_stopping=False, categorical_features=[1], random_state=0
    )
    expected = [model.fit(encoded(x[:200]), y[:200, i]).predict(encoded(x[260:])) for i in (0, 1)]
    np.testing.assert_allclose(values, np.stack(expected, 1), atol=1e-9)
    errors = fit(spec_of([], 2), splits_of(x, y, *PARTS)) - y[260:]
    assert (errors.var(0) < 0.5 * y[260:].var(0)).all()


def test_classes_without_training_rows_have_no_probability() -> None:
    x, signal = table()
    y = np.where(signal > 1, 2, 0)
    splits = splits_of(x, y, *PARTS)
    assert (fit(spec_of(list("abc")), splits)[:, 1] == 0).all()
    one = {
        name: TensorSplit(split.tensors()[0], torch.ones(len(split), dtype=torch.int64))
        for name, split in splits.items()
    }
    assert (fit(spec_of(list("abc")), {**one}).argmax(1) == 1).all()


def test_the_rarest_of_many_categories_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MAX_CATEGORIES", 2)
    raw = np.array([[0.0, 3], [0, 3], [0, 1], [0, 1], [0, 0], [0, -1]])
    split: Split = TensorSplit(torch.from_numpy(raw), torch.zeros(6, 1))
    encode = trees._Encoder(split_problem(spec_of([]), {"train": split}), raw)
    expected = [1, 1, 0, 0, np.nan, np.nan]
    np.testing.assert_array_equal(encode(raw)[:, 1], expected)


def test_class_weights_of_training_are_those_of_the_trees() -> None:
    x, signal = table()
    y = (signal > 1.6).astype(int)
    splits = splits_of(x, y, "train", "test")
    of = problem(Dataset(spec_of(["no", "yes"]), splits), TrainOptions())
    plain = trees.BoostedTrees().fit(of, Budget())(splits["test"])
    of.task.class_weights = torch.tensor([0.5, 5.0])
    weighted = trees.BoostedTrees().fit(of, Budget())(splits["test"])
    assert weighted[:, 1].mean() > plain[:, 1].mean() + 0.05


def test_a_fit_that_takes_too_long_is_left_out_before_it_starts_or_after_its_first_trees() -> None:
    x, signal = table()
    of = split_problem(spec_of([]), splits_of(x, signal[:, None], "train"))
    with pytest.raises(OverBudgetError):
        trees.BoostedTrees().fit(of, Budget(1e-3))
    budget = Budget(30)
    budget.start -= 29.5
    with pytest.raises(OverBudgetError) as error:
        trees.BoostedTrees().fit(of, budget)
    assert error.value.seconds > 60  # a fifth of the trees is done after half a minute
    assert not trees.BoostedTrees().supports(
        split_problem(
            DataSpec(InputSpec("image", (1, 2, 2)), "classification", ["a"]),
            {
                "train": TensorSplit(
                    torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
                )
            },
        )
    )
