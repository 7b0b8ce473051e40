"""Intervals, sets, calibration and decision of a run on a page."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnzoo.errors import UsageError
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
