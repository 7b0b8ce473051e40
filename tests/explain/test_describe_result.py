"""Results in words: baselines with their codes, errors, intervals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from nnzoo.explain.describe_result import describe_errors, describe_result
from nnzoo.explain.walk import Section, Walk, render
from nnzoo.report.run_report import RunReport


def run_with(result: dict[str, Any], task: str = "classification", **more: Any) -> RunReport:
    """A run whose evaluation gave a result."""
    spec = SimpleNamespace(is_classification=task == "classification", task=task)
    return cast(RunReport, SimpleNamespace(spec=spec, split="test", result=result, **more))


def text_of(section: Section) -> str:
    lines = [render(Walk([section], {}), language, 10_000) for language in ("en", "zh")]
    assert len(lines[0]) == len(lines[1])
    return "\n".join(lines[0])


def described(result: dict[str, Any], task: str = "classification") -> tuple[str, dict[str, Any]]:
    section = Section("result")
    figures = describe_result(section, run_with(result, task))
    return text_of(section), figures


def compared(difference: float, verdict: str, p_value: float, metric: str = "accuracy") -> Any:
    comparison = {"metric": metric, "difference": difference, "verdict": verdict}
    return {"name": "ridge", metric: 0.5, "comparison": comparison | {"p_value": p_value}}


@pytest.mark.parametrize(
    ("baseline", "text", "code"),
    [
        (compared(0.2, "network", 1e-9), "Better than ridge", ""),
        (compared(0.2, "neither", 0.3), "Not clearly better than ridge", "W21"),
        (compared(-0.2, "baseline", 0.3), "Not better than ridge", "W20"),
        (compared(0.2, "neither", 0.3, "rmse"), "Not better than ridge", "W20"),
    ],
)
def test_the_best_baseline_has_a_verdict_and_a_code(baseline: Any, text: str, code: str) -> None:
    result = {"n": 90, "loss": 0.1, "accuracy": 0.7, "accuracy_ci95": [0.6, 0.8], "rmse": 2.0}
    shown, figures = described(result | {"baselines": [baseline], "baseline": baseline})
    assert text in shown and (code in shown if code else "nnzoo explain" not in shown)
    assert ("p < 0.001" in shown) == (baseline["comparison"]["p_value"] < 0.001)
    assert (
        "70.0 % of 90 rows are predicted correctly" in shown and "between 60.0 and 80.0 %" in shown
    )
    assert figures["baseline"]["name"] == "ridge"


def test_language_models_are_compared_by_their_loss() -> None:
    for loss, verdict in ((1.0, "Better than 4-gram"), (2.0, "Not better than 4-gram")):
        baseline = {"name": "4-gram", "loss": 1.5}
        result = {"n": 9, "loss": loss, "perplexity": 3.0, "baseline": baseline}
        text, figures = described(result, "language_model")
        assert verdict in text and ("W20" in text) == (loss > 1.5)
        assert "perplexity 3" in text and figures["perplexity"] == 3.0
    text, _ = described({"n": 9, "loss": 1.0, "baseline": {"name": "none"}}, "language_model")
    assert "loss 1 on 9 tokens" in text


def test_coverage_that_is_missed_is_distinguished() -> None:
    result = {"n": 9, "loss": 0.1, "accuracy": 1.0, "accuracy_ci95": [0.7, 1.0]}
    kept = {"asked": 0.9, "reached": 0.91}
    assert "do so for 91.0 %" in described(result | {"coverage": kept})[0]
    missed = {"asked": 0.9, "reached": 0.7, "drift": "…"}
    assert "only 70.0 %" in described(result | {"coverage": missed})[0]


def test_confusions_and_their_absence() -> None:
    per_class = [
        {"label": "a", "recall": 0.5, "support": 8},
        {"label": "b", "recall": 0.9, "support": 10},
        {"label": "c", "recall": 0.0, "support": 0},
    ]
    matrix = [[4, 3, 1], [1, 9, 0], [0, 0, 0]]
    result = {"confusion_matrix": matrix, "labels": ["a", "b", "c"], "per_class": per_class}
    section = Section("errors")
    figures = describe_errors(section, run_with(result))
    text = text_of(section)
    assert "Wrong predictions: 5 rows" in text and "3 of 8 rows of class a predicted as b" in text
    assert figures["worst_class"] == "a" and "50.0 % of its 8 rows" in text
    section = Section("errors")
    figures = describe_errors(section, run_with(result | {"confusion_matrix": np.eye(3).tolist()}))
    assert figures == {"errors": 0} and "no errors on 3 rows" in text_of(section)


def test_predictions_without_an_error_have_no_worst_tenth() -> None:
    values = np.arange(6.0)[:, None]
    predictions = SimpleNamespace(values=values, targets=values, names=["y"])
    section = Section("errors")
    figures = describe_errors(section, run_with({}, "regression", predictions=predictions))
    assert figures["largest_tenth"] == 0.0 and "0 % of the squared error" in text_of(section)
