"""Classes: cross entropy with class weights, confusion matrix, probabilities."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.dataset import Dataset
from nnzoo.errors import DataError
from nnzoo.evaluation.metrics import MAX_CLASSES, ClassificationMetrics, MetricState
from nnzoo.evaluation.tasks.task import Reduction, Task, check_loss
from nnzoo.kernels.step import NativeLoss

CLASSIFICATION_METRICS = ("loss", "accuracy", "f1_macro", "precision_macro", "recall_macro")
RANKING_METRICS = ("auc", "average_precision")


class Classification(Task):
    """Cross entropy over classes; outputs are logits (batch, classes)."""

    is_classification = True
    correct_metric = "accuracy"
    gives_probabilities = True
    class_weights: Tensor | None

    def __init__(
        self, options: TrainOptions, labels: list[str], class_weights: Tensor | None
    ) -> None:
        super().__init__()
        check_loss(options, ("cross_entropy",), "the target has classes")
        if len(labels) > MAX_CLASSES:
            raise DataError.at(
                "data.target",
                f"{len(labels):,} classes; at most {MAX_CLASSES:,} are supported, as the confusion matrix "
                "has their square. Is the target an id, or a number (data.task: regression)?",
                code="E40",
            )
        self.names = labels
        self.metric_names = CLASSIFICATION_METRICS + (RANKING_METRICS if len(labels) == 2 else ())
        self.label_smoothing = options.label_smoothing
        self.register_buffer("class_weights", class_weights)

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        return functional.cross_entropy(
            output,
            target,
            self.class_weights,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )

    @property
    def native_loss(self) -> NativeLoss:
        return NativeLoss("cross_entropy", self.label_smoothing, self.class_weights)

    def denominator(self, target: Tensor, weights: Tensor | None = None) -> Tensor | float:
        if self.class_weights is None:
            return float(len(target)) if weights is None else weights.sum()
        of_rows = self.class_weights[target]
        return (of_rows if weights is None else of_rows * weights).sum()

    def postprocess(self, output: Tensor) -> Tensor:
        return self.tempered(output).softmax(1)

    def tempered(self, output: Tensor) -> Tensor:
        """Return the logits of the probabilities that are predicted."""
        return output if self.temperature is None else output / self.temperature

    def outputs_of(self, predictions: Tensor) -> Tensor:
        return predictions.clamp_min(torch.finfo(predictions.dtype).tiny).log()

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0, weighted: bool = False
    ) -> MetricState:
        return ClassificationMetrics(self.outputs, device, rows, first, weighted)

    def update(
        self, metrics: MetricState, output: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> None:
        cast(ClassificationMetrics, metrics).update(self.tempered(output), target, weights)


def balanced_weights(dataset: Dataset) -> Tensor:
    """Class weights of `data.class_weights: balanced`: rows / (classes * rows of the class), of training rows, each
    counted by its weight.

    Raises DataError if a class has no training row.
    """
    train = dataset.splits["train"]
    classes = train.targets()
    counts = torch.bincount(classes, train.weights, minlength=len(dataset.spec.labels))
    if (counts == 0).any():
        missing = dataset.spec.labels[int((counts == 0).nonzero()[0])]
        raise DataError.at(
            "data.class_weights", f"no training row has the label '{missing}'", code="E41"
        )
    total = len(classes) if train.weights is None else float(train.weights.sum())
    return total / (len(counts) * counts.float())
