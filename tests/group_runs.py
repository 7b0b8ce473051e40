"""Groups of short runs for tests, and their members opened one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_group import Group, folds, seeds
from tests.zoo import config

CPU = torch.device("cpu")
OUT = Path("out")
SHORT = {"epochs": 1, "threads": 1}
MLP = {"name": "mlp", "hidden": [8]}


def finish_group(group: Group) -> Path:
    for _ in group.events(CPU):
        pass
    group.write_summary()
    return group.path


def seed_group(model: Any = MLP, data: Any = "table_classes", count: int = 3) -> Path:
    return finish_group(seeds(config(model, data, name="g", train=SHORT), count, OUT))


def fold_group(data: dict[str, Any], model: Any = MLP, count: int = 2) -> Path:
    return finish_group(folds(config(model, data, name="g", train=SHORT), count, OUT))


def open_members(path: Path) -> list[LoadedRun]:
    return [LoadedRun.open(one.parent, CPU) for one in sorted(path.glob("*-*/best.pt"))]


def mean(values: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.mean(np.stack(values), 0)


def categories_csv(rows: int = 60) -> dict[str, Any]:
    """A table in which each fold trains on other colors."""
    lines = [f"{i % 7 + 0.5},color {i % 23},{'yes' if i % 3 else 'no'}" for i in range(rows)]
    Path("colors.csv").write_text("\n".join(["size,color,answer", *lines]) + "\n")
    return {"name": "csv", "path": str(Path("colors.csv").resolve()), "split": {"test": 0.2}}
