"""Options: short forms, values per layer, durations, the metrics to monitor."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.config.options import parse_duration
from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError
from tests.config.config_cases import FIRST, config


def test_a_name_alone_is_short_for_a_section() -> None:
    short = config("data: digits\nmodel: mlp\noptim: {name: sgd, schedule: cosine}\n")
    long = config(
        "data: {name: digits}\nmodel: {name: mlp}\n"
        "optim: {name: sgd, schedule: {name: cosine}}\ntrain: {}\n"
    )
    assert short == long


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1 epoch", (1.0, "epoch")),
        ("0.5 epochs", (0.5, "epoch")),
        ("500 steps", (500.0, "step")),
        ("60 s", (60.0, "s")),
        ("60s", (60.0, "s")),
    ],
)
def test_a_duration_is_an_amount_and_a_unit(text: str, parsed: tuple[float, str]) -> None:
    assert config(f"{FIRST}train: {{save_every: {text}}}").train.save_every == text
    assert parse_duration(text) == parsed


@pytest.mark.parametrize(
    ("section", "options", "message"),
    [
        (
            "model",
            {"name": "mlp", "hidden": [4, 10**12]},
            "model.hidden[1] expected at most 1,000,000, got 1,000,000,000,000",
        ),
        (
            "model",
            {"name": "mlp", "hidden": [1] * 5000},
            "model.hidden expected at most 1,000 layers, got 5,000",
        ),
        (
            "model",
            {"name": "cnn", "channels": [10**9]},
            "model.channels[0] expected at most 1,000,000, got 1,000,000,000",
        ),
        (
            "model",
            {"name": "cnn", "kernel_size": 10**9},
            "model.kernel_size expected at most 10,000, got 1,000,000,000",
        ),
        (
            "model",
            {"name": "cnn", "padding": [[0, 10**9], [0, 0]]},
            "model.padding[0][1] expected at most 1,000, got 1,000,000,000",
        ),
        (
            "model",
            {"name": "lstm", "hidden_size": 10**12},
            "model.hidden_size expected at most 1,000,000, got 1,000,000,000,000",
        ),
        (
            "model",
            {"name": "gru", "num_layers": 10**6},
            "model.num_layers expected at most 1,000, got 1,000,000",
        ),
        (
            "data",
            {"name": "sine", "length": 10**12},
            "data.length expected at most 10,000,000, got 1,000,000,000,000",
        ),
        (
            "data",
            {"name": "sine", "period": 1e-300},
            "data.period too short: the phase of its last oscillations would be lost to rounding",
        ),
        (
            "data",
            {"name": "series", "path": "x", "window": 10**15},
            "data.window expected at most 10,000,000, got 1,000,000,000,000,000",
        ),
        (
            "data",
            {"name": "adding", "length": 10**5, "train": 10**5, "val": 0, "test": 0},
            "data.train 10,000,000,000 time steps in all sequences together; at most 100,000,000",
        ),
        (
            "data",
            {"name": "image_folder", "path": "x", "size": [8, 10**6]},
            "data.size[1] expected at most 10,000, got 1,000,000",
        ),
        (
            "data",
            {"name": "csv", "path": "x", "delimiter": "é"},
            "data.delimiter expected one to three ASCII characters, no quote or line end, got 'é'",
        ),
        (
            "optim",
            {"name": "adam", "clip": {"value": 1e300}},
            "optim.clip.value expected at most 1e+30, got 1e+300",
        ),
        ("train", {"save_every": "0 s"}, "train.save_every a duration above zero, as in '1 epoch'"),
    ],
)
def test_what_would_fill_the_memory_is_an_issue_of_the_config(
    section: str, options: dict[str, Any], message: str
) -> None:
    tree = {"name": "x", "data": "digits", "model": "mlp"} | {section: options}
    with pytest.raises(ConfigError) as caught:
        from_dict(tree, "f")
    (issue,) = caught.value.issues
    assert f"{issue.path} {issue.message}" == message
