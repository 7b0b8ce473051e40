"""Options of training: the monitor, the quantiles."""

from __future__ import annotations

from typing import get_args

import pytest

from nnzoo.config.train_options import MonitorName
from nnzoo.errors import ConfigError
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


@pytest.mark.parametrize(
    ("quantiles", "text"),
    [("[0.5, 0.1]", "expected ascending numbers"), ("[0.1, 0.9]", "expected 0.5 among them")],
)
def test_quantiles_ascend_and_have_the_median(quantiles: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        config(f"{FIRST}train: {{loss: quantile, quantiles: {quantiles}}}\n")
