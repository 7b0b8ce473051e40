"""Output of `nnzoo train`: silent, lines, JSON; a reader that leaves."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.runs.cnn_runs import FAST

pytestmark = pytest.mark.usefixtures("compiled", "small_config")


def test_verbosity_0_is_silent(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("train", "--config", "cnn", *FAST, "--verbose", "0")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_verbosity_2_gives_a_line_an_epoch_and_no_cursor_movement(
    nnzoo: Callable[..., Any],
) -> None:
    result = nnzoo("train", "--config", "cnn", *FAST, "--verbose", "2")
    lines = [line for line in result.err.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert all(len(line) < 120 for line in lines)
    assert re.match(r"epoch 1/2  (lr 1.00e-03  )?train_accuracy 0\.\d+  train_loss", lines[0])
    assert "\x1b" not in result.err + result.out
    assert "\r" not in result.err + result.out


def test_json_makes_stdout_json_lines_alone(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("train", "--config", "cnn", *FAST, "--json")
    start, *epochs, end = result.lines
    assert (start["event"], end["event"]) == ("start", "end")
    assert [row["event"] for row in epochs] == ["epoch", "epoch"]
    keys = {
        "epoch",
        "step",
        "lr",
        "train_loss",
        "val_loss",
        "val_accuracy",
        "samples_per_second",
        "seconds",
    }
    assert keys <= epochs[0].keys()
    assert {"run_dir", "best", "test"} <= end.keys()
    assert end["run_dir"] == "checkpoints/cnn"
    assert end["test"]["accuracy"] == nnzoo("eval", "checkpoints/cnn", "--json").json["accuracy"]


def test_a_reader_that_goes_away_ends_the_command_like_any_tool() -> None:
    shell = f"{sys.executable} -m nnzoo models | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], check=False, capture_output=True, text=True)
    assert done.returncode == 141
    assert done.stdout == "mlp\n"
    assert done.stderr == ""


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_line_an_epoch_fits_the_terminal(width: int) -> None:
    from nnzoo.console.progress import epoch_line

    row = {"epoch": 7, "lr": 0.001, "samples_per_second": 12345.6, "seconds": 12.3} | dict.fromkeys(
        ("train_loss", "train_accuracy", "val_loss", "val_accuracy"), 0.12345
    )
    line = epoch_line(row, 200, True, width)
    assert len(line) < width
    assert line.startswith("epoch   7/200")
    assert "val_accuracy 0.1235" in line or "val_accuracy 0.1234" in line
