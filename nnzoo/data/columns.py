"""One column of a table: as numbers, as text, what is missing in it, and its name for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nnzoo.config.load import nearest
from nnzoo.config.schema import LARGEST
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "-"]


def mark_missing(frame: pandas.DataFrame, words: list[str] = MISSING) -> pandas.DataFrame:
    """The same table, with None in place of every text that stands for a missing value."""
    import pandas

    text = [not pandas.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    columns = [
        column.where(~column.isin(words), None) if is_text else column
        for column, is_text in zip(columns, text, strict=True)
    ]
    return pandas.concat(columns, axis=1) if columns else frame


def column_name(frame: pandas.DataFrame, column: str | int, key: str) -> str:
    """The name of a column given by name or position; raises DataError naming near ones."""
    names = list(frame.columns)
    if isinstance(column, str) and column in names:
        return column
    if isinstance(column, int):
        if str(column) in names and column >= 0:
            return str(column)
        if -len(names) <= column < len(names):
            return str(names[column])
        raise DataError(f"{key}: no column {column}; the file has {len(names)} columns")
    near = nearest(str(column), names, cutoff=0.5)
    shown = ", ".join(map(shorten, names[:12])) + (", …" if len(names) > 12 else "")
    hint = f"did you mean '{near}'?" if near else f"the file has {shown}"
    raise DataError(f"{key}: no column '{shorten(str(column))}'; {hint}")


def to_numbers(column: pandas.Series) -> np.ndarray:
    """A column as float64; what is no number becomes NaN. Infinite values count as missing."""
    import pandas

    values = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def refuse_huge(column: pandas.Series, values: np.ndarray, source: str) -> None:
    """Numbers that would overflow later, far from where they stand; raises DataError."""
    huge = np.abs(values) > LARGEST
    if huge.any():
        row = int(huge.argmax())
        raise DataError(
            f"{source}: column '{column.name}': '{shorten(str(column.iloc[row]))}' in data row "
            f"{column.index[row] + 1} is beyond ±1e30"
        )


def shorten(value: str, length: int = 40) -> str:
    """A value for a message."""
    return value if len(value) <= length else value[: length - 1] + "…"


def to_text(column: pandas.Series) -> pandas.Series:
    """A column as text, None where a value is missing."""
    present = column.notna().to_numpy()
    values = column.astype(object)
    return values.where(present, None).map(str, na_action="ignore")


def looks_numeric(column: pandas.Series, share: float = 1.0) -> bool:
    """Whether (at least this share of) the values that are there are numbers."""
    import pandas

    if column.dtype == bool:
        return False
    present = column.dropna()
    if not len(present):
        return False
    return bool(pandas.to_numeric(present, errors="coerce").notna().mean() >= share)
