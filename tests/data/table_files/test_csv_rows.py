"""Rows of CSV: values, and whether the first row names the columns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from nnzoo.data.table_files.csv_rows import is_header, unique_names
from tests.data.table_files.reading import (
    NAMES,
    ROWS,
    TABLE,
    check,
    read,
    text_of,
)


def test_text_that_excel_keeps_from_being_a_number_is_text() -> None:
    for cell in ('="00123"', '"=""00123"""'):
        table = read(f"a,y\n{cell},1\n{cell},2\n")
        assert list(table.frame["a"]) == ["00123", "00123"]
        assert table.notes[-1] == 'in 2 lines ="…" was read as the text between the quotes'


@pytest.mark.parametrize("end", ["\r\n", "\r", "\r\r\n", "\n\r\n"])
def test_line_ends_of_any_program_are_read(end: str) -> None:
    check(read(text_of([NAMES, *ROWS], end=end)))
    check(read(TABLE.replace("\n", end, 30)))  # mixed


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
        (
            ["region", "2015", "2016", "y"],
            [["n", "1", "2", "no"], ["s", "3", "2", "yes"]] * 9,
            True,
        ),
        (["x1", "x2", "x3", "y"], BELOW, True),
        (["a", "a", "x3", "y"], BELOW, True),
        (["kind", "M", "size", "y"], [["u", "M", "1", "0"], ["v", "F", "2", "1"]] * 4, True),
        (["name", "city", "job", "y"], [["a", "x", "p", "t"], ["b", "y", "q", "f"]] * 4, True),
        (["0.25", "1.0", "2.0", "0"], BELOW, False),
        (["5", "3", "9", "1"], BELOW, False),
        (
            ["1", "2", "3", "4"],
            [["2", "2", "3", "1"], ["4", "1", "3", "2"], ["1", "4", "1", "5"]],
            False,
        ),
        (["1", "2", "3", "4"], [["2", "3", "4", "5"], ["3", "4", "5", "6"]] * 5, False),
        (["2019", "9", "8", "2"], [["2020", "5", "4", "3"], ["2021", "1", "7", "2"]], False),
        (
            ["red", "large", "dip", "T"],
            [["blue", "small", "dip", "F"], ["red", "large", "s", "T"]] * 4,
            False,
        ),
        (["u", "u", "x", "y"], [["p", "q", "r", "s"]] * 4, False),
        (
            ["75 hp", "12%", "$3", "x"],
            [["80 hp", "9%", "$4", "x"], ["9 hp", "1%", "$1", "y"]] * 4,
            False,
        ),
        (["unknown", "x", "3", "T"], [["31", "x", "4", "T"], ["32", "x", "5", "T"]] * 9, False),
        (["?", "3", "4", "1"], [["1", "?", "4", "0"], ["2", "3", "5", "1"]] * 4, False),
    ],
)
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
