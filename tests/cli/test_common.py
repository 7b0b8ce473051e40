"""Options that commands have in common, colors and exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.first_config import NNZOO

# Colors.


def test_no_color_where_it_is_not_wanted_or_no_terminal(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in nnzoo("models").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in nnzoo("models").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", nnzoo("models").out)


# Train, eval and exit codes.


def test_a_dry_run_shows_the_layers_and_writes_nothing(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("train", first, "--dry-run", "--json", "--out", "runs")
    assert result.code == 0
    shown = result.lines[-1]
    assert [row["type"] for row in shown["layers"]][:2] == ["Flatten", "Linear"]
    assert shown["steps"] == shown["steps_per_epoch"] == 20
    assert not Path("runs").exists()


def test_a_missing_file_is_an_error_of_the_data(nnzoo: NNZOO) -> None:
    Path("a.yaml").write_text("data: {name: csv, path: nowhere.csv}\nmodel: mlp\n")
    result = nnzoo("train", "a.yaml")
    assert (result.code, result.out) == (3, "")
    assert "nowhere.csv" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "give either RUN or --config: nnzoo eval checkpoints/cnn\n"),
        (
            ["a", "-c", "cnn"],
            2,
            "give either RUN or --config: nnzoo eval checkpoints/cnn\n",
        ),
        (["a", "--seed", "1"], 2, "--seed goes with --config: a RUN has its seed\n"),
        (["-c", "cnn"], 2, "no run in checkpoints/cnn; train first: nnzoo train --config cnn\n"),
        (["-c", "cnm"], 2, "no config 'cnm': not a file"),
        (["nowhere"], 5, "no checkpoint nowhere"),
        (["first.yaml"], 5, "first.yaml is "),
    ],
)
def test_eval_without_something_to_evaluate_says_what_to_give(
    nnzoo: NNZOO, first: Path, words: list[str], code: int, text: str
) -> None:
    result = nnzoo("eval", *words)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(text)
    assert "Traceback" not in result.err


def test_an_unknown_device_is_reported(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("train", first, "--device", "abacus", "--dry-run")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("--device abacus: expected auto, cpu")


def test_debug_shows_the_traceback(nnzoo: NNZOO) -> None:
    from nnzoo.errors import UsageError

    with pytest.raises(UsageError, match="no config 'nope'"):
        nnzoo("check", "nope", "--debug")


@pytest.mark.parametrize(("word", "code"), [("--version", 0), ("eval", 2)])
def test_the_process_ends_with_all_that_was_said_and_registered(word: str, code: int) -> None:
    script = (
        "import atexit, sys\n"
        "from nnzoo.cli import main\n"
        "atexit.register(lambda: print('registered'))\n"
        "print('said')\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, word], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.startswith("said\n") and done.stdout.endswith("registered\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only where there is /dev/full")
def test_output_that_cannot_be_written_is_no_success() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nnzoo", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode and "No space left" in done.stderr
