"""The scripts of examples/ run, and are short."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("compiled")

EXAMPLES = Path(__file__).parents[1] / "examples"
OUTPUT = {
    "compare_optimizers": "adamw",
    "plain_torch": "'1.weight': (32, 64)",
    "stop_early": "resumed checkpoints/stopped",
    "sum_channels": "",
    "train_and_predict": "['setosa', 'virginica']",
}


def test_every_example_is_run() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"make_data"}  # run by the tutorial's
    assert names == OUTPUT.keys()


@pytest.mark.parametrize("name", sorted(OUTPUT))
def test_an_example_runs(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert OUTPUT[name] in capsys.readouterr().out
    if name == "sum_channels":
        assert Path("channel_sums.png").stat().st_size > 1000


@pytest.mark.parametrize("name", sorted(OUTPUT))
def test_an_example_is_short(name: str) -> None:
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 25
