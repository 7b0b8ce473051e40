"""Lines on intervals, sets, calibration and decisions of a result, for people."""

from __future__ import annotations

from typing import Any

from nnzoo.text import format_metric, format_percent


def uncertainty_lines(result: dict[str, Any]) -> list[str]:
    """Describe coverage, calibration and decision of a result (the object of `nnzoo eval --json`), as far as it has
    them."""
    lines = []
    if "coverage" in result:
        lines.append(_coverage_line(result["coverage"]))
        if "drift" in result["coverage"]:
            lines.append(result["coverage"]["drift"])
    if "calibration" in result:
        lines.append(_calibration_line(result["calibration"]))
    return lines + (_decision_lines(result["decision"]) if "decision" in result else [])


def _coverage_line(coverage: dict[str, Any]) -> str:
    low, high = map(format_percent, coverage["ci95"])
    line = f"coverage {coverage['asked']:g}: {format_percent(coverage['reached'])} reached [{low}, {high}]"
    if "mean_set_size" in coverage:
        empty = (
            f", {format_percent(coverage['empty_sets'])} empty" if coverage["empty_sets"] else ""
        )
        line += f"; sets of {coverage['mean_set_size']:.3g} classes on average{empty}"
    else:
        line += f"; mean width {format_metric(coverage['mean_width'])}"
    return f"{line} (from {coverage['validation_rows']:,} validation rows)"


def _calibration_line(calibration: dict[str, Any]) -> str:
    """The calibration before and after the temperature."""
    before, temperature = calibration["before"], calibration["temperature"]
    parts = []
    for name, key in (("log loss", "log_loss"), ("ECE", "ece"), ("Brier score", "brier")):
        after = f" → {calibration['after'][key]:.4f}" if "after" in calibration else ""
        parts.append(f"{name} {before[key]:.4f}{after}")
    if temperature is None:
        hint = "no temperature: every validation row is classified correctly"
    elif calibration["applied"]:
        hint = f"temperature {temperature:.4g}, applied"
    else:
        hint = f"temperature {temperature:.4g}, not applied (eval.temperature: apply)"
    return f"calibration: {', '.join(parts)}; {hint}"


def _decision_lines(decision: dict[str, Any]) -> list[str]:
    if "problem" in decision:
        return [f"no decision: {decision['problem']}"]
    accuracy = f"accuracy {format_metric(decision['accuracy'])}"
    if decision["rule"] == "cost":
        before, after = decision["cost_per_row_before"], decision["cost_per_row"]
        return [
            f"decision by cost: {format_metric(after)} per row, {format_metric(before)} with the most probable class; "
            f"{accuracy}"
        ]
    goal = "recall" if "recall" in decision else "precision"
    parts = []
    for name in ("recall", "precision"):
        low, high = map(format_metric, decision[f"achieved_{name}_ci95"])
        value, before = decision[f"achieved_{name}"], decision[f"achieved_{name}_before"]
        parts.append(
            f"{name} {format_metric(value)} [{low}, {high}], before {format_metric(before)}"
        )
    return [
        f"decision: '{decision['of']}' from a probability of {decision['threshold']:.4g} on ({goal} {decision[goal]:g} "
        f"asked): {'; '.join(parts)}; {accuracy}"
    ]
