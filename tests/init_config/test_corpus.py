"""init on running text: what counts as one, and the configuration of a language model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.load import load_config
from nnzoo.errors import UsageError
from nnzoo.init_config.corpus import corpus_config, is_running_text
from tests.text_files import running_text

NNZOO = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("play.txt", running_text(), True),
        ("readme.md", "# Title\n\nSome prose, with a comma.\nMore of it\n", True),
        ("table.txt", "word\tclass\ngood\ta\nbad\tb\n\n", False),
        ("numbers.txt", "0.1 2.5 3\n4 5 6\n7 8 9\n", False),
        ("table.csv", running_text(), False),
        ("hindi.txt", "यह हिन्दी भाषा में लिखा हुआ एक छोटा सा लेख है।\nइसमें कई पंक्तियाँ हैं।\n\n", True),
        ("thai.txt", "สวัสดีครับ ยินดีต้อนรับ\nวันนี้อากาศดีมาก\n\n", True),
        ("chinese.txt", "这部电影很好看。\n我非常喜欢它。\n\n", True),
        ("times.txt", "10:00 on\n10:05 off\n10:10 on\n", False),
        ("PLAY.TXT", running_text(), True),
        ("empty.txt", "", False),
        ("blank.txt", "\n \n\t\n", False),
        ("line.txt", "one line", False),
        ("none.txt", None, False),
    ],
)
def test_prose_is_running_text(tmp_path: Path, name: str, text: str | None, expected: bool) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert is_running_text(tmp_path / name) == expected


def test_a_text_comes_from_init_to_a_language_model(own_folder: Path, nnzoo: NNZOO) -> None:
    Path("play.txt").write_text(running_text())
    result = nnzoo("init", "play.txt")
    assert result.code == 0, result.err
    assert "read as running text: 4,957 characters of 31 kinds" in result.err
    config = load_config("play.yaml")
    assert config.data.name == "corpus" and config.model.name == "lstm"
    assert config.train.epochs == 60


def test_a_folder_is_one_text_where_it_is_asked_for(own_folder: Path, nnzoo: NNZOO) -> None:
    Path("books").mkdir()
    for name in ("one.txt", "two.txt"):
        Path("books", name).write_text(running_text())
    assert nnzoo("init", "books", "--corpus").code == 0
    assert load_config("books.yaml").data.name == "corpus"
    assert nnzoo("init", "books", "--corpus", "--text", "--force").code == UsageError.exit_code


def test_what_cannot_train_yet_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"prose \xff\n" * 3)
    made = corpus_config(tmp_path / "bad.txt", "bad.txt")
    assert "# cannot train yet: " in made.sections and "data.tokens: bytes" in made.notes[-1]
