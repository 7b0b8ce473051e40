"""The comparison of a network with its baselines in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnzoo.text import Note, format_metric, plural


def shown_baselines(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The baselines of a result, best first. result: of `nnzoo eval --json`."""
    if "baselines" in result:
        return list(result["baselines"])
    return [result["baseline"]] if "baseline" in result else []


def decisions(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that a run's folder keeps: the names of the baselines in it, and the seconds of those left out."""
    return {
        "shown": list(dict.fromkeys(baseline["key"] for baseline in shown_baselines(result))),
        "left_out": {
            entry["key"]: entry["seconds"] for entry in result.get("baselines_left_out", [])
        },
    }


def baseline_lines(result: dict[str, Any]) -> list[str]:
    """Lines on the best baseline, whether it or the network is better by more than chance, and on baselines that were
    left out. result: of `nnzoo eval --json`."""
    baseline = result.get("baseline", {})
    is_compared = "comparison" in baseline or "loss" in baseline
    lines = [_verdict(result, baseline)] if is_compared else []
    return lines + [_left_out(entry) for entry in result.get("baselines_left_out", [])]


def _verdict(result: dict[str, Any], baseline: dict[str, Any]) -> str:
    name = baseline["name"]
    if "comparison" not in baseline:
        return _language_model_verdict(result, baseline)
    comparison = baseline["comparison"]
    metric, sign = comparison["metric"], -1 if comparison["metric"] == "rmse" else 1
    network, other = format_metric(result[metric]), format_metric(baseline[metric])
    gain = sign * comparison["difference"]
    chance = _chance(comparison)
    if comparison["verdict"] == "network":
        return (
            f"Better than the best baseline, {name}: {metric} {network} against {other}, {chance}."
        )
    difference = f"the difference of {format_metric(abs(gain))} is {chance}"
    if gain > 0:
        text = f"Not clearly better than the baseline: {name} has {metric} {other}; {difference}."
        return Note("W21", text)
    text = f"Does not beat the baseline: {name} has {metric} {other}"
    return Note("W20", f"{text}, too." if gain == 0 else f"{text}; {difference}.")


def _chance(comparison: dict[str, Any]) -> str:
    p_value = comparison["p_value"]
    if p_value is None:
        return "on too few rows to tell from chance"
    value = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    return (
        f"within chance ({value})"
        if comparison["verdict"] == "neither"
        else (f"more than chance ({value})")
    )


def _language_model_verdict(result: dict[str, Any], baseline: dict[str, Any]) -> str:
    """Neighboring tokens depend on each other in ways that no test of rows allows for: the losses alone."""
    loss = format_metric(baseline["loss"])
    if result["loss"] < baseline["loss"]:
        network = format_metric(result["loss"])
        return f"Better than the best baseline, {baseline['name']}: loss {network} against {loss} nats per token."
    text = f"Does not beat the baseline: {baseline['name']} has a loss of {loss} nats per token."
    return Note("W20", text)


def _left_out(entry: dict[str, Any]) -> str:
    training_time = ", and the training time is not recorded"
    if entry["run_seconds"] is not None:
        training_time = f" beside {_seconds(entry['run_seconds'])} of training"
    return Note(
        "N39",
        f"{entry['name']} left out: about {_seconds(entry['seconds'])}{training_time}; fitted with eval.baselines: "
        f"[{entry['key']}]",
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.{1 if seconds >= 0.1 else 2}f} s"


def count_verdicts(comparisons: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often the network or a baseline is better in several runs, and how often by more than chance."""
    signs = [
        (-1 if comparison["metric"] == "rmse" else 1) * comparison["difference"]
        for comparison in comparisons
    ]
    verdicts = [comparison["verdict"] for comparison in comparisons]
    return {
        "runs": len(comparisons),
        "network_better": sum(sign > 0 for sign in signs),
        "baseline_better": sum(sign < 0 for sign in signs),
        "network_more_than_chance": verdicts.count("network"),
        "baseline_more_than_chance": verdicts.count("baseline"),
    }


def group_line(baseline: dict[str, Any], kind: str) -> str:
    """A line on the best baseline of a group, of which each run was compared on its own. kind: "seed" or "fold"."""
    counts = baseline["comparison"]
    return (
        f"{baseline['name']}, the best baseline, against each {kind} on the same test rows: the network is better with "
        f"{counts['network_better']} of {plural(counts['runs'], kind)} (more than chance: "
        f"{counts['network_more_than_chance']}), the baseline with {counts['baseline_better']} (more than chance: "
        f"{counts['baseline_more_than_chance']})"
    )
