"""Excel files: the first sheet, notes, bounds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.table_io import read_table
from nnzoo.errors import UsageError
from tests.data.table_files.reading import (
    NAMES,
    ROWS,
    refused,
)


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


def test_an_excel_file_is_bounded_by_its_parts_and_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    for _ in range(200):
        book.active.append([0] * 20)
    book.save("d.xlsx")
    monkeypatch.setattr(limits, "MAX_EXCEL_CELLS", 3000)
    assert "more than 3,000 cells" in refused(name="d.xlsx")
    monkeypatch.setattr(limits, "MAX_SHEET_BYTES", 50_000)
    assert "d.xlsx unpacks to " in refused(name="d.xlsx")
