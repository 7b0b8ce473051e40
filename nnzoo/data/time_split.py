"""Splits of rows by a column of times: the latest rows test, those before validate, the earliest train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnzoo.config.split_options import RowSplit, ValSplit
from nnzoo.data.row_split import resolve_count
from nnzoo.errors import DataError
from nnzoo.text import Note, plural, shorten

Array = np.ndarray[Any, Any]
KEY = "data.split.by"


def split_in_order(
    times: Array, texts: Sequence[str | None], split: ValSplit, test: bool = True
) -> tuple[dict[str, Array], list[str]]:
    """The rows (int64, sorted) of each part, so that none is later than a row of the next part, nor as late; and notes.

    times: (rows,) larger is later; texts: what the file says of each; test: whether test rows are among these. With
    folds the rows before the test part are cut into one part more than there are folds: a fold validates on one, and
    trains on all before it. Raises DataError where rows are too few, or too many of one time.
    """
    total = len(times)
    held_out = (
        {"test": resolve_count(split.test, total)} if test and isinstance(split, RowSplit) else {}
    )
    if split.folds is None:
        held_out["val"] = resolve_count(split.val, total)
    if sum(held_out.values()) >= total:
        held = " + ".join(f"{count} {name}" for name, count in held_out.items())
        raise DataError.at(
            "data.split",
            f"{held} of {total} rows leave none to train on; hold out fewer",
            code="E43",
        )
    order = np.argsort(times, kind="stable")
    end = total - held_out.get("test", 0)
    if split.folds is None:
        targets = [end - held_out["val"]] * bool(held_out["val"])
    else:
        targets = np.linspace(0, end, split.folds + 2).round().astype(int)[1:-1].tolist()
    cuts = _cuts(times[order], [*targets, *[end] * (end < total)], split)
    stop = cuts.pop() if end < total else total
    first = cuts[split.fold - 1] if split.folds is not None else cuts[0] if cuts else stop
    last = [*cuts, stop][split.fold] if split.folds is not None else stop
    bounds = {"train": (0, first), "val": (first, last)}
    if "test" in held_out:
        bounds["test"] = (stop, total)
    rows = {part: np.sort(order[start:until]) for part, (start, until) in bounds.items()}
    notes = _notes(rows, times, texts, held_out)
    if last < stop:
        text = f"{plural(stop - last, 'row')} between this fold and the test rows are not used"
        notes.append(Note("N15", text))
    return rows, notes


def _cuts(ordered: Array, targets: list[int], split: ValSplit) -> list[int]:
    """The positions nearest to the targets where the time changes, each behind the one before."""
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(changes) < len(targets):
        raise DataError.at(
            KEY if split.folds is None else "data.split.folds",
            f"'{getattr(split, 'by')}' has {plural(len(changes) + 1, 'different value')}, too few for "
            f"{len(targets) + 1} parts in order",
            code="E43",
        )
    cuts: list[int] = []
    end = len(changes)
    for i in range(len(targets) - 1, -1, -1):
        candidates = changes[i:end]
        nearest = i + int(np.abs(candidates - targets[i]).argmin())
        cuts.insert(0, int(changes[nearest]))
        end = nearest
    return cuts


def _notes(
    rows: dict[str, Array], times: Array, texts: Sequence[str | None], held_out: dict[str, int]
) -> list[str]:
    """Lines on the span of each part, and on sizes that equal times have changed."""
    spans = []
    for part, index in rows.items():
        if len(index):
            low, high = index[times[index].argmin()], index[times[index].argmax()]
            first, last = (shorten(str(texts[row]).strip()) for row in (low, high))
            spans.append(f"{part} {first} to {last}" if first != last else f"{part} {first}")
    notes: list[str] = [Note("N15", f"split by time: {', '.join(spans)}")]
    moved = [
        f"{part} has {len(rows[part]):,} rows, not {count:,}"
        for part, count in held_out.items()
        if len(rows[part]) != count
    ]
    if moved:
        notes.append(
            Note("N15", f"rows of one time stay on one side: {', '.join(moved)} (data.split.by)")
        )
    return notes
