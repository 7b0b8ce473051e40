"""Distances between the time steps of a series: the frequency, the season, and the times that follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnzoo.text import Note

Array = np.ndarray[Any, Any]

MICROSECONDS = 1_000_000
HOUR = 3600 * MICROSECONDS
DAY = 24 * HOUR
# Beyond this a season of a day would need a window of its length to be seen.
MAX_SEASON = 288
# A time within this fraction of a step from the grid is on it: clocks of sensors are not exact.
TOLERANCE = 0.1
# The axis is irregular if a smaller fraction of neighbors is one step apart.
MIN_NEIGHBORS = 0.5
# A weekday or hour that has less than this fraction of the usual number of rows is closed.
CLOSED = 0.05
MIN_WEEKS = 3

_UNITS = (
    ("week", 7 * DAY),
    ("day", DAY),
    ("hour", 3600 * MICROSECONDS),
    ("minute", 60 * MICROSECONDS),
    ("second", MICROSECONDS),
    ("millisecond", 1000),
    ("microsecond", 1),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Frequency(ABC):
    """A grid of times. Times are datetime64[us], or numbers where the axis is one of numbers."""

    season: int = 0

    @abstractmethod
    def positions(self, times: Array) -> Array:
        """The position of each time on the grid, float64; an integer where it is on the grid."""

    @abstractmethod
    def following(self, last: Any, steps: int) -> Array:
        """The `steps` times after one."""

    @abstractmethod
    def name(self, count: int = 1) -> str:
        """One step, or several, in words: "hour", "15 minutes", "hours"."""

    def distance(self) -> str:
        """The distance from one step to the next, in words: "one hour", "15 minutes"."""
        name = self.name()
        return name if name[0].isdecimal() else f"one {name}"


@dataclass(frozen=True)
class MonthlyStep(Frequency):
    """A step of `count` months, on the same day of the month.

    day: 31 for the last day of each month; 0 where it differs, as for the last business day.
    """

    count: int
    day: int

    @property
    def season(self) -> int:  # type: ignore[override]
        return 12 // self.count if 12 % self.count == 0 and self.count < 12 else 0

    def positions(self, times: Array) -> Array:
        months: Array = times.astype("M8[M]").astype(np.int64) / self.count
        return months

    def following(self, last: Any, steps: int) -> Array:
        clock = last - last.astype("M8[D]")
        months = last.astype("M8[M]") + self.count * np.arange(1, steps + 1)
        lengths = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
        days = months.astype("M8[D]") + np.minimum(max(1, self.day), lengths) - 1
        return days.astype("M8[us]") + clock

    def name(self, count: int = 1) -> str:
        for word, months in (("year", 12), ("quarter", 3), ("month", 1)):
            if self.count % months == 0:
                return _words(self.count // months, word, count)
        raise AssertionError(self.count)


@dataclass(frozen=True)
class FixedStep(Frequency):
    """A step of `step` microseconds."""

    step: int
    start: int

    @property
    def season(self) -> int:  # type: ignore[override]
        if self.step == DAY:
            return 7
        if self.step == 7 * DAY:
            return 52
        per_day = round(DAY / self.step) if 2 * self.step < DAY else 0
        return per_day if per_day <= MAX_SEASON else 0

    def positions(self, times: Array) -> Array:
        positions: Array = (times.astype("M8[us]").astype(np.int64) - self.start) / self.step
        return positions

    def following(self, last: Any, steps: int) -> Array:
        ahead = np.timedelta64(self.step, "us") * np.arange(1, steps + 1)
        return np.asarray(last.astype("M8[us]") + ahead)

    def name(self, count: int = 1) -> str:
        word, size = next((w, s) for w, s in _UNITS if self.step % s == 0)
        return _words(self.step // size, word, count)


@dataclass(frozen=True)
class BusinessHours(Frequency):
    """The same hours of the same weekdays: business days, a shop that is closed on Sundays, trading
    hours. weekdays: from 0 for Monday; clocks: microseconds after midnight."""

    weekdays: tuple[int, ...]
    clocks: tuple[int, ...]

    @property
    def season(self) -> int:  # type: ignore[override]
        season = len(self.clocks) if len(self.clocks) > 1 else len(self.weekdays)
        return season if 1 < season <= MAX_SEASON else 0

    def positions(self, times: Array) -> Array:
        days, clock, weekday = _parts(times)
        rank = np.searchsorted(self.weekdays, weekday)
        slot = np.searchsorted(self.clocks, clock)
        open_ = np.isin(weekday, self.weekdays) & np.isin(clock, self.clocks)
        position = (_weeks(days) * len(self.weekdays) + rank) * len(self.clocks) + slot
        return np.where(open_, position, position - 0.5)

    def following(self, last: Any, steps: int) -> Array:
        per_week = len(self.weekdays) * len(self.clocks)
        position = int(np.floor(self.positions(np.array([last]))[0]))
        week, rest = np.divmod(position + np.arange(1, steps + 1), per_week)
        rank, slot = np.divmod(rest, len(self.clocks))
        # 1970-01-01 was a Thursday, day 3 of the week that began on Monday.
        days = week * 7 - 3 + np.array(self.weekdays)[rank]
        return (days * DAY + np.array(self.clocks)[slot]).astype("M8[us]")

    def name(self, count: int = 1) -> str:
        word = _words(1, "day" if len(self.clocks) == 1 else "time step", count)
        first, last = self.weekdays[0], self.weekdays[-1]
        if len(self.weekdays) == 7:
            return f"{word} ({len(self.clocks)} a day)"
        if len(self.weekdays) == last - first + 1 > 2:
            return f"{word} ({_WEEKDAYS[first]} to {_WEEKDAYS[last]})"
        return f"{word} ({', '.join(_WEEKDAYS[i] for i in self.weekdays)})"


@dataclass(frozen=True)
class NumericStep(Frequency):
    """Numbers that rise by the same amount: 1, 2, 3, years."""

    step: float
    start: float

    def positions(self, times: Array) -> Array:
        positions: Array = (times - self.start) / self.step
        return positions

    def following(self, last: Any, steps: int) -> Array:
        return np.asarray(last + self.step * np.arange(1, steps + 1))

    def name(self, count: int = 1) -> str:
        return "step" if self.step == 1 else f"step of {self.step:g}"


@dataclass(frozen=True)
class Spacing:
    """Statistics of the distances between consecutive times of one or several series.

    frequency: None where no grid holds most of them. steps: neighbors compared; gaps: those that
    are further apart than one step; missing: time steps that lack in them; off: neighbors whose
    distance is no whole number of steps. shortest, longest: distances, in the unit of the times;
    series: how many there are.
    """

    frequency: Frequency | None
    steps: int
    gaps: int
    missing: int
    off: int
    shortest: Any
    longest: Any
    series: int = 1

    @property
    def neighbors(self) -> float:
        """The fraction of neighbors that are one step apart."""
        return 1 - (self.gaps + self.off) / self.steps if self.frequency else 0.0

    def differ(self) -> str:
        """A message that distances differ, with their range."""
        low, high = _distance_text(self.shortest), _distance_text(self.longest)
        return Note("N14", f"distances between neighbors differ, from {low} to {high}")

    def notes(self) -> list[str]:
        """Gaps, and distances that differ, in a line each."""
        if self.shortest is None:
            return []
        if self.frequency is None:
            return [Note("N14", f"{self.differ()}; they count as equal steps")]
        one, notes = self.frequency.distance(), list[str]()
        if self.missing:
            total = self.missing + self.steps + self.series
            fraction = self.missing / total
            percent = f"{fraction:.0%}" if fraction >= 0.01 else f"{fraction:.1%}"
            far = f"{self.gaps:,} step{'s' * (self.gaps > 1)} between neighbors "
            far += f"{'are' if self.gaps > 1 else 'is'} longer than {one}"
            text = (
                f"{percent} of the {self.frequency.name(2)} are missing ({self.missing:,} of "
                f"{total:,}): {far}, and count{'s' * (self.gaps == 1)} as neighbors"
            )
            notes.append(Note("N14", text))
        if self.off:
            text = (
                f"{self.off:,} of {self.steps:,} distances between neighbors are not {one}; "
                "they count as equal steps"
            )
            notes.append(Note("N14", text))
        return notes


def describe_spacing(series: Sequence[Array]) -> Spacing:
    """The spacing of some series, each in order of time without a time twice."""
    steps = sum(max(0, len(times) - 1) for times in series)
    distances = np.concatenate([np.diff(times) for times in series]) if series else np.zeros(0)
    if steps < 2:
        return Spacing(None, steps, 0, 0, 0, None, None)
    result = [
        _measure(candidate, series, distances) for candidate in _candidates(series, distances)
    ]
    result = [item for item in result if item.neighbors >= MIN_NEIGHBORS and item.off <= steps / 10]
    if not result:
        return Spacing(None, steps, 0, 0, 0, distances.min(), distances.max())
    if isinstance(result[0].frequency, MonthlyStep):  # 31 days are no grid for them
        return result[0]
    return min(result, key=lambda item: item.missing + item.off)


def _measure(frequency: Frequency, series: Sequence[Array], distances: Array) -> Spacing:
    jumps = np.concatenate([np.diff(frequency.positions(times)) for times in series])
    whole = np.round(jumps)
    on_grid = (np.abs(jumps - whole) <= TOLERANCE) & (whole >= 1)
    return Spacing(
        frequency,
        len(jumps),
        int((on_grid & (whole > 1)).sum()),
        int((whole - 1)[on_grid].sum()),
        int((~on_grid).sum()),
        distances.min(),
        distances.max(),
        sum(map(bool, map(len, series))),
    )


def _candidates(series: Sequence[Array], distances: Array) -> list[Frequency]:
    """Possible frequencies of the times, the simplest first."""
    usual = usual_distance(distances)
    if not usual:
        return []
    if distances.dtype.kind != "m":
        return [NumericStep(float(usual), float(series[0][0]))]
    times = np.concatenate([one_series.astype("M8[us]") for one_series in series])
    result: list[Frequency] = []
    months = _monthly(times, series)
    result += [months] if months else []
    result.append(
        FixedStep(int(usual.astype("m8[us]").astype(np.int64)), int(times[0].astype(np.int64)))
    )
    opening = None if months else _opening(times)
    return [*result, opening] if opening else result


def usual_distance(distances: Array) -> Any:
    """The distance that comes most often; about the median where hardly one comes twice."""
    values, counts = np.unique(distances, return_counts=True)
    if counts.max() >= 0.3 * len(distances):
        return values[counts.argmax()]
    if distances.dtype.kind != "m":
        return float(np.median(distances))
    middle = float(np.median(distances.astype("m8[us]").astype(np.int64)))
    for _, unit in _UNITS:  # of a clock that is not exact, the distance that was meant
        whole = round(middle / unit)
        if whole and abs(middle / unit - whole) <= 0.01 * whole:
            return np.timedelta64(whole * unit, "us")
    return np.timedelta64(round(middle), "us")


def _monthly(times: Array, series: Sequence[Array]) -> MonthlyStep | None:
    """The grid of months where all times are on one day of the month, on its last days, or where each
    month has one time."""
    days = times.astype("M8[D]")
    if len(np.unique(times - days)) > 1:
        return None
    jumps = np.concatenate(
        [np.diff(one_series.astype("M8[M]").astype(np.int64)) for one_series in series]
    )
    usual = int(usual_distance(jumps))
    months = times.astype("M8[M]")
    day = (days - months.astype("M8[D]")).astype(np.int64) + 1
    lengths = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    if (day == lengths).all():
        day_of_month = 31
    elif (day == np.minimum(day.max(), lengths)).all():
        day_of_month = int(day.max())
    else:
        day_of_month = 0
    rises = bool((jumps >= 1).all()) and usual >= 1
    return MonthlyStep(usual, day_of_month) if rises else None


def _opening(times: Array) -> BusinessHours | None:
    """The weekdays and hours that have rows, where some never have; None where all do."""
    days, clock, weekday = _parts(times)
    weeks = _weeks(days)
    if weeks.max() - weeks.min() < MIN_WEEKS:
        return None
    per_weekday = np.bincount(weekday, minlength=7)
    open_days = np.flatnonzero(per_weekday > CLOSED * np.median(per_weekday[per_weekday > 0]))
    clocks, counts = np.unique(clock, return_counts=True)
    clocks = clocks[counts > CLOSED * np.median(counts)]
    if len(clocks) > MAX_SEASON * 5 or (len(open_days) == 7 and len(clocks) == 1):
        return None
    return BusinessHours(tuple(map(int, open_days)), tuple(map(int, clocks)))


def _parts(times: Array) -> tuple[Array, Array, Array]:
    """Days since 1970, microseconds after midnight, and weekdays from 0 for Monday: int64 each."""
    micros = times.astype("M8[us]").astype(np.int64)
    days, clock = np.divmod(micros, DAY)
    return days, clock, (days + 3) % 7


def _weeks(days: Array) -> Array:
    return np.asarray((days + 3) // 7)


def _words(size: int, unit: str, count: int) -> str:
    """One step as "hour" or "15 minutes", several as "hours" or "steps of 15 minutes"."""
    if size == 1:
        return unit + "s" * (count != 1)
    return f"steps of {size} {unit}s" if count != 1 else f"{size} {unit}s"


def _distance_text(distance: Any) -> str:
    if not isinstance(distance, np.timedelta64):
        return f"{distance:g}"
    micros = int(distance.astype("m8[us]").astype(np.int64))
    word, size = next((w, s) for w, s in _UNITS[1:] if micros >= s)
    return f"{micros / size:.3g} {word}{'s' * (micros != size)}"
