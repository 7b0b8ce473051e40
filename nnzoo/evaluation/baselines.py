"""Baselines: metrics of models that need no network, fitted to training rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nnzoo.data.dataset import Dataset, Split, WindowSplit, chunks
from nnzoo.data.preprocess import fit_rows
from nnzoo.data.sequences import SequenceSplit
from nnzoo.evaluation import channel_statistics
from nnzoo.evaluation.metrics import RegressionMetrics, classification_report, ranking_report
from nnzoo.evaluation.multilabel_metrics import MultilabelMetrics
from nnzoo.evaluation.tasks.language_model import LanguageModel
from nnzoo.evaluation.tasks.multilabel import Multilabel
from nnzoo.evaluation.tasks.task import Task

# The linear baseline of forecasts: rows at once, the most inputs that it is solved for, and the ridge per row.
LINEAR_CHUNK = 4096
MAX_LINEAR_INPUTS = 2048
RIDGE = 1e-6


def compute_baselines(dataset: Dataset, split: str, task: Task) -> list[dict[str, Any]]:
    """Compute the metrics of each baseline on one split, best first; all are fitted to training rows.

    dataset: targets and series in original units.
    """
    if isinstance(task, LanguageModel):
        from nnzoo.evaluation.ngrams import ngram_baselines

        return ngram_baselines(dataset, split)
    train, rows = dataset.splits["train"], dataset.splits[split]
    if isinstance(task, Multilabel):
        return [_label_frequencies(train, rows, task)]
    name, outputs = _linear_on_features(dataset, split)
    if task.is_classification:
        results = [_majority(dataset, split)]
        if outputs is not None:
            scores = outputs[:, -1] - outputs[:, 0]
            report = _class_metrics(dataset, split, outputs.argmax(1), scores)
            results.append({"name": name} | report)
        return sorted(results, key=lambda result: -result["accuracy"])
    mean = train.targets().double().mean(0)
    predictions = {"mean": mean.expand(len(rows), len(task.names))}
    if outputs is not None:
        predictions[name] = outputs
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


def _linear_on_features(dataset: Dataset, split: str) -> tuple[str, Tensor | None]:
    """The name and outputs of a linear model on features of sequences or texts: logits (rows, classes) or values
    (rows, outputs); None for other data."""
    spec, train, rows = dataset.spec, dataset.splits["train"], dataset.splits[split]
    classes = len(spec.labels)
    if (
        isinstance(train, SequenceSplit)
        and isinstance(rows, SequenceSplit)
        and spec.input.kind == "tokens"
    ):
        from nnzoo.evaluation import text_baseline

        name = text_baseline.name(classes)
        key = f"{name}, {split}"
        if key not in dataset.memo:  # seeds have one dataset
            fit = train, rows, spec.input.vocabulary, classes
            dataset.memo[key] = text_baseline.fit_predict(*fit)
        return name, dataset.memo[key]
    if spec.input.kind == "series" and spec.task != "forecasting":
        return channel_statistics.NAME, channel_statistics.fit_predict(train, rows, classes)
    return "", None


def _majority(dataset: Dataset, split: str) -> dict[str, Any]:
    labels, targets = dataset.spec.labels, dataset.splits["train"].targets()
    majority = int(torch.bincount(targets, minlength=len(labels)).argmax())
    predicted = torch.full((len(dataset.splits[split]),), majority)
    result: dict[str, Any] = {"name": "majority class", "label": labels[majority]}
    return result | _class_metrics(dataset, split, predicted, torch.zeros(len(predicted)))


def _label_frequencies(train: Split, rows: Split, task: Multilabel) -> dict[str, Any]:
    """The metrics of the frequency of each label in training rows as its probability."""
    frequencies = train.targets().double().mean(0).clamp(1e-6, 1 - 1e-6)
    metrics = MultilabelMetrics(task.thresholds.cpu(), torch.device("cpu"), len(rows))
    metrics.update(frequencies.logit().expand(len(rows), -1), rows.targets())
    report = metrics.compute(task.names)
    return {"name": "label frequencies"} | {key: report[key] for key in task.metric_names}


def _class_metrics(
    dataset: Dataset, split: str, predicted: Tensor, scores: Tensor
) -> dict[str, float]:
    """The metrics of a baseline; predicted: (rows,) classes; scores: (rows,) of the second of two classes."""
    labels, targets = dataset.spec.labels, dataset.splits[split].targets()
    pairs = targets * len(labels) + predicted
    confusion = torch.bincount(pairs, minlength=len(labels) ** 2).view(len(labels), -1)
    report = classification_report(confusion, labels)
    keys = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
    result = {key: report[key] for key in keys}
    if len(labels) == 2:
        result |= ranking_report(scores, targets)
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
    for chunk in chunks(len(train), LINEAR_CHUNK):
        x, y = design_matrix(train, chunk)
        gram += x.T @ x
        moment = x.T @ y if moment is None else moment + x.T @ y
    gram.diagonal().add_(RIDGE * len(train))
    assert moment is not None
    weights = torch.linalg.solve(gram, moment)
    parts = [design_matrix(rows, chunk)[0] @ weights for chunk in chunks(len(rows), LINEAR_CHUNK)]
    return torch.cat(parts) + mean
