"""Linear models on tables and images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Split, TensorSplit
from nnzoo.evaluation.baselines import linear
from nnzoo.evaluation.baselines.baseline import evenly_spaced
from nnzoo.evaluation.baselines.budget import Budget, OverBudgetError
from tests.evaluation.baselines.problems import results, split_problem

IMAGES = DataSpec(InputSpec("image", (1, 20, 20)), "classification", ["left", "right"])


def images(rows: int, side: int = 20, seed: int = 0) -> TensorSplit:
    """Images with a bright left or right half."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % 2
    x = torch.randint(0, 200, (rows, 1, side, side), generator=generator, dtype=torch.uint8)
    half = torch.where(
        y[:, None] == 0, torch.arange(side) < side // 2, torch.arange(side) >= side // 2
    )
    return TensorSplit(x + 40 * half[:, None, None].to(torch.uint8), y)


@pytest.mark.parametrize(("side", "pixels"), [(10, 1024), (20, 1024), (20, 100)])
def test_images_are_read_as_pixels_as_components_or_averaged(
    side: int, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "MAX_PIXELS", pixels)
    monkeypatch.setattr(linear, "CHUNK_VALUES", side * side * 7)
    splits: dict[str, Split] = {"train": images(100, side), "test": images(60, side, seed=1)}
    spec = DataSpec(InputSpec("image", (1, side, side)), "classification", ["left", "right"])
    result = results(split_problem(spec, splits))["logistic regression on pixels"]
    assert result["accuracy"] > 0.9 and result["auc"] > 0.9


def test_the_components_are_those_of_the_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "COMPONENTS", 5)
    monkeypatch.setattr(linear, "CHUNK_VALUES", 400 * 30)
    train = images(80)
    problem = split_problem(IMAGES, {"train": train})
    features = linear._pixel_features(problem, Budget())(train).double()
    x = problem.preprocess(train.x).flatten(1).double()
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))[-5:]
    np.testing.assert_allclose(features.var(0, correction=0), values, rtol=1e-3)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)
    with pytest.raises(OverBudgetError):
        linear._pixel_features(problem, Budget(1e-9))


def test_a_table_is_read_as_the_network_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that are missing are filled, categories are columns, and rows beyond the limit are left out evenly."""
    rng = np.random.default_rng(0)
    codes, number = rng.integers(-1, 3, 300), rng.standard_normal(300)
    y = torch.from_numpy(np.where(codes == 1, 5.0, 0.0) + number)[:, None]
    x = torch.from_numpy(np.stack([number, codes], 1))
    x[::50, 0] = float("nan")
    columns = [ColumnSpec("number"), ColumnSpec("category", list("abc"))]
    spec = DataSpec(InputSpec("table", (2,)), "regression", [], ["y"], columns)
    parts = {"train": slice(0, 200), "val": slice(200, 250), "test": slice(250, 300)}
    splits: dict[str, Split] = {name: TensorSplit(x[part], y[part]) for name, part in parts.items()}
    problem, test = split_problem(spec, splits), splits["test"]
    values = linear.Linear().fit(problem, Budget())(test)
    assert (values - test.targets()).var() < 0.1 * test.targets().var()
    monkeypatch.setattr(linear, "MAX_TRAIN_VALUES", 4 * 100)
    of_fewer = linear.Linear().fit(problem, Budget())(test)
    half = TensorSplit(x[:200][evenly_spaced(200, 100)], y[:200][evenly_spaced(200, 100)])
    problem.dataset.splits["train"] = half
    assert torch.equal(of_fewer, linear.Linear().fit(problem, Budget())(test))
    assert not torch.equal(of_fewer, values)


def test_a_table_with_too_many_columns_has_no_linear_model() -> None:
    columns: Any = [ColumnSpec("c", [str(i) for i in range(linear.MAX_FEATURES + 1)])]
    spec = DataSpec(InputSpec("table", (1,)), "regression", [], ["y"], columns)
    split: Split = TensorSplit(torch.zeros(3, 1).double(), torch.zeros(3, 1).double())
    problem = split_problem(spec, {"train": split, "test": split})
    assert not linear.Linear().supports(problem)
    assert "boosted trees" in results(problem)  # which merge rare categories
