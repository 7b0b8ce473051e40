"""The time axis of one or several series: rows in order, frequency, gaps, and the times that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.timestamps.frequency import (
    DAY,
    MICROSECONDS,
    Frequency,
    Spacing,
    describe_spacing,
)
from nnzoo.data.timestamps.index import TimeFormat
from nnzoo.data.timestamps.numeric import TimeColumns
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]

MIN_ORDERED = 0.9
# With a larger fraction of steps missing than this, a season is no fixed number of rows.
SEASON_MISSING = 0.1


@dataclass(frozen=True)
class TimeAxis:
    """The time axis of each series of a table.

    series: the rows of each series, by its name ("" where there is only one), in order of time, as
    positions in the table. time: None where no column holds it. notes: guesses, rows left
    out, and oddities; issues: reasons that forbid training, each with its row and what to do.
    disordered: whether the issues are that rows are not in order, or that times repeat.
    """

    series: dict[str, Array]
    time: TimeColumns | None = None
    spacing: Spacing | None = None
    notes: list[str] = field(default_factory=list)
    issues: list[str] = field(default_factory=list)
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
        rows, distinct = sum(map(len, times)), sum(len(np.unique(time)) for time in times)
        ordered = np.average(
            [ordered_fraction(time) for time in times], weights=list(map(len, times))
        )
        return bool(ordered >= MIN_ORDERED and distinct >= MIN_ORDERED * rows)

    def times(self, series: str, start: int = 0) -> Array | None:
        """The times of one series, in order, from a step on."""
        return None if self.time is None else self.time.times[self.series[series][start:]]

    def check(self) -> None:
        """Raise DataError where something forbids training."""
        if self.issues:
            more = f" (and {len(self.issues) - 1} more)" * (len(self.issues) > 1)
            key = "data.group" if "(data.group)" in self.issues[0] else "data.time"
            raise DataError.at(key, self.issues[0] + more, code="E45")

    def without_missing(
        self, missing: Array, targets: Sequence[str], frame: pandas.DataFrame, source: str
    ) -> TimeAxis:
        """Leave out the rows that are `missing` (rows,), those without a value of these columns.

        Inside a series they become gaps in time, at its ends it is shorter: a forecast begins after
        the last value. Raises DataError where no row is left.
        """
        series: dict[str, Array] = {}
        ends, inside = list[int](), list[int]()
        for name, rows in self.series.items():
            known = np.flatnonzero(~missing[rows])
            if len(known):
                series[name] = rows[known]
                between = rows[known[0] : known[-1] + 1]
                inside += between[missing[between]].tolist()
                ends += np.setdiff1d(rows, between).tolist()
        columns = " and ".join(f"'{shorten(name)}'" for name in targets)
        if not series:
            reason = f"{source}: no row has a value of {columns}"
            raise DataError.at("data.target", reason, code="E40")
        empty = [name for name in self.series if name not in series]
        if not (ends or inside or empty):
            return self
        axis = replace(self, series=series)
        if inside and self.spacing is not None and self.time is not None:
            times = [np.unique(self.time.times[rows]) for rows in series.values()]
            spacing = describe_spacing(times)
            notes = [note for note in self.notes if note not in self.spacing.notes()]
            notes += [] if self.time.kind == "words" else spacing.notes()
            axis = replace(axis, spacing=spacing, notes=notes)
        notes = [
            Note(
                "N07",
                f"left out {where}: {plural(len(rows), 'row')} without a value of {columns}, first data "
                f"row {data_row(frame, min(rows))}{consequence}",
            )
            for where, rows, consequence in (
                ("at the ends", ends, ""),
                ("inside the series", inside, "; their neighbors count as consecutive steps"),
            )
            if rows
        ]
        if empty:
            text = (
                f"left out: {len(empty):,} of {len(self.series):,} series without a value of "
                f"{columns} ({list_some([shorten(name) for name in empty])})"
            )
            notes.append(Note("N07", text))
        return replace(axis, notes=[*axis.notes, *notes])

    def following(self, series: str, steps: int) -> list[str] | None:
        """The times after a series, as text; None where they are not known (see `why_no_dates`)."""
        times = self.times(series)
        if times is None or self.frequency is None or self.time is None or self.issues:
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
        """The format of times, with the resolution of those in the file."""
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
        """The reason why `following` returns None; None where no column of time could be continued."""
        if self.time is None or self.time.kind == "words":
            return None
        if self.spacing is None or self.spacing.shortest is None:
            return (
                f"fewer than three times in {self.time.name}: the dates that follow are not known"
            )
        if self.frequency is None:
            return f"{self.spacing.differ()}: the dates that follow are not known"
        return "the dates that follow are beyond the calendar"


def ordered_fraction(times: Array) -> float:
    """The fraction of neighbors that rise, or that fall; 0 where all times are the same."""
    known = times[~np.isnan(times)] if times.dtype.kind == "f" else times[~np.isnat(times)]
    jumps = np.diff(known)
    zero = np.zeros(1, jumps.dtype)
    if not (jumps != zero).any():
        return 0.0
    return float(max((jumps >= zero).mean(), (jumps <= zero).mean()))


def data_row(frame: pandas.DataFrame, position: int) -> int:
    """The number of a row in messages, counted from 1 below the header."""
    return int(frame.index[position]) + 1
