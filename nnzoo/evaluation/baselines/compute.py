"""Choose baselines, fit those that a run's time allows, and compare the network with each on the same rows."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nnzoo.config.eval_options import EvalOptions
from nnzoo.errors import ConfigError
from nnzoo.evaluation.baselines.baseline import Baseline, Predict, Problem
from nnzoo.evaluation.baselines.budget import Budget, OverBudgetError, RunTime
from nnzoo.evaluation.baselines.channel_statistics import ChannelLinear
from nnzoo.evaluation.baselines.compare import RowOutcomes, compare, row_outcomes
from nnzoo.evaluation.baselines.linear import Linear
from nnzoo.evaluation.baselines.ngrams import ngram_baselines
from nnzoo.evaluation.baselines.prediction_cache import (
    cache_file,
    read_predictions,
    write_predictions,
)
from nnzoo.evaluation.baselines.series import LastSeason, LastValue, LinearForecast, SeasonalMean
from nnzoo.evaluation.baselines.simple import LabelFrequencies, Majority, Mean, target_mean
from nnzoo.evaluation.baselines.tfidf import TextLinear
from nnzoo.evaluation.baselines.trees import BoostedTrees
from nnzoo.evaluation.metrics import RegressionMetrics, classification_report, ranking_report

# Cheap ones first: what is left of the time is for the others.
BASELINES: tuple[Baseline, ...] = (
    Majority(),
    LabelFrequencies(),
    Mean(),
    LastValue(),
    LastSeason(),
    SeasonalMean(),
    LinearForecast(),
    Linear(),
    ChannelLinear(),
    TextLinear(),
    BoostedTrees(),
)
NGRAMS = "ngrams"
RIGHT_METRICS = ("accuracy", "exact_match")
"""Metrics of which more is better."""


def available_names(problem: Problem) -> list[str]:
    """The names in `eval.baselines` of the baselines that are for these data."""
    if problem.spec.task == "language_model":
        return [NGRAMS]
    return [baseline.name for baseline in BASELINES if baseline.supports(problem)]


def check_names(options: EvalOptions, problem: Problem) -> None:
    """Raise ConfigError for a name in `eval.baselines` that is not for these data."""
    if isinstance(options.baselines, str):
        return
    known = available_names(problem)
    for name in options.baselines:
        if name not in known:
            raise ConfigError.at(
                "eval.baselines", f"there is no '{name}' for these data; one of {', '.join(known)}"
            )


def compute_baselines(
    problem: Problem,
    split: str,
    options: EvalOptions,
    run: RunTime | None = None,
    network: RowOutcomes | None = None,
) -> dict[str, Any]:
    """Compute the keys of a result on baselines: `baselines`, each with its name, metrics and, beside those of a
    network, comparison, best first; `baseline`, the first of them; and `baselines_left_out`, those that would take too
    long. All are fitted to training rows.

    network: how well the network predicts each row.
    """
    check_names(options, problem)
    run = run or RunTime()
    if options.baselines == "none":
        return {}
    results: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    time_left = run.budget() if options.baselines == "auto" else math.inf
    names = available_names(problem) if options.baselines == "auto" else options.baselines
    for name in dict.fromkeys(names):
        is_decided = options.baselines == "auto" and run.shown is not None and name in run.shown
        try:
            if options.baselines == "auto" and name in run.left_out:
                raise OverBudgetError(run.left_out[name])
            limit = math.inf if is_decided else time_left
            new, seconds = _results(name, problem, split, limit, network)
        except OverBudgetError as error:
            left_out.append(_left_out(name, problem, error.seconds, run))
            continue
        time_left -= seconds
        results += new
    return _ranked(results) | ({"baselines_left_out": left_out} if left_out else {})


def _left_out(name: str, problem: Problem, seconds: float, run: RunTime) -> dict[str, Any]:
    label = "n-grams" if name == NGRAMS else _baseline(name, problem).label(problem)
    return {"key": name, "name": label, "seconds": seconds, "run_seconds": run.seconds}


def _ranked(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The results, best first, as the keys of the whole result."""
    if not results:
        return {}
    names = ("exact_match", "loss", "mse", "accuracy")
    metric = next(name for name in names if name in results[0])
    results.sort(key=lambda result: result[metric] * (-1 if metric in RIGHT_METRICS else 1))
    return {"baseline": results[0]} | ({"baselines": results} if len(results) > 1 else {})


def _baseline(name: str, problem: Problem) -> Baseline:
    """The baseline of a name for these data."""
    return next(
        baseline for baseline in BASELINES if baseline.name == name and baseline.supports(problem)
    )


def _results(
    name: str, problem: Problem, split: str, limit: float, network: RowOutcomes | None
) -> tuple[list[dict[str, Any]], float]:
    """The results of a baseline, of n-grams two, and the seconds that it took, now or when it was fitted before;
    raises OverBudgetError beyond `limit` seconds."""
    if name == NGRAMS:
        budget = Budget(limit)
        results = ngram_baselines(problem.dataset, split, budget)
        return [{"key": NGRAMS} | result for result in results], budget.elapsed
    baseline = _baseline(name, problem)
    outputs, seconds = _outputs(baseline, problem, split, limit)
    return [_result(baseline, problem, split, outputs, network)], seconds


def _outputs(
    baseline: Baseline, problem: Problem, split: str, limit: float
) -> tuple[Tensor, float]:
    """The outputs of a baseline for a split: those of this data set are computed once for several seeds, and kept."""
    rows, memo = problem.dataset.splits[split], problem.dataset.memo
    if baseline.is_free:
        return baseline.fit(problem, Budget())(rows), 0.0
    key = f"baseline {baseline.name}"
    if f"{key}, {split}" in memo:
        return memo[f"{key}, {split}"], 0.0
    file = cache_file(problem, baseline, split)
    kept = read_predictions(file, len(rows))
    if kept is None:
        kept = _fit_predict(baseline, problem, split, limit)
        write_predictions(file, *kept)
    elif kept[1] > limit:
        raise OverBudgetError(kept[1])
    memo[f"{key}, {split}"] = kept[0]
    return kept


def _fit_predict(
    baseline: Baseline, problem: Problem, split: str, limit: float
) -> tuple[Tensor, float]:
    """Outputs and seconds of a fit, which is made once for all splits of the data set."""
    memo, key = problem.dataset.memo, f"baseline {baseline.name}"
    fitted: Predict | float | None = memo.get(key)
    budget = Budget(limit)
    if isinstance(fitted, float) and fitted > limit:
        raise OverBudgetError(fitted)
    if fitted is None or isinstance(fitted, float):
        try:
            fitted = memo[key] = baseline.fit(problem, budget)
        except OverBudgetError as error:
            # Its seconds alone: an exception holds all frames that it has passed, and the run in them its lock.
            memo[key] = error.seconds
            raise
    return fitted(problem.dataset.splits[split]), budget.elapsed


def _result(
    baseline: Baseline,
    problem: Problem,
    split: str,
    outputs: Tensor,
    network: RowOutcomes | None,
) -> dict[str, Any]:
    """Metrics of a baseline, and its comparison with the network."""
    task, rows = problem.task, problem.dataset.splits[split]
    result: dict[str, Any] = {"name": baseline.label(problem), "key": baseline.name}
    targets = rows.targets()
    if isinstance(baseline, Majority):
        result["label"] = task.names[int(outputs[0].argmax())]
    result |= _metrics(problem, outputs, targets)
    if rows.weights is not None:
        result["weighted"] = _metrics(problem, outputs, targets, rows.weights)
    if network is None:
        return result
    outcomes = row_outcomes(task, rows)
    values = task.correct(outputs, targets) if task.correct_metric else (outputs - targets) ** 2
    outcomes.add(values)
    return result | {"comparison": compare(network, outcomes, task.correct_metric or "rmse")}


def _metrics(
    problem: Problem, outputs: Tensor, targets: Tensor, weights: Tensor | None = None
) -> dict[str, float]:
    """The metrics of a baseline's outputs (rows, outputs). weights: (rows,) float64; 1 each if None."""
    task, is_weighted = problem.task, weights is not None
    if task.is_classification:
        return _class_metrics(outputs, targets, task.names, weights)
    if problem.link == "sigmoid":
        counts = task.new_metrics(torch.device("cpu"), len(targets), weighted=is_weighted)
        task.update(counts, outputs, targets, weights)
        report = task.compute_metrics(counts)
        return {key: report[key] for key in task.metric_names}
    metrics = RegressionMetrics(target_mean(problem.train), torch.device("cpu"), is_weighted)
    metrics.update(outputs, targets, weights=weights)
    report = metrics.compute(task.names)
    return {key: report[key] for key in ("mse", "rmse", "mae", "r2")}


def _class_metrics(
    outputs: Tensor, targets: Tensor, labels: list[str], weights: Tensor | None = None
) -> dict[str, float]:
    """The metrics of a baseline of classes; outputs: (rows, classes) scores; weights: (rows,) float64."""
    pairs = targets * len(labels) + outputs.argmax(1)
    counts = torch.bincount(pairs, weights, minlength=len(labels) ** 2)
    report = classification_report(counts.view(len(labels), -1), labels)
    keys = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
    result = {key: report[key] for key in keys}
    if len(labels) == 2:
        result |= ranking_report(outputs[:, 1] - outputs[:, 0], targets, weights)
    return result
