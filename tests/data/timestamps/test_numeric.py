"""Times in numbers, parts of dates in several columns, and words that count up."""

from __future__ import annotations

from typing import Any

import pandas
import pytest

from tests.data.timestamps.axes import DAYS, axis_of, numbered

HOURS = pandas.date_range("2021-01-01", periods=120, freq="h")


@pytest.mark.parametrize(
    ("columns", "time", "following"),
    [
        (numbered(range(1700, 1800), "Year"), ["Year"], "1800"),
        (numbered(range(1700, 1800), "Anno"), ["Anno"], "1800"),
        (numbered(range(1, 61), "t"), ["t"], "61"),
        (numbered(range(44197, 44257), "Date"), ["Date"], "2021-03-02"),
        (
            numbered(range(1609459200, 1609459200 + 60 * 3600, 3600), "timestamp"),
            ["timestamp"],
            "2021-01-03 12:00:00",
        ),
        (
            numbered(range(1609459200000, 1609459200000 + 60 * 60000, 60000), "x"),
            ["x"],
            "2021-01-01 01:00:00",
        ),
        (numbered([day.replace("-", "") for day in DAYS], "date"), ["date"], "2021-03-05"),
        (
            numbered([f"{y}{m:02d}" for y in (2019, 2020) for m in range(1, 13)], "month"),
            ["month"],
            "2021-01-01",
        ),
        (numbered([f"{1949 + i / 12:.3f}" for i in range(48)], "time"), ["time"], "1953-01-01"),
        (
            {
                "Date": HOURS.strftime("%d/%m/%Y"),
                "Time": HOURS.strftime("%H:%M:%S"),
                "y": range(120),
            },
            ["Date", "Time"],
            "2021-01-06 00:00:00",
        ),
        (
            {"date": HOURS.strftime("%Y-%m-%d"), "hour": HOURS.hour, "y": range(120)},
            ["date", "hour"],
            "2021-01-06 00:00:00",
        ),
        (
            {"date": HOURS.strftime("%Y-%m-%d"), "HE": HOURS.hour + 1, "y": range(120)},
            ["date", "HE"],
            "2021-01-06 01:00:00",
        ),
        (
            {
                "No": range(1, 121),
                "year": HOURS.year,
                "month": HOURS.month,
                "day": HOURS.day,
                "hour": HOURS.hour,
                "y": range(120),
            },
            ["year", "month", "day", "hour"],
            "2021-01-06 00:00:00",
        ),
        (
            {
                "Monat": [
                    "Jan",
                    "Feb",
                    "Mär",
                    "Apr",
                    "Mai",
                    "Jun",
                    "Jul",
                    "Aug",
                    "Sep",
                    "Okt",
                    "Nov",
                    "Dez",
                ]
                * 2,
                "Jahr": [2019] * 12 + [2020] * 12,
                "y": range(24),
            },
            ["Jahr", "Monat"],
            "2021-01-01",
        ),
        (
            {
                "year": [2018] * 4 + [2019] * 4 + [2020] * 4,
                "quarter": [1, 2, 3, 4] * 3,
                "y": range(12),
            },
            ["year", "quarter"],
            "2021-01-01",
        ),
        (
            numbered([f"{h:02d}:{m:02d}" for h in range(12) for m in (0, 30)], "time"),
            ["time"],
            "12:00:00",
        ),
    ],
)
def test_the_time_is_found(columns: dict[str, Any], time: list[str], following: str) -> None:
    axis = axis_of(columns)
    assert (axis.columns, axis.issues) == (time, [])
    assert axis.following("", 1) == [following]


def test_words_that_count_up_put_the_rows_in_order() -> None:
    axis = axis_of(
        numbered([f"{year}-{month:02d}" for year in (1, 2, 3) for month in range(1, 13)], "Month")
    )
    assert axis.notes == [
        "'1-01' in column 'Month' is no date that is known (data.date_format); its rows are in order, and "
        "are taken for equal steps"
    ]
    assert (axis.following("", 2), axis.why_no_dates()) == (None, None)
