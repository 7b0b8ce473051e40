"""The temperature is the minimum of the log loss; reliability is what scikit-learn computes."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss
from torch.nn import functional

from nnzoo.evaluation.temperature import ReliabilityMetrics, fit_temperature


def example(
    rows: int = 400, classes: int = 3, scale: float = 3.0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return scale * logits, targets


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 3.0, 40.0])
def test_the_temperature_has_the_smallest_log_loss(scale: float) -> None:
    logits, targets = example(scale=scale)

    def loss(temperature: float) -> float:
        return float(functional.cross_entropy(logits / temperature, targets))

    expected = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9})
    actual = fit_temperature(logits.float(), targets)
    assert actual == pytest.approx(expected.x, rel=1e-4)
    assert actual == pytest.approx(scale, rel=0.2)


def test_rows_that_are_all_correct_give_no_temperature() -> None:
    logits, _ = example()
    assert fit_temperature(logits, logits.argmax(1)) is None


def test_a_network_that_is_worse_than_chance_gets_the_largest_temperature() -> None:
    logits, _ = example(classes=2)
    assert fit_temperature(logits, logits.argmin(1)) == pytest.approx(100, rel=1e-3)


def test_reliability_is_measured_over_batches() -> None:
    logits, targets = example()
    metrics = ReliabilityMetrics(2.0, torch.device("cpu"))
    for rows in torch.arange(len(targets)).split(130):
        metrics.update(logits[rows], targets[rows])
    report = metrics.compute([])
    probabilities = (logits / 2).softmax(1)
    assert report["log_loss"] == pytest.approx(log_loss(targets, probabilities))
    one_hot = functional.one_hot(targets, 3)
    assert report["brier"] == pytest.approx(float(((probabilities - one_hot) ** 2).sum(1).mean()))
    confidence, predicted = probabilities.max(1)
    error = sum(
        abs(float((confidence - (predicted == targets).double())[in_bin].sum()))
        for i in range(10)
        if (in_bin := (confidence * 10).long() == i).any()
    )
    assert report["ece"] == pytest.approx(error / len(targets))
    assert sum(part["rows"] for part in report["bins"]) == len(targets)
