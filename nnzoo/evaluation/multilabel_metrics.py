"""Metrics of several labels per row, accumulated over batches and processes.

Definitions are scikit-learn's: a ratio with denominator 0 is 0, macro averages run over all labels, micro
averages count the decisions of all labels together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.evaluation.metrics import MetricState, ranking_report, wilson_interval

RATIOS = ("precision", "recall", "f1")


class MultilabelMetrics(MetricState):
    """Counts of each label, exact matches, log loss, and the probability and truth of each label of each row.

    thresholds: (labels,) from which a probability on the label is predicted. rows, first: as in
    `ClassificationMetrics`, as is weighted.
    """

    def __init__(
        self,
        thresholds: Tensor,
        device: torch.device,
        rows: int = 0,
        first: int = 0,
        weighted: bool = False,
    ) -> None:
        labels = len(thresholds)
        self.thresholds = thresholds.to(device)
        self.next_row = first
        dtype = torch.float64 if weighted else torch.int64
        counts = torch.zeros(labels, dtype=dtype)
        super().__init__(
            device,
            n=torch.zeros((), dtype=dtype),
            loss=torch.zeros((), dtype=torch.float64),
            exact=torch.zeros((), dtype=dtype),
            tp=counts.clone(),
            fp=counts.clone(),
            fn=counts.clone(),
            scores=torch.zeros(rows, labels, dtype=torch.float64),
            positives=torch.zeros(rows, labels, dtype=torch.int64),
        )
        if weighted:
            self.tensors["weights"] = torch.zeros(rows, dtype=torch.float64, device=device)

    def update(self, output: Tensor, target: Tensor, weights: Tensor | None = None) -> None:
        """Add a batch. output: logits (batch, labels); target: 0 or 1 (batch, labels); weights: (batch,) float64."""
        output, target = output.float(), target.float()
        loss = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        probabilities, truth = output.sigmoid(), target > 0.5
        predicted = probabilities >= self.thresholds
        tensors = self.tensors
        by_row = {
            "loss": loss.double().mean(1),
            "exact": (predicted == truth).all(1),
            "tp": predicted & truth,
            "fp": predicted & ~truth,
            "fn": ~predicted & truth,
        }
        tensors["n"] += len(target) if weights is None else weights.sum()
        for name, values in by_row.items():
            tensors[name] += values.sum(0) if weights is None else weights @ values.double()
        if len(tensors["scores"]):
            added = slice(self.next_row, self.next_row + len(target))
            tensors["scores"][added] = probabilities.double()
            tensors["positives"][added] = truth.long()
            if weights is not None:
                tensors["weights"][added] = weights
            self.next_row = added.stop

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the metrics of `nnzoo eval --json`; nan without rows. names: the labels."""
        n, exact = self.tensors["n"].item(), self.tensors["exact"].item()
        weights = self.tensors["weights"].cpu() if "weights" in self.tensors else None
        scores, positives = self.tensors["scores"].cpu(), self.tensors["positives"].cpu()
        per_label = []
        for i, name in enumerate(names):
            tp, fp, fn = (self.tensors[key][i].item() for key in ("tp", "fp", "fn"))
            counts = {"support": tp + fn, "tp": tp, "fp": fp, "fn": fn, "tn": n - tp - fp - fn}
            row: dict[str, Any] = {"label": name, **_ratios(tp, fp, fn), **counts}
            per_label.append(
                row
                | (ranking_report(scores[:, i], positives[:, i], weights) if len(scores) else {})
            )
        wrong = sum(row["fp"] + row["fn"] for row in per_label)
        result: dict[str, Any] = {
            "n": n,
            "loss": self.tensors["loss"].item() / n if n else math.nan,
            "exact_match": exact / n if n else math.nan,
            "exact_match_ci95": list(wilson_interval(exact, n)),
            "hamming_loss": wrong / (n * len(names)) if n else math.nan,
        }
        result |= {f"{key}_macro": _mean([row[key] for row in per_label]) for key in RATIOS}
        totals = [sum(row[key] for row in per_label) for key in ("tp", "fp", "fn")]
        result |= {f"{key}_micro": value for key, value in _ratios(*totals).items()}
        if len(scores):
            # A label that all rows have, or none, has no area.
            areas = [row["auc"] for row in per_label if not math.isnan(row["auc"])]
            result["auc_macro"] = _mean(areas)
            result["average_precision_macro"] = _mean(
                [row["average_precision"] for row in per_label]
            )
        return result | {"labels": names, "per_label": per_label}


def _ratios(tp: float, fp: float, fn: float) -> dict[str, float]:
    return {
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
