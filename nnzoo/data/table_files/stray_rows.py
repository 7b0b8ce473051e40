"""Rows of a table that are none of its data: units or questions below the header, totals at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nnzoo.data.columns.number_text import split_number
from nnzoo.data.columns.values import is_missing_word
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

# At most so many at either end, judged by so many rows beside them.
MAX_STRAY, SAMPLED = 3, 200
# A column is one of numbers where this share of the sample is.
MOSTLY = 0.9
_TOTALS = frozenset(
    (
        "total", "totals", "grand total", "grand totals", "overall total", "sum", "sum total", "summe",
        "gesamt", "gesamtsumme", "gesamtergebnis", "insgesamt", "somme", "total general", "total général",
        "total generale", "totale", "totaal", "suma", "soma", "итого", "всего", "razem", "合计", "总计", "合計",
        "総計", "average", "mean", "mittelwert", "durchschnitt", "moyenne", "promedio",
    )
)  # fmt: skip


def without_stray_rows(
    frame: pandas.DataFrame, named: bool = True, below: bool = True
) -> tuple[pandas.DataFrame, list[str]]:
    """The rows that are data, and a line on those left out at either end; named: whether a row of
    the file named the columns; below: whether the last rows are looked at, too. The index keeps counting all rows."""
    import pandas

    if len(frame) < 10 or frame.shape[1] < 2:
        return frame, []
    texts = [not pandas.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    top = _count_above(frame) if named and all(texts) else 0
    end = _count_below(frame) if below else 0
    notes = []
    for where, rows in (("above", range(top)), ("below", range(len(frame) - end, len(frame)))):
        if rows:
            shown = ", ".join(f"{frame.index[i] + 1} ({_shown(frame, i)})" for i in rows)
            notes.append(f"left out {where} the data: data row{'s' * (len(rows) > 1)} {shown}")
    return (frame.iloc[top : len(frame) - end] if notes else frame), notes


def _cells(frame: pandas.DataFrame, row: int) -> list[str]:
    """A row as texts, "" where a cell is empty."""
    values = frame.iloc[row]
    return [
        "" if empty else str(value).strip()
        for value, empty in zip(values.tolist(), values.isna(), strict=True)
    ]


def _shown(frame: pandas.DataFrame, row: int) -> str:
    cells = [f"'{shorten(cell)}'" for cell in _cells(frame, row) if cell]
    return ", ".join(cells[:3]) + ", …" * (len(cells) > 3)


def _is_word(text: str) -> bool:
    return bool(text) and not is_missing_word(text) and split_number(text) is None


def _count_above(frame: pandas.DataFrame) -> int:
    """How many of the first rows have words in all columns that hold numbers below."""
    body = frame.iloc[MAX_STRAY : MAX_STRAY + SAMPLED]
    below: dict[int, tuple[bool, set[str]]] = {}
    count = 0
    for row in range(MAX_STRAY):
        cells = _cells(frame, row)
        words = [i for i, cell in enumerate(cells) if _is_word(cell)]
        if len(words) < 2:
            break
        for i in words:
            if i not in below:
                rest = [str(each).strip() for each in body.iloc[:, i].dropna()]
                kept = [each for each in rest if each and not is_missing_word(each)]
                numbers = sum(split_number(each) is not None for each in kept)
                below[i] = (bool(kept) and numbers >= MOSTLY * len(kept), set(rest))
        of_numbers = [i for i in words if below[i][0]]
        others = [i for i in words if not below[i][0]]
        if any(cells[i] in below[i][1] for i in words) or not of_numbers:
            break
        # A number would say that this is a row of data with slips.
        if any(
            cell and i not in words and not is_missing_word(cell) for i, cell in enumerate(cells)
        ):
            break
        few = [i for i in others if 2 * len(below[i][1]) < len(body)]
        if len(of_numbers) < 2 and not few:
            break
        count += 1
    return count


def _count_below(frame: pandas.DataFrame) -> int:
    """How many of the last rows are totals, or a text in the first cell alone."""
    last = frame.iloc[-SAMPLED - MAX_STRAY : -MAX_STRAY]
    sparse = frame.shape[1] > 2 and int((last.notna() & (last != "")).sum(axis=1).min()) > 1
    count = 0
    for row in range(len(frame) - 1, len(frame) - 1 - MAX_STRAY, -1):
        cells = _cells(frame, row)
        present = [i for i, cell in enumerate(cells) if cell]
        if not present:
            break
        first = present[0]
        alone = sparse and present == [0] and _is_word(cells[0])
        total = cells[first].strip(" :*").casefold() in _TOTALS and len(present) > 1
        if total:  # a category of that name comes again
            total = cells[first] not in {str(each).strip() for each in frame.iloc[:row, first]}
        if not (alone or total or (first > 0 and _sums(frame, row, present))):
            break
        count = len(frame) - row
    return count


def _sums(frame: pandas.DataFrame, row: int, present: list[int]) -> bool:
    """Whether all that a row holds are the sums of the rows above it, of two columns or more."""
    import pandas

    if len(present) < 2:
        return False
    for i in present:
        numbers = pandas.to_numeric(frame.iloc[: row + 1, i], errors="coerce").to_numpy(dtype=float)
        if not np.isfinite(numbers[-1]) or not np.isclose(np.nansum(numbers[:-1]), numbers[-1]):
            return False
    return True
