"""Tasks: the loss of one or several members, and predictions in original units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.preprocess import Scale
from nnzoo.errors import DataError
from nnzoo.evaluation.tasks.classification import Classification, balanced_weights
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.tasks.task import Task

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def classification(weights: Tensor | None = WEIGHTS) -> Classification:
    return Classification(TrainOptions(label_smoothing=0.1), ["a", "b", "c"], weights)


def regression(**options: Any) -> Regression:
    scale = Scale(1, "standardize")
    scale.set(torch.tensor([5.0], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64))
    return Regression(TrainOptions(**options), ["y"], 2, scale)


def batch(task: Task, rows: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(rows, task.outputs, generator=generator, requires_grad=True)
    if task.is_classification:
        return output, torch.arange(rows) % task.outputs
    return output, torch.randn(rows, task.outputs, generator=generator)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "mae", "huber"])
def test_the_loss_of_members_is_that_of_each_alone(loss: str, native: bool) -> None:
    task: Task = classification() if loss == "cross_entropy" else regression(loss=loss)
    task.use_native = native
    output, target = batch(task)
    halves = [target[:3], target[3:]]
    together = task.compute_loss(output, target, [task.denominator(half) for half in halves])
    together.backward()
    assert output.grad is not None
    sums, correct = together.to_lists()
    for i, half in enumerate(halves):
        single = output[3 * i : 3 * i + 3].detach().requires_grad_()
        mean = task.loss(single, half) / task.denominator(half)
        mean.backward()
        assert sums[i] == pytest.approx(task.loss(single, half).item(), rel=1e-5)
        torch.testing.assert_close(output.grad[3 * i : 3 * i + 3], single.grad)
        hits = int((single.argmax(1) == half).sum()) if task.is_classification else 0
        assert correct[i] == hits


def test_the_mean_of_weighted_classes_is_torchs() -> None:
    task = classification()
    output, target = batch(task)
    expected = functional.cross_entropy(output, target, WEIGHTS, label_smoothing=0.1)
    torch.testing.assert_close(task.loss(output, target) / task.denominator(target), expected)


def test_predictions_are_probabilities_or_values_in_original_units() -> None:
    classes, values = classification(), regression()
    output, _ = batch(classes)
    torch.testing.assert_close(classes.postprocess(output), output.softmax(1))
    assert values.names == ["y+1", "y+2"]
    predicted = values.postprocess(torch.tensor([[0.0, 1.0]]))
    assert predicted.dtype == torch.float64 and predicted.tolist() == [[5.0, 7.0]]
    targets = torch.tensor([[5.0], [7.0]])
    assert values.scaled(targets).tolist() == [[0.0], [1.0]]


def test_losses_are_reported_in_scaled_units_and_metrics_in_original_ones() -> None:
    task = regression()
    metrics = task.new_metrics(torch.device("cpu"))
    task.update(metrics, torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 0.0]]))
    report = task.compute_metrics(metrics)
    assert (report["loss"], report["rmse"]) == (1.0, 2.0)


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
