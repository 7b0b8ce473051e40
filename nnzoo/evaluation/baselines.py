"""Baselines that need no network: majority class, mean, last value, last season, linear regression."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nnzoo.data.dataset import Dataset, WindowSplit, chunks
from nnzoo.data.preprocess import fit_rows
from nnzoo.evaluation.metrics import RegressionMetrics, classification_report, ranking_report
from nnzoo.evaluation.tasks import Task

CHUNK = 4096
MAX_LINEAR_INPUTS = 2048
RIDGE = 1e-6  # per training row


def baselines(dataset: Dataset, split: str, task: Task) -> list[dict[str, Any]]:
    """Compute the metrics of each baseline on one split, best first; all are fitted to training rows.

    dataset: targets and series in original units.
    """
    if task.is_classification:
        return [_majority(dataset, split)]
    train, rows = dataset.splits["train"], dataset.splits[split]
    mean = train.targets().double().mean(0)
    predictions = {"mean": mean.expand(len(rows), task.outputs)}
    if isinstance(rows, WindowSplit) and isinstance(train, WindowSplit):
        last = rows.past_targets(torch.tensor([rows.window - 1]))
        predictions["last value"] = last.repeat(1, rows.horizon, 1).flatten(1)
        period = dataset.spec.seasonal_period
        if 1 < period <= rows.window:
            steps = rows.window - period + torch.arange(rows.horizon) % period
            predictions["last season"] = rows.past_targets(steps).flatten(1)
        linear = _linear(train, rows, mean)
        if linear is not None:
            predictions["linear"] = linear
    results = []
    for name, prediction in predictions.items():
        metrics = RegressionMetrics(mean, torch.device("cpu"))
        metrics.update(prediction, rows.targets())
        report = metrics.compute(task.names)
        results.append({"name": name} | {key: report[key] for key in ("mse", "rmse", "mae", "r2")})
    return sorted(results, key=lambda result: result["mse"])


def _majority(dataset: Dataset, split: str) -> dict[str, Any]:
    classes = len(dataset.spec.labels)
    majority = int(torch.bincount(dataset.splits["train"].targets(), minlength=classes).argmax())
    support = torch.bincount(dataset.splits[split].targets(), minlength=classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    confusion[:, majority] = support
    report = classification_report(confusion, dataset.spec.labels)
    keys = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
    result: dict[str, Any] = {"name": "majority class", "label": dataset.spec.labels[majority]}
    result |= {key: report[key] for key in keys}
    if classes == 2:  # the same score for all rows
        targets = dataset.splits[split].targets()
        result |= ranking_report(torch.zeros(len(targets)), targets)
    return result


def _linear(train: WindowSplit, rows: WindowSplit, mean: Tensor) -> Tensor | None:
    """Predict the horizon from the window by ridge regression on the training windows.

    mean: (outputs,) of the training targets; subtracting it keeps the digits of large values, and the
    ridge does not pull predictions towards zero. Returns (rows, outputs), or None if the window has
    more than MAX_LINEAR_INPUTS values.
    """
    inputs = train.window * train.values.shape[1]
    if inputs > MAX_LINEAR_INPUTS:
        return None
    seen = fit_rows(train)
    center, std = seen.mean(0), seen.std(0)
    # A feature that is constant in training gets no weight, whatever values it has later.
    std = torch.where(std > 1e-12 * center.abs(), std, torch.inf)

    def design_matrix(split: WindowSplit, chunk: slice) -> tuple[Tensor, Tensor]:
        x, y = split.batch(torch.arange(chunk.start, chunk.stop))
        x = ((x - center) / std).flatten(1)
        return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1), y - mean

    gram = torch.zeros(inputs + 1, inputs + 1, dtype=torch.float64)
    moment: Tensor | None = None
    for chunk in chunks(len(train), CHUNK):
        x, y = design_matrix(train, chunk)
        gram += x.T @ x
        moment = x.T @ y if moment is None else moment + x.T @ y
    gram.diagonal().add_(RIDGE * len(train))
    assert moment is not None
    weights = torch.linalg.solve(gram, moment)
    parts = [design_matrix(rows, chunk)[0] @ weights for chunk in chunks(len(rows), CHUNK)]
    return torch.cat(parts) + mean
