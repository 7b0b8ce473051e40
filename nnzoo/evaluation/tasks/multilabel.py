"""Several labels per row: binary cross entropy of each, probabilities that need not add up to 1."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.dataset import Dataset
from nnzoo.errors import DataError
from nnzoo.evaluation.metrics import MetricState
from nnzoo.evaluation.multilabel_metrics import MultilabelMetrics
from nnzoo.evaluation.tasks.task import Reduction, Task, check_loss

MULTILABEL_METRICS = (
    "loss",
    "exact_match",
    "hamming_loss",
    *(f"{name}_{mean}" for mean in ("macro", "micro") for name in ("f1", "precision", "recall")),
    "auc_macro",
    "average_precision_macro",
)
THRESHOLD = 0.5
"""The probability from which on a label is predicted, unless a label has one of its own."""


class Multilabel(Task):
    """Binary cross entropy of each label, averaged over the labels; outputs are logits (batch, labels).

    class_weights: (labels,) by which the loss of rows with the label is multiplied.
    """

    is_classification = False
    correct_metric = "exact_match"
    gives_probabilities = True
    class_weights: Tensor | None
    thresholds: Tensor
    """(labels,) the probability from which on each label is predicted."""

    def __init__(
        self, options: TrainOptions, labels: list[str], class_weights: Tensor | None
    ) -> None:
        super().__init__()
        check_loss(options, ("binary_cross_entropy",), "each row has several labels")
        self.names = labels
        self.metric_names = MULTILABEL_METRICS
        self.label_smoothing = options.label_smoothing
        self.register_buffer("class_weights", class_weights)
        self.register_buffer("thresholds", torch.full((len(labels),), THRESHOLD))

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Return the loss, averaged over the labels."""
        target = target.to(output.dtype)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        total = functional.binary_cross_entropy_with_logits(
            output, target, reduction=reduction, pos_weight=self.class_weights
        )
        return (total if reduction == "sum" else total.sum(1)) / self.outputs

    def correct(self, output: Tensor, target: Tensor) -> Tensor:
        return ((output.sigmoid() >= self.thresholds) == (target > 0.5)).all(1)

    def postprocess(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def outputs_of(self, predictions: Tensor) -> Tensor:
        return predictions.logit(torch.finfo(predictions.dtype).eps)

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0, weighted: bool = False
    ) -> MetricState:
        return MultilabelMetrics(self.thresholds, device, rows, first, weighted)

    def update(
        self, metrics: MetricState, output: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> None:
        cast(MultilabelMetrics, metrics).update(output, target, weights)


def positive_weights(dataset: Dataset) -> Tensor:
    """Weights of `data.class_weights: balanced`, of each label training rows without it / rows with it, each
    counted by its weight; 1 for a label that all rows have.

    Raises DataError if no training row has a label.
    """
    train = dataset.splits["train"]
    targets, weights = train.targets().double(), train.weights
    weights = torch.ones(len(targets), dtype=torch.float64) if weights is None else weights
    counts = weights @ targets
    if (counts == 0).any():
        missing = dataset.spec.labels[int((counts == 0).nonzero()[0])]
        raise DataError.at(
            "data.class_weights", f"no training row has the label '{missing}'", code="E41"
        )
    without = weights.sum() - counts
    # A label that every row has would be multiplied by 0, and never be learned.
    return torch.where(without > 0, without / counts, 1.0).float()
