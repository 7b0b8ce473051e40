"""Which rows train, validate and test: at random, by groups, or by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnzoo.config.split_options import RowSplit, TimeSplit, ValSplit
from nnzoo.data.group_split import KEY, assign_groups, check_division, group_codes
from nnzoo.errors import DataError


def resolve_count(value: float | int | None, total: int) -> int:
    """A fraction or number of rows as a number of rows."""
    if value is None:
        return 0
    return round(value * total) if isinstance(value, float) else value


def split_rows(
    total: int,
    options: ValSplit,
    classes: np.ndarray | None = None,
    test: bool = True,
    groups: Sequence[Any] | None = None,
) -> dict[str, np.ndarray]:
    """Row numbers of train, val and test (each sorted), disjoint and together all rows.

    classes: (rows,) class of each row, to keep the class frequencies where `stratify` is on.
    test: whether test rows are drawn here too (a `RowSplit`), or exist elsewhere. With `folds` the test
    rows are the same, and the others are cut into parts of which one validates. groups: (rows,) of each row,
    as text: the rows of one are in one part.
    Raises DataError when nothing would be left to train on.
    """
    target_values = {"val": resolve_count(options.val, total) if options.folds is None else 0}
    if test and isinstance(options, RowSplit):
        target_values["test"] = resolve_count(options.test, total)
    if sum(target_values.values()) >= total:
        held = " + ".join(f"{count} {name}" for name, count in target_values.items())
        raise DataError.at(
            "data.split",
            f"{held} of {total} rows leave none to train on; hold out fewer",
            code="E43",
        )
    rng = np.random.default_rng([options.seed, 0x5917])
    if groups is not None:
        kept = classes if options.stratify else None
        return _split_groups(groups, options, kept, target_values, rng)
    order = rng.permutation(total)
    if classes is not None and options.stratify:
        order = _interleave(order, classes)
    start = target_values.get("test", 0)
    end = start + target_values["val"]
    parts = {"test": order[:start]} if "test" in target_values else {}
    if options.folds is not None:
        # Every run of rows in this order has the class frequencies of the whole, so each fold does too.
        cuts = np.linspace(start, total, options.folds + 1).round().astype(int)
        if len(np.unique(cuts)) < len(cuts):
            raise DataError.at(
                "data.split.folds",
                f"{total - start} rows do not fill {options.folds} parts",
                code="E43",
            )
        start, end = cuts[options.fold - 1], cuts[options.fold]
    parts["val"] = order[start:end]
    parts["train"] = np.concatenate([order[target_values.get("test", 0) : start], order[end:]])
    return {name: np.sort(parts[name]) for name in ("train", "val", "test") if name in parts}


def _split_groups(
    groups: Sequence[Any],
    options: ValSplit,
    classes: np.ndarray | None,
    held_out: dict[str, int],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """`split_rows` with whole groups; held_out: the rows of val and test."""
    codes, labels = group_codes(groups)
    sizes: dict[str, float] = {part: count for part, count in held_out.items() if count}
    rest = len(codes) - sum(sizes.values())
    names = ["train"] if options.folds is None else [f"fold {i + 1}" for i in range(options.folds)]
    sizes |= dict.fromkeys(names, rest / len(names))
    rows = assign_groups(codes, classes, sizes, rng)
    joined = getattr(options, "duplicates", "keep") == "together"
    check_division(rows, sizes, codes, labels, "data.split.duplicates" if joined else KEY)
    if options.folds is not None:
        val = rows.pop(f"fold {options.fold}")
        train = np.concatenate([rows.pop(name) for name in names if name in rows])
        rows |= {"val": val, "train": np.sort(train)}
    nothing = np.zeros(0, dtype=np.int64)
    parts = ["train", "val", *(["test"] if "test" in held_out else [])]
    return {part: rows.get(part, nothing) for part in parts}


def _interleave(order: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The rows reordered so that every prefix has nearly the class frequencies of the whole."""
    shuffled = classes[order]
    _, inverse, counts = np.unique(shuffled, return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    position = np.empty(len(order))
    position[by_class] = (rank + 0.5) / np.repeat(counts, counts)
    return order[np.argsort(position, kind="stable")]


def split_time(total: int, options: TimeSplit) -> dict[str, range]:
    """The time steps of train, val and test, in this order; raises DataError."""
    val, test = resolve_count(options.val, total), resolve_count(options.test, total)
    train = total - val - test if options.train is None else resolve_count(options.train, total)
    if train < 1 or train + val + test > total:
        raise DataError.at(
            "data.split",
            f"{train} + {val} + {test} time steps do not fit into the {total} of the file",
            code="E43",
        )
    return {
        "train": range(train),
        "val": range(train, train + val),
        "test": range(train + val, train + val + test),
    }
