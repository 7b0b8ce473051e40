"""Tables with a recording per row: its values over time, and its target first or last (`.tsv` of UCR, wide CSV)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.values import column_name, looks_numeric
from nnzoo.data.recording_files.columns import (
    NumberColumns,
    TableOptions,
    find_roles,
    named_target,
    texts_by_row,
    texts_of,
)
from nnzoo.data.recording_files.recording import Recordings, RecordingsBuilder, Shaping
from nnzoo.data.table_files.table_io import Table, read_chunks
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class WidePlan:
    """The roles of the columns of a wide table.

    steps: of each channel the columns of its time steps, in order; channels: their names; named: whether
    names of columns tell channels apart.
    """

    target: str | None
    roles: dict[str, str]
    steps: list[list[str]]
    channels: list[str]
    named: bool
    notes: list[str]


def read_wide(
    path: str, options: TableOptions, shaping: Shaping, tables: Iterable[Table] | None = None
) -> Recordings:
    """Read a table with a recording per row; empty cells at the end of a row are a shorter recording.

    tables: its chunks, where it is in memory. Raises DataError naming the row of what cannot be read.
    """
    builder = RecordingsBuilder(path, shaping, padded=True)
    plan: WidePlan | None = None
    numbers, named = NumberColumns(path, options.values, together=True), False
    for table in tables or read_chunks(path, options.reading):
        frame = table.frame
        builder.notes += table.notes
        if plan is None:
            named, width = table.named, len(frame.columns)
            plan = plan_wide(frame, path, options, named)
            builder.notes += plan.notes
        columns = [name for channel in plan.steps for name in channel]
        values = numbers.read(frame[columns]).reshape(len(frame), len(plan.steps), -1)
        targets = texts_of(frame, plan.target)
        roles = texts_by_row(frame, plan.roles)
        for i, row in enumerate(frame.index.tolist()):
            builder.add(values[i].T, str(row + 1), f"data row {row + 1}", targets[i], roles[i])
    assert plan is not None
    return builder.build(
        plan.channels if plan.named else None,
        target=plan.target or "target",
        header=named,
        width=None if named else width,
        notes=numbers.notes,
    )


def plan_wide(frame: pandas.DataFrame, path: str, options: TableOptions, named: bool) -> WidePlan:
    """The roles of the columns by their names and the first rows; raises DataError."""
    names = list(frame.columns)
    notes: list[str] = []
    if options.target is not None:
        if options.need_target or options.target in names or isinstance(options.target, int):
            target: str | None = column_name(frame, options.target, "data.target")
        else:
            target = None
    else:
        target = _find_target(frame, path, named, options)
        notes += (
            [Note("N01", f"target: column '{shorten(target)}' (data.target)")] if target else []
        )
    roles = find_roles(frame, options)
    others = [name for name in names if name not in (target, *roles.values())]
    channels = _channels_by_name(others) if named else {}
    if not channels:
        steps = others
        if named:
            texts = [name for name in others if not looks_numeric(frame[name], 0.5)]
            texts = [name for name in texts if frame[name].notna().any()]
            if 0 < len(texts) < len(others) / 2:
                steps = [name for name in others if name not in texts]
        channels = {"": steps}
    used = {name for columns in channels.values() for name in columns}
    if unused := [quoted_name(name) for name in others if name not in used]:
        notes.append(
            Note("N08", f"no time steps, and left out: {list_some(unused, 6, counted=True)}")
        )
    if not used:
        raise DataError.at("data.path", f"{path} has no columns of time steps", code="E38")
    return WidePlan(
        target, roles, list(channels.values()), list(channels), len(channels) > 1, notes
    )


def _find_target(
    frame: pandas.DataFrame, path: str, named: bool, options: TableOptions
) -> str | None:
    """The target where none is stated: by its name, else the first or last column."""
    names = list(frame.columns)
    if named and (by_name := named_target(names)):
        return by_name
    if not options.need_target:
        return None
    if path.lower().endswith(".tsv") and not named:
        return names[0]
    first, last = (_like_labels(frame[name]) for name in (names[0], names[-1]))
    return names[0] if first and not last else names[-1]


def _like_labels(column: pandas.Series) -> bool:
    """Whether the values are texts or few whole numbers, each of several rows."""
    if not looks_numeric(column):
        return True
    import pandas

    values = pandas.to_numeric(column).dropna().to_numpy(np.float64)
    distinct = len(np.unique(values))
    return bool((values == np.round(values)).all()) and distinct <= max(2, len(values) // 2)


def _channels_by_name(names: list[str]) -> dict[str, list[str]]:
    """The time steps of each channel where names are numbered as x_0, x_1, …, y_0, y_1, …; none where they are not.

    The number that counts the steps is the last one, or the one behind "t", "time" or "step".
    """
    numbered: dict[str, dict[int, str]] = {}
    for name in names:
        numbers = list(_NUMBER.finditer(name))
        if not numbers:
            continue
        marked = [
            n
            for n in numbers
            if re.search(r"(?i)(^|[^a-z])(t|time|step)[\W_]*$", name[: n.start()])
        ]
        number = marked[0] if len(marked) == 1 else numbers[-1]
        rest = f"{name[: number.start()]}\0{name[number.end() :]}"
        numbered.setdefault(rest, {})[int(number[0])] = name
    longest = max(map(len, numbered.values()), default=0)
    channels = {rest: steps for rest, steps in numbered.items() if len(steps) == longest}
    counts = {tuple(sorted(steps)) for steps in channels.values()}
    if longest < 2 or len(counts) > 1 or longest * len(channels) < len(names) / 2:
        return {}
    numbers_ = next(iter(counts))
    if numbers_ != tuple(range(numbers_[0], numbers_[0] + longest)):
        return {}
    bare = {
        rest: re.sub(r"(?i)[\W_]*(?<![a-z])(t|time|step)?[\W_]*\0[\W_]*", "", rest)
        for rest in channels
    }
    named = len(set(bare.values())) == len(bare) and all(bare.values())
    return {
        bare[rest] if named else rest.replace("\0", ""): [steps[i] for i in numbers_]
        for rest, steps in channels.items()
    }
