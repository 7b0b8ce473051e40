"""Which baselines are fitted, in what time, and how they are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.eval_options import EvalOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Split, TensorSplit
from nnzoo.errors import ConfigError
from nnzoo.evaluation.baselines import compute, trees
from nnzoo.evaluation.baselines.baseline import Problem
from nnzoo.evaluation.baselines.budget import Budget, OverBudgetError, RunTime
from nnzoo.evaluation.baselines.compare import row_outcomes
from nnzoo.evaluation.baselines.compute import compute_baselines
from nnzoo.evaluation.baselines.linear import Linear
from tests.evaluation.baselines.problems import results, split_problem

AUTO = EvalOptions()


@pytest.fixture(autouse=True)
def _no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training time alone decides here how much baselines may take."""
    monkeypatch.setattr("nnzoo.evaluation.baselines.budget.START_SECONDS", 0.0)


def table(classes: bool | None = True, poison: float | None = None, rows: int = 160) -> Problem:
    """A problem of a table, of numbers with classes=False and of several labels with None; poison: what the inputs and targets of the test rows are replaced by."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 3))
    y = x[:, 0] + 0.5 * rng.standard_normal(rows)
    targets: Any = torch.from_numpy((y > 0).astype(int) if classes else y[:, None])
    inputs = torch.from_numpy(x)
    if classes is None:
        targets = torch.from_numpy(np.stack([y > 0, y > 1], 1).astype(np.float32))
    if poison is not None:
        inputs[120:], targets[120:] = poison, poison if classes is False else 1
    labels, names = ([], ["y"]) if classes is False else (["no", "yes"], [])
    task: Any = {True: "classification", False: "regression", None: "multilabel"}[classes]
    columns = [ColumnSpec(name) for name in "abc"]
    spec = DataSpec(InputSpec("table", (3,)), task, labels, names, columns)
    parts = {"train": slice(0, 80), "val": slice(80, 120), "test": slice(120, rows)}
    splits: dict[str, Split] = {
        name: TensorSplit(inputs[part], targets[part]) for name, part in parts.items()
    }
    return split_problem(spec, splits)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ITERATIONS", 10)
    monkeypatch.setattr(trees, "FIRST_ITERATIONS", 2)


@pytest.mark.parametrize("classes", [True, False, None])
def test_no_baseline_moves_by_a_bit_with_other_test_rows(classes: bool | None) -> None:
    clean, poisoned = results(table(classes), "val"), results(table(classes, poison=1e6), "val")
    assert list(clean) == list(poisoned) and len(clean) == 3
    assert clean == poisoned


def test_a_run_that_was_short_is_beside_what_costs_nothing() -> None:
    result = compute_baselines(table(), "test", AUTO, RunTime(1e-4))
    assert result["baseline"]["name"] == "majority class" and "baselines" not in result
    left_out = result["baselines_left_out"]
    assert [entry["key"] for entry in left_out] == ["linear", "boosted_trees"]
    assert all(entry["seconds"] > 0 and entry["run_seconds"] == 1e-4 for entry in left_out)


def test_a_long_run_is_beside_every_baseline_and_the_best_comes_first() -> None:
    result = compute_baselines(table(), "test", AUTO, RunTime(1000.0))
    assert {baseline["key"] for baseline in result["baselines"]} == {
        "majority",
        "linear",
        "boosted_trees",
    }
    accuracies = [baseline["accuracy"] for baseline in result["baselines"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert result["baseline"] is result["baselines"][0] and "baselines_left_out" not in result


def test_the_time_is_that_of_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_fit_predict", fake_fit(seconds=2.0))
    result = compute_baselines(table(), "test", AUTO, RunTime(10.0))  # 3 s for baselines
    assert [entry["key"] for entry in result["baselines_left_out"]] == ["boosted_trees"]
    assert len(compute_baselines(table(), "test", AUTO, RunTime(20.0))["baselines"]) == 3


def fake_fit(seconds: float) -> Any:
    def fit(baseline: Any, problem: Problem, split: str, limit: float) -> Any:
        if seconds > limit:
            raise OverBudgetError(seconds)
        return torch.zeros(len(problem.dataset.splits[split]), 2).double(), seconds

    return fit


def test_named_baselines_are_fitted_whatever_they_cost() -> None:
    named = EvalOptions(baselines=["boosted_trees"])
    result = compute_baselines(table(), "test", named, RunTime(1e-4))
    assert result["baseline"]["key"] == "boosted_trees"
    assert result.keys() == {"baseline"}
    assert compute_baselines(table(), "test", EvalOptions(baselines="none")) == {}


def test_a_name_that_is_not_for_the_data_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError) as error:
        compute_baselines(table(), "test", EvalOptions(baselines=["linear", "last_value"]))
    (issue,) = error.value.issues
    assert issue.path == "eval.baselines"
    assert issue.message == (
        "there is no 'last_value' for these data; one of majority, linear, boosted_trees"
    )


def test_what_was_decided_at_the_end_of_a_run_is_kept_whatever_the_clock_says() -> None:
    slow = RunTime(1e-4, shown=["majority", "linear"], left_out={"boosted_trees": 7.0})
    result = compute_baselines(table(), "test", AUTO, slow)
    assert {baseline["key"] for baseline in result["baselines"]} == {"majority", "linear"}
    (entry,) = result["baselines_left_out"]
    assert entry["seconds"] == 7.0 and entry["name"] == "boosted trees"
    fast = RunTime(1000.0, shown=["majority"], left_out={"linear": 1.0, "boosted_trees": 7.0})
    assert compute_baselines(table(), "test", AUTO, fast)["baseline"]["key"] == "majority"


def test_a_fit_serves_all_splits_and_is_kept_for_the_next_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits = []
    fit = Linear.fit

    def counting(self: Linear, problem: Problem, budget: Budget) -> Any:
        fits.append(1)
        return fit(self, problem, budget)

    monkeypatch.setattr(Linear, "fit", counting)
    first = table()
    expected = results(first, "test", "linear")
    for _ in range(2):
        results(first, "val", "linear")
    assert results(first, "test", "linear") == expected and len(fits) == 1
    second = table()  # as after a new start
    assert results(second, "test", "linear") == expected and len(fits) == 1
    # The seconds of the fit that is kept decide, and not that it costs nothing now.
    assert "linear" in [
        entry["key"]
        for entry in compute_baselines(table(), "test", AUTO, RunTime(1e-6))["baselines_left_out"]
    ]


def test_what_took_too_long_is_not_tried_again_unless_there_is_more_time() -> None:
    problem = table()
    compute_baselines(problem, "test", AUTO, RunTime(1e-4))
    kept = problem.dataset.memo["baseline linear"]
    assert isinstance(kept, float)
    compute_baselines(problem, "test", AUTO, RunTime(1e-4))
    assert problem.dataset.memo["baseline linear"] is kept
    assert "linear on" not in results(problem, "test", "linear") and results(
        problem, "test", "linear"
    )


def test_a_network_is_compared_with_each_baseline() -> None:
    for classes in (True, False):
        problem = table(classes)
        rows = problem.dataset.splits["test"]
        right = row_outcomes(problem.task, rows)
        right.add(torch.ones(len(rows)) if classes else torch.zeros(len(rows), 1))
        result = compute_baselines(problem, "test", AUTO, RunTime(1000.0), right)
        for baseline in result["baselines"]:
            comparison = baseline["comparison"]
            metric = comparison["metric"]
            perfect = 1.0 if classes else 0.0
            assert comparison["difference"] == pytest.approx(perfect - baseline[metric])
            assert comparison["verdict"] in ("network", "neither")
            if baseline["key"] in ("majority", "mean"):
                assert comparison["verdict"] == "network" and comparison["p_value"] < 0.05


def test_several_labels_have_their_baselines_and_are_compared_by_exact_match() -> None:
    problem = table(None)
    rows = problem.dataset.splits["test"]
    right = row_outcomes(problem.task, rows)
    right.add(torch.ones(len(rows)))
    result = compute_baselines(problem, "test", AUTO, RunTime(1000.0), right)
    by_key = {baseline["key"]: baseline for baseline in result["baselines"]}
    assert by_key.keys() == {"frequencies", "linear", "boosted_trees"}
    for baseline in by_key.values():
        assert baseline["comparison"]["metric"] == "exact_match"
        difference = 1 - baseline["exact_match"]
        assert baseline["comparison"]["difference"] == pytest.approx(difference)
    for name in ("linear", "boosted_trees"):
        assert by_key[name]["auc_macro"] > 0.8
    assert by_key["frequencies"]["auc_macro"] == 0.5
    problem.task.class_weights = torch.tensor([9.0, 9.0])
    balanced = results(table_with(problem), "test", "linear", "boosted_trees")
    for name, plain in (("logistic regression", "linear"), ("boosted trees", "boosted_trees")):
        assert balanced[name]["recall_macro"] > by_key[plain]["recall_macro"]


def table_with(problem: Problem) -> Problem:
    """The same problem before anything was fitted."""
    problem.dataset.memo.clear()
    return problem
