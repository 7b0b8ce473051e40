"""The interface of a baseline: a name, the data that it is for, and a fit to the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.preprocess import Preprocess
from nnzoo.evaluation.baselines.budget import Budget
from nnzoo.evaluation.tasks.task import Task

Link = Literal["softmax", "sigmoid", "identity"]
Predict = Callable[[Split], Tensor]
"""Outputs float64 for the rows of a split: scores (rows, classes), of which the largest is predicted, logits
(rows, labels), or values (rows, outputs) in original units."""


@dataclass(frozen=True)
class Problem:
    """The data and task that baselines are fitted to: data in original units, the network's fitted preprocessing, and its task."""

    dataset: Dataset
    task: Task
    preprocess: Preprocess

    @property
    def spec(self) -> DataSpec:
        return self.dataset.spec

    @property
    def train(self) -> Split:
        return self.dataset.splits["train"]

    @property
    def validation(self) -> Split | None:
        return self.dataset.splits.get("val")

    @property
    def link(self) -> Link:
        """The function from a linear model's outputs to predictions."""
        if self.task.is_classification:
            return "softmax"
        return "sigmoid" if self.spec.task == "multilabel" else "identity"

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 where numbers or several labels are predicted."""
        return len(self.spec.labels) if self.task.is_classification else 0

    def row_weights(self, split: Split) -> Tensor | None:
        """The weight of each row in a loss, (rows,) float64: that of the row times that of its class, as in training; for
        several labels per row (rows, labels); None where all are 1."""
        weights = split.weights
        of_class: Tensor | None = getattr(self.task, "class_weights", None)
        if of_class is None:
            return weights
        of_class, targets = of_class.cpu().double(), split.targets()
        if self.spec.task == "multilabel":
            of_label = torch.where(targets > 0.5, of_class, 1.0)
            return of_label if weights is None else of_label * weights[:, None]
        of_row = of_class[targets]
        return of_row if weights is None else of_row * weights


class Baseline(Protocol):
    """A model that needs no network."""

    name: str
    """Its name in `eval.baselines`."""
    is_free: bool
    """Whether it costs nothing, so that it is always shown."""

    def label(self, problem: Problem) -> str:
        """Its name in results."""
        ...

    def supports(self, problem: Problem) -> bool:
        """Whether it is for these data."""
        ...

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        """Fit to the training rows, validation rows choosing among fits; raises OverBudgetError."""
        ...


def evenly_spaced(rows: int, limit: int) -> Tensor:
    """At most `limit` row numbers, evenly spaced over all rows."""
    return torch.linspace(0, rows - 1, min(rows, max(2, limit))).round().long()
