"""Metrics against scikit-learn: every kind of input, batches, merged processes, saved states."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torch import Tensor

from nnzoo.evaluation.metrics import (
    ClassificationMetrics,
    MetricState,
    RegressionMetrics,
    RunningLoss,
    classification_report,
    wilson_interval,
)

CPU = torch.device("cpu")


def names(classes: int) -> list[str]:
    return [f"c{i}" for i in range(classes)]


def classified(classes: int, *batches: tuple[Tensor, Tensor]) -> dict[str, Any]:
    sums = ClassificationMetrics(classes, CPU)
    for output, target in batches:
        sums.update(output, target)
    return sums.compute(names(classes))


def assert_as_sklearn(logits: Tensor, target: Tensor) -> None:
    classes = logits.shape[1]
    report = classified(classes, (logits, target))
    truth, guess = target.numpy(), logits.argmax(1).numpy()
    chances = torch.softmax(logits.double(), 1).numpy()
    assert report["n"] == len(truth)
    assert report["labels"] == names(classes)
    assert report["accuracy"] == pytest.approx(sk.accuracy_score(truth, guess), abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's word on classes that are never seen
        macro = sk.precision_recall_fscore_support(truth, guess, average="macro", zero_division=0)
        item = sk.precision_recall_fscore_support(
            truth, guess, labels=range(classes), zero_division=0
        )
        loss = sk.log_loss(truth, chances, labels=range(classes))
    assert report["loss"] == pytest.approx(loss, rel=1e-5, abs=1e-6)
    for value, key in zip(macro, ("precision_macro", "recall_macro", "f1_macro"), strict=False):
        if value is not None:
            assert report[key] == pytest.approx(value, abs=1e-12), key
    confusion = sk.confusion_matrix(truth, guess, labels=range(classes))
    assert report["confusion_matrix"] == confusion.tolist()
    for i, row in enumerate(report["per_class"]):
        expected = [values[i] for values in item]
        assert [row[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(
            expected
        )
        tn, fp, fn, tp = sk.confusion_matrix(truth == i, guess == i, labels=[False, True]).ravel()
        assert (row["tn"], row["fp"], row["fn"], row["tp"]) == (tn, fp, fn, tp)
    if classes > 10:
        top5 = sk.top_k_accuracy_score(truth, chances, k=5, labels=range(classes))
        assert report["top5_accuracy"] == pytest.approx(top5)
    else:
        assert "top5_accuracy" not in report


def add_up(metrics: MetricState, other: MetricState) -> None:
    """Add up the tensors of two processes, as all_reduce does."""
    for name, tensor in metrics.tensors.items():
        tensor += other.tensors[name]


def filled(kind: str, part: slice) -> Any:
    generator = torch.Generator().manual_seed(7)
    output = torch.randn(40, 11, generator=generator)[part]
    target = torch.randint(11, (40,), generator=generator)[part]
    if kind == "classification":
        classes = ClassificationMetrics(11, CPU)
        classes.update(output, target)
        return classes
    if kind == "regression":
        numbers = RegressionMetrics(torch.ones(11), CPU)
        numbers.update(output, output.flip(1), float(len(output)))
        return numbers
    training = RunningLoss("accuracy")
    training.update(float(output.double().sum()), float(len(output)), 3.0, len(output))
    return training


def assert_same(a: Any, b: Any) -> None:
    assert a.state().keys() == b.state().keys()
    for name, tensor in a.state().items():
        torch.testing.assert_close(tensor, b.state()[name], rtol=1e-12, atol=1e-9)


def regressed(
    output: Tensor, target: Tensor, centre: Tensor | None = None, batch: int = 7
) -> dict[str, Any]:
    sums = RegressionMetrics(target[0] if centre is None else centre, CPU)
    for x, y in zip(output.split(batch), target.split(batch), strict=True):
        sums.update(x, y)
    return sums.compute([f"y{i}" for i in range(target.shape[1])])


@settings(max_examples=40, deadline=None)
@given(classes=st.integers(2, 50), rows=st.integers(1, 80), seed=st.integers(0, 2**31))
def test_classification_metrics_equal_scikit_learns(classes: int, rows: int, seed: int) -> None:
    # With few rows, classes are missing in the truth and others are never predicted.
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator) * 3
    target = torch.randint(classes, (rows,), generator=generator)
    assert_as_sklearn(logits, target)


@pytest.mark.parametrize(
    ("truth", "guess"),
    [
        ([0, 0, 1, 1], [0, 0, 0, 0]),
        ([0, 0, 0, 0], [1, 1, 1, 0]),
        ([2, 2, 2], [2, 2, 2]),
        ([0, 1, 2], [1, 2, 0]),
    ],
    ids=["never predicted", "missing in truth", "one class alone", "all wrong"],
)
def test_degenerate_predictions_score_as_in_scikit_learn(
    truth: list[int], guess: list[int]
) -> None:
    logits = torch.nn.functional.one_hot(torch.tensor(guess), 3).float() * 4
    assert_as_sklearn(logits, torch.tensor(truth))


def test_two_classes_are_also_reported_for_the_positive_one() -> None:
    truth, guess = [0, 0, 1, 1, 1], [0, 1, 1, 1, 0]
    logits = torch.nn.functional.one_hot(torch.tensor(guess), 2).float()
    report = classified(2, (logits, torch.tensor(truth)))
    assert report["positive_label"] == "c1"
    assert report["precision"] == pytest.approx(sk.precision_score(truth, guess))
    assert report["recall"] == pytest.approx(sk.recall_score(truth, guess))
    assert report["f1"] == pytest.approx(sk.f1_score(truth, guess))


def test_nothing_seen_is_not_a_number_instead_of_an_error() -> None:
    report = classified(3)
    assert report["n"] == 0
    for key in ("loss", "accuracy", "f1_macro"):
        assert math.isnan(report[key])
    assert report["accuracy_ci95"] == [0.0, 1.0]
    numbers = RegressionMetrics(torch.zeros(1), CPU).compute(["y"])
    assert numbers["n"] == 0
    assert all(math.isnan(numbers[key]) for key in ("loss", "mse", "rmse", "mae", "r2"))


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 2**31))
def test_metrics_do_not_depend_on_how_rows_are_cut_into_batches(cuts: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(60, 12, generator=generator)
    target = torch.randint(12, (60,), generator=generator)
    edges = [0, *sorted(cuts), 60]
    pieces = [slice(a, b) for a, b in pairwise(edges)]
    whole = classified(12, (logits, target))
    parts = classified(12, *[(logits[p], target[p]) for p in pieces])
    assert whole.pop("loss") == pytest.approx(parts.pop("loss"), rel=1e-12)
    assert whole == parts
    sums = RegressionMetrics(torch.zeros(12), CPU)
    for p in pieces:
        sums.update(logits[p], logits.flip(0)[p])
    once = RegressionMetrics(torch.zeros(12), CPU)
    once.update(logits, logits.flip(0))
    for key in ("n", "mse", "rmse", "mae", "r2"):
        assert sums.compute(names(12))[key] == pytest.approx(once.compute(names(12))[key], rel=1e-9)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=1, max_size=60),
    st.integers(1, 7),
)
def test_of_two_classes_ranking_is_that_of_scikit_learn(
    rows: list[tuple[int, int]], batch: int
) -> None:
    logits = torch.tensor([[0.0, float(score)] for score, _ in rows])
    truth = torch.tensor([label for _, label in rows])
    sums = ClassificationMetrics(2, CPU, len(rows))
    for piece in torch.arange(len(rows)).split(batch):
        sums.update(logits[piece], truth[piece])
    report = sums.compute(names(2))
    chances = logits.softmax(1)[:, 1].double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's word on a single class
        auc = sk.roc_auc_score(truth, chances)
        precision = sk.average_precision_score(truth, chances)
    assert report["auc"] == pytest.approx(auc, abs=1e-12, nan_ok=True)
    assert report["average_precision"] == pytest.approx(precision, abs=1e-12)
    # Each of several processes adds its rows, in places of its own.
    half = len(rows) // 2
    parts = [ClassificationMetrics(2, CPU, len(rows), first) for first in (0, half)]
    parts[0].update(logits[:half], truth[:half])
    parts[1].update(logits[half:], truth[half:])
    add_up(parts[0], parts[1])
    assert str(parts[0].compute(names(2))) == str(report)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_merging_two_halves_is_one_pass(kind: str) -> None:
    first, second = filled(kind, slice(0, 13)), filled(kind, slice(13, 40))
    add_up(first, second)
    assert_same(first, filled(kind, slice(0, 40)))


@pytest.mark.parametrize("kind", ["classification", "regression", "training"])
def test_sums_survive_saving_and_are_copies_of_what_is_saved(kind: str) -> None:
    sums, empty = filled(kind, slice(0, 20)), filled(kind, slice(0, 0))
    state = sums.state()
    empty.load(state)
    assert_same(empty, sums)
    if isinstance(empty, MetricState):
        add_up(empty, sums)
    else:
        empty.update(1.0, 1.0, 1.0, 1)
    for name, tensor in sums.state().items():
        assert torch.equal(tensor, state[name]), name


def test_training_sums_weigh_batches_by_their_rows() -> None:
    sums = RunningLoss("accuracy")
    sums.update(6.0, 3.0, 2, 3)
    sums.update(10.0, 1.0, 1, 1)
    assert sums.compute() == {"loss": 4.0, "accuracy": 0.75}


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # Values of statsmodels.stats.proportion.proportion_confint(method="wilson").
    [(5, 10, 0.23659309, 0.76340691), (0, 10, 0.0, 0.27753280), (10, 10, 0.72246720, 1.0)],
)
def test_the_wilson_interval_has_its_known_values(
    right: int, n: int, low: float, high: float
) -> None:
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=1e-7)


@given(n=st.integers(1, 10**6), fraction=st.floats(0, 1))
def test_the_wilson_interval_solves_its_equation(n: int, fraction: float) -> None:
    right = round(fraction * n)
    for bound in wilson_interval(right, n):
        if 1e-9 < bound < 1 - 1e-9:  # not where rounding is all there is
            margin = 1.959963984540054 * math.sqrt(bound * (1 - bound) / n)
            assert abs(right / n - bound) == pytest.approx(margin, rel=1e-6, abs=1e-9)
    low, high = wilson_interval(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


@settings(max_examples=40, deadline=None)
@given(outputs=st.integers(1, 4), rows=st.integers(2, 60), seed=st.integers(0, 2**31))
def test_regression_metrics_equal_scikit_learns(outputs: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(rows, outputs, generator=generator, dtype=torch.float64) * 10 + 3
    assume(target.std(0).min() > 0.1)  # else r2 has few digits
    output = target + torch.randn(rows, outputs, generator=generator, dtype=torch.float64)
    report = regressed(output, target, torch.full((outputs,), 3.0))
    assert report["n"] == rows
    truth, guess = target.numpy(), output.numpy()
    for key, function in (
        ("mse", sk.mean_squared_error),
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
    ):
        assert report[key] == pytest.approx(function(truth, guess), rel=1e-8), key
        if outputs > 1:
            item = function(truth, guess, multioutput="raw_values")
            assert [o[key] for o in report["per_output"]] == pytest.approx(item, rel=1e-8)
    assert ("per_output" in report) == (outputs > 1)


@pytest.mark.parametrize("constant", [0.0, 0.3, -7.7, 1e9 + 0.1])
@pytest.mark.parametrize("error", [0.0, 0.5])
def test_r2_of_a_truth_that_never_changes_is_one_or_zero(constant: float, error: float) -> None:
    # scikit-learn's convention; its own result is -8e31 where the mean of 0.3s is not quite 0.3.
    target = torch.full((50, 1), constant, dtype=torch.float64)
    # The centre is the training rows' mean, and seldom the constant itself.
    report = regressed(target + error, target, torch.tensor([constant + 0.17]))
    assert report["r2"] == (0.0 if error else 1.0)


def test_r2_of_large_numbers_with_a_small_std_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    target = torch.from_numpy(1e9 + rng.standard_normal((5000, 1)))
    output = target + torch.from_numpy(0.3 * rng.standard_normal((5000, 1)))
    report = regressed(output, target, torch.tensor([1e9 + 3], dtype=torch.float64), 512)
    expected = sk.r2_score(target.numpy(), output.numpy())
    assert report["r2"] == pytest.approx(expected, abs=1e-7)


def test_a_confusion_matrix_alone_gives_the_whole_report() -> None:
    confusion = torch.tensor([[3, 1], [2, 4]])
    report = classification_report(confusion, ["no", "yes"])
    assert report["accuracy"] == 0.7
    assert report["accuracy_ci95"] == list(wilson_interval(7, 10))
    assert report["precision"] == 0.8
    assert report["recall"] == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    "make",
    [
        lambda device: ClassificationMetrics(3, device),
        lambda device: RegressionMetrics(torch.zeros(2), device),
    ],
    ids=["classes", "numbers"],
)
def test_sums_lie_on_their_device_in_exact_types(make: Any) -> None:
    sums = make(torch.device("meta"))
    for name, tensor in sums.tensors.items():
        assert tensor.device.type == "meta"
        counts = name in ("n", "confusion", "top5", "positives")
        assert tensor.dtype == (torch.int64 if counts else torch.float64), name
    if isinstance(sums, RegressionMetrics):
        assert (sums.offset.device.type, sums.offset.dtype) == ("meta", torch.float64)


def test_training_sums_of_nothing_are_not_numbers() -> None:
    assert all(math.isnan(value) for value in RunningLoss("accuracy").compute().values())


def test_a_regressions_loss_is_its_sum_over_the_rows_and_each_output_is_named() -> None:
    sums = RegressionMetrics(torch.zeros(2), CPU)
    output, target = torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([[1.0, 1.0], [2.0, 9.0]])
    sums.update(output, target, torch.tensor(3.0))
    sums.update(output, target, 5.0)
    result = sums.compute(["u", "v"])
    assert (result["n"], result["loss"]) == (4, 2.0)
    assert result["per_output"] == [
        {"name": "u", "mse": 0.5, "rmse": math.sqrt(0.5), "mae": 0.5, "r2": -1.0},
        {"name": "v", "mse": 8.5, "rmse": math.sqrt(8.5), "mae": 2.5, "r2": 1 - 8.5 / 16},
    ]
    assert "per_output" not in RegressionMetrics(torch.zeros(1), CPU).compute(["u"])
    one = RegressionMetrics(torch.zeros(1), CPU)
    one.update(output[:, :1], target[:, :1])
    assert "per_output" not in one.compute(["u"])


def test_of_many_classes_nothing_seen_is_not_a_number_and_labels_are_named() -> None:
    labels = names(12)
    result = ClassificationMetrics(12, CPU).compute(labels)
    assert math.isnan(result["top5_accuracy"])
    assert [item["label"] for item in result["per_class"]] == labels


def test_too_many_classes_are_refused_before_their_matrix_is_made(nnzoo: Any) -> None:
    Path("t.csv").write_text("a,id\n" + "".join(f"{i},n{i % 6000}\n" for i in range(12_000)))
    Path("t.yaml").write_text("data: {name: csv, path: t.csv, task: classification}\nmodel: mlp\n")
    result = nnzoo("train", "t.yaml")
    assert result.code == 3
    assert "6,000 classes; at most 5,000 are supported" in result.err


def test_metrics_of_no_task_cannot_be_computed() -> None:
    with pytest.raises(NotImplementedError):
        MetricState(CPU).compute([])
    with pytest.raises(NotImplementedError):
        MetricState(CPU).update(torch.zeros(1), torch.zeros(1))
