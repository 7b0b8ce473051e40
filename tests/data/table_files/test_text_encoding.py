"""Encodings of texts: stated, marked, guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nnzoo.data.table_files.table_io import read_with_fallback_encoding
from tests.data.table_files.reading import (
    NAMES,
    ROWS,
    TABLE,
    check,
    read,
    refused,
    text_of,
)


@pytest.mark.parametrize(
    ("codec", "notes"),
    [
        ("utf-16", []),
        ("utf-32", []),
        ("utf-8-sig", []),
        ("utf-16-le", ["read as UTF-16-LE by its zero bytes (data.encoding)"]),
        ("utf-16-be", ["read as UTF-16-BE by its zero bytes (data.encoding)"]),
    ],
)
def test_unicode_of_any_width_is_read(codec: str, notes: list[str]) -> None:
    table = read(text_of([NAMES, *ROWS], "\t").encode(codec), "d.txt")
    check(table)
    assert table.notes == notes


def test_the_encoding_is_a_key_and_named_where_utf8_fails(nnzoo: Any) -> None:
    data = text_of([NAMES, *ROWS], ";").replace(".", ",").encode("cp1252")
    assert refused(data) == (
        "d.csv:1: not UTF-8 text (byte 3); save the file as UTF-8, or name its encoding "
        "(data.encoding: cp1252)"
    )
    check(
        read(data, encoding="cp1252"),
        [[a.replace(".", ","), b.replace(".", ","), c] for a, b, c in ROWS],
    )
    table, options = read_with_fallback_encoding("d.csv")
    assert (options.encoding, table.notes[0]) == (
        "cp1252",
        "not UTF-8: read as cp1252, which is a guess (data.encoding)",
    )
    Path("c.yaml").write_text("data: {name: csv, path: d.csv, encoding: klingon}\nmodel: mlp\n")
    result = nnzoo("train", "--config", "c.yaml")
    assert result.code == 2
    assert "c.yaml:1:42  data.encoding" in result.err
    assert "an encoding such as utf-8" in result.err
    assert "d.csv:1: not ascii text" in refused(encoding="ascii")


def test_zero_characters_and_marks_within_the_text_are_named() -> None:
    assert refused(TABLE.encode() * 100 + b"1,2\0,x\n").startswith("d.csv:6101: a zero character")
    table = read(TABLE + "\ufeff" + TABLE)
    check(table, ROWS * 2)
    assert table.notes == [
        "line 62 left out: the header again",
        "1 byte order marks within the text were left out",
    ]


@pytest.mark.parametrize(
    ("words", "written", "guess"),
    [
        (["城市", "北京", "上海", "广州", "高", "低"], "gbk", "gb18030"),
        (["𠀀𠀁", "𠀂𠀃", "𠮷𠀄", "𡀀", "𠀅", "𠀆"], "gb18030", "gb18030"),
        (["道路", "𠮷野", "𠀀村", "广州", "高", "低"], "gb18030", "gb18030"),
        (["도시", "서울", "부산", "대구", "높음", "낮음"], "cp949", "cp949"),
        (["город", "москва", "омск", "казань", "Да", "нет"], "cp1251", "cp1251"),
        (["Größe", "schön", "groß", "Österreich", "für", "ungünstig"], "cp1252", "cp1252"),
        (["région", "Île", "forêt", "côté", "très", "à côté"], "cp1252", "cp1252"),
    ],
)
def test_encoding_is_guessed_by_the_bytes(
    nnzoo: Any, own_folder: Path, words: list[str], written: str, guess: str
) -> None:
    name, one, two, three, yes, no = words
    rows = [f"{(one, two, three)[i % 3]},{i % 7},{(yes, no)[i % 2]}" for i in range(60)]
    (own_folder / "t.csv").write_text("\n".join([f"{name},n,y", *rows]) + "\n", encoding=written)
    result = nnzoo("init", "t.csv")
    assert result.code == 0
    assert f"not UTF-8: read as {guess}, which is a guess (data.encoding)" in result.err
    config = (own_folder / "t.yaml").read_text(encoding="utf-8")
    assert f"encoding: {guess}" in config and yes in config and no in config
    assert "2 classes" in config
