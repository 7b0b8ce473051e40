"""Numbers that mean something else: ids, row numbers, and values that stand for no value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas

# In fewer rows nothing is taken for an id.
FEW_ROWS = 10
_ID_NAMES = frozenset(
    (
        "id", "ids", "uuid", "guid", "key", "index", "idx", "nr", "no", "num", "number", "rownum", "rowid",
        "row", "rowname", "rownames", "unnamed", "code", "sku", "isbn", "ean", "phone", "telefon", "ticket",
        "pk", "hash", "ssn", "account",
    )
)  # fmt: skip


def id_reason(column: pandas.Series, values: np.ndarray) -> str:
    """Why whole numbers are an id: they count the rows, or are all different and named like one."""
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


def sentinels(values: np.ndarray) -> list[str]:
    """A line on a value such as -999 that many rows have, far beyond all others."""
    present = values[np.isfinite(values)]
    if len(present) < FEW_ROWS:
        return []
    remarks = []
    for extreme in (present.min(), present.max()):
        digits = f"{abs(extreme):.0f}"
        if extreme != round(extreme) or set(digits) != {"9"} or extreme == 9:
            continue
        count, others = int((present == extreme).sum()), present[present != extreme]
        if count < 2 or not len(others):
            continue
        distance = np.abs(others - extreme).min()
        alone = extreme < 0 <= others.min()  # a code below what is counted from 0
        if alone or distance > (others.max() - others.min()):
            remarks.append(
                f"{extreme:g} stands in {count:,} rows, far from all others (data.missing: "
                f'["{extreme:g}"] where it is no value)'
            )
    return remarks
