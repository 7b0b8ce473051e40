"""Time steps as messages and plots show them."""

from __future__ import annotations

import numpy as np

from nnzoo.data.timestamps.index import TimeFormat, TimeIndex


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="M8[us]")


def test_times_are_written_with_the_resolution_that_they_need() -> None:
    days = dates("2021-06-18", "2021-06-19")
    assert TimeFormat().texts(days) == ["2021-06-18", "2021-06-19"]
    assert TimeFormat("M").texts(days) == ["2021-06", "2021-06"]
    assert TimeFormat("D", offset="+02:00").texts(days)[0] == "2021-06-18"
    hours = dates("2021-06-18T09:30", "2021-06-18T10:00")
    assert TimeFormat("D").texts(hours)[0] == "2021-06-18 09:30:00", "days would hide the hour"
    assert TimeFormat("ms", offset="Z").texts(hours)[1] == "2021-06-18 10:00:00.000Z"
    assert TimeFormat(clock=True).texts(hours) == ["09:30:00", "10:00:00"]
    assert TimeFormat().texts(np.array([1.0, 2.5])) == ["1", "2.5"]


def test_steps_belong_to_the_series_that_they_are_in() -> None:
    times = [dates("2021-01-01", "2021-01-02"), dates("2021-01-01", "2021-01-02", "2021-01-03")]
    index = TimeIndex.of(["Basel", "Bern"], times, [2, 3])
    assert [index.series(step) for step in range(5)] == ["Basel"] * 2 + ["Bern"] * 3
    assert index.label(4) == "Bern, 2021-01-03"
    assert index.describe(np.array([4, 2])) == {
        "period": {"from": "2021-01-01", "to": "2021-01-03"},
        "series": ["Bern"],
    }
    assert index.describe(np.array([1, 2]))["series"] == ["Basel", "Bern"]


def test_without_times_or_names_a_step_has_its_number() -> None:
    index = TimeIndex.of([""], [None], [9])
    assert (index.series(3), index.time(3), index.label(3)) == ("", None, "step 4")
    assert index.describe(np.array([0, 8])) == {}


def test_times_of_some_series_alone_are_none() -> None:
    assert TimeIndex.of(["a", "b"], [dates("2021-01-01"), None], [1, 1]).times is None
