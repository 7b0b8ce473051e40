"""Numbers: losses in scaled units, values in original ones, quantiles in order."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.preprocess import Scale
from nnzoo.errors import ConfigError
from nnzoo.evaluation.tasks.regression import Regression
from tests.evaluation.tasks.test_task import batch, regression

LEVELS = [0.1, 0.5, 0.9]


def test_predictions_are_values_in_original_units() -> None:
    values = regression()
    assert values.names == ["y+1", "y+2"]
    predicted = values.postprocess(torch.tensor([[0.0, 1.0]]))
    assert predicted.dtype == torch.float64 and predicted.tolist() == [[5.0, 7.0]]
    assert values.outputs_of(predicted).tolist() == [[0.0, 1.0]]
    targets = torch.tensor([[5.0], [7.0]])
    assert values.scaled(targets).tolist() == [[0.0], [1.0]]


def test_losses_are_reported_in_scaled_units_and_metrics_in_original_ones() -> None:
    task = regression()
    metrics = task.new_metrics(torch.device("cpu"))
    task.update(metrics, torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 0.0]]))
    report = task.compute_metrics(metrics)
    assert (report["loss"], report["rmse"]) == (1.0, 2.0)


def test_the_quantile_loss_is_the_mean_pinball_loss() -> None:
    task = regression(loss="quantile", quantiles=LEVELS)
    assert task.outputs == 6
    output, _ = batch(task)
    target = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))
    expected = sum(
        mean_pinball_loss(target, output.detach()[:, 2 * i : 2 * i + 2], alpha=level)
        for i, level in enumerate(LEVELS)
    )
    assert task.loss(output, target).item() / 6 == pytest.approx(expected / 3, rel=1e-5)
    assert task.loss(output, target, "none").sum().item() == pytest.approx(
        task.loss(output, target).item(), rel=1e-6
    )


def test_quantiles_that_cross_are_sorted_for_each_output_alone() -> None:
    task = regression(loss="quantile", quantiles=LEVELS)
    crossing = torch.tensor([[2.0, -1.0, 0.0, 3.0, 1.0, 0.0]])
    predicted = task.by_quantile(task.postprocess(crossing))
    assert predicted.tolist() == [[[5.0, 3.0], [7.0, 5.0], [9.0, 11.0]]]
    assert task.point(task.postprocess(crossing)).tolist() == [[7.0, 5.0]]
    low, high = task.ends(crossing)
    assert (low.tolist(), high.tolist()) == ([[5.0, 3.0]], [[9.0, 11.0]])
    metrics = task.new_metrics(torch.device("cpu"))
    task.update(metrics, crossing, torch.tensor([[1.0, 0.0]]))
    assert task.compute_metrics(metrics)["mae"] == 0.0
    errors = task.row_outcomes(crossing, torch.tensor([[0.0, 0.0]]))
    assert errors.tolist() == [[4.0, 0.0]]


def test_a_plain_prediction_is_both_ends() -> None:
    task = regression(loss="huber")
    low, high = task.ends(torch.tensor([[0.0, 1.0]]))
    assert low.equal(high) and low.tolist() == [[5.0, 7.0]]


def test_weighted_rows_count_by_their_weight() -> None:
    task = regression(loss="mae")
    output, target = torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [3.0, 3.0]])
    metrics = task.new_metrics(torch.device("cpu"), 2, weighted=True)
    task.update(metrics, output, target, torch.tensor([3.0, 1.0], dtype=torch.float64))
    report = task.compute_metrics(metrics)
    assert (report["loss"], report["mae"]) == (1.5, 3.0)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"loss": "cross_entropy"}, "train.loss"),
        ({"label_smoothing": 0.1}, "train.label_smoothing"),
    ],
)
def test_options_of_classes_are_refused(options: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match="target is a number") as refused:
        Regression(TrainOptions.model_validate(options), ["y"], 1, Scale(1, "none"))
    assert refused.value.issues[0].path == key
