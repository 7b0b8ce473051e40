"""Runs that start from the weights of another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nnzoo.models.network import Network
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run import Run
from tests.zoo import begin, config, finish

CPU = torch.device("cpu")
CNN = {"name": "cnn", "channels": [4, 8], "norm": "batch", "head": {"pooling": "average"}}
MLP = {"name": "mlp", "hidden": [16]}
SOURCE = "out/source"


def train_run(model: Any, data: Any, name: str = "source", **more: Any) -> Run:
    run = begin(config(model, data, name=name, **more))
    finish(run)
    return run


def start_run(model: dict[str, Any], data: Any, source: Any = SOURCE, **more: Any) -> Run:
    """A new run that starts from trained weights."""
    run = begin(config(model | {"start_from": source}, data, seed=5, name="tuned", **more))
    run.lock.release()
    return run


def best_network(folder: str = SOURCE) -> Network:
    return LoadedRun.open(Path(folder), CPU).network


def note_of(run: Run, beginning: str) -> str:
    """The one note with this beginning; "" without one."""
    notes = [text for text in run.notes if text.startswith(beginning)]
    assert len(notes) < 2
    return notes[0] if notes else ""


def write_columns(columns: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The options of a table with 40 rows, which repeat the given ones."""
    rows = len(next(iter(columns.values())))
    lines = [",".join(str(values[i % rows]) for values in columns.values()) for i in range(40)]
    Path(name).write_text("\n".join([",".join(columns), *lines]) + "\n")
    return {"name": "csv", "path": str(Path(name).resolve())}
