"""`nnzoo runs`: sorting, refusals, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("compiled")


def lines(nnzoo: Any, *words: Any) -> dict[str, dict[str, Any]]:
    result = nnzoo("runs", *words, "--json")
    assert result.code == 0
    return {run["run"]: run for run in result.lines}


def test_runs_sort_by_any_metric_the_best_first(nnzoo: Any) -> None:
    for i, name in enumerate(("a", "b", "c")):
        row = {"epoch": 1, "val_loss": [2.0, 1.0, 3.0][i], "val_accuracy": [0.5, 0.4, 0.9][i]}
        Path(f"checkpoints/{name}").mkdir(parents=True)
        Path(f"checkpoints/{name}/metrics.jsonl").write_text(json.dumps(row) + "\n")
    Path("checkpoints/d").mkdir()
    Path("checkpoints/d/config.yaml").write_text("train: {epochs: 3}\n")
    assert list(lines(nnzoo)) == ["a", "b", "c", "d"]
    assert list(lines(nnzoo, "--sort", "val_loss")) == ["b", "a", "c", "d"]
    assert list(lines(nnzoo, "--sort", "best")) == ["b", "a", "c", "d"]
    assert list(lines(nnzoo, "--sort", "val_accuracy")) == ["c", "a", "b", "d"]
    assert "val_accuracy" in nnzoo("runs", "--sort", "val_accuracy").out
    refused = nnzoo("runs", "--sort", "val_f2")
    assert refused.code == 2 and "no run has 'val_f2'; there is age, best" in refused.err


def test_no_folder_is_an_error_and_an_empty_one_is_reported(nnzoo: Any) -> None:
    assert nnzoo("runs").code == 2
    Path("checkpoints/other/deep/deeper").mkdir(parents=True)
    Path("checkpoints/file").write_text("")
    result = nnzoo("runs")
    assert (result.code, result.out) == (0, "") and "no runs in checkpoints" in result.err


def test_it_loads_nothing_heavy() -> None:
    Path("checkpoints/run").mkdir(parents=True)
    Path("checkpoints/run/metrics.jsonl").write_text('{"epoch": 1}\n')
    script = (
        "import sys\n"
        "from nnzoo.cli import app\n"
        "try:\n"
        "    app(['runs'])\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "assert not {'torch', 'scipy', 'pandas', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout
