"""Files of columns of any kind: what is read, what is left out and said, what is refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from nnzoo.config.data_options import CsvOptions, RowSplit
from nnzoo.data.table_files import limits
from nnzoo.data.table_files.csv_rows import is_header, unique_names
from nnzoo.data.table_files.table_io import ReadOptions, Table, read_anyhow, read_chunks, read_table
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError, NnzooError, UsageError

ROWS = [
    ["168.60", "69.21", "Köln"],
    ["174.14", "70.82", "Zürich"],
    ["178.27", "70.98", "Graz"],
] * 20
NAMES = ["größe", "gewicht", "stadt"]


def text_of(rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


TABLE = text_of([NAMES, *ROWS])


def read(content: str | bytes, name: str = "d.csv", **options: Any) -> Table:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(name, ReadOptions(**options))


def refused(content: str | bytes | None = None, name: str = "d.csv", **options: Any) -> str:
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NnzooError) as error:
        read_table(name, ReadOptions(**options))
    assert "\n" not in str(error.value)
    return str(error.value)


def check(
    table: Table, rows: list[list[str]] | None = None, names: list[str] | None = None
) -> None:
    assert list(table.frame.columns) == (NAMES if names is None else names)
    assert table.frame.fillna("").to_numpy().tolist() == (ROWS if rows is None else rows)


# Kinds of files, by their first bytes.


def zipped(content: bytes, **others: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", content)
        for name, other in others.items():
            archive.writestr(name.replace("__", "/"), other)
    return data.getvalue()


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "d.csv.gz"), (bz2.compress, "d.csv.bz2"), (lzma.compress, "d.csv.xz"),
        (zipped, "d.zip"), (gzip.compress, "d.csv"), (zipped, "named.csv"),
        (lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]), "two.gz"),
        (lambda data: bz2.compress(data[:100]) + bz2.compress(data[100:]), "two.bz2"),
        (lambda data: zipped(data, **{"__MACOSX__._t.csv": b"x", ".DS_Store": b"y"}), "mac.zip"),
    ],
)  # fmt: skip
def test_packed_text_is_read(pack: Callable[[bytes], bytes], name: str) -> None:
    table = read(pack(TABLE.encode()), name)
    check(table)
    assert table.notes == []
    pieces = list(read_chunks(name))
    check(Table(pandas.concat([piece.frame for piece in pieces]), True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(b"a", **{"u.csv": b"b"}), "holds 2 files (t.csv, u.csv); unpack it and name one"),
        (zipped(TABLE.encode())[:-40], "damaged zip archive"),
        (gzip.compress(TABLE.encode())[:-20], "cannot be unpacked"),
        (bz2.compress(TABLE.encode())[:-20], "cannot be unpacked: it ends in the middle"),
        (lzma.compress(TABLE.encode())[:-20], "cannot be unpacked: it ends in the middle"),
        (gzip.compress(gzip.compress(b"x" * 99)), "is packed twice: unpack it first"),
        (gzip.compress(b"\0" * 257 + b"ustar" + b"\0" * 99), "is a tar archive: unpack it first"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "an old Excel file (.xls), which is not read: save it"),
        (b"$FL2@(#) SPSS DATA FILE\0\2", "an SPSS file (.sav)"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
        (b"\x80\x04\x95\x10\0\0\0", "a Python pickle"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\0", "an image"),
        (b"ORC\x0a\x03\0\0", "an ORC file"),
        (zipped(b"x", **{"word__document.xml": b"<x/>"}), "a Word document"),
        (zipped(b"x", **{"content.xml": b"<x/>"}), "an OpenDocument file (.ods)"),
        (b"<!DOCTYPE html>\n<html><body>Sign in, please.</body></html>", "a web page (HTML)"),
        (b'<?xml version="1.0"?><rows><row a="1"/></rows>', "is XML"),
        (b"% 1. Title: iris\n%\n@RELATION iris\n\n@ATTRIBUTE a NUMERIC\n@DATA\n1\n", "ARFF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"1 1:0.5 3:2\n-1 2:0.5 4:1\n1 1:0.1 2:3\n1 3:1\n", "LIBSVM"),
        (b"\x01\0\0\x02\0\0\x03", "is not a text file (it holds zero bytes)"),
    ],
    ids=lambda value: "content" if isinstance(value, bytes) else None,
)  # fmt: skip
def test_other_kinds_of_files_are_refused_by_name(content: bytes, message: str) -> None:
    assert message in refused(content)


def test_names_of_columns_that_begin_as_other_files_do_are_names() -> None:
    for name in ("PAR1", "ORCHARD", "BZh9", "ARROW1", "RDX2", "GIF89a", "Rar!x"):
        check(read(f"{name},b,c\n" + text_of(ROWS)), names=[name, "b", "c"])


def test_an_excel_file_is_its_first_sheet() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["day", "n", "part", "code", "flag", "when"])
    days = pandas.date_range("2020-01-01", periods=3)
    for i, day in enumerate(days):
        sheet.append([day, i, i + 0.5, f"00{i}", i > 1, day + pandas.Timedelta(hours=i)])
    book.create_sheet("other")
    book.save("d.xlsx")
    table = read_table("d.xlsx")
    assert list(table.frame.columns) == ["day", "n", "part", "code", "flag", "when"]
    assert table.frame.to_numpy().tolist() == [
        ["2020-01-01", "0", "0.5", "000", "False", "2020-01-01 00:00:00"],
        ["2020-01-02", "1", "1.5", "001", "False", "2020-01-02 01:00:00"],
        ["2020-01-03", "2", "2.5", "002", "True", "2020-01-03 02:00:00"],
    ]
    assert table.notes == ["sheet 'Sheet' is read, the first of 2 (not read: 'other')"]
    Path("named.csv").write_bytes(Path("d.xlsx").read_bytes())
    assert len(read_table("named.csv").frame) == 3


def test_titles_empty_rows_and_formulas_of_an_excel_file_are_said() -> None:
    book = openpyxl.Workbook()
    for row in [
        ["Report 2020"],
        [],
        NAMES,
        *[[float(a), float(b), c] for a, b, c in ROWS],
        [],
        ["Source: x"],
    ]:
        book.active.append(row)
    book.active["B5"] = "=1+1"
    book.save("d.xlsx")
    table = read_table("d.xlsx")
    assert table.frame.shape == (60, 3)
    assert pandas.isna(table.frame.iloc[1, 1])
    assert "1 formulas without a stored result count as missing" in table.notes[0]
    assert table.notes[1] == "skipped a line above the header: 'Report 2020,,' (data.skip_rows)"
    assert any("text below the table, 'Source: x'" in note for note in table.notes), table.notes


def test_an_excel_file_without_the_package_says_how_to_get_it(monkeypatch: Any) -> None:
    openpyxl.Workbook().save("d.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.setattr("nnzoo.errors.find_spec", lambda name: None)
    with pytest.raises(
        UsageError,
        match=r"d.xlsx is an Excel file, which needs openpyxl: pip install 'nnzoo\[excel\]'",
    ):
        read_table("d.xlsx")


RECORDS = [dict(zip(NAMES, [float(a), float(b), c], strict=True)) for a, b, c in ROWS]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=1, ensure_ascii=False),
        "\n".join(map(json.dumps, RECORDS)),
        json.dumps({"data": RECORDS}),
        json.dumps({name: [each[name] for each in RECORDS] for name in NAMES}),
        pandas.DataFrame(RECORDS).to_json(),
        pandas.DataFrame(RECORDS).to_json(orient="split"),
        json.dumps([NAMES, *([each[name] for name in NAMES] for each in RECORDS)]),
    ],
)
def test_json_of_records_is_read(text: str) -> None:
    check(read(text, "d.json"), [[str(float(a)), str(float(b)), c] for a, b, c in ROWS])


def test_values_of_json_stay_as_they_are_written() -> None:
    table = read('[{"a": 1e400, "b": 12345678901234567890, "c": true}, {"a": null, "c": "NA "}]')
    assert table.frame.fillna("").to_numpy().tolist() == [
        ["1e400", "12345678901234567890", "True"], ["", "", "NA "],
    ]  # fmt: skip
    assert table.notes == ["1 records lack keys that others have: missing values"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": [1]}]', "'a' of record 1 holds several values"),
        ('[{"a": 1}, 2]', "record 2 is no object"),
        ('[{"a": 1}', "d.csv:1: not JSON: "),
        ('{"a": 1}\n{"a": \n', "d.csv:2: not a JSON record"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    assert message in refused(text)


def test_feather_and_streams_of_arrow_are_read() -> None:
    frame = pandas.DataFrame(
        {"a": [1, 2, None], "t": ["u", None, "w"], "flag": [True, False, True]}
    )
    for packing in ("zstd", "lz4", "uncompressed"):
        frame.to_feather("d.feather", compression=packing)
        found = read_table("d.feather").frame
        assert list(found["a"])[:2] == [1.0, 2.0]
        assert pandas.isna(found["a"][2])
        assert list(found["t"].fillna("?")) == ["u", "?", "w"]
        assert list(found["flag"]) == ["True", "False", "True"]
    whole = pyarrow.table({"n": pyarrow.array([2**53 + 1, None]), "v": ["x", "y"]})
    whole = whole.set_column(1, "v", whole["v"].cast(pyarrow.string_view()))
    with (
        pyarrow.OSFile("d.arrows", "wb") as file,
        pyarrow.ipc.new_stream(file, whole.schema) as out,
    ):
        out.write_table(whole)
    stream = read_table("d.arrows").frame
    assert (stream["n"][0], list(stream["v"])) == (2**53 + 1, ["x", "y"])
    Path("d.feather").write_bytes(Path("d.feather").read_bytes()[:200])
    assert "d.feather is not a readable Arrow file" in refused(name="d.feather")


# Encodings.


@pytest.mark.parametrize(
    ("codec", "notes"),
    [
        ("utf-16", []), ("utf-32", []), ("utf-8-sig", []),
        ("utf-16-le", ["read as UTF-16-LE by its zero bytes (data.encoding)"]),
        ("utf-16-be", ["read as UTF-16-BE by its zero bytes (data.encoding)"]),
    ],
)  # fmt: skip
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
    table, options = read_anyhow("d.csv")
    assert (options.encoding, table.notes[0]) == (
        "cp1252", "not UTF-8: read as cp1252, which is a guess (data.encoding)",
    )  # fmt: skip
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


# What lies above, below and beside the table.


@pytest.mark.parametrize(
    ("above", "first"),
    [
        ("# made by logger 1.2\n# units: cm, kg\n", "# made by logger 1.2"),
        ('"Data Source","Indicators",\n\n"Last Updated","2026-01-15",\n\n', '"Data Source","Indicators",'),
        ("Sales report\n\n", "Sales report"),
        ("Report\nof January 2020\n", "Report"),
        ("Weather station,,\n,,\n", "Weather station,,"),
        ("% one, two, three\n", "% one, two, three"),
        ("Station: 12\nHeight: 30 m, by GPS\n", "Station: 12"),
    ],
)  # fmt: skip
def test_lines_above_the_header_are_skipped_and_said(above: str, first: str) -> None:
    table = read(above + TABLE)
    check(table)
    assert len(table.notes) == 1
    assert table.notes[0].startswith("skipped ")
    assert f"above the header: '{first}'" in table.notes[0]
    assert table.notes[0].endswith("(data.skip_rows)")
    lines = above.count("\n")
    stated = read(above + TABLE, skip_rows=lines)
    check(stated)
    assert stated.notes == []


def test_a_table_without_titles_loses_no_row() -> None:
    """Rows with gaps, and with words where others have numbers, are no titles."""
    for rows in (
        [["1", "", "x"], ["", "2", ""], ["3", "4", "y"], ["5", "6", "x"]],
        [["", "", "x"], ["", "", "y"], ["3", "4", "x"], ["5", "6", "y"]],
    ):
        table = read(text_of(rows))
        assert len(table.frame) == 4
        table = read(text_of([["a", "b", "k"], *rows]))
        check(table, rows, ["a", "b", "k"])
        assert table.notes == []


def test_a_line_of_excel_names_the_delimiter() -> None:
    table = read("sep=;\r\n" + text_of([NAMES, *ROWS], ";", "\r\n"))
    check(table)
    assert table.notes == ["skipped a line above the header: 'sep=;' (data.skip_rows)"]


def test_a_comment_that_names_the_columns_is_the_header() -> None:
    table = read("# by numpy\n# a,b,y\n" + "".join(f"{i}.5,{i},{i % 2}\n" for i in range(9)))
    assert list(table.frame.columns) == ["a", "b", "y"]
    assert len(table.frame) == 9
    assert table.notes[-1] == "line 2 is taken for the header, though it is a comment"


@pytest.mark.parametrize(
    ("below", "note"),
    [
        ("# end of log\n", "line 62 left out: comments"),
        ("\nSource: Statistics Office\n", "line 63 left out: text below the table, 'Source: Statistics Office'"),
        (",,\n,,\n", "2 lines (first: line 62) left out: delimiters without a value at the end of the file"),
        ("\x1a", "line 62 left out: text below the table, '\x1a'"),
    ],
)  # fmt: skip
def test_text_below_the_table_is_left_out_and_said(below: str, note: str) -> None:
    table = read(TABLE + below)
    check(table)
    assert table.notes == [note]


def test_what_might_be_a_row_is_refused_and_not_left_out() -> None:
    assert refused(TABLE + "168.6,6") == (
        "d.csv:62: ragged rows: 2 values where the first row has 3"
    )
    assert "d.csv:62: ragged rows" in refused(TABLE + "Source: x\n" + TABLE)


def test_rows_of_delimiters_within_the_table_stay_and_are_said() -> None:
    table = read(text_of([NAMES, *ROWS[:2], ["", "", ""], *ROWS[2:]]))
    check(table, [*ROWS[:2], ["", "", ""], *ROWS[2:]])
    assert table.notes == ["line 4 without a value: all missing"]


@pytest.mark.parametrize(
    "text",
    [
        text_of([[*NAMES, ""], *([*row, ""] for row in ROWS)]),
        text_of([NAMES, *([*row, ""] for row in ROWS)]),
        text_of([[*NAMES, "", ""], *([*row, "", ""] for row in ROWS)]),
    ],
)
def test_delimiters_at_the_ends_of_lines_are_no_column(text: str) -> None:
    table = read(text)
    check(table)
    assert "without a name and values left out (delimiters at line ends)" in table.notes[0]


def test_delimiters_at_the_ends_of_some_lines_are_said() -> None:
    table = read(
        text_of([[*NAMES, ""], *([*row, ""] if i % 2 else row for i, row in enumerate(ROWS))])
    )
    check(table)
    assert table.notes == [
        "30 lines (first: line 3) with delimiters at the end, which were left out"
    ]


def test_a_row_of_text_at_the_end_is_left_out_where_numbers_were_or_below_an_empty_one() -> None:
    for below in ("Source: x,,\n", ",,\nAll rights reserved,,\n"):
        table = read(TABLE + below)
        check(table)
        assert "text below the table" in table.notes[-1]
    kept = read(TABLE + ",,\nall,,\n" + text_of(ROWS))
    assert len(kept.frame) == 122
    rows = [["Köln", "1", ""], ["Graz", "2", ""], ["Wien", "", ""]]
    check(read(text_of([["stadt", "n", "m"], *rows, ["Graz", "5", "1"], *rows])), names=["stadt", "n", "m"],
          rows=[*rows, ["Graz", "5", "1"], *rows])  # fmt: skip


def test_a_value_in_a_column_without_a_name_is_refused() -> None:
    rows = [[*NAMES, ""], *([*row, ""] for row in ROWS * 400)]
    assert refused(text_of([*rows, ["1", "2", "x", "5"]])) == (
        "d.csv:24002: a value in a column that has no name and was empty above; name it, or remove "
        "the value"
    )


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", "::", "   "])
@pytest.mark.parametrize("header", [True, False])
def test_delimiters_are_found(delimiter: str, header: bool) -> None:
    table = read(text_of([NAMES, *ROWS] if header else ROWS, delimiter))
    check(table, names=NAMES if header else ["0", "1", "2"])
    rare = delimiter not in ("\t", ";", "|")
    assert any("columns are set apart by" in note for note in table.notes) == rare


def test_columns_padded_with_blanks_are_read() -> None:
    padded = "".join(f"  {a:>8} {b:>10}   {c}  \n" for a, b, c in ROWS)
    table = read(padded, "padded.data")
    check(table, names=["0", "1", "2"])
    assert table.notes[0] == "columns are set apart by blanks (data.delimiter)"


def test_decimal_commas_do_not_separate_values() -> None:
    for names in ([NAMES], []):
        rows = [[a.replace(".", ","), b.replace(".", ",")] for a, b, _ in ROWS]
        table = read(text_of([*(each[:2] for each in names), *rows], ";"))
        check(table, rows, NAMES[:2] if names else ["0", "1"])


def test_row_names_of_r_are_a_column_without_a_name() -> None:
    rows = [[f"r{i}", *row] for i, row in enumerate(ROWS)]
    table = read(text_of([NAMES, *rows], "\t"))
    check(table, rows, ["0", *NAMES])
    assert table.notes == ["the header has no name for the first column, which holds row names"]


def test_text_that_excel_keeps_from_being_a_number_is_text() -> None:
    for cell in ('="00123"', '"=""00123"""'):
        table = read(f"a,y\n{cell},1\n{cell},2\n")
        assert list(table.frame["a"]) == ["00123", "00123"]
        assert table.notes[-1] == 'in 2 lines ="…" was read as the text between the quotes'


@pytest.mark.parametrize("end", ["\r\n", "\r", "\r\r\n", "\n\r\n"])
def test_line_ends_of_any_program_are_read(end: str) -> None:
    check(read(text_of([NAMES, *ROWS], end=end)))
    check(read(TABLE.replace("\n", end, 30)))  # mixed


def test_blank_lines_in_a_column_are_said() -> None:
    table = read("y\n1\n\n2\n3\n")
    assert list(table.frame["y"]) == ["1", "2", "3"]
    assert table.notes == ["1 blank lines left out"]


# The header.

BELOW = [
    ["0.5", "-1.25", "2.5", "0"],
    ["1.5", "0.25", "-3.5", "1"],
    ["-0.75", "2.0", "1.5", "0"],
] * 5


@pytest.mark.parametrize(
    ("first", "below", "header"),
    [
        (["0", "1", "2", "label"], BELOW, True),
        (["2015", "2016", "2017", "grows"], BELOW, True),
        (["2015", "2016", "2017", "2018"], BELOW, True),
        (["0", "1", "2", "3"], BELOW, True),
        (["202011", "202012", "202101", "202102"], BELOW, True),
        (["id", "2020_01", "2020_02", "churn"], [["c1", *row[1:]] for row in BELOW], True),
        (["id", "2020-01", "2020-02", "2020-03"], [["c1", *row[1:]] for row in BELOW], True),
        (["", "0", "1", "2"], [[str(i), *row[1:]] for i, row in enumerate(BELOW)], True),
        (["350.5", "351.0", "351.5", "352.0"], BELOW, True),
        (["region", "2015", "2016", "y"], [["n", "1", "2", "no"], ["s", "3", "2", "yes"]] * 9, True),
        (["x1", "x2", "x3", "y"], BELOW, True),
        (["a", "a", "x3", "y"], BELOW, True),
        (["kind", "M", "size", "y"], [["u", "M", "1", "0"], ["v", "F", "2", "1"]] * 4, True),
        (["name", "city", "job", "y"], [["a", "x", "p", "t"], ["b", "y", "q", "f"]] * 4, True),
        (["0.25", "1.0", "2.0", "0"], BELOW, False),
        (["5", "3", "9", "1"], BELOW, False),
        (["1", "2", "3", "4"], [["2", "2", "3", "1"], ["4", "1", "3", "2"], ["1", "4", "1", "5"]], False),
        (["1", "2", "3", "4"], [["2", "3", "4", "5"], ["3", "4", "5", "6"]] * 5, False),
        (["2019", "9", "8", "2"], [["2020", "5", "4", "3"], ["2021", "1", "7", "2"]], False),
        (["red", "large", "dip", "T"], [["blue", "small", "dip", "F"], ["red", "large", "s", "T"]] * 4, False),
        (["u", "u", "x", "y"], [["p", "q", "r", "s"]] * 4, False),
        (["75 hp", "12%", "$3", "x"], [["80 hp", "9%", "$4", "x"], ["9 hp", "1%", "$1", "y"]] * 4, False),
        (["unknown", "x", "3", "T"], [["31", "x", "4", "T"], ["32", "x", "5", "T"]] * 9, False),
        (["?", "3", "4", "1"], [["1", "?", "4", "0"], ["2", "3", "5", "1"]] * 4, False),
    ],
)  # fmt: skip
def test_the_first_row_is_compared_with_those_below(
    first: list[str], below: list[list[str]], header: bool
) -> None:
    assert is_header(first, below)[0] == header
    assert read(text_of([first, *below])).named == header


def test_a_header_that_is_guessed_is_said_with_the_key() -> None:
    assert read(text_of([["x1", "x2", "x3", "y"], *BELOW])).notes == []
    assert read(text_of([["0", "1", "2", "3"], *BELOW])).notes == [
        "the first row ('0', '1', '2', …) is taken for the header; is it data? (data.header: false)"
    ]
    assert read(text_of([["a", "b"], ["p", "q"], ["r", "s"]])).notes == [
        "the first row ('a', 'b') is taken for the header; is it data? (data.header: false)"
    ]
    assert read(text_of([["p", "q"], ["p", "q"], ["r", "s"]])).notes == [
        "no header found: the first row ('p', 'q') is data (data.header)"
    ]


def test_equal_names_are_made_different_and_said() -> None:
    table = read("a,b,a,a,a.1\n1,2,3,4,5\n2,3,4,5,6\n")
    assert list(table.frame.columns) == ["a", "b", "a.2", "a.3", "a.1"]
    assert table.notes == ["columns of equal names: the second 'a' is 'a.2', 'a' is 'a.3'"]
    began = time.process_time()
    assert len(set(unique_names(["a"] * 50_000)[0])) == 50_000
    assert time.process_time() - began < 1


def test_a_header_of_positions_is_one_for_new_files_too(nnzoo: Any) -> None:
    rows = [[f"{i % 7}.5", f"{i % 5}.25", f"{i}.5", str(i % 2)] for i in range(40)]
    Path("d.csv").write_text(text_of([["0", "1", "2", "3"], *rows]))
    Path("c.yaml").write_text("data: {name: csv, path: d.csv}\nmodel: mlp\ntrain: {epochs: 1}\n")
    assert nnzoo("train", "--config", "c.yaml").code == 0
    result = nnzoo("predict", "checkpoints/c", "d.csv")
    assert result.code == 0, result.err
    assert len(result.out.splitlines()) == 41


# Notes reach whoever trains and predicts.


def test_notes_of_the_reader_are_notes_of_the_dataset() -> None:
    Path("d.csv").write_text(
        "# by hand\n"
        + text_of([["a", "b", "y"], *[[f"{i}", f"{i % 3}", f"{i % 2}"] for i in range(40)]])
    )
    Path("t.csv").write_text(
        "Title\n"
        + text_of([["a", "b", "y"], *[[f"{i}", f"{i % 3}", f"{i % 2}"] for i in range(9)]])
    )
    options = CsvOptions(name="csv", path="d.csv", test_path="t.csv", split=RowSplit(val=0.2))
    notes = load_csv(options).notes
    assert "skipped a line above the header: '# by hand' (data.skip_rows)" in notes
    assert "t.csv: skipped a line above the header: 'Title' (data.skip_rows)" in notes


# Bounds.


def quick(content: Callable[[], str], seconds: float = 3.0) -> str:
    began = time.process_time()
    message = content()
    assert time.process_time() - began < seconds
    return message


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_packed_text_is_bounded_by_what_it_unpacks_to(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CSV_BYTES", 100_000)
    bomb = pack(b"1,2\n" * 500_000)
    assert refused(bomb) == (
        "d.csv unpacks to more than 100,000 bytes; keep fewer rows or columns, or save it as Parquet"
    )
    if len(bomb) < 10_000:  # in pieces a hundred times its own size is read
        with pytest.raises(DataError, match="unpacks to more than"):
            list(read_chunks("d.csv"))


def test_archives_of_many_files_are_refused_by_their_end() -> None:
    data = bytearray(zipped(TABLE.encode()))
    end = data.rfind(b"PK\x05\x06")
    data[end + 10 : end + 16] = struct.pack("<HI", 60_000, 9)
    assert "holds 60,000 files" in refused(bytes(data))
    data[end + 10 : end + 16] = struct.pack("<HI", 9, 1 << 30)
    assert "very many files or bytes" in refused(bytes(data))


def test_an_excel_file_is_bounded_by_its_parts_and_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    for _ in range(200):
        book.active.append([0] * 20)
    book.save("d.xlsx")
    monkeypatch.setattr(limits, "MAX_EXCEL_CELLS", 3000)
    assert "more than 3,000 cells" in refused(name="d.xlsx")
    monkeypatch.setattr(limits, "MAX_SHEET_BYTES", 50_000)
    assert "d.xlsx unpacks to " in refused(name="d.xlsx")


def test_json_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_JSON", 1000)
    assert "more than 1,000 characters of JSON" in refused(json.dumps(RECORDS))
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_CELLS", 100)
    assert "at most 100 values" in refused(json.dumps(RECORDS))


LONG = "k" * 100_000


def nested_bomb(kind: str) -> pyarrow.Array:
    """So many rows that each name one text of 100 kB, in a type that holds others."""
    count = 30_000
    same = pyarrow.DictionaryArray.from_arrays(np.zeros(count, np.int32), [LONG])
    offsets = np.arange(count + 1, dtype=np.int32)
    if kind == "struct":
        return pyarrow.StructArray.from_arrays([same], ["f"])
    if kind == "list":
        return pyarrow.ListArray.from_arrays(offsets, same)
    return pyarrow.ListArray.from_arrays(
        offsets, pyarrow.StructArray.from_arrays([same, same], ["key", "value"])
    )


@pytest.mark.parametrize("kind", ["struct", "list", "list of structs"])
@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_nested_columns_are_not_unfolded(kind: str, form: str) -> None:
    table = pyarrow.table({"n": nested_bomb(kind), "y": np.arange(30_000)})
    if form == "parquet":
        pyarrow.parquet.write_table(table, "d", compression="zstd", store_schema=False)
    else:
        pyarrow.feather.write_feather(table, "d", compression="zstd")
    began = time.process_time()
    found = read_table("d")
    assert time.process_time() - began < 2
    assert found.frame["n"].isna().all()
    assert list(found.frame["y"]) == list(range(30_000))
    assert found.notes[0].startswith("columns of lists, maps or structs are not read: 'n' (")


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (np.zeros(70_000_000, bool), {}),
        (np.zeros(12_000_000, "datetime64[s]"), {}),
        (pyarrow.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), [LONG]), {}),
        (pyarrow.array([LONG] * 30_000), {"use_dictionary": False, "column_encoding": {"c": "DELTA_BYTE_ARRAY"}}),
        (pyarrow.array([b"x" * 5000], pyarrow.binary(5000)).take(pyarrow.array(np.zeros(110_000, np.int64))), {}),
    ],
    ids=["booleans", "timestamps", "dictionary", "prefixes", "fixed"],
)  # fmt: skip
def test_a_column_of_few_bytes_that_unfolds_to_gigabytes_is_refused(
    column: Any, options: Any
) -> None:
    table = pyarrow.table({"c": column})
    pyarrow.parquet.write_table(table, "d.parquet", compression="zstd", **options)
    assert Path("d.parquet").stat().st_size < 2_000_000
    assert "d.parquet unpacks to " in quick(lambda: refused(name="d.parquet"))


def test_a_footer_that_lies_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes in the footer are one byte's; the pages say what they are."""
    table = pyarrow.table({"c": np.zeros(1_000_000)})
    pyarrow.parquet.write_table(table, "d.parquet", compression="zstd", use_dictionary=False)
    data = bytearray(Path("d.parquet").read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    chunk = pyarrow.parquet.read_metadata("d.parquet").row_group(0).column(0)
    for size in {chunk.total_uncompressed_size}:
        old = varint(2 * size)
        place = data.find(old, footer)
        while place >= 0:
            data[place : place + len(old)] = bytes([0x82]) + b"\x80" * (len(old) - 2) + b"\0"
            place = data.find(old, place + 1)
    Path("d.parquet").write_bytes(data)
    assert (
        pyarrow.parquet.read_metadata("d.parquet").row_group(0).column(0).total_uncompressed_size
        < 10
    )
    monkeypatch.setattr(limits, "MAX_PARQUET_BYTES", 1_000_000)
    assert "d.parquet unpacks to 8," in refused(name="d.parquet")


def varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def test_claims_of_a_footer_cost_no_memory() -> None:
    """A list of a hundred million row groups, in some bytes."""
    pyarrow.parquet.write_table(pyarrow.table({"c": [1]}), "d.parquet")
    data = Path("d.parquet").read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    claim = footer.replace(b"\x19\x1c", b"\x19\xfc" + varint(100_000_000), 2)
    assert claim != footer
    Path("d.parquet").write_bytes(
        data[: -8 - size] + claim + len(claim).to_bytes(4, "little") + b"PAR1"
    )
    message = quick(lambda: refused(name="d.parquet"))
    assert message.startswith("d.parquet is not a readable Parquet file: ")


def test_packed_parts_of_arrow_are_added_up_before_they_are_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pyarrow.feather.write_feather(
        pyarrow.table({"c": np.zeros(1_000_000)}), "d.feather", compression="zstd"
    )
    assert Path("d.feather").stat().st_size < 20_000
    monkeypatch.setattr(limits, "MAX_PARQUET_BYTES", 1_000_000)
    monkeypatch.setattr(pyarrow.ipc, "open_stream", None)
    assert "d.feather unpacks to " in refused(name="d.feather")
    monkeypatch.undo()
    same = pyarrow.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), [LONG])
    pyarrow.feather.write_feather(pyarrow.table({"c": same}), "d.feather", compression="zstd")
    assert "d.feather unpacks to 5,000,000,000 bytes" in quick(lambda: refused(name="d.feather"))


def test_damaged_files_of_columns_end_in_a_message() -> None:
    frame = pandas.DataFrame({"a": range(300), "t": ["u", "v", "w"] * 100})
    frame.to_parquet("d.parquet")
    frame.to_feather("d.feather")
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for name in ("d.parquet", "d.feather"):
        whole = Path(name).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 1):
                data[place] = rng.integers(256)
            Path(name).write_bytes(data)
            try:
                read_table(name)
                outcomes["read"] += 1
            except DataError as error:
                outcomes["refused"] += 1
                assert "\n" not in str(error)
    assert min(outcomes.values()) > 5


def test_init_writes_how_a_file_is_read_and_what_it_guessed(nnzoo: Any) -> None:
    many = [[f"{i}.5", f"{i % 7}.25", "xyz"[i % 3]] for i in range(40)]
    cp1252 = text_of([NAMES, *many], ";").encode("cp1252")
    cases: list[tuple[bytes, str]] = [
        (cp1252, "  encoding: cp1252    # a guess: it is not UTF-8\n"),
        (text_of(many).encode(), "  header: false    # the first row looks like data"),
        (text_of([["2015", "2016", "k"], *many]).encode(), "is taken for the header; is it data?"),
        (
            ("# log\n" + text_of([NAMES, *many])).encode(),
            "# skipped a line above the header: '# log'",
        ),
    ]
    for i, (data, line) in enumerate(cases):
        Path(f"f{i}.csv").write_bytes(data)
        result = nnzoo("init", f"f{i}.csv")
        assert result.code == 0, result.err
        assert line in Path(f"f{i}.yaml").read_text()
        assert nnzoo("train", "--config", f"f{i}.yaml", "--dry-run").code == 0


def test_a_title_above_one_column_is_no_name() -> None:
    table = read("Sales 2020\n\nprice\n" + "".join(f"{i}.5\n" for i in range(30)))
    assert list(table.frame.columns) == ["price"]
    assert len(table.frame) == 30
    assert table.notes == ["skipped a line above the header: 'Sales 2020' (data.skip_rows)"]


def test_rows_brought_to_the_width_of_the_table_stay_so() -> None:
    text = text_of([NAMES, *ROWS[:2]]) + ",,,,\n" + text_of(ROWS[2:]) + "Source: x\n,,\n"
    table = read(text)
    check(table, [*ROWS[:2], ["", "", ""], *ROWS[2:]])
    assert any("text below the table, 'Source: x'" in note for note in table.notes)
