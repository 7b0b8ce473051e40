"""Which rows train, validate and test: seeded, stratified for classes, by time for series."""

from __future__ import annotations

import numpy as np

from nnzoo.config.schema import RowSplit, TimeSplit, ValSplit
from nnzoo.errors import DataError


def portion(value: float | int | None, total: int) -> int:
    """A fraction or number of rows as a number of rows."""
    if value is None:
        return 0
    return round(value * total) if isinstance(value, float) else value


def split_rows(
    total: int, options: ValSplit, classes: np.ndarray | None = None, test: bool = True
) -> dict[str, np.ndarray]:
    """Row numbers of train, val and test (each sorted), disjoint and together all rows.

    classes: (rows,) class of each row, to keep the shares of the classes where `stratify` is on.
    test: whether test rows are drawn here too (a `RowSplit`), or lie elsewhere.
    Raises DataError when nothing would be left to train on.
    """
    wanted = {"val": portion(options.val, total)}
    if test and isinstance(options, RowSplit):
        wanted["test"] = portion(options.test, total)
    if sum(wanted.values()) >= total:
        held = " + ".join(f"{count} {name}" for name, count in wanted.items())
        raise DataError(
            f"data.split: {held} of {total} rows leave none to train on; hold out fewer"
        )
    rng = np.random.default_rng([options.seed, 0x5917])
    order = rng.permutation(total)
    if classes is not None and options.stratify:
        order = _interleave(order, classes)
    parts: dict[str, np.ndarray] = {}
    start = 0
    for name in ("test", "val"):
        if name in wanted:
            parts[name] = np.sort(order[start : start + wanted[name]])
            start += wanted[name]
    parts["train"] = np.sort(order[start:])
    return {name: parts[name] for name in ("train", "val", "test") if name in parts}


def _interleave(order: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The rows reordered so that every prefix holds each class in nearly its share."""
    shuffled = classes[order]
    _, inverse, counts = np.unique(shuffled, return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = np.empty(len(order))
    place[by_class] = (rank + 0.5) / np.repeat(counts, counts)
    return order[np.argsort(place, kind="stable")]


def split_time(total: int, options: TimeSplit) -> dict[str, range]:
    """The time steps of train, val and test, in this order; raises DataError."""
    val, test = portion(options.val, total), portion(options.test, total)
    train = total - val - test if options.train is None else portion(options.train, total)
    if train < 1 or train + val + test > total:
        raise DataError(
            f"data.split: {train} + {val} + {test} time steps do not fit into the {total} of the file"
        )
    return {
        "train": range(train),
        "val": range(train, train + val),
        "test": range(train + val, train + val + test),
    }
