"""The time that baselines may take."""

from __future__ import annotations

import math

import pytest

from nnzoo.evaluation.baselines.budget import (
    BUDGET_FRACTION,
    START_SECONDS,
    UNKNOWN_BUDGET,
    Budget,
    OverBudgetError,
    RunTime,
)


def stopwatch(seconds: float, elapsed: float) -> Budget:
    budget = Budget(seconds)
    budget.start -= elapsed
    return budget


def test_an_estimate_beyond_what_is_left_ends_the_fit() -> None:
    budget = stopwatch(10, elapsed=4)
    budget.require(5.9)
    with pytest.raises(OverBudgetError) as error:
        budget.require(7)
    assert error.value.seconds == pytest.approx(11, abs=0.1)
    Budget().require(1e9)


def test_progress_tells_the_time_of_the_whole() -> None:
    budget = stopwatch(10, elapsed=1)
    budget.progress(0.2)
    with pytest.raises(OverBudgetError) as error:
        budget.progress(0.05)
    assert error.value.seconds == pytest.approx(20, abs=1)
    with pytest.raises(OverBudgetError):
        stopwatch(10, elapsed=11).progress(1.0)


def test_baselines_may_take_less_than_a_third_of_the_time_of_a_run() -> None:
    assert RunTime(30.0).budget() == BUDGET_FRACTION * (START_SECONDS + 30) < 10
    assert RunTime().budget() == UNKNOWN_BUDGET < math.inf
