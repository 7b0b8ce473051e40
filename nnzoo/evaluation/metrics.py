"""Counts and sums that merge across batches and processes; every metric is computed from them once.

Definitions are scikit-learn's: a ratio without a denominator is 0, macro averages run over the
classes that occur in truth or predictions, several outputs are averaged with equal weight.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Top-5 of ten classes says little.
TOP5_CLASSES = 11
# The confusion matrix has their square: 200 MB, and as much again as JSON.
MAX_CLASSES = 5000
ROUNDING = 1e-13
Z95 = 1.959963984540054


class MetricState:
    """Named tensors that add up; `state` and `load` let a run stop in the middle of an epoch."""

    def __init__(self, device: torch.device, **tensors: Tensor) -> None:
        self.tensors = {name: tensor.to(device) for name, tensor in tensors.items()}

    def state(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().clone() for name, tensor in self.tensors.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])

    def merge(self, other: MetricState) -> None:
        """Add what another object has seen."""
        for name, tensor in self.tensors.items():
            tensor += other.tensors[name].to(tensor.device)


class RunningLoss:
    """Loss, and for classes the share of right answers, over the batches of an epoch."""

    def __init__(self, classify: bool) -> None:
        self.classify = classify
        self.numbers = dict.fromkeys(("loss", "weight", "right", "rows"), 0.0)

    def add(self, loss: float, weight: float, right: float, rows: int) -> None:
        """loss: summed over the rows of a batch; weight: what its mean is divided by; right: answers
        that are."""
        for name, number in zip(self.numbers, (loss, weight, right, rows), strict=True):
            self.numbers[name] += number

    def state(self) -> dict[str, Tensor]:
        return {name: torch.tensor(n, dtype=torch.float64) for name, n in self.numbers.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.numbers = {name: state[name].item() for name in self.numbers}

    def compute(self) -> dict[str, float]:
        loss, weight, right, rows = self.numbers.values()
        result = {"loss": loss / weight if weight else math.nan}
        if self.classify:
            result["accuracy"] = right / rows if rows else math.nan
        return result


class ClassificationMetrics(MetricState):
    """Confusion counts (rows: truth), log loss and top-5 hits; of two classes also each row's score.

    rows, first: how many rows the split has, and the first of them that is added here. Each row's
    score has its place, zero until it is added, so that scores of several processes add up too.
    """

    def __init__(self, classes: int, device: torch.device, rows: int = 0, first: int = 0) -> None:
        self.classes = classes
        self.next_row = first
        ranked = rows if classes == 2 else 0
        super().__init__(
            device,
            confusion=torch.zeros(classes, classes, dtype=torch.int64),
            loss=torch.zeros((), dtype=torch.float64),
            top5=torch.zeros((), dtype=torch.int64),
            scores=torch.zeros(ranked, dtype=torch.float64),
            positives=torch.zeros(ranked, dtype=torch.int64),
        )

    def add(self, output: Tensor, target: Tensor) -> None:
        """output: logits (batch, classes); target: classes (batch,) int64."""
        output = output.float()
        pairs = target * self.classes + output.argmax(1)
        counts = torch.bincount(pairs, minlength=self.classes**2)
        self.tensors["confusion"] += counts.view(self.classes, self.classes)
        self.tensors["loss"] += (
            functional.cross_entropy(output, target, reduction="none").double().sum()
        )
        if self.classes >= TOP5_CLASSES:
            best = output.topk(5, 1).indices
            self.tensors["top5"] += (best == target[:, None]).sum()
        if len(self.tensors["scores"]):
            added = slice(self.next_row, self.next_row + len(target))
            self.tensors["scores"][added] = output.softmax(1)[:, 1].double()
            self.tensors["positives"][added] = target
            self.next_row = added.stop

    def compute(self, labels: list[str]) -> dict[str, Any]:
        """The metrics of nnzoo's JSON for classification; n = 0 gives nan."""
        confusion = self.tensors["confusion"].cpu()
        n = int(confusion.sum())
        result: dict[str, Any] = {
            "n": n,
            "loss": self.tensors["loss"].item() / n if n else math.nan,
        }
        result |= classification_report(confusion, labels)
        if self.classes >= TOP5_CLASSES:
            result["top5_accuracy"] = int(self.tensors["top5"]) / n if n else math.nan
        if len(self.tensors["scores"]):
            scores, positives = self.tensors["scores"].cpu(), self.tensors["positives"].cpu()
            result |= ranking_report(scores, positives)
        return result


def ranking_report(scores: Tensor, positives: Tensor) -> dict[str, float]:
    """How well scores (rows,) rank the positive rows (rows,) of 0 and 1 above the others.

    auc: area under the ROC curve; average_precision: mean precision at the rank of each positive.
    Equal scores share a rank, as in scikit-learn. Of one class alone, auc is nan.
    """
    order = scores.argsort(descending=True)
    ranked = scores[order]
    # The last of each stretch of equal scores.
    ends = torch.cat([(ranked[1:] != ranked[:-1]).nonzero()[:, 0], torch.tensor([len(ranked) - 1])])
    hits = positives[order].cumsum(0)[ends]
    misses = ends + 1 - hits
    new_hits, new_misses = hits.diff(prepend=hits[:1] * 0), misses.diff(prepend=misses[:1] * 0)
    total, others = int(hits[-1]), int(misses[-1])
    area = (new_misses * (2 * hits - new_hits)).sum()
    precision = hits.double() / (hits + misses)
    return {
        "auc": int(area) / (2 * total * others) if total and others else math.nan,
        "average_precision": float((new_hits * precision).sum()) / total if total else 0.0,
    }


def classification_report(confusion: Tensor, labels: list[str]) -> dict[str, Any]:
    """Everything that follows from a confusion matrix (classes, classes), rows: truth."""
    n = int(confusion.sum())
    right = int(confusion.diagonal().sum())
    support = confusion.sum(1).tolist()
    predicted = confusion.sum(0).tolist()
    per_class = []
    for i, label in enumerate(labels):
        tp = int(confusion[i, i])
        fp, fn = predicted[i] - tp, support[i] - tp
        per_class.append(
            {
                "label": label,
                "precision": _ratio(tp, tp + fp),
                "recall": _ratio(tp, tp + fn),
                "f1": _ratio(2 * tp, 2 * tp + fp + fn),
                "support": support[i],
                "tp": tp,
                "fp": fp,
                "fn": fn,
                "tn": n - tp - fp - fn,
            }
        )
    occurring = [c for i, c in enumerate(per_class) if support[i] or predicted[i]]
    result: dict[str, Any] = {
        "accuracy": right / n if n else math.nan,
        "accuracy_ci95": list(wilson_interval(right, n)),
    }
    for key in ("precision", "recall", "f1"):
        values = [c[key] for c in occurring]
        result[f"{key}_macro"] = sum(values) / len(values) if values else math.nan
    if len(labels) == 2:
        result["positive_label"] = labels[1]
        result |= {key: per_class[1][key] for key in ("precision", "recall", "f1")}
    result |= {
        "labels": labels,
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
    }
    return result


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) where nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    share = right / n
    centre = share + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


class RegressionMetrics(MetricState):
    """Squared and absolute errors, and the spread of the truth, a column an output.

    centre: (outputs,) a value near the truth's mean; sums of squares around it keep their digits.
    """

    def __init__(self, centre: Tensor, device: torch.device) -> None:
        zeros = torch.zeros(len(centre), dtype=torch.float64)
        self.centre = centre.double().to(device)
        super().__init__(
            device,
            n=torch.zeros((), dtype=torch.int64),
            squared=zeros.clone(),
            absolute=zeros.clone(),
            truth=zeros.clone(),
            truth_squared=zeros.clone(),
            loss=torch.zeros((), dtype=torch.float64),
        )

    def add(self, output: Tensor, target: Tensor, loss: Tensor | float = 0.0) -> None:
        """output, target: (batch, outputs) in the target's own units; loss: summed over the batch."""
        output, target = output.double(), target.double()
        error = output - target
        shifted = target - self.centre
        self.tensors["n"] += len(target)
        self.tensors["squared"] += (error**2).sum(0)
        self.tensors["absolute"] += error.abs().sum(0)
        self.tensors["truth"] += shifted.sum(0)
        self.tensors["truth_squared"] += (shifted**2).sum(0)
        self.tensors["loss"] += loss

    def compute(self, names: list[str]) -> dict[str, Any]:
        """The metrics of nnzoo's JSON for numbers; names: one an output."""
        n = int(self.tensors["n"])
        if n == 0:
            return {"n": 0, **dict.fromkeys(("loss", "mse", "rmse", "mae", "r2"), math.nan)}
        mse = (self.tensors["squared"] / n).tolist()
        mae = (self.tensors["absolute"] / n).tolist()
        around = self.tensors["truth_squared"] / n
        spread = around - (self.tensors["truth"] / n) ** 2
        # What is left of a truth that never changes is rounding.
        spread = torch.where(spread > ROUNDING * around, spread, 0.0)
        r2 = [_r2(error, variance) for error, variance in zip(mse, spread.tolist(), strict=True)]
        outputs = [
            {"name": name, "mse": mse[i], "rmse": math.sqrt(mse[i]), "mae": mae[i], "r2": r2[i]}
            for i, name in enumerate(names)
        ]
        result: dict[str, Any] = {"n": n, "loss": self.tensors["loss"].item() / n}
        for key in ("mse", "rmse", "mae", "r2"):
            result[key] = sum(float(output[key]) for output in outputs) / len(outputs)
        if len(outputs) > 1:
            result["per_output"] = outputs
        return result


def _r2(mse: float, variance: float) -> float:
    """Coefficient of determination; scikit-learn's convention where the truth never changes."""
    if variance > 0:
        return 1 - mse / variance
    return 1.0 if mse == 0 else 0.0
