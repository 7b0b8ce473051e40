"""Temperature scaling of logits, and how well probabilities agree with what happens."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nnzoo.evaluation.metrics import MetricState

# Limits of the temperature, and of Newton's steps towards it.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
MAX_STEPS = 100
PRECISION = 1e-12
CALIBRATION_BINS = 10


def fit_temperature(logits: Tensor, targets: Tensor) -> float | None:
    """Return the temperature T for which softmax(logits / T) has the smallest log loss (Guo et al. 2017).

    logits: (rows, classes); targets: (rows,) int64. None if every row is classified correctly: the loss then
    falls without end as T goes to 0. The loss is convex in 1 / T; Newton's steps, in float64, are
    kept inside a bracket.
    """
    logits = logits.double()
    true = logits.gather(1, targets[:, None])
    if not len(targets) or bool((true[:, 0] >= logits.max(1).values).all()):
        return None
    logits = logits - true  # the loss of a row is then logsumexp(logits / T)
    low, high, factor = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE, 1.0
    for _ in range(MAX_STEPS):
        probabilities = (logits * factor).softmax(1)
        mean = (probabilities * logits).sum(1)
        slope = float(mean.mean())
        curvature = float(((probabilities * logits**2).sum(1) - mean**2).mean())
        low, high = (low, factor) if slope > 0 else (factor, high)
        step = factor - slope / curvature if curvature > 0 else math.nan
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - factor) <= PRECISION * factor:
            break
        factor = following
    return 1 / factor


class ReliabilityMetrics(MetricState):
    """Sums for log loss, Brier score and expected calibration error of softmax(logits / temperature).

    Bins of the highest probability have equal width.
    """

    def __init__(self, temperature: float, device: torch.device) -> None:
        self.temperature = temperature
        zeros = torch.zeros(CALIBRATION_BINS, dtype=torch.float64)
        super().__init__(
            device,
            sums=torch.zeros(2, dtype=torch.float64),
            rows=zeros.clone(),
            confidence=zeros.clone(),
            correct=zeros.clone(),
        )

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch. logits: (batch, classes); target: (batch,) int64."""
        logs = (logits.double() / self.temperature).log_softmax(1)
        probabilities = logs.exp()
        true = target[:, None]
        brier = (probabilities**2).sum(1) - 2 * probabilities.gather(1, true)[:, 0] + 1
        self.tensors["sums"] += torch.stack([-logs.gather(1, true).sum(), brier.sum()])
        confidence, predicted = probabilities.max(1)
        bins = (confidence * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
        parts = {"rows": torch.ones_like(confidence), "confidence": confidence}
        parts["correct"] = (predicted == target).double()
        for name, values in parts.items():
            self.tensors[name].index_add_(0, bins, values)

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return log loss, Brier score, expected calibration error, and each bin that has rows."""
        rows, confidence, correct = (
            self.tensors[name].tolist() for name in ("rows", "confidence", "correct")
        )
        n = max(1.0, sum(rows))
        log_loss, brier = (self.tensors["sums"] / n).tolist()
        bins = [
            {"confidence": c / r, "accuracy": a / r, "rows": int(r)}
            for r, c, a in zip(rows, confidence, correct, strict=True)
            if r
        ]
        error = sum(abs(c - a) for c, a in zip(confidence, correct, strict=True)) / n
        return {"log_loss": log_loss, "brier": brier, "ece": error, "bins": bins}
