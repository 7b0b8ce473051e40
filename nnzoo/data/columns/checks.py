"""Checks of columns: ids, row numbers, codes for a missing value, the target among the inputs, repeated rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.formatting import flow_yaml
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.text import Note, list_some, quoted_name

if TYPE_CHECKING:
    import pandas

# In fewer rows nothing is taken for an id.
FEW_ROWS = 10
_ID_NAMES = frozenset(
    [
        "id",
        "ids",
        "uuid",
        "guid",
        "key",
        "index",
        "idx",
        "nr",
        "no",
        "num",
        "number",
        "rownum",
        "rowid",
        "row",
        "rowname",
        "rownames",
        "unnamed",
        "code",
        "sku",
        "isbn",
        "ean",
        "phone",
        "telefon",
        "ticket",
        "pk",
        "hash",
        "ssn",
        "account",
    ]
)


def id_reason(column: pandas.Series, values: np.ndarray) -> str:
    """The reason why integers are an id: they count the rows, or are unique and named like one."""
    rows = len(values)
    if rows < FEW_ROWS or not np.isfinite(values).all() or (values != np.round(values)).any():
        return ""
    for sign in (1, -1):
        steps = values - sign * column.index.to_numpy()
        if (steps == steps[0]).all():
            return "counts the rows"
    if len(np.unique(values)) < rows:
        return ""
    words = name_words(str(column.name))
    low, high = np.abs(values).min(), np.abs(values).max()
    if (words and words[-1] in _ID_NAMES) or words[:1] == ["id"]:
        return "different in each row, and named like an id"
    if high - low == rows - 1 and rows >= 3 * FEW_ROWS:
        return "each number from 1 to the rows once" if low == 1 else "a number for each row"
    if low >= 1e7 and len(str(int(low))) == len(str(int(high))):
        return f"different in each row, of {len(str(int(high)))} digits"
    return ""


def name_words(name: str) -> list[str]:
    """The words of a column's name: PassengerId is passenger, id."""
    parts = re.findall(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+", name)
    return [part.casefold() for part in parts]


def sentinel_notes(values: np.ndarray) -> list[str]:
    """A line on values such as -999, or -9 beside -99, that many rows have, far beyond all others."""
    present = values[np.isfinite(values)]
    if len(present) < FEW_ROWS:
        return []
    codes = _negative_codes(present)
    rest = present[~np.isin(present, codes)]
    while (code := _far_code(rest)) is not None:
        codes.append(code)
        rest = rest[rest != code]
    if not codes:
        return []
    words = ", ".join(f'"{code:g}"' for code in codes)
    several = len(codes) > 1
    return [
        Note(
            "W45",
            f"{' and '.join(f'{code:g}' for code in codes)} {'are' if several else 'is'} in "
            f"{len(present) - len(rest):,} rows, far from all others (data.missing: [{words}] where "
            f"{'they are no values' if several else 'it is no value'})",
        )
    ]


def _is_nines(value: float) -> bool:
    return np.isfinite(value) and value == round(value) and set(f"{abs(value):.0f}") == {"9"}


def _negative_codes(values: np.ndarray) -> list[float]:
    """The values below 0 where all are codes, of nines or next to one (-9, -8, -7), in several rows
    each, and most values are from 0 on."""
    below, rows = np.unique(values[values < 0], return_counts=True)
    if not 0 < len(below) <= 4 or rows.min() < 2 or 2 * rows.sum() > len(values):
        return []
    codes: list[float] = []
    for value in below.tolist():
        beside_code = len(codes) > 0 and value == codes[-1] + 1
        if not _is_nines(value) and not beside_code:
            return []
        codes.append(value)
    return codes


def _far_code(values: np.ndarray) -> float | None:
    """The least or largest value where it is one of nines in several rows, and far from all others."""
    for extreme in (values.min(initial=np.inf), values.max(initial=-np.inf)):
        others = values[values != extreme]
        if extreme == 9 or not _is_nines(extreme) or not 0 < len(others) <= len(values) - 2:
            continue
        if np.abs(others - extreme).min() > others.max() - others.min():
            return float(extreme)
    return None


def target_copies(
    columns: list[ColumnSpec], x: np.ndarray, y: np.ndarray, classes: bool
) -> list[str]:
    """A line on columns of training rows that are the target in other words.

    x: (rows, columns), NaN for missing; y: (rows,) codes or numbers.
    """
    if len(y) < 10:
        return []
    listed = []
    for i, column in enumerate(columns):
        values = x[:, i]
        if not np.isfinite(values).all():
            continue
        if classes:
            kinds, codes = np.unique(values, return_inverse=True)
            few = 2 <= len(kinds) <= max(2, len(y) // 5)
            if few and len(np.unique(codes * (int(y.max()) + 1) + y)) == len(kinds):
                one = len(kinds) == len(np.unique(y))
                listed.append(
                    (
                        column.name,
                        "one value for each class" if one else "determines the class of each row",
                    )
                )
        elif values.std() > 0 and y.std() > 0:
            correlation = abs(np.corrcoef(values, y)[0, 1])
            if correlation > 1 - 1e-9:
                listed.append((column.name, "a straight line of it"))
    if not listed:
        return []
    shown = list_some([f"{quoted_name(name)} ({what})" for name, what in listed], 6, counted=True)
    drop = flow_yaml([name for name, _ in listed])
    text = f"the target is among the inputs in other words: {shown}; data.drop: {drop}"
    return [Note("W43", text)]


def imputation_notes(columns: list[ColumnSpec], parts: Iterable[np.ndarray], how: str) -> list[str]:
    """A line on how many values are filled in, and how many rows have none of a column's categories."""
    arrays = list(parts)
    filled: list[str] = []
    none: list[str] = []
    for i, column in enumerate(columns):
        test: Callable[[np.ndarray], Any] = np.isnan if column.categories is None else _negative
        count = sum(int(test(rows[:, i]).sum()) for rows in arrays)
        if count:
            (none if column.categories is not None else filled).append(
                f"{count:,} of {quoted_name(column.name)}"
            )
    what = {"mean": "the mean", "median": "the median", "zero": "zero"}[how]
    notes: list[str] = (
        [Note("N06", f"missing values filled with {what}: {list_some(filled, 6, counted=True)}")]
        if filled
        else []
    )
    return notes + (
        [Note("N06", f"rows without a known category: {list_some(none, 6, counted=True)}")]
        if none
        else []
    )


def _negative(values: np.ndarray) -> np.ndarray:
    return values < 0
