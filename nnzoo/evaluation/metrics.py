"""Metrics accumulated over batches and processes: confusion matrix, ranking metrics, regression errors.

Definitions are scikit-learn's: a ratio with denominator 0 is 0, macro averages run over the classes
that occur in targets or predictions, and several outputs are averaged with equal weight.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Top-5 accuracy of fewer classes says little.
TOP5_CLASSES = 11
# A confusion matrix of 5000² counts takes 200 MB, and as much again as JSON.
MAX_CLASSES = 5000
# A variance below this fraction of the mean square is rounding error.
ROUNDING = 1e-13
Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def metric_range(name: str) -> tuple[float, float]:
    """The least and the greatest value that a metric can have."""
    if name == "r2":
        return -math.inf, 1.0
    is_fraction = name.startswith(("precision", "recall", "f1", "auc", "average_precision"))
    is_fraction |= name in ("accuracy", "top5_accuracy", "exact_match", "hamming_loss")
    return 0.0, 1.0 if is_fraction else math.inf


class MetricState:
    """Named tensors that are summed over batches and processes; `state` and `load` are for checkpoints
    within an epoch."""

    def __init__(self, device: torch.device, **tensors: Tensor) -> None:
        self.tensors = {name: tensor.to(device) for name, tensor in tensors.items()}

    def state(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().clone() for name, tensor in self.tensors.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add a batch of outputs and targets."""
        raise NotImplementedError

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the metrics. names: one per output."""
        raise NotImplementedError


class RunningLoss:
    """Training loss over the batches of an epoch, and the fraction of rows that were predicted correctly.

    correct_metric: the name of that fraction; empty for numbers.
    """

    def __init__(self, correct_metric: str) -> None:
        self.correct_metric = correct_metric
        # The names are those of checkpoints.
        self.totals = dict.fromkeys(("loss", "weight", "right", "rows"), 0.0)

    def update(self, loss_sum: float, denominator: float, num_correct: float, rows: int) -> None:
        """Add a batch: its summed loss, the denominator of its mean loss, its correct predictions."""
        batch = (loss_sum, denominator, num_correct, rows)
        self.totals = {
            name: total + x for (name, total), x in zip(self.totals.items(), batch, strict=True)
        }

    def state(self) -> dict[str, Tensor]:
        return {name: torch.tensor(x, dtype=torch.float64) for name, x in self.totals.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.totals = {name: state[name].item() for name in self.totals}

    def compute(self) -> dict[str, float]:
        loss_sum, denominator, num_correct, rows = self.totals.values()
        result = {"loss": loss_sum / denominator if denominator else math.nan}
        if self.correct_metric:
            result[self.correct_metric] = num_correct / rows if rows else math.nan
        return result


class WeightedMetrics(MetricState):
    """Metrics in which every row counts once, and beside them weighted ones: two states of one kind.

    weights: (rows,) float64 of the split's rows, of which row `first` is added first.
    """

    def __init__(
        self, plain: MetricState, weighted: MetricState, weights: Tensor, first: int = 0
    ) -> None:
        self.plain = plain
        self.weighted = weighted
        self.weights = weights
        self.next_row = first
        # The same tensors: what sums them over processes changes both states.
        self.tensors = plain.tensors | {
            f"weighted_{name}": tensor for name, tensor in weighted.tensors.items()
        }

    def next_weights(self, rows: int) -> Tensor:
        """Return the weights (rows,) of the rows that are added next."""
        self.next_row += rows
        return self.weights[self.next_row - rows : self.next_row]

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the metrics of `nnzoo eval --json`, under "weighted" the same with the weights."""
        weighted = self.weighted.compute(names)
        for name in ("accuracy_ci95", "exact_match_ci95", "labels", "positive_label"):
            weighted.pop(name, None)
        return self.plain.compute(names) | {"weighted": weighted}


class ClassificationMetrics(MetricState):
    """Confusion matrix (rows: targets), log loss and top-5 hits; for two classes also each row's score.

    rows, first: the number of rows of the split and the first one that is added here. Each row has its
    own element of `scores`, zero until it is added, so that the scores of several processes add up.
    weighted: whether rows count by their weights.
    """

    def __init__(
        self,
        classes: int,
        device: torch.device,
        rows: int = 0,
        first: int = 0,
        weighted: bool = False,
    ) -> None:
        self.classes = classes
        self.next_row = first
        ranked = rows if classes == 2 else 0
        dtype = torch.float64 if weighted else torch.int64
        super().__init__(
            device,
            confusion=torch.zeros(classes, classes, dtype=dtype),
            loss=torch.zeros((), dtype=torch.float64),
            top5=torch.zeros((), dtype=dtype),
            scores=torch.zeros(ranked, dtype=torch.float64),
            positives=torch.zeros(ranked, dtype=torch.int64),
        )
        if weighted:
            self.tensors["weights"] = torch.zeros(ranked, dtype=torch.float64, device=device)

    def update(self, output: Tensor, target: Tensor, weights: Tensor | None = None) -> None:
        """Add a batch. output: logits (batch, classes); target: class indices (batch,) int64; weights: (batch,)
        float64."""
        output = output.float()
        pairs = target * self.classes + output.argmax(1)
        counts = torch.bincount(pairs, weights, minlength=self.classes**2)
        self.tensors["confusion"] += counts.view(self.classes, self.classes)
        losses = functional.cross_entropy(output, target, reduction="none").double()
        self.tensors["loss"] += (losses if weights is None else losses * weights).sum()
        if self.classes >= TOP5_CLASSES:
            correct = (output.topk(5, 1).indices == target[:, None]).sum(1)
            self.tensors["top5"] += (correct if weights is None else correct * weights).sum()
        if len(self.tensors["scores"]):
            added = slice(self.next_row, self.next_row + len(target))
            self.tensors["scores"][added] = output.softmax(1)[:, 1].double()
            self.tensors["positives"][added] = target
            if weights is not None:
                self.tensors["weights"][added] = weights
            self.next_row = added.stop

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the metrics of `nnzoo eval --json`; nan without rows. names: the classes."""
        confusion = self.tensors["confusion"].cpu()
        n = confusion.sum().item()
        result: dict[str, Any] = {
            "n": n,
            "loss": self.tensors["loss"].item() / n if n else math.nan,
        }
        result |= classification_report(confusion, names)
        if self.classes >= TOP5_CLASSES:
            result["top5_accuracy"] = self.tensors["top5"].item() / n if n else math.nan
        if len(self.tensors["scores"]):
            scores, positives = self.tensors["scores"].cpu(), self.tensors["positives"].cpu()
            weights = self.tensors.get("weights")
            result |= ranking_report(scores, positives, None if weights is None else weights.cpu())
        return result


def ranking_report(
    scores: Tensor, positives: Tensor, weights: Tensor | None = None
) -> dict[str, float]:
    """Return the area under the ROC curve and the average precision.

    scores: (rows,) of the positive class; positives: (rows,) of 0 and 1; weights: (rows,) float64, 1 each if None.
    Equal scores share a rank, as in scikit-learn. With rows of only one class `auc` is nan.
    """
    if weights is None:
        weights = torch.ones_like(positives)
    elif not weights.all():  # a row of weight 0 is no row
        scores, positives, weights = (x[weights > 0] for x in (scores, positives, weights))
    order = scores.argsort(descending=True)
    ranked = scores[order]
    # The last row of each group of equal scores.
    ends = torch.cat([(ranked[1:] != ranked[:-1]).nonzero()[:, 0], torch.tensor([len(ranked) - 1])])
    true_positives = (positives * weights)[order].cumsum(0)[ends]
    false_positives = ((1 - positives) * weights)[order].cumsum(0)[ends]
    new_true = true_positives.diff(prepend=true_positives[:1] * 0)
    new_false = false_positives.diff(prepend=false_positives[:1] * 0)
    total, others = true_positives[-1].item(), false_positives[-1].item()
    area = (new_false * (2 * true_positives - new_true)).sum()
    precision = true_positives.double() / (true_positives + false_positives)
    return {
        "auc": area.item() / (2 * total * others) if total and others else math.nan,
        "average_precision": float((new_true * precision).sum()) / total if total else 0.0,
    }


def classification_report(confusion: Tensor, labels: list[str]) -> dict[str, Any]:
    """Return every metric of a confusion matrix (classes, classes) of counts or sums of weights, rows: targets."""
    n = confusion.sum().item()
    correct = confusion.diagonal().sum().item()
    support = confusion.sum(1).tolist()
    predicted = confusion.sum(0).tolist()
    per_class = []
    for i, label in enumerate(labels):
        tp = confusion[i, i].item()
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
        "accuracy": correct / n if n else math.nan,
        "accuracy_ci95": list(wilson_interval(correct, n)),
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


def _ratio(part: float, total: float) -> float:
    return part / total if total else 0.0


def wilson_interval(correct: float, n: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    fraction = correct / n
    center = fraction + Z95**2 / (2 * n)
    half_width = Z95 * math.sqrt(fraction * (1 - fraction) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    return max(0.0, (center - half_width) / scale), min(1.0, (center + half_width) / scale)


class RegressionMetrics(MetricState):
    """Squared and absolute errors and the variance of the targets, per output.

    offset: (outputs,) values near the means of the targets; subtracting them first keeps the digits of
    the sum of squares. weighted: whether rows count by their weights.
    """

    def __init__(self, offset: Tensor, device: torch.device, weighted: bool = False) -> None:
        zeros = torch.zeros(len(offset), dtype=torch.float64)
        self.offset = offset.double().to(device)
        super().__init__(
            device,
            n=torch.zeros((), dtype=torch.float64 if weighted else torch.int64),
            squared=zeros.clone(),
            absolute=zeros.clone(),
            truth=zeros.clone(),
            truth_squared=zeros.clone(),
            loss=torch.zeros((), dtype=torch.float64),
        )

    def update(
        self,
        output: Tensor,
        target: Tensor,
        loss: Tensor | float = 0.0,
        weights: Tensor | None = None,
    ) -> None:
        """Add a batch. output, target: (batch, outputs) in original units; loss: summed over the batch, weighted as the
        rows are; weights: (batch,) float64."""
        output, target = output.double(), target.double()
        error = output - target
        shifted = target - self.offset
        by_row = {
            "squared": error**2,
            "absolute": error.abs(),
            "truth": shifted,
            "truth_squared": shifted**2,
        }
        for name, values in by_row.items():
            self.tensors[name] += (values if weights is None else values * weights[:, None]).sum(0)
        self.tensors["n"] += len(target) if weights is None else weights.sum()
        self.tensors["loss"] += loss

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the metrics of `nnzoo eval --json`. names: one per output."""
        n = self.tensors["n"].item()
        if n == 0:
            return {"n": n, **dict.fromkeys(("loss", "mse", "rmse", "mae", "r2"), math.nan)}
        mse = (self.tensors["squared"] / n).tolist()
        mae = (self.tensors["absolute"] / n).tolist()
        mean_square = self.tensors["truth_squared"] / n
        variance = mean_square - (self.tensors["truth"] / n) ** 2
        variance = torch.where(variance > ROUNDING * mean_square, variance, 0.0)
        r2 = [_r2(error, v) for error, v in zip(mse, variance.tolist(), strict=True)]
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
    """Return the coefficient of determination; constant targets follow scikit-learn's convention."""
    if variance > 0:
        return 1 - mse / variance
    return 1.0 if mse == 0 else 0.0
