"""Which rows train, validate and test: seeded, stratified for classes, by time for series."""

from __future__ import annotations

import numpy as np

from nnzoo.config.data_options import RowSplit, TimeSplit, ValSplit
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
    test: whether test rows are drawn here too (a `RowSplit`), or lie elsewhere. With `folds` the test
    rows are the same, and the others are cut into parts of which one validates.
    Raises DataError when nothing would be left to train on.
    """
    wanted = {"val": portion(options.val, total) if options.folds is None else 0}
    if test and isinstance(options, RowSplit):
        wanted["test"] = portion(options.test, total)
    if sum(wanted.values()) >= total:
        held = " + ".join(f"{count} {name}" for name, count in wanted.items())
        raise DataError.at(
            "data.split", f"{held} of {total} rows leave none to train on; hold out fewer"
        )
    rng = np.random.default_rng([options.seed, 0x5917])
    order = rng.permutation(total)
    if classes is not None and options.stratify:
        order = _interleave(order, classes)
    start = wanted.get("test", 0)
    end = start + wanted["val"]
    parts = {"test": order[:start]} if "test" in wanted else {}
    if options.folds is not None:
        # Neighbours in this order hold each class in its share, so each part does too.
        cuts = np.linspace(start, total, options.folds + 1).round().astype(int)
        if len(np.unique(cuts)) < len(cuts):
            raise DataError.at(
                "data.split.folds", f"{total - start} rows do not fill {options.folds} parts"
            )
        start, end = cuts[options.fold - 1], cuts[options.fold]
    parts["val"] = order[start:end]
    parts["train"] = np.concatenate([order[wanted.get("test", 0) : start], order[end:]])
    return {name: np.sort(parts[name]) for name in ("train", "val", "test") if name in parts}


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
        raise DataError.at(
            "data.split",
            f"{train} + {val} + {test} time steps do not fit into the {total} of the file",
        )
    return {
        "train": range(train),
        "val": range(train, train + val),
        "test": range(train + val, train + val + test),
    }
