"""Options of training: the monitor and the optimizer."""

from __future__ import annotations

from typing import get_args

from nnzoo.config.train_options import MonitorName
from nnzoo.evaluation.tasks.classification import CLASSIFICATION_METRICS, RANKING_METRICS
from nnzoo.evaluation.tasks.multilabel import MULTILABEL_METRICS
from nnzoo.evaluation.tasks.regression import REGRESSION_METRICS
from tests.config.config_cases import FIRST, config


def test_the_monitor_is_auto_or_a_metric_of_some_task() -> None:
    metrics = (
        *CLASSIFICATION_METRICS,
        *RANKING_METRICS,
        *MULTILABEL_METRICS,
        *REGRESSION_METRICS,
    )
    measured = [f"val_{name}" for name in metrics]
    assert set(get_args(MonitorName)) == {"auto", *measured}


def test_an_empty_optim_or_train_section_has_its_defaults() -> None:
    assert config(f"{FIRST}optim:\ntrain:\n") == config(FIRST)


def test_optim_without_a_name_is_adam() -> None:
    assert config(f"{FIRST}optim: {{lr: 0.5}}").optim.name == "adam"
