"""`nnzoo generate`: text on stdout, notes on stderr, refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.cli.generate import _write

CONFIG = """
name: tiny
data: {name: corpus, path: text.txt, tokens: characters, window: 8}
model: {name: gru, embedding: 4, hidden_size: 8}
optim: {name: adam}
train: {epochs: 1, batch_size: 4}
"""


@pytest.fixture
def trained(nnzoo: Callable[..., Any]) -> Path:
    Path("text.txt").write_text("Ein Text, der von nichts handelt.\n" * 40)
    Path("tiny.yaml").write_text(CONFIG)
    assert nnzoo("train", "--config", "tiny.yaml").code == 0
    return Path("checkpoints/tiny")


def test_the_same_seed_writes_the_same_text(nnzoo: Callable[..., Any], trained: Path) -> None:
    words = ("generate", trained, "--prompt", "Ein €", "--length", 50)
    first = nnzoo(*words)
    assert first.code == 0
    assert first.out.startswith("Ein €") and len(first.out) == 5 + 50 + 1
    notes = first.err.splitlines()
    assert notes[0].endswith("has 1 character outside of the vocabulary, read as <unknown>: '€'")
    assert notes[1].startswith("note: 50 characters, ") and len(notes) == 2
    assert nnzoo(*words, "--stream").out == first.out
    assert nnzoo(*words, "--seed", 1).out != first.out
    result = nnzoo(*words, "--json").json
    assert result["prompt"] + result["text"] + "\n" == first.out
    assert (result["length"], result["unit"], result["seed"]) == (50, "characters", 0)


def test_a_terminal_gets_no_escape_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "write", written.append)
    _write("\x1b[2J\n", True)
    assert written == ["\\x1b[2J\n"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--length", "0"), "--length: expected a number from 1 to 100,000,000, got 0"),
        (("--temperature", "nan"), "--temperature: expected a number of at least 0, got nan"),
        (("--temperature", "-1"), "--temperature: expected a number of at least 0, got -1.0"),
        (("--top-k", "-1"), "--top-k: expected a whole number of at least 0, got -1"),
        (("--seed", str(2**63)), "--seed: expected a whole number from 0 to 2^63 - 1"),
        (("--json", "--stream"), "give one of the two: --json"),
    ],
)
def test_bad_options_are_one_message(
    nnzoo: Callable[..., Any], words: tuple[str, ...], message: str
) -> None:
    result = nnzoo("generate", "somewhere", *words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message) and result.err.count("\n") == 1


def test_runs_that_write_no_text_are_refused(nnzoo: Callable[..., Any]) -> None:
    assert nnzoo("generate").code == 2
    assert nnzoo("generate", "nothing.pt").code == 5
    nnzoo("train", "--config", "mlp", "-s", "train.epochs=1", "-s", "model.hidden=[8]")
    result = nnzoo("generate", "checkpoints/mlp")
    assert result.code == 3 and result.err.startswith("mlp is no language model")
