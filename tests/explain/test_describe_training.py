"""Training in words: steps, schedules, clipping, options that are not at their default, and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nnzoo.explain import describe_training
from nnzoo.explain.describe_training import changed_options, duration, machine_name
from nnzoo.explain.walk import Section, Statement, Walk, render
from nnzoo.training.lr_schedule import lr_factor
from tests.zoo import config

ROWS = {"train": 130, "val": 20, "test": 20}


def described(rows: dict[str, int] = ROWS, **more: Any) -> tuple[str, dict[str, Any]]:
    chosen = config("mlp", "table_classes", **more)
    section = Section("training")
    sizes = [64, 64, 2] if rows else []
    figures = describe_training.describe_training(section, chosen, rows, sizes)
    assert len(render(Walk([section], {}), "zh", 10_000)) > 3
    return "\n".join(render(Walk([section], {}), "en", 10_000)), figures


def test_steps_are_counted() -> None:
    text, figures = described(train={"epochs": 4})
    assert "130 rows in batches of 64: 3 steps per epoch; 4 epochs make 12 steps" in text
    assert figures["steps"] == 12 and "the last batch of an epoch has 2 rows" in text
    text, figures = described({}, train={"epochs": 4})
    assert "4 epochs in batches of 64 rows" in text and "steps" not in figures


SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant"},
    {"name": "cosine", "warmup": "2 steps"},
    {"name": "one_cycle"},
    {"name": "step", "step_size": "1 epochs"},
    {"name": "linear"},
    {"name": "plateau"},
    {"name": "coslog"},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=[s["name"] for s in SCHEDULES])
def test_rates_at_start_peak_and_end_are_those_of_the_schedule(schedule: dict[str, Any]) -> None:
    optim = {"name": "adam", "lr": 0.5, "schedule": schedule}
    _, figures = described(optim=optim, train={"epochs": 4})
    options = config("mlp", "table_classes", optim=optim).optim.schedule
    rates = [0.5 * lr_factor(options, step, 12, 3) for step in range(12)]
    assert figures["lr_start"] == rates[0] and figures["lr_end"] == rates[-1]
    assert figures["lr_peak"] == max(rates)
    assert figures.get("lr_peak_step", 1) == rates.index(max(rates)) + 1


def test_optimizers_clipping_and_stopping_are_described() -> None:
    text, _ = described(
        optim={"name": "sgd", "momentum": 0.7, "clip": {"norm": 2.0}},
        train={"accumulate_grad_batches": 2, "early_stopping": {"patience": 3}},
    )
    assert "momentum 0.7 keeps" in text and "norm is above 2 is scaled down" in text
    assert "gradients of 2 batches of 64" in text and "after 3 epochs without" in text
    text, _ = described({"train": 130, "val": 0}, optim={"name": "adam", "clip": {"value": 0.5}})
    assert "limited to [-0.5, 0.5]" in text and "no validation rows" in text
    text, _ = described(optim={"name": "rmsprop"}, train={"monitor": "val_accuracy"})
    assert "not clipped" in text and "After each epoch val_accuracy" in text
    section = Section("training")
    chosen = config("mlp", "table_classes")
    object.__setattr__(chosen.optim, "name", "lion")
    describe_training.describe_training(section, chosen, ROWS, [64, 64, 2])
    assert Statement("optimizer.other", {"name": "lion", "momentum": 0.0}) in section.statements


def test_options_that_are_not_at_their_default() -> None:
    chosen = config(
        {"name": "cnn", "channels": [4], "head": {"dropout": 0.5}},
        {"name": "csv", "path": "t.csv"},
        optim={"schedule": "cosine"},
    )
    changed = {key: (value, default) for key, value, default, _ in changed_options(chosen)}
    assert changed["model.channels"] == ([4], [32, 64])
    assert changed["model.head.dropout"] == (0.5, 0.0)
    assert changed["data.path"] == ("t.csv", None)
    assert changed["optim.schedule"] == ({"name": "cosine"}, {"name": "constant"})
    assert set(changed) >= {"train.epochs"} and "model.name" not in changed
    walk = Walk([], {})
    object.__setattr__(chosen, "data", config("mlp", "image").data)
    describe_training.describe_options(walk, chosen)
    assert "optim.schedule: {name: cosine}  (default {name: constant})" in "\n".join(
        render(walk, "en", 10_000)
    )
    walk = Walk([], {})
    plain = config({"name": "mlp"}, {"name": "iris"}, train={})
    describe_training.describe_options(walk, plain)
    assert walk.sections == [] and walk.figures["options"] == []


@pytest.mark.parametrize(("seconds", "text"), [(0.123, "0.12 s"), (90, "1.5 min"), (7200, "2 h")])
def test_durations_have_two_digits(seconds: float, text: str) -> None:
    walk = Walk([Section("time", [duration(seconds)])], {})
    assert render(walk, "en", 80)[1].strip() == text


def test_the_machine_has_a_name_where_the_system_has_no_list_of_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert machine_name()

    def missing(*arguments: Any, **options: Any) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", missing)
    assert machine_name()
