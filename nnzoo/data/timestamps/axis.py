"""The time axis of one or several series: order, distance, gaps, repeats, footers, dates that are none.

`init`, `train`, `check` and `predict` all ask here, so that a file means the same to each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.columns.values import column_name, looks_numeric, to_numbers
from nnzoo.data.timestamps.frequency import (
    DAY,
    MICROSECONDS,
    Frequency,
    Spacing,
    describe_spacing,
)
from nnzoo.data.timestamps.groups import group_columns, split_by_group, without_group
from nnzoo.data.timestamps.index import TimeFormat
from nnzoo.data.timestamps.numeric import TimeColumns, is_time_name, plain_numbers
from nnzoo.data.timestamps.order import clocks_set_back, falls, ordered_fraction, why_not_sorted
from nnzoo.data.timestamps.time_columns import find_time, named_time
from nnzoo.errors import DataError
from nnzoo.text import list_some, plural, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]

MAX_FOOTER = 10
# More times than this fraction that come more than once, and the file holds several series.
MAX_REPEATED = 0.1
MOSTLY = 0.9
# The rows of a table are in order of time where so many of the neighbours are.
IN_ORDER = 0.98
# With more steps missing than this, as many rows ago is no season ago.
SEASON_MISSING = 0.1


@dataclass(frozen=True)
class TimeAxis:
    """What is known of the time of each series of a table.

    series: by the name of each series ("" where there is one alone) its rows in order of time, as
    positions in the table. time: None where no column holds it. notes: what was guessed, left out
    or looks wrong; faults: what forbids training, each with its row and what to do. disordered:
    whether among them is that the rows are not in order, or their times come again and again.
    """

    series: dict[str, Array]
    time: TimeColumns | None = None
    spacing: Spacing | None = None
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    disordered: bool = False

    @property
    def frequency(self) -> Frequency | None:
        return self.spacing.frequency if self.spacing else None

    @property
    def columns(self) -> list[str]:
        """The columns of the time."""
        return self.time.columns if self.time else []

    @property
    def missing(self) -> float:
        """The fraction of time steps that the file lacks."""
        if self.spacing is None:
            return 0.0
        return self.spacing.missing / max(1, self.spacing.missing + self.spacing.steps)

    @property
    def season(self) -> int:
        """Time steps of a season; 0 where it is not known."""
        return self.frequency.season if self.frequency else 0

    @property
    def nearly_ordered(self) -> bool:
        """Whether most rows of most series are in order, and most times come once: a few are wrong."""
        if self.time is None:
            return False
        times = [self.time.times[rows] for rows in self.series.values()]
        rows, distinct = sum(map(len, times)), sum(len(np.unique(each)) for each in times)
        ordered = np.average(
            [ordered_fraction(each) for each in times], weights=list(map(len, times))
        )
        return bool(ordered >= MOSTLY and distinct >= MOSTLY * rows)

    def times(self, series: str, start: int = 0) -> Array | None:
        """The times of one series, in order, from a step on."""
        return None if self.time is None else self.time.times[self.series[series][start:]]

    def check(self) -> None:
        """Raise DataError where something forbids training."""
        if self.faults:
            more = f" (and {len(self.faults) - 1} more)" * (len(self.faults) > 1)
            key = "data.group" if "(data.group)" in self.faults[0] else "data.time"
            raise DataError.at(key, self.faults[0] + more)

    def without_missing(
        self, missing: Array, targets: Sequence[str], frame: pandas.DataFrame, source: str
    ) -> TimeAxis:
        """Leave out the rows that are `missing` (rows,), those without a value of these columns.

        Inside a series they become gaps in time, at its ends it is shorter: a forecast begins after
        the last value. Raises DataError where no row is left.
        """
        series: dict[str, Array] = {}
        ends: list[int] = []
        inside: list[int] = []
        for name, rows in self.series.items():
            known = np.flatnonzero(~missing[rows])
            if len(known):
                series[name] = rows[known]
                between = rows[known[0] : known[-1] + 1]
                inside += between[missing[between]].tolist()
                ends += np.setdiff1d(rows, between).tolist()
        columns = " and ".join(f"'{shorten(name)}'" for name in targets)
        if not series:
            raise DataError.at("data.target", f"{source}: no row has a value of {columns}")
        empty = [name for name in self.series if name not in series]
        if not (ends or inside or empty):
            return self
        axis = replace(self, series=series)
        if inside and self.spacing is not None and self.time is not None:
            spacing = describe_spacing(
                [np.unique(self.time.times[rows]) for rows in series.values()]
            )
            notes = [note for note in self.notes if note not in self.spacing.notes()]
            notes += [] if self.time.kind == "words" else spacing.notes()
            axis = replace(axis, spacing=spacing, notes=notes)
        notes = [
            f"left out {where}: {plural(len(rows), 'row')} without a value of {columns}, first data "
            f"row {_row(frame, min(rows))}{consequence}"
            for where, rows, consequence in (
                ("at the ends", ends, ""),
                ("inside the series", inside, "; their neighbours count as consecutive steps"),
            )
            if rows
        ]
        if empty:
            notes.append(
                f"left out: {len(empty):,} of {len(self.series):,} series without a value of "
                f"{columns} ({list_some([shorten(name) for name in empty])})"
            )
        return replace(axis, notes=[*axis.notes, *notes])

    def following(self, series: str, steps: int) -> list[str] | None:
        """The times after a series, as text; None where they are not known (see `why_no_dates`)."""
        times = self.times(series)
        if times is None or self.frequency is None or self.time is None or self.faults:
            return None
        if times.dtype.kind == "f" and self.time.kind == "words":
            return None
        try:
            future = self.frequency.following(times[-1], steps)
        except (OverflowError, ValueError):
            return None
        last = np.datetime64("9999-01-01")
        if times.dtype.kind == "M" and not times[-1] < future[-1] < last:
            return None
        return self.time_format.texts(future)

    @property
    def time_format(self) -> TimeFormat:
        """How times are written, as exact as those of the file."""
        if self.time is None:
            return TimeFormat()
        if getattr(self.frequency, "day", 1) == 0:
            return TimeFormat("M")
        known = self.time.times[~self.time.missing]
        unit = "D"
        if known.dtype.kind == "M":
            micros = known.astype(np.int64)
            unit = (
                "D" if not (micros % DAY).any() else "ms" if (micros % MICROSECONDS).any() else "s"
            )
        return TimeFormat(unit, self.time.offset or "", self.time.kind == "clock")

    def summary(self) -> list[str]:
        """One line on the time, from when to when; none where no column holds it."""
        if self.time is None or self.time.kind == "words":
            return []
        rows = np.concatenate(list(self.series.values()))
        times = self.time.times[rows]
        first, last = self.time_format.texts(np.array([times.min(), times.max()]))
        step = f", {self.frequency.distance()} apart" if self.frequency else ""
        season = f", a season of {self.season}" if self.season else ""
        return [f"time: {self.time.name} from {first} to {last}{step}{season}"]

    def why_no_dates(self) -> str | None:
        """Why `following` gives nothing; None where there is no column of time to go on with."""
        if self.time is None or self.time.kind == "words":
            return None
        if self.spacing is None or self.spacing.shortest is None:
            return (
                f"fewer than three times in {self.time.name}: the dates that follow are not known"
            )
        if self.frequency is None:
            return f"{self.spacing.differ()}: the dates that follow are not known"
        return "the dates that follow are beyond the calendar"


def describe_time(
    frame: pandas.DataFrame, options: SeriesOptions, exclude: Sequence[str] = ()
) -> TimeAxis:
    """The time axis of a table. exclude: columns that hold no time, such as the target.

    Raises DataError for columns of the options that are not there; all else is in `faults`.
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
    faults: list[str] = []
    if time is not None:
        kept, notes, faults = _valid_rows(frame, time, options.path)
        notes = [*time.notes, *notes]
    no_group = without_group(frame, keys) & kept
    if no_group.any():
        row = _row(frame, int(no_group.argmax()))
        faults.append(f"{options.path}: {_listed(keys)} (data.group) is missing in data row {row}")
        kept &= ~no_group
    series = split_by_group(frame, keys, kept)
    axis = TimeAxis(series, time, None, notes, faults)
    if time is None:
        return axis
    axis = _in_order(axis, frame, options)
    if axis.disordered and options.time is None and time.times.dtype.kind == "f":
        # Numbers that were only taken for the time by their name.
        note = f"column {time.name} is not taken for the time: it is not in order"
        return TimeAxis(series, None, None, [note], [])
    return axis


def _valid_rows(
    frame: pandas.DataFrame, time: TimeColumns, source: str
) -> tuple[Array, list[str], list[str]]:
    """The rows that have a time; notes on those left out at the ends, faults for those between."""
    missing = time.missing
    kept = ~missing
    if not missing.any() or not kept.any():
        text = f"{source}: {time.name} has no date that can be read"
        return kept, [], [] if kept.any() else [text]
    notes: list[str] = []
    faults: list[str] = []
    last = int(np.flatnonzero(kept)[-1])
    tail = np.arange(last + 1, len(frame))
    if 0 < len(tail) <= MAX_FOOTER and not time.nearly[tail].any():
        rows = ", ".join(f"{_row(frame, int(i))} ({_shown(time, int(i))})" for i in tail[:3])
        more = ", …" if len(tail) > 3 else ""
        notes.append(
            f"left out below the last {_noun(time)}: data row{'s' * (len(tail) > 1)} {rows}{more}"
        )
        missing = missing & (np.arange(len(frame)) <= last)
    if missing[0] and time.wrong[0] and not time.nearly[0] and not _has_number(frame, time, 0):
        notes.append(f"left out above the data: data row 1 ({_shown(time, 0)})")
        missing = missing & (np.arange(len(frame)) > 0)
    if missing.any():
        i = int(missing.argmax())
        count = int(missing.sum())
        several = f"; {count:,} rows have none" if count > 1 else ""
        example = _shown(time, int(np.flatnonzero(kept)[0]))
        what = (
            f"{_shown(time, i)} is not a {_noun(time)} like the others ({example})"
            if time.wrong[i] else f"{time.name} is missing"
        )  # fmt: skip
        what_to_do = "delete those rows" if count > 1 else "delete the row"
        hint = f"; correct it, or {what_to_do}" + ", or see data.date_format" * bool(time.nearly[i])
        faults.append(f"{source}: data row {_row(frame, i)}: {what}{several}{hint}")
    return kept, notes, faults


def _in_order(axis: TimeAxis, frame: pandas.DataFrame, options: SeriesOptions) -> TimeAxis:
    """The same axis with each series in order of time, with what had to be done for it."""
    time = axis.time
    assert time is not None
    values = {name: time.times[rows] for name, rows in axis.series.items()}
    earlier = {name: falls(v) for name, v in values.items()}
    later = {name: falls(v[::-1]) for name, v in values.items()}
    notes, faults = list(axis.notes), list(axis.faults)
    series = dict(axis.series)
    if any(earlier.values()):
        ordered = {
            name: rows[np.argsort(values[name], kind="stable")] for name, rows in series.items()
        }
        if all(count == len(clocks_set_back(values[name][::-1])) for name, count in later.items()):
            # Reversed, so that rows of the same time keep their order in time, too.
            series = {name: rows[::-1] for name, rows in series.items()}
            notes.append("the newest rows come first: they are read in reverse")
        elif all(count == len(clocks_set_back(values[name])) for name, count in earlier.items()):
            pass
        elif (reason := why_not_sorted(list(values.values()))) is None:
            series, late = ordered, sum(earlier.values())
            notes.append(
                f"{late:,} row{'s are' if late > 1 else ' is'} earlier than the row before: the file is sorted "
                f"by {time.name}"
            )
        else:
            name = next(name for name, count in earlier.items() if count)
            faults.append(_unsorted(axis, frame, options, name, values[name], reason))
    spacing = None
    if len(faults) == len(axis.faults):
        ordered_times = {name: time.times[rows] for name, rows in series.items()}
        spacing = describe_spacing([np.unique(each) for each in ordered_times.values()])
        repeated = sum(int((each[1:] == each[:-1]).sum()) for each in ordered_times.values())
        changes = [
            series[name][i] for name, each in ordered_times.items() for i in clocks_set_back(each)
        ]
        if changes:
            text = f"{_shown(time, changes[0])} (data row {_row(frame, changes[0])})"
            notes.append(
                f"the clock is set back by an hour at {text}: the rows keep the order of the file"
            )
        if repeated:
            row, crowded = _first_repeated(axis, series)
            text = f"the time {_shown(time, row)} (data row {_row(frame, row)})"
            if crowded:
                faults.append(
                    f"{options.path}: {text} and many others come more than once; where the file "
                    "holds several series, name the column that tells them apart (data.group)"
                )
            else:
                count = repeated - 1
                others = f" and {count:,} other{'s' * (count > 1)}" if count else ""
                verb = "come" if repeated > 1 else "comes"
                notes.append(f"{text}{others} {verb} more than once: equal times count as steps")
        notes += [] if time.kind == "words" else spacing.notes()
    return replace(
        axis, series=series, spacing=spacing, notes=notes, faults=faults,
        disordered=len(faults) > len(axis.faults),
    )  # fmt: skip


def _first_repeated(axis: TimeAxis, series: dict[str, Array]) -> tuple[int, bool]:
    """A row whose time another one has, and whether in any series so many do that it holds several."""
    assert axis.time is not None
    first, crowded = -1, False
    for rows in series.values():
        times = axis.time.times[rows]
        twice = np.flatnonzero(np.append(False, times[1:] == times[:-1]))
        # A few equal times are the hour that a clock is set back.
        here = len(times) > 2 and len(twice) > MAX_REPEATED * len(times)
        if len(twice) and (first < 0 or (here and not crowded)):
            first = int(rows[twice[0]])
        crowded = crowded or here
    return first, crowded


def _unsorted(
    axis: TimeAxis, frame: pandas.DataFrame, options: SeriesOptions, name: str, times: Array,
    reason: str,
) -> str:  # fmt: skip
    assert axis.time is not None
    rows = axis.series[name]
    late = int(rows[1:][times[1:] < times[:-1]][0])
    hint = "" if options.group is not None else (
        "; or, where it holds several series, name the column that tells them apart (data.group)"
    )  # fmt: skip
    remedy = f"sort the file{hint}" if reason == "sort" else "its date fits in nowhere, correct it"
    return (
        f"{options.path}: not in order of time: {_shown(axis.time, late)} (data row "
        f"{_row(frame, late)}) is earlier than the row before; {remedy}"
    )


def _noun(time: TimeColumns) -> str:
    return "number" if time.times.dtype.kind == "f" else "date"


def _shown(time: TimeColumns, row: int) -> str:
    text = time.texts[row]
    return f"'{shorten(str(text))}'" if isinstance(text, str) else "no date"


def _row(frame: pandas.DataFrame, position: int) -> int:
    """The number of a data row for a message."""
    return int(frame.index[position]) + 1


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _has_number(frame: pandas.DataFrame, time: TimeColumns, row: int) -> bool:
    rest = frame.drop(columns=time.columns).iloc[[row]]
    return any(not np.isnan(to_numbers(rest[name])).all() for name in rest.columns)


def time_note(frame: pandas.DataFrame, exclude: Sequence[str] = ()) -> str | None:
    """A line on a table whose rows are in order of time, which a random split does not keep."""
    for time in (find_time(frame, exclude), _uneven_time(frame, exclude)):
        if time is None or time.missing.mean() > 1 - MOSTLY:
            continue
        if ordered_fraction(time.times) >= IN_ORDER:
            return (
                f"random split, though the rows are in order of {time.name}: training rows come later than "
                "some that test (nnzoo init --series for a forecast)"
            )
    return None


def _uneven_time(frame: pandas.DataFrame, exclude: Sequence[str]) -> TimeColumns | None:
    """Numbers under a name of time that go on in unequal steps, with ties, from row to row."""
    for name in frame.columns:
        if name not in exclude and is_time_name(name) and looks_numeric(frame[name], MOSTLY):
            time = plain_numbers(frame[name])
            if len(np.unique(time.times[~time.missing])) > MAX_REPEATED * len(frame):
                return time
    return None
