"""Options of the optimizer: its name, its schedule, clipping."""

from __future__ import annotations

import pytest

from nnzoo.config.optim_options import CosineOptions, OneCycleOptions
from nnzoo.errors import ConfigError
from tests.config.config_cases import FIRST, config


def test_optim_without_a_name_is_adam() -> None:
    assert config(f"{FIRST}optim: {{lr: 0.5}}").optim.name == "adam"


def test_the_name_of_a_schedule_is_short_for_a_mapping() -> None:
    for text in ("cosine", "{name: cosine}"):
        optim = config(f"{FIRST}optim: {{schedule: {text}}}\n").optim
        assert optim.schedule == CosineOptions(name="cosine")
    schedule = config(
        f"{FIRST}optim: {{schedule: {{name: one_cycle, rise: 0.5}}}}\n"
    ).optim.schedule
    assert schedule == OneCycleOptions(name="one_cycle", pct_start=0.5)


@pytest.mark.parametrize(
    ("optim", "text"),
    [
        ("{clip: {norm: 1, value: 1}}", "give either 'norm' or 'value'"),
        ("{clip: {}}", "give either 'norm' or 'value'"),
        ("{name: sgd, momentum: 0, nesterov: true}", "needs momentum above 0"),
    ],
)
def test_options_that_exclude_each_other_are_refused(optim: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        config(f"{FIRST}optim: {optim}\n")
