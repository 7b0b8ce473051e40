"""The first sheet of an Excel file as the CSV that Excel would save."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.file_format import Source
from nnzoo.errors import DataError, NnzooError, first_line, require
from nnzoo.text import Note, shorten

# A formula whose result was not stored: the program that wrote the file did not reckon.
_UNSOLVED = re.compile(
    rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)


def excel_as_text(file: Path) -> tuple[Source, list[str]]:
    """The values of the first sheet as a CSV of UTF-8, and notes on what else the file holds.

    Raises UsageError without the package that reads Excel files, DataError for damaged or too large
    ones, before they are unpacked.
    """
    require("excel", f"{file} is an Excel file, which", "openpyxl")
    try:
        _refuse_large(file)
        rows, notes = _read(file)
    except NnzooError:
        raise
    except Exception as error:  # what openpyxl raises has no common ground but this
        raise DataError(
            f"{file} is not a readable Excel file: {first_line(error)}", code="E33"
        ) from None
    data = _written(file, rows)

    def opened() -> BinaryIO:
        return io.BytesIO(data)

    return Source(file, "text", opened, packed=True), notes


def _refuse_large(file: Path) -> None:
    """Refuse parts that unpack to more than is read; they cannot unpack to more than they say."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            sheet = info.filename.startswith("xl/worksheets/")
            shared = info.filename == "xl/sharedStrings.xml"
            limit = limits.MAX_SHEET_BYTES // (1 if sheet else 2 if shared else 8)
            if info.file_size > limit and info.filename.endswith((".xml", ".rels")):
                raise DataError(
                    f"{file} unpacks to {info.file_size:,} bytes ({shorten(info.filename)}); at most "
                    f"{limit:,}. Save it as CSV or Parquet",
                    code="E34",
                )


def _read(file: Path) -> tuple[list[list[Any]], list[str]]:
    import warnings

    import openpyxl

    with warnings.catch_warnings(), file.open("rb") as binary:
        warnings.simplefilter("ignore")  # of drawings and rules that no value depends on
        book = openpyxl.load_workbook(binary, read_only=True, data_only=True, keep_links=False)
        try:
            if not book.worksheets:
                raise DataError(f"{file} has no sheet of cells", code="E37")
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what the file says of its size may be wrong
            rows: list[list[Any]] = []
            count = 0
            for row in sheet.iter_rows(values_only=True):
                width = len(row)
                while width and row[width - 1] is None:
                    width -= 1
                count += max(1, width)
                if count > limits.MAX_EXCEL_CELLS:
                    raise DataError(
                        f"{file} has more than {limits.MAX_EXCEL_CELLS:,} cells; save it as CSV or "
                        "Parquet",
                        code="E34",
                    )
                limits.refuse_columns(file, width, len(rows) + 1)
                rows.append(list(row[:width]))
            names = [f"'{shorten(worksheet.title, 20)}'" for worksheet in book.worksheets]
            part = sheet._worksheet_path
        finally:
            book.close()
    notes: list[str] = []
    if len(names) > 1:
        shown = ", ".join(names[1:5]) + (", …" if len(names) > 5 else "")
        notes.append(
            Note("N22", f"sheet {names[0]} is read, the first of {len(names)} (not read: {shown})")
        )
    unsolved = _count_unsolved(file, part.lstrip("/"))
    if unsolved:
        text = (
            f"{unsolved:,} formulas without a stored result count as missing; open and save {file.name} "
            "in a spreadsheet first"
        )
        notes.append(Note("N22", text))
    return rows, notes


def _count_unsolved(file: Path, part: str) -> int:
    count = 0
    with zipfile.ZipFile(file) as archive, archive.open(part) as sheet:
        rest = b""
        while data := sheet.read(1 << 20):
            data = rest + data
            cut = data.rfind(b"</row>")
            whole, rest = (data[: cut + 6], data[cut + 6 :]) if cut >= 0 else (b"", data)
            count += len(_UNSOLVED.findall(whole))
    return count


def _written(file: Path, rows: list[list[Any]]) -> bytes:
    """Rows of one width as CSV; if any date in a column has a time of day, all have."""
    width = max(map(len, rows), default=0)
    timed = {
        j
        for row in rows
        for j, value in enumerate(row)
        if isinstance(value, datetime) and value.time() != time()
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        cells = [_cell(value, j in timed) for j, value in enumerate(row)]
        writer.writerow(cells + [""] * (width - len(cells)))
        if text.tell() > limits.MAX_CSV_BYTES:
            raise DataError(
                f"{file} unpacks to more than {limits.MAX_CSV_BYTES:,} bytes of text", code="E34"
            )
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any, timed: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ") if timed else value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
