"""Lines on coverage, calibration and decisions."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.evaluation.uncertainty_text import uncertainty_lines

COVERAGE = {"asked": 0.9, "reached": 0.5, "ci95": [0.4, 0.6], "validation_rows": 1050}
BEFORE = {"log_loss": 0.7, "ece": 0.1, "brier": 0.4}
AFTER = {"log_loss": 0.6, "ece": 0.05, "brier": 0.3}
RATES = {
    "achieved_recall": 0.96,
    "achieved_recall_before": 0.8,
    "achieved_recall_ci95": [0.9, 0.99],
    "achieved_precision": 0.5,
    "achieved_precision_before": 0.6,
    "achieved_precision_ci95": [0.4, 0.6],
}


def test_a_result_without_any_has_no_lines() -> None:
    assert uncertainty_lines({"accuracy": 0.9}) == []


def test_intervals_have_a_width_and_sets_a_size() -> None:
    (line,) = uncertainty_lines({"coverage": COVERAGE | {"mean_width": 2.0}})
    assert line == (
        "coverage 0.9: 50.00 % reached [40.00 %, 60.00 %]; mean width 2.0000 (from 1,050 validation rows)"
    )
    sets = COVERAGE | {"mean_set_size": 1.234, "empty_sets": 0.02, "drift": "other rows"}
    line, drift = uncertainty_lines({"coverage": sets})
    assert "; sets of 1.23 classes on average, 2.00 % empty (from" in line
    assert drift == "other rows"
    (line,) = uncertainty_lines({"coverage": COVERAGE | {"mean_set_size": 1.0, "empty_sets": 0.0}})
    assert "empty" not in line


@pytest.mark.parametrize(
    ("temperature", "applied", "end"),
    [
        (1.5, True, "temperature 1.5, applied"),
        (1.5, False, "temperature 1.5, not applied (eval.temperature: apply)"),
        (None, False, "no temperature: every validation row is classified correctly"),
    ],
)
def test_calibration_is_shown_before_and_after(
    temperature: float | None, applied: bool, end: str
) -> None:
    values: dict[str, Any] = {"temperature": temperature, "applied": applied, "before": BEFORE}
    if temperature is not None:
        values["after"] = AFTER
    (line,) = uncertainty_lines({"calibration": values})
    arrow = "" if temperature is None else " → 0.6000"
    assert line.startswith(f"calibration: log loss 0.7000{arrow}, ECE 0.1000")
    assert line.endswith(end)


def test_decisions_are_shown_beside_the_most_probable_class() -> None:
    cost = {"rule": "cost", "accuracy": 0.7, "cost_per_row": 0.25, "cost_per_row_before": 0.5}
    (line,) = uncertainty_lines({"decision": cost})
    assert line.startswith("decision by cost: 0.2500 per row, 0.5000 with the most probable class")
    rule = {"rule": "threshold", "of": "yes", "threshold": 0.12345, "recall": 0.95, "accuracy": 0.7}
    (line,) = uncertainty_lines({"decision": rule | RATES})
    assert line.startswith("decision: 'yes' from a probability of 0.1235 on (recall 0.95 asked): ")
    assert "recall 0.9600 [0.9000, 0.9900], before 0.8000; precision 0.5000" in line
    assert uncertainty_lines({"decision": {"problem": "why"}}) == ["no decision: why"]
