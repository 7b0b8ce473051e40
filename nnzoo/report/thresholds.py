"""Counts of right and wrong decisions at each threshold of a probability, for the script of a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnzoo.predict.predictions import Predictions, predict_split
from nnzoo.report.run_report import RunReport
from nnzoo.text import shorten

Array = np.ndarray[Any, Any]

MAX_LABELS = 30
"""Of many classes or labels, those with the most rows."""
MAX_EXACT_ROWS = 5000
MAX_EXACT_NUMBERS = 24_000
"""Up to so many rows of a split, and rows times labels of all splits, every threshold is known."""
MAX_GRID, GRID_NUMBERS = 1000, 16_000
"""Else so many thresholds of each label, fewer where there are many labels."""


def describe_thresholds(run: RunReport) -> dict[str, Any]:
    """Return what the script needs to move thresholds: {splits, labels, num_labels}; {} where no probability decides.

    splits: names, the validation rows first if they can be used. labels: {label, marks: [{name, value}], grid, splits:
    [{n, positives, thresholds, tp, fp}]} each. A row is predicted where its probability is at least the threshold.
    thresholds: descending, every distinct probability; None where only those of `grid` are known. tp, fp: how many rows
    each threshold adds.
    """
    predictions = run.predictions
    if not predictions.has_probabilities or predictions.targets is None:
        return {}
    splits = {run.split: predictions}
    if run.split == "test" and "val" in run.loaded.dataset.splits and not run.network.is_of_folds:
        splits = {"val": predict_split(run.network, run.loaded.prepared("val"))} | splits
    numbers = list(range(len(predictions.names)))
    support = [_positives(predictions, i).sum() for i in numbers]
    numbers = sorted(sorted(numbers, key=lambda i: -support[i])[:MAX_LABELS])
    rows = [len(part) for part in splits.values()]
    is_exact = max(rows) <= MAX_EXACT_ROWS and sum(rows) * len(numbers) <= MAX_EXACT_NUMBERS
    size = min(MAX_GRID, GRID_NUMBERS // (len(numbers) * len(splits)))
    labels = []
    for i in numbers:
        marks = _marks(predictions, i)
        parts = [(part.values[:, i], _positives(part, i)) for part in splits.values()]
        grid = None
        if not is_exact:
            grid = _grid(parts, [mark["value"] for mark in marks], size)
        labels.append(
            {
                "label": shorten(predictions.names[i]),
                "marks": marks,
                "grid": None if grid is None else grid.tolist(),
                "splits": [_counts(scores, positive, grid) for scores, positive in parts],
            }
        )
    return {
        "splits": list(splits),
        "labels": labels,
        "num_labels": len(predictions.names),
        "several": run.spec.task == "multilabel",
        "weighted": "weighted" in run.result,
        "first": numbers.index(_first(run, numbers)),
    }


def _positives(predictions: Predictions, i: int) -> Array:
    """Which rows have a class or label (rows,) bool."""
    targets = predictions.targets
    assert targets is not None
    return targets == i if targets.ndim == 1 else targets[:, i] > 0.5


def _marks(predictions: Predictions, i: int) -> list[dict[str, Any]]:
    """The thresholds to mark: 0.5, and that by which the network decides if it has one."""
    marks: list[dict[str, Any]] = [{"name": "0.5", "value": 0.5}]
    decision = predictions.decision
    if predictions.thresholds is not None and predictions.thresholds[i] != 0.5:
        marks.append({"name": "the network's", "value": _shortest(predictions.thresholds[i])})
    elif decision is not None and decision.costs is None and decision.of == i:
        marks.append({"name": "eval.decide", "value": _shortest(decision.threshold)})
    return marks


def _first(run: RunReport, numbers: list[int]) -> int:
    """The class or label to begin with: that of the decision, of two classes the second, else the one with the smallest
    F1."""
    decision = run.predictions.decision
    if decision is not None and decision.costs is None and decision.of in numbers:
        return decision.of
    if run.predictions.is_classification and len(run.predictions.names) == 2:
        return 1
    reports = run.result["per_class" if run.predictions.is_classification else "per_label"]
    return min(numbers, key=lambda i: reports[i]["f1"])


def _grid(parts: list[tuple[Array, Array]], marks: list[float], size: int) -> Array:
    """Thresholds, descending: evenly spaced ones, quantiles of the probabilities of rows with the class, and marks."""
    even = np.linspace(0, 1, 100 * (size // 200) + 1).round(4)
    scores = np.concatenate([scores[positive] for scores, positive in parts])
    count = size - len(even) - len(marks)
    quantiles = (
        np.quantile(scores, np.linspace(0, 1, count), method="nearest") if len(scores) else scores
    )
    return np.unique([*even, *map(_shortest, quantiles), *marks])[::-1]


def _counts(scores: Array, positive: Array, grid: Array | None) -> dict[str, Any]:
    """Count the rows that each threshold adds to those of the thresholds above it."""
    steps, index = np.unique(-scores, return_inverse=True)
    added = [np.bincount(index[member], minlength=len(steps)) for member in (positive, ~positive)]
    described: dict[str, Any] = {"n": len(scores), "positives": int(positive.sum())}
    if grid is None:
        described["thresholds"] = [_shortest(-step) for step in steps]
    else:
        # The number of distinct probabilities that are at least as large as each threshold.
        ends = np.searchsorted(steps, -grid.astype(steps.dtype), "right")
        totals = [np.concatenate([[0], counts.cumsum()])[ends] for counts in added]
        added = [np.diff(total, prepend=0) for total in totals]
    return described | {"tp": added[0].tolist(), "fp": added[1].tolist()}


def _shortest(value: Any) -> float:
    """The number with the fewest digits that is this one in float32."""
    return float(str(np.float32(value))) if math.isfinite(value) else 0.0
