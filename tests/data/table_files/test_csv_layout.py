"""Layouts of CSV: titles, delimiters, names."""

from __future__ import annotations

import pytest

from tests.data.table_files.reading import (
    NAMES,
    ROWS,
    TABLE,
    check,
    read,
    text_of,
)


@pytest.mark.parametrize(
    ("above", "first"),
    [
        ("# made by logger 1.2\n# units: cm, kg\n", "# made by logger 1.2"),
        (
            '"Data Source","Indicators",\n\n"Last Updated","2026-01-15",\n\n',
            '"Data Source","Indicators",',
        ),
        ("Sales report\n\n", "Sales report"),
        ("Report\nof January 2020\n", "Report"),
        ("Weather station,,\n,,\n", "Weather station,,"),
        ("% one, two, three\n", "% one, two, three"),
        ("Station: 12\nHeight: 30 m, by GPS\n", "Station: 12"),
    ],
)
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
        table = read(text_of([*(item[:2] for item in names), *rows], ";"))
        check(table, rows, NAMES[:2] if names else ["0", "1"])


def test_row_names_of_r_are_a_column_without_a_name() -> None:
    rows = [[f"r{i}", *row] for i, row in enumerate(ROWS)]
    table = read(text_of([NAMES, *rows], "\t"))
    check(table, rows, ["0", *NAMES])
    assert table.notes == ["the header has no name for the first column, which holds row names"]


def test_a_title_above_one_column_is_no_name() -> None:
    table = read("Sales 2020\n\nprice\n" + "".join(f"{i}.5\n" for i in range(30)))
    assert list(table.frame.columns) == ["price"]
    assert len(table.frame) == 30
    assert table.notes == ["skipped a line above the header: 'Sales 2020' (data.skip_rows)"]


def test_a_stated_separator_that_no_row_has_is_skipped_and_said() -> None:
    table = read("sep=,\n" + text_of([NAMES, *ROWS], ";", "\n"))
    assert list(table.frame.columns) == NAMES
    assert table.notes == ["skipped a line above the header: 'sep=,' (data.skip_rows)"]
