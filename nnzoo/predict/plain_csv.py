"""Plain rows of a CSV as a network reads them, by native code; what is not plain is left to the reader of CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from nnzoo.config.options import MAX_MAGNITUDE
from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.values import MISSING, parse_numbers
from nnzoo.data.data_spec import ColumnSpec, NumberFormat
from nnzoo.data.table_files.csv_layout import Layout
from nnzoo.kernels import build
from nnzoo.kernels.rows import Column, RowReader

Array = np.ndarray[Any, Any]
_USUAL = NumberFormat()
# Python's reader of CSV and this package change lines that hold these before they are cut.
_CHANGED = ('="', "\0", "\ufeff")


@dataclass
class PlainRows:
    """Rows as `encode_columns` makes them, raw (rows, columns) float64, and by the names of columns, in their order, the
    texts that need a note: unknown categories, other spellings, words that count as missing; and how many are missing."""

    raw: Array
    new_categories: dict[str, list[str]] = field(default_factory=dict)
    spellings: dict[str, list[str]] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.raw)


class PlainReader:
    """Reads whole lines of one file. header: the name of each column in the file, None where a row cannot repeat it."""

    def __init__(
        self, reader: RowReader, columns: list[ColumnSpec], header: list[str] | None
    ) -> None:
        self.reader = reader
        self.columns = columns
        self.header = header
        self.categories = [lru_cache(10_000)(_category_reader(column)) for column in columns]

    def __call__(self, text: str) -> PlainRows | None:
        """Return the rows of a text; None where the reader of CSV has to look at them."""
        if any(mark in text for mark in _CHANGED):
            return None
        data = text.encode()
        read = self.reader.read(data)
        if read is None:
            return None
        rows = PlainRows(read[0])
        for i, column in enumerate(self.columns):
            cells = read[1][read[1][:, 0] == i]
            texts = [data[begin:end].decode() for begin, end in cells[:, 2:].tolist()]
            if self.header is not None and self.header[i] in texts:
                return None
            positions = cells[:, 1]
            if column.categories is not None:
                self._set_categories(rows, i, positions, texts)
            elif not self._set_numbers(rows, i, positions, texts):
                return None
        return rows

    def _set_categories(self, rows: PlainRows, i: int, positions: Array, texts: list[str]) -> None:
        name = self.columns[i].name
        for row, text in zip(positions.tolist(), texts, strict=True):
            code, sort = self.categories[i](text)
            rows.raw[row, i] = code
            if sort:
                getattr(rows, sort).setdefault(name, []).append(text)

    def _set_numbers(self, rows: PlainRows, i: int, positions: Array, texts: list[str]) -> bool:
        """Whether all texts are numbers or words for a missing one."""
        column, values = self.columns[i], rows.raw[:, i]
        if texts:
            import pandas

            numbers, unread = parse_numbers(pandas.Series(texts, dtype=str), column.format)
            if unread.any() or (np.abs(numbers) > MAX_MAGNITUDE).any():
                return False
            values[positions] = numbers
            words = [texts[i] for i in np.flatnonzero(np.isnan(numbers))]
            if words:
                rows.words[column.name] = words
        missing = int(np.isnan(values).sum())
        if missing:
            rows.missing[column.name] = missing
        return True


def _category_reader(column: ColumnSpec) -> Callable[[str], tuple[int, str]]:
    """A function that gives the code of a text that is no known category, and the list of `PlainRows` that it is put in."""
    index = LabelIndex(column.categories or [])
    missing = {*MISSING, *column.missing}

    def read(text: str) -> tuple[int, str]:
        code = index.code(text)
        sort = "spellings" if code >= 0 else "" if text.strip() in missing else "new_categories"
        return (-1 if text.strip() in missing else code), sort

    return read


def open_plain(layout: Layout, names: list[str], columns: list[ColumnSpec]) -> PlainReader | None:
    """Return a reader of the plain rows of a file; None if there is none for its layout or the network's columns.

    names: the columns of the file as the network calls them.
    """
    if not build.available() or layout.blank or len(layout.delimiter) != 1:
        return None
    if layout.delimiter == " " or len(set(names)) < len(names):
        return None
    if any(column.name not in names for column in columns):
        return None
    if any(column.categories is None and column.format != _USUAL for column in columns):
        return None
    fields = [names.index(column.name) for column in columns]
    header = None if layout.header is None else [layout.header[i] for i in fields]
    reader = RowReader(
        layout.delimiter,
        layout.width,
        [Column(i, column.categories) for i, column in zip(fields, columns, strict=True)],
    )
    if header is not None and not any(map(_differs, header, columns)):
        return None  # a header that comes again would look like a row
    return PlainReader(reader, columns, header)


def _differs(name: str, column: ColumnSpec) -> bool:
    """Whether the name of a column cannot be one of its values."""
    if column.categories is not None:
        return bool(name) and name not in column.categories
    try:
        float(name)
    except ValueError:
        return bool(name)
    return False
