"""Rows of CSV below the header: what is left out and reported."""

from __future__ import annotations

import pytest

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
    ("below", "note"),
    [
        ("# end of log\n", "line 62 left out: comments"),
        (
            "\nSource: Statistics Office\n",
            "line 63 left out: text below the table, 'Source: Statistics Office'",
        ),
        (
            ",,\n,,\n",
            "2 lines (first: line 62) left out: delimiters without a value at the end of the file",
        ),
        ("\x1a", "line 62 left out: text below the table, '\x1a'"),
    ],
)
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
    check(
        read(text_of([["stadt", "n", "m"], *rows, ["Graz", "5", "1"], *rows])),
        names=["stadt", "n", "m"],
        rows=[*rows, ["Graz", "5", "1"], *rows],
    )


def test_a_value_in_a_column_without_a_name_is_refused() -> None:
    rows = [[*NAMES, ""], *([*row, ""] for row in ROWS * 400)]
    assert refused(text_of([*rows, ["1", "2", "x", "5"]])) == (
        "d.csv:24002: a value in a column that has no name and was empty above; name it, or remove "
        "the value"
    )


def test_blank_lines_in_a_column_are_said() -> None:
    table = read("y\n1\n\n2\n3\n")
    assert list(table.frame["y"]) == ["1", "2", "3"]
    assert table.notes == ["1 blank lines left out"]


def test_rows_brought_to_the_width_of_the_table_stay_so() -> None:
    text = text_of([NAMES, *ROWS[:2]]) + ",,,,\n" + text_of(ROWS[2:]) + "Source: x\n,,\n"
    table = read(text)
    check(table, [*ROWS[:2], ["", "", ""], *ROWS[2:]])
    assert any("text below the table, 'Source: x'" in note for note in table.notes)
