"""Description of the time axis of a table: rows without a time, their order, repeated times.

`init`, `train`, `check` and `predict` all ask here, so that a file means the same to each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.columns.values import column_name, looks_numeric, to_numbers
from nnzoo.data.timestamps.axis import TimeAxis, data_row, ordered_fraction
from nnzoo.data.timestamps.frequency import (
    HOUR,
    describe_spacing,
    usual_distance,
)
from nnzoo.data.timestamps.numeric import TimeColumns, is_time_name, plain_numbers
from nnzoo.data.timestamps.time_columns import find_time, named_time
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]

MAX_FOOTER = 10
# With a larger fraction of repeated times than this, a file has several series.
MAX_REPEATED = 0.1
MIN_KNOWN = 0.9
# The rows of a table are in order of time where so many of the neighbors are.
IN_ORDER = 0.98
# A file is sorted only if this fraction of neighbors is one step apart afterwards.
SORTED_NEIGHBORS = 0.9
# Clocks are set back once a year.
DAYS_BETWEEN_CHANGES = 300


def describe_time(
    frame: pandas.DataFrame, options: SeriesOptions, exclude: Sequence[str] = ()
) -> TimeAxis:
    """The time axis of a table. exclude: columns that hold no time, such as the target.

    Raises DataError for columns of the options that are not there; all else is in `issues`.
    """
    keys = group_columns(frame, options.group)
    if options.time is not None:
        named = [
            column_name(frame, column, "data.time")
            for column in (options.time if isinstance(options.time, list) else [options.time])
        ]
        time: TimeColumns | None = named_time(frame, named, options.date_format)
    else:
        time = find_time(frame, {*exclude, *keys}, options.date_format)
    kept = np.ones(len(frame), bool)
    notes: list[str] = []
    issues: list[str] = []
    if time is not None:
        kept, notes, issues = _valid_rows(frame, time, options.path)
        notes = [*time.notes, *notes]
    no_group = without_group(frame, keys) & kept
    if no_group.any():
        row = data_row(frame, int(no_group.argmax()))
        issues.append(f"{options.path}: {_listed(keys)} (data.group) is missing in data row {row}")
        kept &= ~no_group
    series = split_by_group(frame, keys, kept)
    axis = TimeAxis(series, time, None, notes, issues)
    if time is None:
        return axis
    axis = _in_order(axis, frame, options)
    if axis.disordered and options.time is None and time.times.dtype.kind == "f":
        # Numbers that were only taken for the time by their name.
        note = Note("N12", f"column {time.name} is not taken for the time: it is not in order")
        return TimeAxis(series, None, None, [note], [])
    return axis


def _valid_rows(
    frame: pandas.DataFrame, time: TimeColumns, source: str
) -> tuple[Array, list[str], list[str]]:
    """The rows that have a time; notes on those left out at the ends, issues for those between."""
    missing = time.missing
    kept = ~missing
    if not missing.any() or not kept.any():
        text = f"{source}: {time.name} has no date that can be read"
        return kept, [], [] if kept.any() else [text]
    notes: list[str] = []
    issues: list[str] = []
    last = int(np.flatnonzero(kept)[-1])
    tail = np.arange(last + 1, len(frame))
    if 0 < len(tail) <= MAX_FOOTER and not time.nearly[tail].any():
        rows = ", ".join(f"{data_row(frame, int(i))} ({_shown(time, int(i))})" for i in tail[:3])
        more = ", …" if len(tail) > 3 else ""
        notes.append(
            Note(
                "N07",
                f"left out below the last {_noun(time)}: data row{'s' * (len(tail) > 1)} {rows}{more}",
            )
        )
        missing = missing & (np.arange(len(frame)) <= last)
    if missing[0] and time.wrong[0] and not time.nearly[0] and not _has_number(frame, time, 0):
        notes.append(Note("N07", f"left out above the data: data row 1 ({_shown(time, 0)})"))
        missing = missing & (np.arange(len(frame)) > 0)
    if missing.any():
        i = int(missing.argmax())
        count = int(missing.sum())
        several = f"; {count:,} rows have none" if count > 1 else ""
        example = _shown(time, int(np.flatnonzero(kept)[0]))
        what = (
            f"{_shown(time, i)} is not a {_noun(time)} like the others ({example})"
            if time.wrong[i]
            else f"{time.name} is missing"
        )
        what_to_do = "delete those rows" if count > 1 else "delete the row"
        hint = f"; correct it, or {what_to_do}" + ", or see data.date_format" * bool(time.nearly[i])
        issues.append(f"{source}: data row {data_row(frame, i)}: {what}{several}{hint}")
    return kept, notes, issues


def _in_order(axis: TimeAxis, frame: pandas.DataFrame, options: SeriesOptions) -> TimeAxis:
    """The axis with each series in order of time and its spacing, with notes and issues on both."""
    axis = _sorted(axis, frame, options)
    return axis if axis.disordered else _spaced(axis, frame, options)


def _sorted(axis: TimeAxis, frame: pandas.DataFrame, options: SeriesOptions) -> TimeAxis:
    """The axis with each series in order of time; disordered where to sort it would be a guess."""
    assert axis.time is not None
    times = {name: axis.time.times[rows] for name, rows in axis.series.items()}
    unsorted = {name: count_decreases(values) for name, values in times.items()}
    if not any(unsorted.values()):
        return axis
    if all(count_decreases(v[::-1]) == len(clocks_set_back(v[::-1])) for v in times.values()):
        # Reversed, so that rows of the same time keep their order in time, too.
        series = {name: rows[::-1] for name, rows in axis.series.items()}
        note = Note("N13", "the newest rows come first: they are read in reverse")
    elif all(count == len(clocks_set_back(times[name])) for name, count in unsorted.items()):
        return axis
    elif (reason := why_not_sorted(list(times.values()))) is None:
        series = {
            name: rows[np.argsort(times[name], kind="stable")] for name, rows in axis.series.items()
        }
        count = sum(unsorted.values())
        note = Note(
            "N13",
            f"{count:,} row{'s are' if count > 1 else ' is'} earlier than the row before: the file is "
            f"sorted by {axis.time.name}",
        )
    else:
        name = next(name for name, count in unsorted.items() if count)
        issue = _unsorted_issue(axis, frame, options, name, reason)
        return replace(axis, issues=[*axis.issues, issue], disordered=True)
    return replace(axis, series=series, notes=[*axis.notes, note])


def _spaced(axis: TimeAxis, frame: pandas.DataFrame, options: SeriesOptions) -> TimeAxis:
    """The axis, whose series are in order, with its spacing; disordered where too many times repeat."""
    time = axis.time
    assert time is not None
    times = {name: time.times[rows] for name, rows in axis.series.items()}
    spacing = describe_spacing([np.unique(values) for values in times.values()])
    notes, issues = list(axis.notes), list(axis.issues)
    set_back = [
        axis.series[name][i] for name, values in times.items() for i in clocks_set_back(values)
    ]
    if set_back:
        notes.append(
            Note(
                "N13",
                f"the clock is set back by an hour at {_shown(time, set_back[0])} (data row "
                f"{data_row(frame, set_back[0])}): the rows keep the order of the file",
            )
        )
    repeated = sum(int((values[1:] == values[:-1]).sum()) for values in times.values())
    if repeated:
        row, crowded = _first_repeated(axis)
        text = f"the time {_shown(time, row)} (data row {data_row(frame, row)})"
        if crowded:
            issues.append(
                f"{options.path}: {text} and many others come more than once; where the file "
                "holds several series, name the column that tells them apart (data.group)"
            )
        else:
            count = repeated - 1
            others = f" and {count:,} other{'s' * (count > 1)}" if count else ""
            verb = "come" if repeated > 1 else "comes"
            notes.append(
                Note("N13", f"{text}{others} {verb} more than once: equal times count as steps")
            )
    notes += [] if time.kind == "words" else spacing.notes()
    disordered = len(issues) > len(axis.issues)
    return replace(axis, spacing=spacing, notes=notes, issues=issues, disordered=disordered)


def _first_repeated(axis: TimeAxis) -> tuple[int, bool]:
    """A row whose time another one has, and whether so many do in any series that it holds several."""
    assert axis.time is not None
    first, crowded = -1, False
    for rows in axis.series.values():
        times = axis.time.times[rows]
        repeated = np.flatnonzero(np.append(False, times[1:] == times[:-1]))
        # A few equal times are the hour that a clock is set back.
        here = len(times) > 2 and len(repeated) > MAX_REPEATED * len(times)
        if len(repeated) and (first < 0 or (here and not crowded)):
            first = int(rows[repeated[0]])
        crowded = crowded or here
    return first, crowded


def _unsorted_issue(
    axis: TimeAxis, frame: pandas.DataFrame, options: SeriesOptions, name: str, reason: str
) -> str:
    """The message on the first row of a series that is out of order; reason: see `why_not_sorted`."""
    assert axis.time is not None
    rows = axis.series[name]
    times = axis.time.times[rows]
    first_unsorted = int(rows[1:][times[1:] < times[:-1]][0])
    hint = (
        ""
        if options.group is not None
        else (
            "; or, where it holds several series, name the column that tells them apart (data.group)"
        )
    )
    remedy = f"sort the file{hint}" if reason == "sort" else "its date fits in nowhere, correct it"
    return (
        f"{options.path}: not in order of time: {_shown(axis.time, first_unsorted)} (data row "
        f"{data_row(frame, first_unsorted)}) is earlier than the row before; {remedy}"
    )


def _noun(time: TimeColumns) -> str:
    return "number" if time.times.dtype.kind == "f" else "date"


def _shown(time: TimeColumns, row: int) -> str:
    text = time.texts[row]
    return f"'{shorten(str(text))}'" if isinstance(text, str) else "no date"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _has_number(frame: pandas.DataFrame, time: TimeColumns, row: int) -> bool:
    rest = frame.drop(columns=time.columns).iloc[[row]]
    return any(not np.isnan(to_numbers(rest[name])).all() for name in rest.columns)


def time_note(frame: pandas.DataFrame, exclude: Sequence[str] = ()) -> str | None:
    """A line on a table whose rows are in order of time, which a random split does not keep."""
    for time in (find_time(frame, exclude), _uneven_time(frame, exclude)):
        if time is None or time.missing.mean() > 1 - MIN_KNOWN:
            continue
        if ordered_fraction(time.times) >= IN_ORDER:
            return Note(
                "W46",
                f"random split, though the rows are in order of {time.name}: training rows come later than "
                "some that test (nnzoo init --series for a forecast)",
            )
    return None


def _uneven_time(frame: pandas.DataFrame, exclude: Sequence[str]) -> TimeColumns | None:
    """Numbers under a name of time that go on in unequal steps, with ties, from row to row."""
    for name in frame.columns:
        if name not in exclude and is_time_name(name) and looks_numeric(frame[name], MIN_KNOWN):
            time = plain_numbers(frame[name])
            if len(np.unique(time.times[~time.missing])) > MAX_REPEATED * len(frame):
                return time
    return None


def count_decreases(times: Array) -> int:
    """The number of times that are earlier than the one before."""
    return int((times[1:] < times[:-1]).sum())


def why_not_sorted(values: Sequence[Array]) -> str | None:
    """The reason not to sort a file: "sort" if that would be a guess, "date" if a date seems wrong; None
    if the sorted times are unique and evenly spaced."""
    distinct = [np.unique(times) for times in values]
    if sum(map(len, distinct)) < sum(map(len, values)):
        return "sort"
    spacing = describe_spacing(distinct)
    if spacing.frequency is None or spacing.neighbors < SORTED_NEIGHBORS:
        return "sort"
    is_misplaced = np.concatenate([v < np.maximum.accumulate(v) for v in values])
    if is_misplaced.mean() <= 0.05:
        # A few misplaced rows: each has to fill a gap, else its date is wrong.
        for times, ordered in zip(values, distinct, strict=True):
            jumps = np.diff(spacing.frequency.positions(ordered))
            isolated = np.append(True, jumps > 1.5) & np.append(jumps > 1.5, True)
            misplaced = times[times < np.maximum.accumulate(times)]
            if len(ordered) > 1 and np.isin(misplaced, ordered[isolated]).any():
                return "date"
    return None


def clocks_set_back(times: Array) -> Array:
    """The steps, int64, at which a clock is set back by an hour, as where summer time ends, in times that
    rise otherwise; none where they fall in any other manner."""
    nothing = np.zeros(0, np.int64)
    jumps = np.diff(times)
    if times.dtype.kind != "M" or not len(jumps):
        return nothing
    micros = jumps.astype("m8[us]").astype(np.int64)
    decreases = np.flatnonzero(micros < 0)
    between = np.diff(times[decreases]).astype("m8[D]").astype(np.int64)
    is_hour = micros[decreases] == int(usual_distance(micros)) - HOUR
    return decreases + 1 if is_hour.all() and (between >= DAYS_BETWEEN_CHANGES).all() else nothing


def group_columns(frame: pandas.DataFrame, group: Any) -> list[str]:
    """The names of the columns of `data.group`: none, one, or several. Raises DataError."""
    if group is None:
        return []
    columns = group if isinstance(group, list) else [group]
    return [column_name(frame, column, "data.group") for column in columns]


def without_group(frame: pandas.DataFrame, columns: list[str]) -> Array:
    """(rows,) True where the column that names the series is empty."""
    if not columns:
        return np.zeros(len(frame), bool)
    return np.asarray(frame[columns].isna().any(axis=1).to_numpy())


def split_by_group(
    frame: pandas.DataFrame, columns: list[str], kept: Array | None = None
) -> dict[str, Array]:
    """The rows of each series as positions, in the order of the table; the series in that of their
    names, "a / b" where two columns name one. kept: (rows,) the rows that count."""
    import pandas

    rows = np.arange(len(frame)) if kept is None else np.flatnonzero(kept)
    if not columns:
        return {"": rows}
    keys = [frame[column].iloc[rows].reset_index(drop=True) for column in columns]
    groups = pandas.Series(rows).groupby(keys if len(keys) > 1 else keys[0], sort=True)
    return {
        " / ".join(map(str, name)) if isinstance(name, tuple) else str(name): positions.to_numpy()
        for name, positions in groups
    }
