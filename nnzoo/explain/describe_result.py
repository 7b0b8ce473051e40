"""The result in the walk-through of a run: metrics with their uncertainty, baselines, and where the errors are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnzoo.evaluation.verdicts import shown_baselines
from nnzoo.explain.walk import Section, Statement
from nnzoo.predict.predictions import Predictions
from nnzoo.report.run_report import RunReport
from nnzoo.text import format_metric, shorten

NORMAL_95 = 1.96
"""Standard errors on each side of a 95 % interval."""
LANGUAGE_METRICS = ("bits_per_character", "bits_per_byte", "perplexity")


def describe_result(section: Section, run: RunReport) -> dict[str, Any]:
    """Add the main metric with its interval and the comparison with baselines; returns the figures."""
    result, split = run.result, Statement(f"split.{run.split}")
    count = result["n"]
    figures: dict[str, Any] = {"split": run.split, "n": count, "loss": result["loss"]}
    if run.spec.is_classification:
        low, high = result["accuracy_ci95"]
        figures |= {"accuracy": result["accuracy"], "accuracy_ci95": [low, high]}
        percent = {"value": 100 * result["accuracy"], "low": 100 * low, "high": 100 * high}
        section.add("result.accuracy", rows=count, split=split, **percent)
    elif run.spec.task == "multilabel":
        figures |= {key: result[key] for key in ("f1_macro", "exact_match")}
        section.add(
            "result.labels",
            rows=count,
            split=split,
            f1=result["f1_macro"],
            exact=100 * result["exact_match"],
        )
    elif run.spec.task == "language_model":
        name = next(key for key in (*LANGUAGE_METRICS, "loss") if key in result)
        figures[name] = result[name]
        section.add("result.tokens", split=split, name=name, value=result[name], tokens=count)
    else:
        figures |= _describe_numbers(section, run, split)
    _describe_baselines(section, run)
    coverage = result.get("coverage")
    if coverage and "reached" in coverage:
        key = "result.coverage_drift" if "drift" in coverage else "result.coverage"
        section.add(key, asked=100 * coverage["asked"], reached=100 * coverage["reached"])
    baseline = result.get("baseline") or {}
    figures["baseline"] = {key: baseline.get(key) for key in ("name", "comparison")}
    return figures


def _describe_numbers(section: Section, run: RunReport, split: Statement) -> dict[str, Any]:
    result = run.result
    values = {"rmse": result["rmse"], "mae": result["mae"], "r2": result["r2"]}
    section.add(
        "result.numbers", rows=result["n"], split=split, percent=100 * values["r2"], **values
    )
    if run.spec.task == "forecasting" or result["n"] < 2:
        return values
    # The standard error of the mean squared error, carried over to its root.
    squares = _errors(run.predictions)[0]
    error = float(squares.std(ddof=1)) / math.sqrt(len(squares))
    low = math.sqrt(max(0.0, result["mse"] - NORMAL_95 * error))
    high = math.sqrt(result["mse"] + NORMAL_95 * error)
    section.add("result.rmse_interval", 1, low=low, high=high)
    return values | {"rmse_ci95": [low, high]}


def _errors(predictions: Predictions) -> tuple[Any, Any, Any]:
    """The mean squared error of each row (rows,), and predicted and actual values (rows, targets)."""
    assert predictions.targets is not None
    actual = predictions.targets.astype(float)
    predicted = predictions.values[:, : actual.shape[1]]
    return np.square(predicted - actual).mean(1), predicted, actual


def _describe_baselines(section: Section, run: RunReport) -> None:
    """Add a line per baseline with the verdict of the comparison, the best one first with its code."""
    result = run.result
    for i, baseline in enumerate(shown_baselines(result)):
        comparison = baseline.get("comparison")
        if comparison is None:
            if "loss" in baseline:
                is_better = result["loss"] < baseline["loss"]
                key = "baseline.better" if is_better else "baseline.not_better"
                _add_baseline(section, key, baseline, "loss", result["loss"])
                _add_code(section, "W20" if not is_better and i == 0 else "")
            continue
        metric, verdict = comparison["metric"], comparison["verdict"]
        sign = -1 if metric == "rmse" else 1
        gain = sign * comparison["difference"]
        if verdict == "network":
            key, code = "baseline.better", ""
        elif gain > 0:
            key, code = "baseline.unclear", "W21"
        else:
            key, code = "baseline.not_better", "W20"
        _add_baseline(section, key, baseline, metric, result[metric], comparison["p_value"])
        _add_code(section, code if i == 0 else "")


def _add_baseline(
    section: Section,
    key: str,
    baseline: dict[str, Any],
    metric: str,
    value: float,
    p_value: float | None = None,
) -> None:
    chance = "" if p_value is None else Statement("baseline.p", {"p": _p_text(p_value)})
    values = {"name": baseline["name"], "metric": metric, "chance": chance}
    section.add(key, 0, value=format_metric(value), other=format_metric(baseline[metric]), **values)


def _p_text(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"


def _add_code(section: Section, code: str) -> None:
    if code:
        section.add("check.code", 1, code=code)


def describe_errors(section: Section, run: RunReport) -> dict[str, Any]:
    """Add where the errors are: the most frequent confusion and the worst class, or the largest errors; returns them."""
    if run.spec.is_classification:
        return _describe_confusions(section, run.result)
    if run.spec.task == "multilabel":
        worst = min(run.result["per_label"], key=lambda entry: entry["f1"])
        section.add("errors.worst_label", label=shorten(worst["label"]), f1=worst["f1"])
        return {"worst_label": worst["label"]}
    if run.spec.task == "language_model":
        section.add("errors.tokens")
        return {}
    squares, predicted, actual = _errors(run.predictions)
    row = int(np.nanargmax(squares))
    target = int(np.abs(predicted[row] - actual[row]).argmax())
    names = run.predictions.names
    typical = float(np.median(np.abs(predicted - actual)))
    values = {"row": row, "name": shorten(names[target]), "typical": typical}
    values |= {"predicted": float(predicted[row, target]), "actual": float(actual[row, target])}
    section.add("errors.largest", **values)
    total = float(squares.sum())
    fraction = (
        float(np.sort(squares)[-max(1, len(squares) // 10) :].sum()) / total if total else 0.0
    )
    section.add("errors.concentration", percent=100 * fraction)
    return values | {"largest_tenth": fraction}


def _describe_confusions(section: Section, result: dict[str, Any]) -> dict[str, Any]:
    matrix = np.array(result["confusion_matrix"])
    labels, wrong = result["labels"], matrix.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.sum():
        section.add("errors.none", rows=int(matrix.sum()))
        return {"errors": 0}
    truth, taken = divmod(int(wrong.argmax()), len(labels))
    values = {
        "count": int(wrong[truth, taken]),
        "truth": shorten(labels[truth]),
        "taken": shorten(labels[taken]),
        "rows": int(matrix[truth].sum()),
        "errors": int(wrong.sum()),
    }
    section.add("errors.confusion", **values)
    seen = [entry for entry in result["per_class"] if entry["support"]]
    worst = min(seen, key=lambda entry: entry["recall"])
    recall = {"label": shorten(worst["label"]), "percent": 100 * worst["recall"]}
    section.add("errors.worst_class", rows=worst["support"], **recall)
    return values | {"worst_class": worst["label"], "worst_recall": worst["recall"]}
