"""Groups of seeds, trained, and their last checkpoints."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnzoo.runs import checkpoint, run_group
from nnzoo.training.trainer import EpochEnd, Trainer
from tests.zoo import begin, finish

CPU = torch.device("cpu")


SEEDS = 3


def group_of(run_config: Any, count: int = SEEDS, out: str = "out") -> run_group.Group:
    return run_group.seeds(run_config, count, Path(out))


def train(group: run_group.Group, **options: Any) -> list[list[dict[str, Any]]]:
    """To the end; each member's rows without their times."""
    rows: list[list[dict[str, Any]]] = [[] for _ in group.members]
    for happened in group.events(CPU, **options):
        for i, event in happened.items():
            if isinstance(event, EpochEnd):
                rows[i].append({k: v for k, v in event.row.items() if "second" not in k})
    return rows


def last(group: run_group.Group, i: int) -> dict[str, Any]:
    return checkpoint.load(group.members[i].folder.last)


def far(a: Any, b: Any, path: str = "") -> float:
    """The largest difference between the numbers of two trees, relative to the larger (at least 1)."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        return max((far(a[key], b[key], f"{path}/{key}") for key in a), default=0.0)
    if isinstance(a, list | tuple):
        assert len(a) == len(b), path
        return max((far(x, y, path) for x, y in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, Tensor):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), path
        scale = b.double().abs().amax().clamp(min=1) if b.numel() else 1
        return float(((a.double() - b.double()).abs() / scale).amax()) if a.numel() else 0.0
    if type(a) is float and type(b) is float and "elapsed" not in path:
        return abs(a - b) / max(1.0, abs(b)) if a != b else 0.0
    assert a == b or "elapsed" in path or "name" in path, (path, a, b)
    return 0.0


def single_run(run_config: Any, seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the last checkpoint of an ordinary run."""
    run = begin(replace(run_config, seed=seed, name=f"seed-{seed}"), out="alone")
    return finish(run), checkpoint.load(run.folder.last)


def spoil(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.parameters[-1].fill_(math.nan)
