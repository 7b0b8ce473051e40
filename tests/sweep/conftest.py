"""Fixtures of sweep tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.search import finish
from nnzoo.sweep.study import Study
from tests.sweep.studies import CONFIG, config


@pytest.fixture(autouse=True)
def config_file(own_folder: Path) -> None:
    Path("flowers.yaml").write_text(CONFIG)


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """A study of many trials, of which only the scores are made up."""
    actual = open_study(config("sweep.trials=18", "sweep.sampler=random"), Path("out"))
    for number in range(16):
        claim = actual.claim()
        assert claim is not None
        row = actual.record(claim)
        value = abs(torch.tensor(row.values["optim.lr"]).log10().item() + 2) + number / 1e3
        state: Any = ("diverged", "failed", "pruned")[number % 3] if number % 5 == 4 else "complete"
        row = replace(
            row,
            state=state,
            epochs=4,
            seconds=1.5,
            reason="too <b>much" if state in ("diverged", "failed") else "",
        )
        if state == "complete":
            row = replace(row, value=value, epoch=3)
        actual.finish(claim, row)
        claim.release()
    finish(actual)
    yield actual
