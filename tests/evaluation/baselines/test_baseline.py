"""The problem of baselines: rows and their weights."""

from __future__ import annotations

from typing import Any

import torch

from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import TensorSplit
from nnzoo.evaluation.baselines.baseline import evenly_spaced
from tests.evaluation.baselines.problems import split_problem


def test_the_weight_of_a_row_is_its_own_times_that_of_its_class() -> None:
    x, y = torch.zeros(3, 1, 1, 1, dtype=torch.uint8), torch.tensor([0, 1, 1])
    spec = DataSpec(InputSpec("image", (1, 1, 1)), "classification", ["a", "b"])
    plain: Any = TensorSplit(x, y)
    weighted: Any = TensorSplit(x, y, weights=torch.tensor([1.0, 2.0, 3.0]).double())
    problem = split_problem(spec, {"train": plain})
    assert problem.row_weights(plain) is None
    assert problem.row_weights(weighted) is weighted.weights
    problem.task.class_weights = torch.tensor([1.0, 0.5])
    assert problem.row_weights(plain).tolist() == [1, 0.5, 0.5]  # type: ignore[union-attr]
    assert problem.row_weights(weighted).tolist() == [1, 1, 1.5]  # type: ignore[union-attr]


def test_rows_beyond_a_limit_are_left_out_evenly() -> None:
    assert evenly_spaced(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly_spaced(9, 3).tolist() == [0, 4, 8]
    assert evenly_spaced(9, 0).tolist() == [0, 8]
