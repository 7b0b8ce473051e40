"""Detection of the column or columns of a table that hold the time: dates, parts of dates, rising numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.values import looks_numeric, to_numbers, to_text
from nnzoo.data.timestamps.frequency import MICROSECONDS
from nnzoo.data.timestamps.numeric import (
    INDICES,
    PARTS,
    TimeColumns,
    bare_name,
    clock_time,
    is_within,
    numeric_time,
    part_of,
    plain_numbers,
    seconds_of_day,
    words_in_order,
)
from nnzoo.data.timestamps.parse import MIN_DATES, SAMPLED, compose_days, read_dates
from nnzoo.text import Note

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


def find_time(
    frame: pandas.DataFrame, exclude: Collection[str] = (), date_format: str = "auto"
) -> TimeColumns | None:
    """The time of a table by its values and the names of its columns; None where it has none.

    exclude: columns that are something else, such as the target.
    """
    names = [name for name in frame.columns if name not in exclude]
    for name in names:
        dates = _dates_of(frame, name, date_format)
        if dates is not None:
            return _with_clock(dates, frame, names, date_format)
    parts = _find_parts(frame, names)
    if parts:
        return _from_parts(frame, parts)
    for name in names:
        first = name == frame.columns[0]
        result = (
            numeric_time(frame[name], first)
            or clock_time(frame[name], first)
            or words_in_order(frame[name])
        )
        if result is not None:
            return result
    return None


def named_time(
    frame: pandas.DataFrame, columns: Sequence[str], date_format: str = "auto"
) -> TimeColumns:
    """The time of a table where its columns are named: one, a date and a time of day, or the parts
    of a date, the year first."""
    if len(columns) == 1:
        column = frame[columns[0]]
        if looks_numeric(column, MIN_DATES):
            return numeric_time(column, True, named=True) or plain_numbers(column)
        dates = _of_dates(frame, columns, date_format)
        if dates.missing.all():
            return clock_time(column, True) or words_in_order(column, named=True) or dates
        return dates
    if all(looks_numeric(frame[name]) or part_of(name) for name in columns) and looks_numeric(
        frame[columns[0]]
    ):
        order = [part for part in PARTS if part not in ("quarter", "week")]
        by_name = [part_of(name) for name in columns]
        known = None not in by_name and len(set(by_name)) == len(by_name)
        parts = dict(zip(by_name if known else order, columns, strict=False))
        return replace(_from_parts(frame, parts), notes=[])  # type: ignore[arg-type]
    return _of_dates(frame, columns, date_format)


def row_number(frame: pandas.DataFrame, name: str) -> bool:
    """Whether a column counts the rows: one by one, under a name for that or none, in first place."""
    bare = bare_name(name)
    if bare not in INDICES and not (name == frame.columns[0] and bare in ("", "unnamed")):
        return False
    column = frame[name]
    if not looks_numeric(column) or column.isna().any() or len(column) < 3:
        return False
    return bool((np.diff(to_numbers(column)) == 1).all())


def _dates_of(frame: pandas.DataFrame, name: str, date_format: str) -> TimeColumns | None:
    """A column that holds dates, but for a few values; None where it does not."""
    sample = frame[name].dropna().iloc[:SAMPLED]
    if not len(sample) or looks_numeric(sample, MIN_DATES):
        return None
    if read_dates(sample, date_format).fraction < MIN_DATES / 3:
        return None
    dates = _of_dates(frame, [name], date_format)
    right, total = int((~dates.missing).sum()), int(frame[name].notna().sum())
    if right < MIN_DATES * total:
        # Dates of another form are named as wrong; a column of them is one of time all the same.
        right += int((~np.isnat(read_dates(frame[name][dates.wrong], date_format).times)).sum())
    return dates if right >= MIN_DATES * total else None


def _of_dates(
    frame: pandas.DataFrame, columns: Sequence[str], date_format: str, notes: Sequence[str] = ()
) -> TimeColumns:
    """One column of text, or several joined."""
    text = to_text(frame[columns[0]])
    for name in columns[1:]:
        column = frame[name]
        if _is_hour(column):
            clock = (
                to_text(column).where(column.notna()).str.replace(r"\.0+$", "", regex=True) + ":00"
            )
        else:
            clock = to_text(column)
        text = text.str.cat(clock, sep=" ")
    dates = read_dates(text, date_format)
    kind = "months" if dates.monthly else "dates"
    return TimeColumns(
        list(columns),
        dates.times,
        text.to_numpy(dtype=object),
        dates.wrong,
        dates.nearly,
        kind,
        dates.offset,
        [*notes, *dates.notes],
    )


def _with_clock(
    dates: TimeColumns, frame: pandas.DataFrame, names: list[str], date_format: str
) -> TimeColumns:
    """Dates, with the time of day where that is in a column of its own."""
    (date,) = dates.columns
    clock_in_date = (dates.times != dates.times.astype("M8[D]"))[~dates.missing].any()
    if clock_in_date or len(np.unique(dates.times[~dates.missing])) > 0.9 * len(frame):
        return dates
    for name in names:
        column = frame[name]
        if name == date or not (_is_hour(column) or _is_clock(column)):
            continue
        note = Note("N12", f"the time is '{date}' and '{name}' together (data.time)")
        return _of_dates(frame, [date, name], date_format, [note])
    return dates


def _is_hour(column: pandas.Series) -> bool:
    """Whether a column holds hours as numbers, from 0 or 1 to 24, under such a name."""
    return part_of(str(column.name)) == "hour" and is_within(column, "hour")


def _is_clock(column: pandas.Series) -> bool:
    """Whether a column holds times of day."""
    present = column.notna().to_numpy()
    return bool(present.any() and np.isfinite(seconds_of_day(column)[present]).all())


def _find_parts(frame: pandas.DataFrame, names: list[str]) -> dict[str, str]:
    """Columns that are the parts of a date: a year, then a month, quarter or week, and so on."""
    result: dict[str, str] = {}
    for name in names:
        part = part_of(name)
        if part is None or part in result:
            continue
        words = part == "month" and np.isfinite(_month_numbers(frame[name])).all()
        if words or is_within(frame[name], part):
            result[part] = name
    if "year" not in result or len({"month", "quarter", "week"} & {*result}) != 1:
        return {}
    order = ["year", "quarter", "month", "week", "day", "hour", "minute", "second"]
    used = []
    for part in order:
        if part in result:
            used.append(part)
        elif part in ("day", "hour", "minute") and not {"quarter", "week"} & {*used}:
            break  # an hour without its day is something else
    if {"quarter", "week"} & {*used}:
        used = used[:2]
    return {part: result[part] for part in used}


def _month_numbers(column: pandas.Series) -> Array:
    """MonthlyStep from 1 to 12, in numbers or words; NaN for others."""
    if looks_numeric(column):
        return to_numbers(column)
    words = to_text(column).fillna("").map(lambda word: f"{word} 2000")
    dates = read_dates(words)
    months = dates.times.astype("M8[M]").astype(np.float64) % 12 + 1
    return np.where(np.isnat(dates.times), np.nan, months)


def _from_parts(frame: pandas.DataFrame, parts: dict[str, str]) -> TimeColumns:
    numbers = {
        part: _month_numbers(frame[name]) if part == "month" else to_numbers(frame[name])
        for part, name in parts.items()
    }
    there = np.all([np.isfinite(values) for values in numbers.values()], axis=0)
    whole = {part: np.where(there, values, -1).astype(np.int64) for part, values in numbers.items()}
    nothing = np.full(len(frame), -1)
    weekly = np.full(len(frame), "week" in parts)
    days = compose_days(
        {
            name: whole.get(name, nothing)
            for name in ("year", "month", "day", "quarter", "week", "weekday")
        },
        weekly,
    )
    seconds: Array = sum(  # type: ignore[assignment]
        whole.get(part, nothing * 0) * size
        for part, size in (("hour", 3600), ("minute", 60), ("second", 1))
    )
    times = days.astype("M8[us]") + (seconds * MICROSECONDS).astype("m8[us]")
    times[~there] = np.datetime64("NaT")
    columns = list(parts.values())
    text = to_text(frame[columns[0]])
    for name in columns[1:]:
        text = text.str.cat(to_text(frame[name]), sep="-")
    present = frame[columns].notna().any(axis=1).to_numpy()
    wrong = np.isnat(times) & present
    result = TimeColumns(
        columns,
        times,
        text.to_numpy(dtype=object),
        wrong,
        wrong & there,
        "dates" if {"day", "week"} & {*parts} else "months",
    )
    return replace(result, notes=[Note("N12", f"the time is {result.name} together (data.time)")])
