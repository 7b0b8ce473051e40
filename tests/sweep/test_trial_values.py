"""Values of trials: drawn within their range."""

from __future__ import annotations

import pytest

from tests.sweep.studies import searched

pytestmark = pytest.mark.usefixtures("compiled")


def test_trials_differ_by_their_values_alone() -> None:
    study = searched("train.precision=auto", "sweep.trials=1")
    assert study.records()[0].resolved["precision"] == "fp32"
