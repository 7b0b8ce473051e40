"""Paired comparison of a network with a baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, binomtest

from nnzoo.data.dataset import TensorSplit, WindowSplit
from nnzoo.evaluation.baselines import compare as module
from nnzoo.evaluation.baselines.compare import RowOutcomes, compare, row_outcomes

NO_TASK: Any = None


def outcomes(values: Any, outputs: int = 0, block: int = 1, batch: int = 7) -> RowOutcomes:
    values = torch.as_tensor(np.asarray(values))
    result = RowOutcomes(NO_TASK, len(values), outputs, block)
    for part in values.split(batch):
        result.add(part)
    return result


def classifiers(only_network: int, only_baseline: int, both: int = 40, none: int = 5) -> Any:
    network = [1] * only_network + [0] * only_baseline + [1] * both + [0] * none
    baseline = [0] * only_network + [1] * only_baseline + [1] * both + [0] * none
    return compare(outcomes(network), outcomes(baseline))


@pytest.mark.parametrize(("b", "c"), [(9, 1), (1, 9), (4, 4), (0, 0), (12, 5), (300, 240)])
def test_classes_are_compared_by_mcnemars_mid_p(b: int, c: int) -> None:
    result = classifiers(b, c)
    exact = binomtest(b, b + c).pvalue if b + c else 1.0
    expected = 1.0 if b == c else exact - binom.pmf(min(b, c), b + c, 0.5)
    assert result["p_value"] == pytest.approx(expected)
    assert result["difference"] == pytest.approx((b - c) / (b + c + 45))
    assert (result["only_network_right"], result["only_baseline_right"]) == (b, c)
    low, high = result["ci95"]
    assert low < result["difference"] < high or b == c == 0
    if expected >= 0.05:
        assert result["verdict"] == "neither" and low < 0 < high
    else:
        assert result["verdict"] == ("network" if b > c else "baseline") and low * high > 0


def test_no_difference_is_found_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    pairs = [
        compare(outcomes(rng.random(80) < 0.8), outcomes(rng.random(80) < 0.8)) for _ in range(200)
    ]
    significant = np.mean([pair["verdict"] != "neither" for pair in pairs])
    assert 0.01 < significant < 0.1


def numbers(shift: float, rows: int = 300, seed: int = 0) -> Any:
    """A network whose errors have variance 1, and a baseline with errors of the same rows and more of its own."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((rows, 2))
    errors = [shared + scale * rng.standard_normal((rows, 2)) for scale in (0.1, 0.1 + shift)]
    network, baseline = (outcomes(error**2, outputs=2) for error in errors)
    roots = [np.sqrt((error**2).mean(0)).mean() for error in errors]
    return compare(network, baseline), roots[0] - roots[1]


def test_numbers_are_compared_by_the_rmse_of_the_same_rows() -> None:
    result, difference = numbers(0.3)
    assert result["difference"] == pytest.approx(difference) and difference < 0
    assert result["ci95"][0] < difference < result["ci95"][1] < 0
    assert result["p_value"] < 0.05 and result["verdict"] == "network"
    swapped = numbers(-0.2, seed=1)[0]  # |0.1 - 0.2| is as much noise as the network's
    assert swapped["verdict"] == "neither" and swapped["p_value"] > 0.05
    assert numbers(0.3)[0] == result  # the same resamples


def test_many_rows_are_drawn_in_units_and_the_interval_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, _ = numbers(0.3, rows=1999)
    monkeypatch.setattr(module, "MAX_UNITS", 150)
    units, _ = numbers(0.3, rows=1999)
    assert units["difference"] == pytest.approx(whole["difference"])
    width = whole["ci95"][1] - whole["ci95"][0]
    np.testing.assert_allclose(units["ci95"], whole["ci95"], atol=width / 4)


def test_errors_that_persist_are_resampled_in_blocks() -> None:
    """Two forecasts of which each is better for long stretches are equally good."""
    stretches = np.repeat(np.random.default_rng(5).standard_normal(30), 20)
    network, baseline = 1 + stretches.clip(0), 1 + (-stretches).clip(0) * 1.35
    of_rows = [
        compare(outcomes(network, 1, block), outcomes(baseline, 1, block)) for block in (1, 25)
    ]
    widths = [result["ci95"][1] - result["ci95"][0] for result in of_rows]
    assert widths[1] > 2 * widths[0]
    assert of_rows[0]["test"] == "bootstrap of rows in pairs"
    assert of_rows[1]["test"] == "bootstrap of blocks of rows in pairs"


def test_few_blocks_tell_nothing() -> None:
    values = np.arange(40.0)
    result = compare(outcomes(values, 1, block=10), outcomes(values + 1, 1, block=10))
    assert result["p_value"] is result["ci95"] is None and result["verdict"] == "neither"


def test_the_rows_of_several_processes_add_up() -> None:
    values = torch.rand(50, 3)
    whole = outcomes(values, outputs=3)
    parts = [RowOutcomes(NO_TASK, 50, 3, first=first) for first in (0, 20)]
    for part, rows in zip(parts, (slice(0, 20), slice(20, 50)), strict=True):
        part.add(values[rows])
    np.testing.assert_array_equal(whole.values, parts[0].values + parts[1].values)


def test_blocks_of_windows_are_longer_than_the_horizon() -> None:
    class Task:
        correct_metric, names = "", list("abcdef")

    task: Any = Task()
    series = torch.zeros(1020, 2)
    windows = WindowSplit(series, series, torch.arange(1000), 12, 3)
    assert (row_outcomes(task, windows).block, row_outcomes(task, windows).outputs) == (13, 6)
    rows = TensorSplit(torch.zeros(10, 2), torch.zeros(10, 6))
    assert row_outcomes(task, rows).block == 1
    Task.correct_metric = "accuracy"
    assert row_outcomes(task, rows).outputs == 0


def test_five_rows_are_seldom_called_more_than_chance() -> None:
    """Quantiles of the resamples called 22 % of such equals different, and five rows of one sign always."""
    rng = np.random.default_rng(0)
    pairs = [rng.standard_normal((2, 5, 1)) ** 2 for _ in range(300)]
    results = [compare(outcomes(a, outputs=1), outcomes(b, outputs=1)) for a, b in pairs]
    assert np.mean([result["verdict"] != "neither" for result in results]) < 0.08
    same = compare(outcomes(pairs[0][0], outputs=1), outcomes(pairs[0][0], outputs=1))
    assert same["p_value"] == 1.0 and same["ci95"] == [0.0, 0.0]
