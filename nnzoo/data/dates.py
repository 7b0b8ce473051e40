"""Columns of dates: whether a column holds some, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnzoo.data.columns import looks_numeric, to_text

if TYPE_CHECKING:
    import pandas

SAMPLED_DATES = 50


def to_dates(column: pandas.Series) -> pandas.Series:
    """A column as dates in UTC; what is no date becomes NaT."""
    import warnings

    import pandas

    if pandas.api.types.is_numeric_dtype(column):
        return pandas.Series(pandas.NaT, index=column.index)
    nothing = first = pandas.Series(pandas.NaT, index=column.index)
    present = int(column.notna().sum())
    # The format is taken from the first value; 01/02/2020 above 13/02/2020 shows later what it is.
    for way in ({}, {"dayfirst": True}, {"format": "mixed"}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dates = pandas.to_datetime(column, errors="coerce", utc=True, **way)
            except (ValueError, OverflowError):
                continue
        if dates.notna().sum() == present:
            return dates
        first = dates if first is nothing else first
    return first


_SEPARATOR = r"(?:[-/.: ]|, )+"
_DATE = (
    r"(?<!\d)(?:\d{4}|\d{8})(?!\d)"  # 2020, or 20200131 before a time
    rf"|(?=.*\d)\w{_SEPARATOR}\w+{_SEPARATOR}\w"
)


def looks_like_dates(column: pandas.Series) -> bool:
    """Whether every value that is there is a date, and not a plain number."""
    import pandas

    if pandas.api.types.is_numeric_dtype(column) or looks_numeric(column):
        return False
    present = to_text(column.dropna().iloc[:SAMPLED_DATES])
    # "Mon", "May" and "1,278" can be read as dates too: a date has a year of four digits, or two
    # separators.
    if not len(present) or not present.str.contains(_DATE).all():
        return False
    return bool(to_dates(present).notna().all())
