"""Decisions: which class is predicted for given probabilities, by costs or by a threshold of one class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nnzoo.config.eval_options import DecideOptions, EvalOptions
from nnzoo.config.hints import did_you_mean, nearest
from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.data_spec import DataSpec
from nnzoo.errors import ConfigError, DataError
from nnzoo.evaluation.metrics import wilson_interval
from nnzoo.text import list_some, quoted_name

KEY = "eval.decide"

# Checkpoints are checked with "meta", which has no values, as the default device.
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Decision:
    """A rule for the predicted class.

    costs: (classes, classes) float64, rows: actual classes; the class of the smallest expected cost is
    predicted. Without them `threshold` decides: class `of` is predicted where its probability is at least as
    large, else the most probable of the others. goal: the asked "recall" or "precision", and its value.
    """

    labels: list[str]
    costs: Tensor | None = None
    of: int = 0
    threshold: float = 0.0
    goal: tuple[str, float] = ("cost", 0.0)

    def classes(self, probabilities: Tensor) -> Tensor:
        """Return the predicted classes (rows,) int64 for probabilities (rows, classes)."""
        if self.costs is not None:
            return (probabilities.double() @ self.costs.to(probabilities.device)).argmin(1)
        others = probabilities.clone()
        others[:, self.of] = -1.0
        return torch.where(probabilities[:, self.of] >= self.threshold, self.of, others.argmax(1))

    def describe(self) -> str:
        """Say how classes are predicted."""
        if self.costs is not None:
            return "the prediction is the class of the smallest expected cost (eval.decide)"
        name, value = self.goal
        return (
            f"{quoted_name(self.labels[self.of])} is predicted from a probability of {self.threshold:.4g}, which "
            f"gave a {name} of at least {value:g} on validation rows, else the most probable other class (eval.decide)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, from which another program can decide alike."""
        if self.costs is not None:
            return {"rule": "cost", "labels": self.labels, "cost": self.costs.tolist()}
        name, value = self.goal
        rule = {"rule": "threshold", "of": self.labels[self.of], "threshold": self.threshold}
        return rule | {name: value}

    def report(self, confusion: Tensor, before: Tensor) -> dict[str, Any]:
        """Return what the decision achieves. confusion, before: counts (classes, classes) of actual and predicted
        classes, by the decision and by the most probable class."""
        result = self.to_dict() | {"confusion_matrix": confusion.tolist()}
        n = int(confusion.sum())
        result["accuracy"] = int(confusion.diagonal().sum()) / n if n else math.nan
        if self.costs is not None:
            costs = [float((c.double() * self.costs).sum()) for c in (before, confusion)]
            before_, after = (cost / n if n else math.nan for cost in costs)
            return result | {"cost_per_row_before": before_, "cost_per_row": after}
        for name, dim in (("recall", 1), ("precision", 0)):
            for when, counts in (("_before", before), ("", confusion)):
                num_correct, total = int(counts[self.of, self.of]), int(counts.sum(dim)[self.of])
                result[f"achieved_{name}{when}"] = num_correct / total if total else math.nan
                result[f"achieved_{name}{when}_ci95"] = list(wilson_interval(num_correct, total))
        return result


def check_decision(options: DecideOptions, spec: DataSpec) -> None:
    """Raise ConfigError if the data has no such classes."""
    if spec.task != "classification":
        raise ConfigError.at(KEY, "is for classes, one per row, and this target is another one")
    if options.of is not None:
        class_index(options.of, spec.labels, f"{KEY}.of")
    if options.cost is not None:
        cost_matrix(options.cost, spec.labels)


def check_eval(options: EvalOptions, spec: DataSpec) -> None:
    """Raise ConfigError where the section `eval` does not fit the data."""
    if options.decide is not None:
        check_decision(options.decide, spec)
    if options.temperature == "apply" and spec.task != "classification":
        raise ConfigError.at(
            "eval.temperature", "is for classes, one per row, and this target is another one"
        )
    if options.flip != "none" and spec.input.kind != "image":
        raise ConfigError.at("eval.flip", f"is for images, but the data is {spec.input}")


def fit_decision(
    options: DecideOptions, labels: list[str], probabilities: Tensor, targets: Tensor
) -> Decision:
    """Return the decision that options describe; a threshold follows from validation rows.

    probabilities: (rows, classes); targets: (rows,) int64. With `recall` the threshold is the largest that
    reaches it, with `precision` the smallest. Raises DataError if none does.
    """
    if options.cost is not None:
        return Decision(labels, cost_matrix(options.cost, labels))
    of = class_index(options.of, labels, f"{KEY}.of")
    of_class = targets == of
    name = quoted_name(labels[of])
    if options.recall is not None:
        scores = probabilities[of_class, of].sort(descending=True).values
        if not len(scores):
            raise DataError.at(f"{KEY}.of", f"no validation row has the class {name}", code="E56")
        rank = math.ceil(options.recall * len(scores) - 1e-9)
        return Decision(labels, None, of, float(scores[rank - 1]), ("recall", options.recall))
    assert options.precision is not None
    scores, order = probabilities[:, of].sort(descending=True, stable=True)
    num_correct = of_class[order].double().cumsum(0)
    precision = num_correct / torch.arange(1, len(num_correct) + 1)
    # A threshold takes all rows of equal scores.
    is_last = torch.cat([scores[1:] != scores[:-1], torch.tensor([True])[: len(scores)]])
    reaches = (is_last & (precision >= options.precision - 1e-9)).nonzero()
    if not len(reaches):
        best = float(precision[is_last].max()) if len(scores) else 0.0
        raise DataError.at(
            f"{KEY}.precision",
            f"no threshold of {name} reaches {options.precision:g} on the validation rows; the best precision is "
            f"{best:.4g}",
            code="E56",
        )
    threshold = float(scores[int(reaches[-1])])
    return Decision(labels, None, of, threshold, ("precision", options.precision))


def cost_matrix(cost: dict[str, dict[str, float]] | list[list[float]], labels: list[str]) -> Tensor:
    """Return the costs (classes, classes) float64, rows: actual classes; raises ConfigError."""
    key, count = f"{KEY}.cost", len(labels)
    if isinstance(cost, list):
        if len(cost) != count or any(len(row) != count for row in cost):
            raise ConfigError.at(
                key, f"expected {count} rows of {count} costs, in the order {list_some(labels, 8)}"
            )
        return torch.tensor(cost, dtype=torch.float64, device=CPU)
    costs = torch.full((count, count), math.nan, dtype=torch.float64, device=CPU)
    costs.fill_diagonal_(0.0)
    for label, row_costs in cost.items():
        row = class_index(label, labels, key)
        for predicted, value in row_costs.items():
            costs[row, class_index(predicted, labels, f"{key}.{label}")] = value
    missing = [f"{{{labels[i]}: {{{labels[j]}: …}}}}" for i, j in costs.isnan().nonzero().tolist()]
    if missing:
        raise ConfigError.at(key, f"a cost is missing: {list_some(missing, counted=True)}")
    return costs


def class_index(label: object, labels: list[str], key: str) -> int:
    """Return the index of a label, in any spelling that data may have; raises ConfigError."""
    text = str(label)
    code = LabelIndex(labels).code(text)
    if code < 0:
        hint = did_you_mean(nearest(text, labels), f"it has {list_some(labels, 8)}")
        raise ConfigError.at(key, f"the target has no class {quoted_name(text)}; {hint}")
    return code
