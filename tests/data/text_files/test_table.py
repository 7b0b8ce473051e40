"""Tables with a column of text: which column is what, and which rows are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nnzoo.config.split_options import GroupSplit
from nnzoo.config.text_options import TextOptions
from nnzoo.data.table_files.table_io import Table
from nnzoo.data.text_files import documents
from nnzoo.data.text_files.documents import Documents
from nnzoo.data.text_files.table import (
    TableColumns,
    find_target,
    mean_lengths,
    read_texts,
    target_by_name,
    text_column,
    texts_of_table,
)
from nnzoo.errors import DataError


def read(path: Path, content: str | bytes, need_target: bool = True, **options: Any) -> Documents:
    file = path / "x.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_texts(str(file), TextOptions(name="text", path=str(file), **options), need_target)


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_the_columns_that_a_config_names() -> None:
    data = TextOptions(name="text", path="x", text=2, target="y", split=GroupSplit(group="author"))
    assert TableColumns.of(data) == TableColumns(2, "y", {"group": "author"})
    assert TableColumns.of(object()) == TableColumns(None, None)


@pytest.mark.parametrize(
    ("columns", "text", "target"),
    [
        ({"a": ["one two", "three"], "b": ["x", "y"]}, "a", "b"),
        ({"b": ["x", "y"], "a": ["one two", "three"]}, "a", "b"),
        ({"id": ["1", "22"], "label": ["x", "y"], "a": ["one two", "three"]}, "a", "label"),
        ({"a": ["one two", "three"], "b": ["xxxxx", "y"], "Stars ": ["1", "5"]}, "a", "Stars "),
        ({"text": ["ok", "hi"], "label": ["certainly spam", "no spam at all"]}, "text", "label"),
        ({"text": ["ok", "hi"], "category": ["certainly spam", "none at all"]}, "text", "category"),
        ({"0": ["x", "y"], "1": ["one two", "three"]}, "1", "0"),
        ({"n": ["1", "2"], "label": ["good one", "bad one"]}, "label", "n"),
    ],
)
def test_which_column_is_the_text_and_which_the_target(
    columns: dict[str, list[str]], text: str, target: str
) -> None:
    table = frame(**columns)
    assert text_column(table, None, "x.csv") == text
    assert find_target(table, text, "x.csv") == target


def test_a_stated_target_is_no_text_and_a_stated_text_is_taken() -> None:
    table = frame(a=["one two three", "four"], b=["x", "y"])
    assert text_column(table, None, "x.csv", "a") == "b"
    assert text_column(table, "b", "x.csv") == "b" and text_column(table, -1, "x.csv") == "b"
    with pytest.raises(DataError, match=r"no column 'c'; the file has a, b"):
        text_column(table, "c", "x.csv")
    with pytest.raises(DataError, match="no column 2; the file has 2 columns"):
        text_column(table, 2, "x.csv")
    with pytest.raises(DataError, match=r"x.csv has no column of text"):
        text_column(frame(a=["text"]), None, "x.csv", "a")


def test_lengths_are_of_texts_alone_in_the_first_rows() -> None:
    table = frame(a=["ab", None, "abcd"], n=["1", "2.5", "3"], e=[None, None, None])
    assert mean_lengths(table) == {"a": 3.0}
    long = frame(a=["ab"] * 1000 + ["x" * 999])
    assert mean_lengths(long) == {"a": 2.0}


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["a", "b"], None),
        (["a", " LABEL "], " LABEL "),
        (["label", "sentiment"], "label"),
        (["sentiment", "a"], "sentiment"),
        (["sentiment", "topic"], None),
        (["label", "target"], None),
        (["my_label", "a"], "my_label"),
        ([], None),
    ],
)
def test_targets_by_their_names(names: list[str], target: str | None) -> None:
    assert target_by_name(names) == target


def test_tables_without_a_target_say_what_to_name() -> None:
    table = frame(t=["one two"], a=["x"], b=["y"])
    with pytest.raises(DataError) as raised:
        find_target(table, "t", "x.csv")
    assert "x.csv: which of 2 columns is the target ('a', 'b')? Name it" in str(raised.value)
    assert raised.value.key == "data.target"
    with pytest.raises(DataError, match=r"x.csv has one column, 't', and no target"):
        find_target(table[["t"]], "t", "x.csv")


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('text,label\n"a, b",x\n"c ""d""",y\n', ["a, b", 'c "d"']),
        ('text,label\n"a\nb",x\nc,y\n', ["a\nb", "c"]),
        ("\ufefftext,label\na b,x\nc d,y\n", ["a b", "c d"]),
        ("text,label\r\na b,x\r\nc d,y\r\n", ["a b", "c d"]),
        ("text,label\nNA,x\nnone at all,y\nnull,x\n", ["NA", "none at all", "null"]),
        ("text;label\na, b;x\nc, d;y\n", ["a, b", "c, d"]),
        ("text,label\n,x\na b,y\n", ["", "a b"]),
        ("text,label\n007 is here,x\n1e5 too,y\n", ["007 is here", "1e5 too"]),
    ],
)
def test_texts_are_read_as_they_are(content: str, texts: list[str], tmp_path: Path) -> None:
    read_ = read(tmp_path, content)
    assert read_.texts == texts
    assert read_.text == "text" and read_.target == "label" and read_.form == "table"
    assert read_.ids == list(range(1, len(texts) + 1))
    assert read_.header is True and read_.width is None


def test_a_table_without_names_is_known_by_its_width(tmp_path: Path) -> None:
    read_ = read(tmp_path, "ham,one two three\nspam,four five\nham,six\n", header=False)
    assert (read_.header, read_.width) == (False, 2)
    assert (read_.text, read_.target) == ("1", "0") and read_.targets == ["ham", "spam", "ham"]


def test_rows_keep_their_numbers_where_some_are_left_out(tmp_path: Path) -> None:
    read_ = read(tmp_path, "text,label\na b,x\nc d,\ne f,y\ng h,  \ni j,x\n")
    assert read_.ids == [1, 3, 5] and read_.targets == ["x", "y", "x"]
    assert read_.names == ["data row 1", "data row 3", "data row 5"]
    note = read_.notes[-1]
    assert "2 of 5 rows have no target 'label'" in note and note.endswith("first data row 2")
    with pytest.raises(DataError, match="the target 'label' is missing in all rows"):
        read(tmp_path, "text,label\na b,\nc d,\n")


def test_words_for_what_is_missing_are_labels_unless_named(tmp_path: Path) -> None:
    content = "text,label\na b,none\nc d,?\ne f,none\n"
    assert read(tmp_path, content).targets == ["none", "?", "none"]
    read_ = read(tmp_path, content, missing=["?"])
    assert read_.targets == ["none", "none"] and "('?')" in read_.notes[-1]


def test_targets_are_needed_only_where_they_are_asked_for(tmp_path: Path) -> None:
    read_ = read(tmp_path, "text,a,b\none two,1,2\nthree,3,\n", need_target=False)
    assert read_.texts == ["one two", "three"] and read_.targets is None
    assert read_.notes == []


def test_groups_belong_to_their_rows(tmp_path: Path) -> None:
    content = "text,label,author\na b,x,Ann\nc d,,Bob\ne f,y,Cy\n"
    read_ = read(tmp_path, content, split={"group": "author"})
    assert read_.roles == {"group": ["Ann", "Cy"]} and not any(
        "not used" in note for note in read_.notes
    )
    assert any("not used: 'author'" in note for note in read(tmp_path, content).notes)


def test_unused_columns_are_named_up_to_six(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(9)]
    content = f"text,label,{','.join(names)}\none two,x{',1' * 9}\nthree four,y{',2' * 9}\n"
    (note,) = read(tmp_path, content).notes
    assert note.startswith("not used: 'c0', 'c1'") and "'c8'" not in note
    assert note.endswith("the network reads 'text' alone")


def test_a_text_that_is_too_long_is_named_by_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 5)
    table = Table(frame(text=["ok", "123456"], label=["x", "y"]), named=True)
    with pytest.raises(DataError, match=r"t.csv: data row 2 has 6 characters; a text may have 5"):
        texts_of_table(table, "t.csv", TextOptions(name="text", path="t.csv"), TableColumns())


def test_numbers_and_gaps_in_a_column_of_text_are_texts() -> None:
    table = Table(frame(text=["a b c", 3, None], label=["x", "y", "z"]), named=True)
    data = TextOptions(name="text", path="t.csv")
    read_ = texts_of_table(table, "t.csv", data, TableColumns(text="text"))
    assert read_.texts == ["a b c", "3", ""] and read_.targets == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\na\0b,x\n", "zero"),
        (b"text,label\nab,x\n\xff,y\n", r"x.csv:3: not UTF-8 text"),
        (b"", "x.csv"),
        (b"text,label\n", "x.csv"),
    ],
)
def test_tables_that_hold_no_texts_name_the_file(
    content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)
