"""Helpers of tests that train small runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnzoo.runs import checkpoint

TINY = {"epochs": 3, "batch_size": 64, "accumulate_grad_batches": 2}


def without_times(folder: Path) -> tuple[Any, Any]:
    last, best = checkpoint.load(folder / "last.pt"), checkpoint.load(folder / "best.pt")
    for content in (last, best):
        content.get("trainer", {}).get("position", {}).pop("elapsed", None)
    return last, best


def record_epoch(trainer: Any, value: float) -> None:
    options = trainer.config
    trainer.state.record_epoch(
        value, trainer.monitor, options.train.early_stopping, options.optim.schedule
    )
