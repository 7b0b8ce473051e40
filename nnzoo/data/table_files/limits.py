"""Bounds of what is read into memory, and the errors of what is beyond them."""

from __future__ import annotations

from pathlib import Path

from nnzoo.errors import DataError

# Text takes many times its size in memory; and of Parquet a few kB can hold billions of rows.
MAX_CSV_BYTES = 1024**3
MAX_PARQUET_BYTES = 2 * 1024**3  # unpacked
MAX_CELLS = 200_000_000
MAX_COLUMNS = 50_000
MAX_NAME = 1000  # characters
MAX_VALUE = 131_072  # characters; Python's reader of CSV takes no more
MAX_ROW = 1 << 27  # characters
MAX_JSON = 1 << 27  # characters
MAX_EXCEL_CELLS = 20_000_000
MAX_SHEET_BYTES = 1 << 29
MAX_ZIP_FILES = 10_000
MAX_ZIP_DIRECTORY = 1 << 24  # bytes
MAX_XZ_MEMORY = 1 << 28  # bytes; level 9 takes 65 million


def refuse_unpacked(file: Path, size: int) -> None:
    if size > MAX_PARQUET_BYTES:
        raise DataError(
            f"{file} unpacks to {size:,} bytes; at most {MAX_PARQUET_BYTES:,}. Keep fewer rows or "
            "columns",
            code="E34",
        )


def refuse_columns(file: Path, columns: int, line: int | None = None) -> None:
    if columns > MAX_COLUMNS:
        where = "" if line is None else f":{line}"
        raise DataError(
            f"{file}{where}: {columns:,} columns; at most {MAX_COLUMNS:,} are read", code="E34"
        )


def refuse_cells(file: Path, rows: int, columns: int) -> None:
    if rows * columns > MAX_CELLS:
        raise DataError(
            f"{file} has {rows:,} rows of {columns:,} columns; at most {MAX_CELLS:,} values are "
            "read. Keep fewer rows or columns",
            code="E34",
        )
