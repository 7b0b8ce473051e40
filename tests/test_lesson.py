"""The lesson: its notebook runs, and its pages show the same commands and figures."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nnzoo

pytestmark = pytest.mark.usefixtures("compiled")

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "lesson.md", ROOT / "docs" / "zh" / "lesson.md"]
SMALL = ["train.epochs=1", "data.train=300", "data.test=50", "eval.baselines=none"]


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    return "".join(blocks).splitlines()


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell in order, with one epoch of 300 curves."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = json.loads((ROOT / "examples" / "lesson.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    train = nnzoo.train
    monkeypatch.setattr(nnzoo, "train", lambda config, sets: train(config, sets=[*sets, *SMALL]))
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace("arange(400)", "arange(30)"), names)
    assert list(names["table"].columns) == ["in order", "shuffled"]
    assert sorted(names["table"].index) == ["cnn", "gru", "logistic", "lstm", "mlp", "rnn"]
    assert names["kernels"].shape == (32, 1, 5)
    assert names["size"].shape == (40,)


def test_the_lesson_runs(nnzoo: Callable[..., Any]) -> None:
    """Every command, with one epoch of 300 curves; runs that no later command reads are only tried."""
    lines = [line for line in commands(PAGES[0]) if line != "nnzoo watch"]
    read = {name for line in lines for name in re.findall(r"checkpoints/(\S+)", line)}
    for line in lines:
        words = shlex.split(line)[1:]
        if words[0] == "train":
            name = words[-1].removeprefix("name=")
            sets = [value for value in SMALL if value.split("=")[0] not in line]
            words += [word for value in sets for word in ("-s", value)]
            words += ["-v", "0"] if name in read else ["--dry-run"]
        result = nnzoo(*words)
        assert result.code == 0, (line, result.err)


def test_both_pages_have_the_same_commands_figures_and_numbers() -> None:
    english, chinese = (page.read_text(encoding="utf-8") for page in PAGES)
    assert commands(PAGES[0]) == commands(PAGES[1])
    for pattern in (r"images/lesson/(\S+)\.png", r"(0\.\d{2,})"):
        assert re.findall(pattern, english) == re.findall(pattern, chinese), pattern
