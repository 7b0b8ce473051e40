"""Classes: the loss of weighted ones, probabilities, a temperature, balanced weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.errors import ConfigError, DataError
from nnzoo.evaluation.metrics import MAX_CLASSES
from nnzoo.evaluation.tasks.classification import Classification, balanced_weights
from tests.evaluation.tasks.test_task import WEIGHTS, batch, classification


def test_the_mean_of_weighted_classes_is_torchs() -> None:
    task = classification()
    output, target = batch(task)
    expected = functional.cross_entropy(output, target, WEIGHTS, label_smoothing=0.1)
    torch.testing.assert_close(task.loss(output, target) / task.denominator(target), expected)


def test_predictions_are_probabilities_and_follow_the_temperature() -> None:
    task = classification()
    output, target = batch(task)
    torch.testing.assert_close(task.postprocess(output), output.softmax(1))
    task.temperature = 2.0
    torch.testing.assert_close(task.postprocess(output), (output / 2).softmax(1))
    torch.testing.assert_close(
        task.postprocess(2 * task.outputs_of(output.softmax(1))), output.softmax(1)
    )
    metrics = task.new_metrics(torch.device("cpu"), len(target))
    task.update(metrics, output.detach(), target)
    expected = functional.cross_entropy(output.double() / 2, target).item()
    assert task.compute_metrics(metrics)["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_temperature_is_no_part_of_the_training_loss() -> None:
    task = classification()
    output, target = batch(task)
    before = task.loss(output, target)
    task.temperature = 5.0
    assert torch.equal(task.loss(output, target), before)


def test_two_classes_have_ranking_metrics_and_too_many_are_refused() -> None:
    assert "auc" in Classification(TrainOptions(), ["a", "b"], None).metric_names
    assert "auc" not in classification().metric_names
    with pytest.raises(DataError, match=r"classes; at most .*confusion matrix") as refused:
        Classification(TrainOptions(), ["x"] * (MAX_CLASSES + 1), None)
    assert refused.value.key == "data.target"
    with pytest.raises(ConfigError, match="the target has classes"):
        Classification(TrainOptions(loss="mse"), ["a", "b"], None)


def test_row_weights_multiply_those_of_classes() -> None:
    task = classification()
    target, weights = torch.tensor([0, 1, 1, 2]), torch.tensor([1.0, 0.5, 2.0, 4.0]).double()
    assert float(task.denominator(target)) == 5.5
    assert float(task.denominator(target, weights)) == 1 + 2 * 2.5 + 0.5 * 4
    plain = classification(None)
    assert plain.denominator(target) == 4
    assert float(plain.denominator(target, weights)) == 7.5


def test_balanced_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    y = torch.tensor([0, 0, 0, 1, 2, 2])
    splits: Any = {"train": TensorSplit(torch.zeros(6, 1), y)}
    dataset = Dataset(DataSpec(InputSpec("table", (1,)), "classification", ["a", "b", "c"]), splits)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy())
    torch.testing.assert_close(balanced_weights(dataset), torch.from_numpy(expected).float())
    splits["train"] = TensorSplit(torch.zeros(5, 1), y[:5] % 2)
    with pytest.raises(DataError, match="no training row has the label 'c'"):
        balanced_weights(dataset)


def test_balanced_weights_count_each_row_by_its_weight() -> None:
    y = torch.tensor([0, 0, 1])
    weights = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    splits: Any = {"train": TensorSplit(torch.zeros(3, 1), y, weights=weights)}
    dataset = Dataset(DataSpec(InputSpec("table", (1,)), "classification", ["a", "b"]), splits)
    assert balanced_weights(dataset).tolist() == pytest.approx([4 / 6, 2.0])
