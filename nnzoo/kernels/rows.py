"""Plain rows of a CSV as numbers: the columns that a network reads, without a text per cell."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnzoo.kernels.build import library
from nnzoo.kernels.call import struct_fields

Array = np.ndarray[Any, Any]
MAX_VALUE = 131_072
"""Bytes of a cell; Python's reader of CSV takes as many characters."""


class Column(NamedTuple):
    """A column of numbers, or of `categories` with their codes 0, 1, …; field: its place in a row of the file."""

    field: int
    categories: Sequence[str] | None = None


class RowReader:
    """Reads the rows of a text as float64 (rows, columns).

    width: values per row of the file. Numbers are the nearest doubles, as
    Python and pandas read them.
    """

    def __init__(self, delimiter: str, width: int, columns: Sequence[Column]) -> None:
        self.delimiter, self.width, self.num_columns = ord(delimiter), width, len(columns)
        texts: list[bytes] = []
        codes: list[int] = []
        entries = []
        for place, column in enumerate(columns):
            first = len(texts)
            known = sorted(
                (text.encode(), code) for code, text in enumerate(column.categories or [])
            )
            texts += [text for text, _ in known]
            codes += [code for _, code in known]
            is_category = column.categories is not None
            entries.append((column.field, place, is_category, first, len(texts)))
        layout, fields = struct_fields("rows_column")
        assert list(fields) == ["field", "place", "is_category", "first", "last"]
        self._entries = b"".join(struct.pack(layout, *entry) for entry in sorted(entries))
        self._texts = np.frombuffer(b"".join(texts) + b"\0", np.uint8)
        self._starts = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        self._codes = np.array([*codes, 0], np.int64)

    def read(self, text: bytes) -> tuple[Array, Array] | None:
        """Return the numbers of whole lines of UTF-8, and the cells that are open: neither empty nor a plain number or
        known category, (cells, 4) int64 of column, row, begin and end in the text, in the order of the rows.

        Empty and open cells are NaN, or -1 for a category. None if a line is not a plain row, or a quarter of the cells
        is open.
        """
        rows = text.count(b"\n") + 1
        values = np.empty((rows, self.num_columns))
        open_cells = np.empty((values.size // 4 + 16, 4), np.int64)
        num_open = np.zeros(1, np.int64)
        data = np.frombuffer(text, np.uint8)
        layout, fields = struct_fields("rows_args")
        arrays: dict[str, Array] = {
            "text": data,
            "texts": self._texts,
            "starts": self._starts,
            "codes": self._codes,
            "values": values,
            "open": open_cells,
            "num_open": num_open,
        }
        sizes = {
            "length": len(text),
            "delimiter": self.delimiter,
            "width": self.width,
            "columns": self.num_columns,
            "max_rows": rows,
            "max_open": len(open_cells),
            "max_value": MAX_VALUE,
        }
        filled = fields | sizes | {name: array.ctypes.data for name, array in arrays.items()}
        count = library().nnzoo_read_rows(struct.pack(layout, *filled.values()) + self._entries)
        return None if count < 0 else (values[:count], open_cells[: num_open[0]])
