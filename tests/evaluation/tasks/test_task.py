"""Tasks: the loss of one or several members, and predictions in original units."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.preprocess import Scale
from nnzoo.evaluation.tasks.classification import Classification
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
