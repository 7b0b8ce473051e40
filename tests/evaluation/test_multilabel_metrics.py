"""Several labels per row: metrics equal to scikit-learn's, the loss equal to torch's, batches and processes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.errors import ConfigError, DataError
from nnzoo.evaluation.metrics import RunningLoss
from nnzoo.evaluation.multilabel_metrics import MultilabelMetrics
from nnzoo.evaluation.tasks.build import build_task
from nnzoo.evaluation.tasks.multilabel import MULTILABEL_METRICS, Multilabel, positive_weights
from nnzoo.evaluation.verdicts import baseline_lines
from tests.evaluation.baselines.problems import problem, results

CPU = torch.device("cpu")
LABELS = ["a", "b", "c", "d"]
SPEC = DataSpec(
    InputSpec("table", (2,)), "multilabel", LABELS, [], [ColumnSpec("a"), ColumnSpec("b")]
)


def drawn(rows: int = 101) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, some of them equal, and labels, of which no row has the last."""
    draw = np.random.default_rng(0)
    y = (draw.random((rows, 4)) < [0.6, 0.3, 0.1, 0.0]).astype(np.float32)
    logits = (2 * draw.normal(size=(rows, 4)) + 2 * y - 1).round(1)
    return torch.tensor(logits, dtype=torch.float32), torch.from_numpy(y)


def task(weights: torch.Tensor | None = None, **options: Any) -> Multilabel:
    built = build_task(TrainOptions(**options), SPEC, weights, None)
    assert isinstance(built, Multilabel)
    return built


def test_every_metric_is_scikit_learns() -> None:
    output, target = drawn()
    measured = task()
    state = measured.new_metrics(CPU, len(target))
    for chunk in torch.arange(len(target)).split(30):
        measured.update(state, output[chunk], target[chunk])
    report = measured.compute_metrics(state)
    probabilities = measured.postprocess(output).numpy()
    truth, predicted = target.numpy().astype(int), (probabilities >= 0.5).astype(int)
    expected: dict[str, Any] = {
        "exact_match": metrics.accuracy_score(truth, predicted),
        "hamming_loss": metrics.hamming_loss(truth, predicted),
        "auc_macro": metrics.roc_auc_score(truth[:, :3], probabilities[:, :3], average="macro"),
    }
    for mean in ("macro", "micro"):
        scores = metrics.precision_recall_fscore_support(
            truth, predicted, average=mean, zero_division=0
        )
        expected |= {
            f"{name}_{mean}": value
            for name, value in zip(("precision", "recall", "f1"), scores, strict=False)
        }
    expected["average_precision_macro"] = (
        metrics.average_precision_score(truth[:, :3], probabilities[:, :3], average="macro") * 3 / 4
    )
    assert {name: report[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(MULTILABEL_METRICS) <= set(report)
    loss = functional.binary_cross_entropy_with_logits(output, target)
    assert report["loss"] == pytest.approx(float(loss), rel=1e-6)
    low, high = report["exact_match_ci95"]
    assert low < report["exact_match"] < high
    matrices = metrics.multilabel_confusion_matrix(truth, predicted)
    for i, row in enumerate(report["per_label"]):
        (tn, fp), (fn, tp) = matrices[i].tolist()
        counts = (row["tn"], row["fp"], row["fn"], row["tp"])
        assert counts == (tn, fp, fn, tp) and row["support"] == truth[:, i].sum()
        if i < 3:
            auc = metrics.roc_auc_score(truth[:, i], probabilities[:, i])
            area = metrics.average_precision_score(truth[:, i], probabilities[:, i])
            assert (row["auc"], row["average_precision"]) == pytest.approx((auc, area), abs=1e-12)
    assert math.isnan(report["per_label"][3]["auc"])


def test_shards_of_several_processes_add_up_to_the_whole() -> None:
    output, target = drawn()
    whole = MultilabelMetrics(torch.full((4,), 0.5), CPU, 101)
    whole.update(output, target)
    parts = [MultilabelMetrics(torch.full((4,), 0.5), CPU, 101, first) for first in (0, 40)]
    parts[0].update(output[:40], target[:40])
    parts[1].update(output[40:], target[40:])
    for name, tensor in whole.tensors.items():
        total = parts[0].tensors[name] + parts[1].tensors[name]
        torch.testing.assert_close(total, tensor, rtol=1e-12, atol=0)
    again = MultilabelMetrics(torch.full((4,), 0.5), CPU, 101)
    again.load(whole.state())
    assert repr(again.compute(LABELS)) == repr(whole.compute(LABELS))


def test_without_rows_nothing_is_measured() -> None:
    empty = MultilabelMetrics(torch.full((4,), 0.5), CPU).compute(LABELS)
    assert math.isnan(empty["exact_match"]) and math.isnan(empty["hamming_loss"])
    assert "auc_macro" not in empty


def test_the_loss_is_torchs_with_smoothing_and_weights_for_one_and_several_members() -> None:
    output, target = drawn(60)
    weights = torch.tensor([1.0, 2.0, 8.0, 1.0])
    measured = task(weights, label_smoothing=0.1, loss="binary_cross_entropy")
    expected = functional.binary_cross_entropy_with_logits(
        output, target * 0.9 + 0.05, pos_weight=weights
    )
    torch.testing.assert_close(measured.loss(output, target) / 60, expected)
    measured.use_native = True
    result = measured.compute_loss(output.requires_grad_(), target, [20.0] * 3)
    torch.testing.assert_close(result.output, 3 * expected)
    losses, correct = result.to_lists()
    exact = ((output >= 0) == (target > 0.5)).all(1).view(3, -1).sum(1).tolist()
    assert correct == exact and sum(losses) == pytest.approx(float(60 * expected), rel=1e-5)
    running = RunningLoss(measured.correct_metric)
    running.update(losses[0], 20.0, correct[0], 20)
    assert running.compute() == {
        "loss": pytest.approx(losses[0] / 20),
        "exact_match": exact[0] / 20,
    }


def test_a_threshold_of_its_own_moves_one_label() -> None:
    output, target = drawn()
    measured = task()
    measured.thresholds[1] = 0.05
    state = measured.new_metrics(CPU, len(target))
    measured.update(state, output, target)
    rows = measured.compute_metrics(state)["per_label"]
    predicted = (output.sigmoid() >= torch.tensor([0.5, 0.05, 0.5, 0.5])).sum(0).tolist()
    assert [row["tp"] + row["fp"] for row in rows] == predicted


def test_options_of_other_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="'mse' is for numbers, but each row has several labels"):
        task(loss="mse")
    with pytest.raises(ConfigError, match="'val_accuracy' is not measured here"):
        task(monitor="val_accuracy")
    classes = DataSpec(InputSpec("table", (2,)), "classification", LABELS)
    with pytest.raises(ConfigError, match="is for several labels per row, but the target has"):
        build_task(TrainOptions(loss="binary_cross_entropy"), classes, None, None)
    assert task(monitor="val_hamming_loss").outputs == 4


def dataset(y: torch.Tensor) -> Dataset:
    split = TensorSplit(torch.zeros(len(y), 2), y)
    return Dataset(SPEC, {"train": split, "test": split})


def test_balanced_weights_are_rows_without_a_label_by_rows_with_it() -> None:
    y = torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]])
    assert positive_weights(dataset(y)).tolist() == pytest.approx([3, 3, 1 / 3, 1 / 3])


def test_a_label_of_all_rows_keeps_its_loss() -> None:
    """A weight of 0 would never teach it: its probabilities stayed near a half."""
    y = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    assert positive_weights(dataset(y)).tolist() == [1, 1]
    with pytest.raises(DataError, match="no training row has the label 'd'"):
        positive_weights(dataset(drawn()[1]))


def test_the_baseline_predicts_the_frequency_of_each_label() -> None:
    y = torch.tensor([[1.0, 0, 1, 1], [1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1]])
    (baseline,) = results(problem(dataset(y)), "test", "frequencies").values()
    predicted = np.tile([1, 0, 1, 1], (4, 1))
    assert baseline["name"] == "label frequencies"
    f1 = metrics.f1_score(y.numpy(), predicted, average="macro", zero_division=0)
    assert baseline["f1_macro"] == pytest.approx(f1)
    assert baseline["auc_macro"] == 0.5
    comparison = {"metric": "exact_match", "difference": 0.1, "verdict": "network", "p_value": 0.01}
    better = {"exact_match": 0.6, "baseline": baseline | {"comparison": comparison}}
    (line,) = baseline_lines(better)
    assert line.startswith("Better than the best baseline, label frequencies: exact_match 0.6000")
