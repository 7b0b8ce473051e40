"""The comparison with baselines in words."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.evaluation.verdicts import (
    baseline_lines,
    count_verdicts,
    decisions,
    group_line,
    shown_baselines,
)


def comparison(
    difference: float, verdict: str, p_value: float | None, metric: str
) -> dict[str, Any]:
    return {"difference": difference, "verdict": verdict, "p_value": p_value, "metric": metric}


@pytest.mark.parametrize(
    ("network", "verdict", "p_value", "line"),
    [
        (
            0.85,
            "network",
            0.012,
            "Better than the best baseline, trees: accuracy 0.8500 against 0.8400, more than chance (p = 0.012).",
        ),
        (
            0.85,
            "neither",
            0.4,
            "Not clearly better than the baseline: trees has accuracy 0.8400; the difference of 0.0100 is within "
            "chance (p = 0.4).",
        ),
        (
            0.83,
            "baseline",
            1e-9,
            "Does not beat the baseline: trees has accuracy 0.8400; the difference of 0.0100 is more than chance "
            "(p < 0.001).",
        ),
        (0.84, "neither", 1.0, "Does not beat the baseline: trees has accuracy 0.8400, too."),
    ],
)
def test_who_won_and_whether_it_is_chance(
    network: float, verdict: str, p_value: float, line: str
) -> None:
    base = {"name": "trees", "accuracy": 0.84}
    base["comparison"] = comparison(network - 0.84, verdict, p_value, "accuracy")
    assert baseline_lines({"accuracy": network, "baseline": base}) == [line]


def test_of_errors_the_smaller_one_wins() -> None:
    base = {"name": "linear", "rmse": 2.0, "comparison": comparison(-0.5, "neither", None, "rmse")}
    (line,) = baseline_lines({"rmse": 1.5, "baseline": base})
    assert line == (
        "Not clearly better than the baseline: linear has rmse 2.0000; the difference of 0.5000 is on too few rows to "
        "tell from chance."
    )


def test_language_models_are_compared_by_their_loss_alone() -> None:
    base = {"name": "4-gram", "loss": 1.7}
    (better,) = baseline_lines({"loss": 1.5, "baseline": base})
    assert better.startswith("Better than the best baseline, 4-gram: loss 1.5000 against 1.7000")
    (worse,) = baseline_lines({"loss": 1.8, "baseline": base})
    assert worse == "Does not beat the baseline: 4-gram has a loss of 1.7000 nats per token."


def test_what_was_left_out_is_said_with_how_to_fit_it() -> None:
    entry = {"key": "boosted_trees", "name": "boosted trees", "seconds": 41.2, "run_seconds": 9.87}
    lines = baseline_lines({"baselines_left_out": [entry, entry | {"run_seconds": None}]})
    assert lines == [
        "boosted trees left out: about 41 s beside 9.9 s of training; fitted with eval.baselines: [boosted_trees]",
        "boosted trees left out: about 41 s, and the training time is not recorded; fitted with eval.baselines: "
        "[boosted_trees]",
    ]
    result = {"baselines_left_out": [entry], "baseline": {"key": "mean"}}
    assert decisions(result) == {"shown": ["mean"], "left_out": {"boosted_trees": 41.2}}
    assert shown_baselines({}) == [] and baseline_lines({}) == []


def test_the_runs_of_a_group_are_counted() -> None:
    counts = count_verdicts(
        [
            comparison(0.1, "network", 0.01, "accuracy"),
            comparison(0.02, "neither", 0.4, "accuracy"),
            comparison(-0.2, "baseline", 0.01, "accuracy"),
        ]
    )
    assert counts == {
        "runs": 3,
        "network_better": 2,
        "baseline_better": 1,
        "network_more_than_chance": 1,
        "baseline_more_than_chance": 1,
    }
    assert group_line({"name": "trees", "comparison": counts}, "seed") == (
        "trees, the best baseline, against each seed on the same test rows: the network is better with 2 of 3 seeds "
        "(more than chance: 1), the baseline with 1 (more than chance: 1)"
    )
