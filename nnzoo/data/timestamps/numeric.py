"""Columns of time that hold no dates: numbers that rise, a clock, words that count up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.values import looks_numeric, to_numbers, to_text
from nnzoo.data.timestamps.date_formats import plain
from nnzoo.data.timestamps.frequency import DAY, MICROSECONDS, describe_spacing
from nnzoo.data.timestamps.parse import MIN_DATES, compose_days
from nnzoo.text import Note

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]

# Names of parts of a date, in some languages; without accents.
PARTS = {
    "year": "year yr yyyy yy jahr annee an ano anno jaar",
    "quarter": "quarter qtr quartal trimestre q",
    "month": "month mon mm monat mois mes mese maand",
    "week": "week wk kw isoweek weekofyear",
    "day": "day dd tag jour dia giorno dag dayofmonth mday",
    "hour": "hour hr hh stunde heure hora ora uur he",
    "minute": "minute min mi minuto",
    "second": "second sec ss sekunde seconde",
}
RANGES = {
    "year": (1000, 2999),
    "quarter": (1, 4),
    "month": (1, 12),
    "week": (1, 53),
    "day": (1, 31),
    "hour": (0, 24),
    "minute": (0, 59),
    "second": (0, 60),
}
PART_OF = {name: part for part, names in PARTS.items() for name in names.split()}
# Names of a column of time that holds plain numbers.
_TIMES = frozenset(
    re.findall(
        r"\w+",
        "time times timestamp timestep ts t date dates datum datetime epoch unix unixtime zeit zeitpunkt "
        "temps fecha data tempo tijd period step tick ticks elapsed years months weeks days hours "
        "minutes seconds ds utc unixtimestamp epochtime epochs timeindex",
    )
)
INDICES = frozenset(
    re.findall(r"\w+", "index idx row rowid rownumber no nr number num id obs n unnamed")
)
# Seconds since 1970 from 1973 to 2100, in seconds, milli-, micro- and nanoseconds.
_EPOCHS = ((1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds"))
_EPOCH_RANGE = (1e8, 4.1e9)
# Names of days, whose numbers from 20,000 to 80,000 are those of a spreadsheet: 1954 to 2119.
_DATES = frozenset(("date", "dates", "datum", "fecha", "data", "day", "tag", "datetime"))
_EXCEL_EPOCH = -25_569  # 1899-12-30, in days since 1970
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?(?: ?([ap])\.?m\.?)?", re.IGNORECASE)


@dataclass(frozen=True)
class TimeColumns:
    """The time of each row.

    columns: their names. times: (rows,) datetime64[us] or float64, NaT or NaN where there is none.
    texts: (rows,) the cells as they are written, for messages. wrong, nearly: as in `Dates`. kind: how times
    are written: as "dates", "months" without a day, whole "numbers", a "clock", or "words" in order.
    """

    columns: list[str]
    times: Array
    texts: Array
    wrong: Array
    nearly: Array
    kind: str = "dates"
    offset: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def missing(self) -> Array:
        """(rows,) where there is no time, or none that can be read."""
        return np.isnan(self.times) if self.times.dtype.kind == "f" else np.isnat(self.times)

    @property
    def name(self) -> str:
        """The columns for a message: "'date'", or "'date' and 'time'"."""
        names = [f"'{name}'" for name in self.columns]
        return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def part_of(name: str) -> str | None:
    """The part of a date that the name of a column means, such as "month"; None for no part."""
    return PART_OF.get(bare_name(name))


def is_time_name(name: str) -> bool:
    """Whether a column is named like a time of its own, not like a part of one."""
    return bare_name(name) in _TIMES


def bare_name(name: str) -> str:
    """The letters of a name, without accents and without what is in brackets."""
    return re.sub(r"[^a-z]", "", re.sub(r"\(.*?\)|\[.*?\]", "", plain(name)))


def is_within(column: pandas.Series, part: str) -> bool:
    """Whether all values are whole numbers in the range of a part of a date."""
    if not looks_numeric(column):
        return False
    values = to_numbers(column)
    values = values[~np.isnan(values)]
    low, high = RANGES[part]
    return bool(
        len(values)
        and (values == np.round(values)).all()
        and values.min() >= low
        and values.max() <= high
    )


@dataclass(frozen=True)
class _Numbers:
    """A column of numbers, some of which may be missing, that may be times.

    name: see `bare_name`; timely: whether it is the name of a time, or data.time; first: whether it is
    the first column. known: (rows,) where there is a value. whole, low, high, steps: whether the
    known values are integers, their range, and the fraction one step apart (see `_steps`).
    """

    column: pandas.Series
    values: Array
    known: Array
    name: str
    timely: bool
    first: bool

    @cached_property
    def whole(self) -> bool:
        known = self.values[self.known]
        return bool((known == np.round(known)).all())

    @cached_property
    def low(self) -> float:
        return float(self.values[self.known].min())

    @cached_property
    def high(self) -> float:
        return float(self.values[self.known].max())

    @cached_property
    def steps(self) -> float:
        return _steps(self.values[self.known])

    def integers(self, values: Array) -> Array:
        """Values (rows,) as int64, 0 where there is none."""
        return np.where(self.known, values, 0).astype(np.int64)

    def as_dates(self, times: Array) -> Array:
        """Datetimes (rows,) in microseconds, NaT where there is no value."""
        return np.where(self.known, times.astype("M8[us]"), np.datetime64("NaT", "us"))

    def is_regular(self, times: Array) -> bool:
        """Whether most of the known times are one step apart."""
        return _steps(times[self.known]) >= 0.9

    def time_columns(self, times: Array, kind: str, note: str = "") -> TimeColumns:
        name = str(self.column.name)
        text = to_text(self.column).to_numpy(dtype=object)
        wrong = self.column.notna().to_numpy() & ~self.known
        notes: list[str] = [Note("N12", f"column '{name}' is read as {note}")] if note else []
        return TimeColumns([name], times, text, wrong, wrong & False, kind, None, notes)


def numeric_time(column: pandas.Series, first: bool, named: bool = False) -> TimeColumns | None:
    """Numbers that are times: seconds since 1970, 20200131, 202001, years, or equal steps."""
    name = bare_name(str(column.name))
    timely = named or name in _TIMES or name in PART_OF
    if not (timely or first) or not looks_numeric(column, MIN_DATES if timely else 1.0):
        return None
    values = to_numbers(column)
    known = ~np.isnan(values)
    if known.sum() < 3:
        return None
    numbers = _Numbers(column, values, known, name, timely, first)
    for read in (_compact_dates, _since_1970, _spreadsheet_days):
        if (time := read(numbers)) is not None:
            return time
    if not named and not _is_monotonic(values[known], repeats=name in _TIMES or name == "year"):
        return None  # an hour or a day that comes again and again is no time
    if (time := _years(numbers)) is not None:
        return time
    if timely and (named or (numbers.steps >= 0.9 and numbers.low >= 0)):
        return numbers.time_columns(values, "numbers")
    return None


def _compact_dates(numbers: _Numbers) -> TimeColumns | None:
    """Dates such as 20200131 and months such as 202001."""
    if not numbers.whole or numbers.low < 1000_01:
        return None
    for digits, kind in ((8, "dates"), (6, "months")):
        times = _from_digits(numbers, digits)
        if times is not None and (numbers.timely or numbers.is_regular(times)):
            return numbers.time_columns(times, kind, "dates without separators")
    return None


def _since_1970(numbers: _Numbers) -> TimeColumns | None:
    """Seconds, or milli-, micro- or nanoseconds, since 1970."""
    for per_second, unit in _EPOCHS:
        low, high = numbers.low / per_second, numbers.high / per_second
        if not _EPOCH_RANGE[0] <= low <= high <= _EPOCH_RANGE[1]:
            continue
        micros = np.where(numbers.known, numbers.values, 0) * (MICROSECONDS / per_second)
        times = numbers.as_dates(micros.round())
        if (numbers.timely and (numbers.whole or per_second == 1)) or (
            numbers.first and numbers.is_regular(times)
        ):
            return numbers.time_columns(times, "dates", f"{unit} since 1970, in UTC")
    return None


def _spreadsheet_days(numbers: _Numbers) -> TimeColumns | None:
    """Days since 1900, as spreadsheets store dates."""
    in_range = numbers.low >= 20_000 and numbers.high <= 80_000
    if not (numbers.whole and numbers.name in _DATES and in_range and numbers.steps >= 0.5):
        return None
    times = (numbers.integers(numbers.values) + _EXCEL_EPOCH).astype("M8[D]")
    meaning = "days as spreadsheets count them, from 1900"
    return numbers.time_columns(numbers.as_dates(times), "dates", meaning)


def _years(numbers: _Numbers) -> TimeColumns | None:
    """Whole years, or years with fractions for months or quarters, such as 2020.25."""
    if not (numbers.low >= 1000 and numbers.high <= 2999 and numbers.steps >= 0.9):
        return None
    if numbers.whole:
        regular = numbers.timely or _rises(numbers.values)
        return numbers.time_columns(numbers.values, "numbers") if regular else None
    for per_year in (12, 4):
        counts = numbers.values * per_year
        nearest = np.round(counts)
        if (np.abs(counts - nearest)[numbers.known] <= 0.05 * per_year / 4).all():
            months = numbers.integers(nearest * (12 // per_year)) - 1970 * 12
            times = numbers.as_dates(months.astype("M8[M]"))
            if numbers.is_regular(times):
                return numbers.time_columns(times, "months", "years with fractions")
    return None


def plain_numbers(column: pandas.Series) -> TimeColumns:
    values = to_numbers(column)
    wrong = np.isnan(values) & column.notna().to_numpy()
    text = to_text(column).to_numpy(dtype=object)
    return TimeColumns([str(column.name)], values, text, wrong, wrong & False, "numbers")


def _from_digits(numbers: _Numbers, digits: int) -> Array | None:
    """Whole numbers as 20200131 (8 digits) or 202001 (6); None where one is no date from 1800 to
    2199."""
    year, rest = np.divmod(numbers.integers(numbers.values), 10 ** (digits - 4))
    month, day = np.divmod(rest, 100) if digits == 8 else (rest, np.ones_like(rest))
    days = compose_days({"year": year, "month": month, "day": day})
    valid = ~np.isnat(days) & (year >= 1800) & (year <= 2199)
    return days.astype("M8[us]") if valid[numbers.known].all() else None


def _steps(times: Array) -> float:
    """The fraction of neighbors, in order and each once, that are one step apart."""
    distinct = np.unique(times)
    return describe_spacing([distinct]).neighbors if len(distinct) > 2 else 0.0


def _rises(values: Array) -> bool:
    return bool((np.diff(values) == 1).all())


def _is_monotonic(values: Array, repeats: bool) -> bool:
    """Whether most neighbors rise, or most fall; without repeats, no value comes twice."""
    jumps = np.diff(values)
    if not repeats and len(np.unique(values)) < len(values):
        return False
    return bool(max((jumps >= 0).mean(), (jumps <= 0).mean()) >= 0.8)


def clock_time(column: pandas.Series, first: bool) -> TimeColumns | None:
    """Times of day in equal steps, which go on after midnight."""
    if not (first or bare_name(str(column.name)) in _TIMES):
        return None
    seconds = seconds_of_day(column)
    if len(seconds) < 3 or not np.isfinite(seconds).all():
        return None
    seconds = seconds + DAY // MICROSECONDS * np.append(0, np.cumsum(np.diff(seconds) < 0))
    if _steps(seconds) < 0.9 or len(np.unique(seconds)) < len(seconds):
        return None
    times = (seconds * MICROSECONDS).round().astype("M8[us]")
    nowhere = np.zeros(len(column), bool)
    text = to_text(column).to_numpy(dtype=object)
    return TimeColumns([str(column.name)], times, text, nowhere, nowhere, "clock")


def words_in_order(column: pandas.Series, named: bool = False) -> TimeColumns | None:
    """Different words that count up under a name of time, as "Week 1", "Week 2" or "1-01", "1-02": the
    order of the rows, no dates."""
    name = bare_name(str(column.name))
    if not (named or name in _TIMES or name in PART_OF):
        return None
    if looks_numeric(column) or column.isna().any():
        return None
    text = to_text(column)
    if text.duplicated().any():
        return None
    keys = [
        [
            (1, int(token), "") if token.isdigit() else (0, 0, token)
            for token in re.findall(r"\d+|\D+", value)
        ]
        for value in text
    ]
    if keys != sorted(keys):
        return None
    nowhere = np.zeros(len(column), bool)
    note = Note(
        "N12",
        f"'{text.iloc[0]}' in column '{column.name}' is no date that is known (data.date_format); "
        "its rows are in order, and are taken for equal steps",
    )
    return TimeColumns(
        [str(column.name)],
        np.arange(len(column), dtype=np.float64),
        text.to_numpy(dtype=object),
        nowhere,
        nowhere,
        "words",
        None,
        [note],
    )


def seconds_of_day(column: pandas.Series) -> Array:
    """Seconds after midnight of "17:24", "17:24:00", "5:24 pm"; NaN for others."""
    nothing = np.full(len(column), np.nan)
    if looks_numeric(column) or not column.notna().any():
        return nothing
    text = to_text(column)
    if not all(map(_CLOCK.fullmatch, text.dropna().iloc[:10])):
        return nothing
    parts = text.str.extract(_CLOCK)
    hours, minutes, seconds = (to_numbers(parts[i]) for i in range(3))
    half = parts[3].str.lower().to_numpy(dtype=object)
    afternoon = np.array([value == "p" for value in half])
    morning = np.array([value == "a" for value in half])
    hours = np.where(morning | afternoon, hours % 12 + 12 * afternoon, hours)
    seconds = np.where(np.isnan(seconds), 0, seconds)
    right = (hours <= 24) & (minutes < 60) & (seconds <= 60)
    return np.where(right, 3600 * hours + 60 * minutes + seconds, np.nan)
