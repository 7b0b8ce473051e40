"""The lesson and the twelve questions: their notebook and commands run, and their pages agree."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nnzoo
from tests.zoo import load_script

pytestmark = pytest.mark.usefixtures("compiled")

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "lesson.md", ROOT / "docs" / "zh" / "lesson.md"]
QUESTIONS = ROOT / "docs" / "questions.md"
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
    assert names["hidden"].shape == (1, 40, 64)
    assert list(names["norms"]) == ["rnn", "lstm", "gru"]


def chosen(lines: list[str]) -> list[str]:
    """Every command but the viewer's, and of those that read runs the first of each kind."""
    kinds: set[tuple[str, int]] = set()
    result = []
    for line in lines:
        kind = line.split()[1], line.count("checkpoints/")
        if line != "nnzoo watch" and not (kind[1] and kind in kinds):
            result.append(line)
        kinds.add(kind)
    return result


@pytest.mark.parametrize("page", [PAGES[0], QUESTIONS], ids=lambda page: page.stem)
def test_the_page_runs(page: Path, nnzoo: Callable[..., Any]) -> None:
    """With one epoch of 300 curves; runs that no chosen command reads are only tried."""
    lines = chosen(commands(page))
    names = re.findall(r"checkpoints/(\S+)", "\n".join(commands(page)))
    read = re.findall(r"checkpoints/(\S+)", "\n".join(lines))
    made = set()
    for line in lines:
        words = shlex.split(line)[1:]
        if words[0] == "train":
            name = words[-1].removeprefix("name=")
            made.add(name)
            sets = [value for value in SMALL if value.split("=")[0] not in line]
            if "mnist1d" not in line:
                sets = [value for value in sets if not value.startswith("data.")]
            words += [word for value in sets for word in ("-s", value)]
            words += ["-v", "0"] if name in read else ["--dry-run"]
        result = nnzoo(*words)
        assert result.code == 0, (line, result.err)
    assert set(names) <= made


def test_both_pages_have_the_same_commands_figures_and_numbers() -> None:
    english, chinese = (page.read_text(encoding="utf-8") for page in PAGES)
    assert commands(PAGES[0]) == commands(PAGES[1])
    for pattern in (r"images/lesson/(\S+)\.png", r"(0\.\d{2,})"):
        assert re.findall(pattern, english) == re.findall(pattern, chinese), pattern


def test_each_of_the_twelve_questions_has_a_command_and_a_figure_that_the_script_makes() -> None:
    page = QUESTIONS.read_text(encoding="utf-8")
    _, *questions = re.split(r"^## ", page, flags=re.M)
    assert [int(question.split(".")[0]) for question in questions] == list(range(1, 13))
    figures = load_script("question_figures")
    shown = [re.findall(r"images/questions/(\S+)\.png", question) for question in questions]
    assert sorted(name for names in shown for name in names) == sorted(
        figures.REPORT | figures.WATCH
    )
    for question, names in zip(questions, shown, strict=True):
        assert question.split("\n")[0].endswith("?")
        assert "```sh\nnnzoo " in question and len(names) == 1
