"""What the values of a table say together: the target among the inputs, repeated rows, gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nnzoo.config.formatting import flow_yaml
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.text import list_some, quoted_name


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
                        "one value for each class" if one else "tells the class of each row",
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
    return [f"the target is among the inputs in other words: {shown}; data.drop: {drop}"]


def repeated_rows(train: np.ndarray, others: dict[str, np.ndarray]) -> list[str]:
    """A line on rows of other splits whose inputs are those of a training row."""
    # Hashes of 64 bits take little memory, and hardly ever fall together.
    known = {hash(row.tobytes()) for row in np.ascontiguousarray(train)}
    counts = {
        part: sum(hash(row.tobytes()) in known for row in np.ascontiguousarray(rows))
        for part, rows in others.items()
    }
    texts = [
        f"{count:,} of {len(others[part]):,} {part} rows" for part, count in counts.items() if count
    ]
    return [f"equal a training row in all inputs: {', '.join(texts)}"] if texts else []


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
    notes = (
        [f"missing values filled with {what}: {list_some(filled, 6, counted=True)}"]
        if filled
        else []
    )
    return notes + (
        [f"rows without a known category: {list_some(none, 6, counted=True)}"] if none else []
    )


def _negative(values: np.ndarray) -> np.ndarray:
    return values < 0
