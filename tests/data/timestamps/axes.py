"""Columns and tables with times, for the tests of time axes."""

from __future__ import annotations

from typing import Any

import pandas

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.timestamps.axis import TimeAxis
from nnzoo.data.timestamps.describe import describe_time


def text(values: Any) -> pandas.Series:
    return pandas.Series(list(values), dtype=object)


def axis_of(columns: dict[str, Any], **options: Any) -> TimeAxis:
    frame = pandas.DataFrame({name: text(map(str, values)) for name, values in columns.items()})
    target = options.pop("target", list(columns)[-1])
    settings_ = SeriesOptions(name="series", path="s.csv", **options)
    return describe_time(frame, settings_, [target])


def numbered(times: Any, name: str = "when") -> dict[str, Any]:
    times = list(times)
    return {name: times, "y": range(len(times))}


DAYS = [str(day.date()) for day in pandas.date_range("2021-01-04", periods=60)]
