"""Intervals, sets, calibration and decision of a run on a page."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnzoo.errors import UsageError
from nnzoo.evaluation.temperature import CALIBRATION_BINS
from nnzoo.evaluation.uncertainty_text import uncertainty_lines
from nnzoo.predict.predictions import Predictions
from nnzoo.predict.uncertainty import with_intervals
from nnzoo.report import charts
from nnzoo.report.run_report import RunReport

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


def uncertainty_parts(run: RunReport) -> dict[str, Any]:
    """Return lines on the uncertainty of the result, and a chart of the coverage by the one that is asked for."""
    asked, reached = [], []
    for coverage in COVERAGES if "coverage" in run.result else ():
        try:
            value = _reached(run, run.predictions, coverage)
        except UsageError:  # too few validation rows for this one
            break
        asked.append(coverage)
        reached.append(value)
    chart = charts.coverage(asked, reached) if asked else None
    return {"uncertainty": uncertainty_lines(run.result), "coverage_chart": chart}


def _reached(run: RunReport, predictions: Predictions, coverage: float) -> float:
    """Return the fraction of values, or of classes, in their intervals or sets."""
    targets, calibration = predictions.targets, run.network.calibration
    assert targets is not None and calibration is not None
    if predictions.is_classification:
        true = predictions.values[np.arange(len(targets)), targets]
        return float((true >= calibration.set_threshold(coverage)).mean())
    bounds = with_intervals(run.network, predictions, coverage, run.spec.horizon)
    return float(((bounds.low <= targets) & (targets <= bounds.high)).mean())


def reliability_parts(run: RunReport) -> dict[str, Any]:
    """Return a reliability diagram and the expected calibration error; with a temperature also at that."""
    known = run.result.get("calibration")
    if known is None:
        bins, error = calibration_bins(run.predictions)
        return {"calibration": charts.calibration({"": bins}), "calibration_error": error}
    names = {"before": "as trained", "after": f"temperature {known['temperature'] or 1:.3g}"}
    curves = {name: known[key]["bins"] for key, name in names.items() if key in known}
    return {"calibration": charts.calibration(curves), "calibration_error": known["before"]["ece"]}


def calibration_bins(predictions: Predictions) -> tuple[list[dict[str, Any]], float]:
    """Compare confidence and accuracy in bins of equal width: {confidence, accuracy, rows} of each bin
    with rows, and the expected calibration error (Guo et al. 2017), their mean absolute difference."""
    confidence, correct = predictions.confidence, predictions.classes == predictions.targets
    bin_index = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = []
    for i in np.unique(bin_index):
        inside = bin_index == i
        means = {"confidence": confidence[inside].mean(), "accuracy": correct[inside].mean()}
        bins.append({k: float(v) for k, v in means.items()} | {"rows": int(inside.sum())})
    error = sum(abs(b["confidence"] - b["accuracy"]) * b["rows"] for b in bins) / len(correct)
    return bins, error
