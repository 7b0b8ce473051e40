"""The time axis of a table: order, repeated times, rows left out, and notes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.data.timestamps.describe import time_note
from nnzoo.errors import DataError
from tests.data.timestamps.axes import DAYS, axis_of, numbered, text


def test_rows_without_a_target_are_left_out_and_said() -> None:
    axis = axis_of(numbered(DAYS))
    frame = pandas.DataFrame({"when": DAYS, "y": 1.0})
    missing = np.isin(np.arange(60), [0, 1, 30, 59])
    cut = axis.without_missing(missing, ["y"], frame, "s.csv")
    assert cut.series[""].tolist() == [*range(2, 30), *range(31, 59)]
    assert cut.notes[-2:] == [
        "left out at the ends: 3 rows without a value of 'y', first data row 1",
        "left out inside the series: 1 row without a value of 'y', first data row 31; their "
        "neighbors count as consecutive steps",
    ]
    assert cut.spacing is not None and cut.spacing.missing == 1
    assert axis.without_missing(missing & False, ["y"], frame, "s.csv") is axis
    with pytest.raises(DataError, match=r"s\.csv: no row has a value of 'y'"):
        axis.without_missing(missing | True, ["y"], frame, "s.csv")


def test_a_footer_is_left_out_and_said() -> None:
    axis = axis_of(numbered([*DAYS, "Total", "Source: somewhere"]))
    assert axis.notes == [
        "left out below the last date: data rows 61 ('Total'), 62 ('Source: somewhere')"
    ]
    assert len(axis.series[""]) == 60


def test_a_date_that_is_wrong_blames_its_row_wherever_it_is() -> None:
    for row in (0, 8, 30, 59):
        days = [*DAYS]
        days[row] = "31.02.2021"
        axis = axis_of(numbered(days))
        example = days[1] if row == 0 else days[0]
        assert axis.issues == [
            f"s.csv: data row {row + 1}: '31.02.2021' is not a date like the others ('{example}'); correct "
            "it, or delete the row, or see data.date_format"
        ]


def test_subtotals_between_the_rows_are_refused_with_the_ways_out() -> None:
    days = [*DAYS[:31], "Subtotal", *DAYS[31:]]
    text = "s.csv: data row 32: 'Subtotal' is not a date like the others ('2021-01-04')"
    assert axis_of(numbered(days)).issues == [f"{text}; correct it, or delete the row"]
    twice = [*days[:40], "Subtotal", *days[40:]]
    assert axis_of(numbered(twice)).issues == [
        f"{text}; 2 rows have none; correct it, or delete those rows"
    ]


def test_repeats_are_said_and_many_of_them_are_refused() -> None:
    few = axis_of(numbered([*DAYS[:10], DAYS[9], *DAYS[10:]]))
    assert few.notes == [
        f"the time '{DAYS[9]}' (data row 11) comes more than once: equal times count as steps"
    ]
    many = axis_of(numbered(sorted(DAYS * 2)))
    assert "and many others come more than once" in many.issues[0]


@pytest.mark.parametrize(
    ("columns", "ordered"),
    [
        (numbered(range(1700, 1800), "Year"), True),
        (numbered(DAYS), True),
        (numbered(DAYS[::-1]), True),
        (numbered(np.random.default_rng(0).permutation(DAYS)), False),
        (numbered(["2021-01-04"] * 60), False),
        (numbered(range(60), "id"), False),
    ],
)
def test_a_table_in_order_of_time_has_a_note(columns: dict[str, Any], ordered: bool) -> None:
    frame = pandas.DataFrame({name: text(map(str, values)) for name, values in columns.items()})
    note = time_note(frame, ["y"])
    assert (note is not None) == ordered
    if note is not None:
        assert f"random split, though the rows are in order of '{frame.columns[0]}'" in note


def test_dates_of_two_forms_are_a_time_whose_other_form_is_named() -> None:
    times = pandas.date_range("2004-01-01", periods=400)
    texts = [f"{item:%Y-%m-%d}" if i < 250 else f"{item:%d/%m/%Y}" for i, item in enumerate(times)]
    axis = axis_of(numbered(texts))
    assert axis.columns == ["when"] and "data row 251: '07/09/2004' is not a date" in axis.issues[0]
