"""Learning rate schedules: formulas, warm-up, plateau."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from nnzoo.config.optim_options import OptimOptions
from nnzoo.training.lr_schedule import lr_factor
from tests.training.trainer_cases import record_epoch
from tests.zoo import begin, config


def factors(options: dict[str, Any], total: int = 100, per_epoch: int = 10) -> list[float]:
    optim = OptimOptions.model_validate({"name": "adam", "schedule": options})
    return [lr_factor(optim.schedule, step, total, per_epoch) for step in range(total)]


def test_schedules_follow_their_formulas() -> None:
    assert set(factors({"name": "constant"})) == {1.0}
    cosine = factors({"name": "cosine", "final": 0.2})
    assert cosine == [
        pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi * s / 100)) / 2) for s in range(100)
    ]
    assert factors({"name": "linear"}) == [pytest.approx(1 - s / 100) for s in range(100)]
    step = factors({"name": "step", "step_size": "2 epochs", "gamma": 0.5})
    assert step == [pytest.approx(0.5 ** (s // 20)) for s in range(100)]
    cycle = factors({"name": "one_cycle", "pct_start": 0.25, "start": 0.1, "final": 0.01})
    assert cycle[0] == pytest.approx(0.1)
    assert cycle[25] == max(cycle) == pytest.approx(1.0)
    assert cycle[-1] == pytest.approx(0.01, abs=0.01)
    assert all(b > a for a, b in pairwise(cycle[:26]))
    assert all(b < a for a, b in pairwise(cycle[25:]))


def test_coslog_has_cycles_of_which_each_is_twice_as_long_as_the_one_before() -> None:
    waves = factors({"name": "coslog", "cycles": 3}, total=701)
    starts = [0, 100, 300, 700]  # 1 + 7 progress is a power of two
    assert [waves[start] for start in starts] == pytest.approx([0, 0, 0, 0], abs=1e-3)
    tops = [max(waves[a:b]) for a, b in pairwise(starts)]
    assert tops == pytest.approx([1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step", "linear", "plateau"])
def test_every_schedule_has_a_warm_up(name: str) -> None:
    warm = factors({"name": name, "warmup": "2 epochs"})
    first = warm[19]
    assert warm[:20] == [pytest.approx(first * (s + 1) / 20) for s in range(20)]
    assert factors({"name": name, "warmup": "20 steps"}) == warm
    assert all(0 <= factor <= 1 for factor in warm)


def test_plateau_lowers_the_rate_after_patience_epochs_without_improvement() -> None:
    schedule = {"name": "plateau", "patience": 2, "factor": 0.1, "min_factor": 0.005}
    trainer = begin(config(optim={"name": "sgd", "lr": 1.0, "schedule": schedule})).trainer
    rates = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9):
        record_epoch(trainer, loss)
        rates.append(round(trainer.lr_at(0), 6))
    assert rates == [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005]
