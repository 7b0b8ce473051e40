"""The progress bar and the line of an epoch."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from nnzoo.console.progress import ProgressBar


def narrow(width: int = 80) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, force_terminal=True, color_system=None), stream


@pytest.mark.parametrize("width", [80, 120])
def test_the_curve_of_the_bar_follows_the_loss_that_it_shows(width: int) -> None:
    terminal, stream = narrow(width)
    row = {
        "epoch": 1,
        "step": 10,
        "train_loss": 1.5,
        "train_accuracy": 0.5,
        "val_loss": 1.25,
        "val_accuracy": 0.5,
        "samples_per_second": 12345.0,
        "seconds": 1.0,
        "lr": 0.1,
    }
    with ProgressBar(terminal, 100, 10, 0, [row | {"val_loss": 2.5}, row]) as bar:
        bar._drawn_at = 0.0
        bar.epoch(row | {"epoch": 2, "step": 20}, 2)
        bar.progress.refresh()
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", stream.getvalue()).split("\n")
    shown = next(item for item in reversed(line) if "val_loss" in item)
    assert len(shown) <= width
    assert re.search(r"val_loss 1\.2500 [▁-█]+", shown)
    assert re.search(r"\b(train_)?loss 1\.5000", shown) and "val_accuracy 0.5000" in shown
