"""The config of sweep tests, and studies of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.config.load import load_config
from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.search import finish, search
from nnzoo.sweep.study import Study

NNZOO = Callable[..., Any]


CPU = torch.device("cpu")


CONFIG = """
name: flowers
data: iris
model: {name: mlp, hidden: [8]}
optim: {name: sgd, lr: 0.05}
train: {epochs: 4, batch_size: 16, precision: fp32, threads: 1}
sweep:
  trials: 8
  grace: 2
  space:
    optim.lr: {low: 1e-3, high: 1e-1, log: true}
    model.hidden: [[4], [8, 8]]
    model.dropout: {low: 0.0, high: 0.4, step: 0.1}
"""


def config(*sets: str) -> RunConfig:
    return load_config("flowers.yaml", sets)


def searched(*sets: str, out: str = "out", stop: Callable[[], bool] = lambda: False) -> Study:
    """A study after this process has made what there is to make."""
    study = open_study(config(*sets), Path(out))
    list(search(study, CPU, stop))
    return study


def outcomes(study: Study) -> list[tuple[Any, ...]]:
    """The parts of a study that must be the same in two."""
    return [(r.number, r.state, r.values, r.value, r.epoch, r.epochs) for r in study.records()]


def files(path: Path) -> set[str]:
    return {item.name for item in path.iterdir()}


def scored_study() -> Study:
    """A study of many trials, of which only the scores are made up."""
    Path("flowers.yaml").write_text(CONFIG)
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
    return actual
