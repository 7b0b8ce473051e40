"""A few rows of a data frame as a network reads them, without a question per column where nothing is to be noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.options import MAX_MAGNITUDE
from nnzoo.data.data_spec import ColumnSpec, NumberFormat

if TYPE_CHECKING:
    import pandas

MAX_ROWS = 64
"""More rows are read faster column by column."""
_USUAL = NumberFormat()
_NUMBERS = (float, int, np.float64, np.float32, np.int64, np.int32)


def plain_rows(frame: pandas.DataFrame, columns: list[ColumnSpec]) -> Tensor | None:
    """Return the rows (rows, columns) float64 that `encode_columns` makes of a frame, if every number in it is finite and
    every category is spelled as in training; None otherwise, and for more than MAX_ROWS rows."""
    if not 0 < len(frame) <= MAX_ROWS:
        return None
    names: list[object] = list(frame.columns)
    place = {name: i for i, name in enumerate(names)}
    # Columns by position are renamed, and of those of one name each would be read.
    if len(place) < len(names) or "0" in place or 0 in place:
        return None
    try:
        used = [place[column.name] for column in columns]
    except KeyError:
        return None
    cells = frame.to_numpy()
    if cells.dtype in (np.float64, np.int64):
        if any(column.categories is not None or column.format != _USUAL for column in columns):
            return None
        raw = cells[:, used].astype(np.float64)
    else:
        rows = [_read_row([row[i] for i in used], columns) for row in cells.tolist()]
        if None in rows:
            return None
        raw = np.array(rows, dtype=np.float64)
    # nan fails it, too.
    return torch.from_numpy(raw) if (np.abs(raw) <= MAX_MAGNITUDE).all() else None


def _read_row(cells: list[object], columns: list[ColumnSpec]) -> list[float] | None:
    """The numbers and codes of a row; None if a cell is something else."""
    row = []
    for cell, column in zip(cells, columns, strict=True):
        if column.categories is None:
            if type(cell) not in _NUMBERS or column.format != _USUAL:
                return None
            row.append(float(cell))  # type: ignore[arg-type]
        elif type(cell) is str and (code := column.codes.get(cell)) is not None:
            row.append(float(code))
        else:
            return None
    return row
