"""The columns of a table that hold the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from tests.data.timestamps.axes import axis_of, numbered

HOURS = pandas.date_range("2021-01-01", periods=120, freq="h")


@pytest.mark.parametrize(
    "columns",
    [
        {"in1": range(10, 100, 10), "in2": range(15, 105, 10), "y": range(9)},
        {"hour": [*range(24)] * 3, "y": range(72)},
        {"day": np.random.default_rng(0).integers(1, 32, 80), "y": range(80)},
        {"id": range(80), "y": range(80)},
        {"duration": ["1:00:08", "1:00:27", "1:02:00"] * 20, "y": range(60)},
        {"zipcode": range(10115, 10175), "y": range(60)},
        {"x": np.linspace(0, 1, 60), "y": range(60)},
    ],
)
def test_other_columns_are_not_taken_for_the_time(columns: dict[str, Any]) -> None:
    axis = axis_of(columns)
    assert (axis.columns, axis.issues) == ([], [])


@pytest.mark.parametrize("name", ["time", "x"])
def test_a_clock_can_be_named_as_the_time(name: str) -> None:
    clock = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(0, 900, 15)]
    axis = axis_of(numbered(clock, name), time=name)
    assert (axis.following("", 1), axis.season) == (["15:00:00"], 96)


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (["a", "b"], [HOURS.strftime("%d.%m.%Y"), HOURS.strftime("%H:%M")]),
        (["a", "b", "c", "d"], [HOURS.year, HOURS.month, HOURS.day, HOURS.hour]),
    ],
)
def test_columns_of_the_time_can_be_named(names: list[str], values: list[Any]) -> None:
    columns = dict(zip(names, values, strict=True)) | {"y": range(120)}
    assert axis_of(columns, time=names).following("", 1) == ["2021-01-06 00:00:00"]
