"""A run opened for a report: predictions in original units, what is no run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.report.run_report import RunReport
from tests import zoo

CPU = torch.device("cpu")


def ready(model: Any, data: Any, name: str = "run", **more: Any) -> Path:
    """A run folder after a few epochs."""
    more = {"train": {"epochs": 3}} | more
    run = zoo.begin(zoo.config(model, data, name=name, **more), "checkpoints")
    zoo.finish(run)
    run.folder.rows()
    return run.folder.path


def test_numbers_are_answered_in_their_own_units() -> None:
    folder = ready("mlp", "table_number")
    run = RunReport.open(folder, CPU)
    assert run.predictions.targets is not None
    error = run.predictions.values - run.predictions.targets
    assert np.sqrt((error**2).mean()) == pytest.approx(run.result["rmse"])
    order = run.predictions.largest_errors
    assert (np.diff(np.abs(error[order, 0])) <= 0).all()
