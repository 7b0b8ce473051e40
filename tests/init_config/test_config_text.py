"""The text of a new configuration: comments that hold, whatever a file's names hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nnzoo.data.table_files.table_io import ReadOptions, read_table
from nnzoo.init_config.config_text import DataFile, comment_lines, join_sections, one_line


def test_a_line_break_of_a_file_ends_no_comment() -> None:
    assert one_line(" a\n b\r\n\tc\x1b[31m\u2028d ") == "a b c[31m d"
    assert comment_lines(["x\nmodel: evil"]) == ["  # x model: evil"]


def test_sections_are_yaml_with_comments_behind_their_keys() -> None:
    recipe: dict[str, dict[str, Any]] = {
        "model": {"name": "mlp", "hidden": [4, 2]},
        "train": {"epochs": 3},
    }
    text = join_sections(["data: digits"], recipe, {"train.epochs": "few: it is small"})
    assert yaml.safe_load(text) == {"data": "digits", **recipe}
    assert text.endswith("\ntrain:\n  epochs: 3    # few: it is small\n")


def head(content: bytes, **options: Any) -> tuple[str, DataFile]:
    Path("t.csv").write_bytes(content)
    reading = ReadOptions(**options)
    file = DataFile(Path("t.csv"), "../x: y.csv", read_table("t.csv", reading), reading)
    return "\n".join(file.head_lines("csv")), file


def test_the_head_names_the_file_and_what_was_guessed() -> None:
    text, file = head(b"a,b\n1,x\n2,y\n")
    assert yaml.safe_load(text) == {"data": {"name": "csv", "path": "../x: y.csv"}}
    assert file.header == "auto"
    text, file = head(b"1,2\n3,4\n5,6\n")
    assert file.header is False and "header: false    # the first row looks like data" in text
    text, _ = head("ä,b\n1,x\n2,ö\n".encode("cp1252"), encoding="cp1252")
    assert "encoding: cp1252    # a guess: it is not UTF-8" in text
