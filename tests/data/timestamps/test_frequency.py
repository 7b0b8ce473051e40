"""Frequencies of time steps, the times that follow, and missing steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzoo.data.timestamps.frequency import describe_spacing


def stamps(freq: str, rows: int = 60, start: str = "2020-01-31") -> Any:
    return pandas.date_range(start, periods=rows, freq=freq).to_numpy().astype("M8[us]")


@pytest.mark.parametrize(
    ("freq", "name", "season"),
    [
        ("h", "hour", 24),
        ("D", "day", 7),
        ("W", "week", 52),
        ("MS", "month", 12),
        ("ME", "month", 12),
        ("QS", "quarter", 4),
        ("YS", "year", 0),
        ("2MS", "2 months", 6),
        ("30min", "30 minutes", 48),
        ("15min", "15 minutes", 96),
        ("6h", "6 hours", 4),
        ("min", "minute", 0),
        ("s", "second", 0),
        ("B", "day (Monday to Friday)", 5),
        ("C", "day (Monday to Saturday)", 6),
        ("BME", "month", 12),
    ],
)
def test_a_frequency_is_found_and_goes_on_as_the_calendar_does(
    freq: str, name: str, season: int
) -> None:
    offset = pandas.offsets.CustomBusinessDay(weekmask="Mon Tue Wed Thu Fri Sat")
    times = stamps(offset if freq == "C" else freq, 63)
    spacing = describe_spacing([times[:60]])
    frequency = spacing.frequency
    assert frequency is not None
    assert (frequency.name(), frequency.season, spacing.neighbors) == (name, season, 1.0)
    future = frequency.following(times[59], 3)
    unit = "M" if freq == "BME" else "us"
    assert (future.astype(f"M8[{unit}]") == times[60:].astype(f"M8[{unit}]")).all()


def test_hours_of_trade_are_neighbours_over_night_and_weekend() -> None:
    hours = pandas.date_range("2021-03-01", periods=24 * 40, freq="h")
    hours = hours[(hours.day_of_week < 5) & (hours.hour >= 9) & (hours.hour < 17)]
    times = hours.to_numpy().astype("M8[us]")
    spacing = describe_spacing([times[:-9]])
    assert spacing.frequency is not None
    assert (spacing.frequency.season, spacing.missing, spacing.off) == (8, 0, 0)
    assert (spacing.frequency.following(times[-10], 9) == times[-9:]).all()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_times_that_are_dropped_are_counted_as_missing(data: st.DataObject) -> None:
    freq = data.draw(st.sampled_from(["h", "D", "MS", "W", "15min"]))
    times = stamps(freq, 200)
    dropped = data.draw(st.sets(st.integers(1, 198), max_size=40))
    kept = np.delete(times, list(dropped))
    spacing = describe_spacing([kept])
    assert (spacing.missing, spacing.off) == (len(dropped), 0)
    assert spacing.frequency is not None
    assert spacing.frequency.following(times[-1], 1)[0] > times[-1]


def test_a_clock_that_is_not_exact_has_a_distance_too() -> None:
    rng = np.random.default_rng(0)
    times = stamps("min", 200) + (rng.uniform(-2e6, 2e6, 200)).astype("m8[us]")
    frequency = describe_spacing([times]).frequency
    assert frequency is not None
    assert frequency.name() == "minute"


def test_distances_that_differ_make_no_frequency() -> None:
    rng = np.random.default_rng(0)
    days = np.cumsum(rng.integers(1, 15, 100)).astype("M8[D]").astype("M8[us]")
    spacing = describe_spacing([days])
    assert spacing.frequency is None
    assert spacing.notes() == [
        "distances between neighbors differ, from 1 day to 14 days; they count as equal steps"
    ]
