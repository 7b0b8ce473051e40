"""The axis of time of a table: order, repeats, groups, changes of the clock."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from tests.data.timestamps.axes import DAYS, axis_of, numbered


def test_newest_first_is_read_in_reverse_and_a_shuffle_is_sorted() -> None:
    backwards = axis_of(numbered(DAYS[::-1]))
    assert backwards.series[""].tolist() == [*range(59, -1, -1)]
    assert backwards.notes == ["the newest rows come first: they are read in reverse"]
    order = np.random.default_rng(0).permutation(60)
    shuffled = axis_of(numbered(np.array(DAYS)[order]))
    assert (order[shuffled.series[""]] == np.arange(60)).all()
    assert len(shuffled.notes) == 1
    assert "rows are earlier than the row before: the file is sorted by 'when'" in shuffled.notes[0]


def test_a_shuffle_with_repeats_or_uneven_steps_is_no_series() -> None:
    rng = np.random.default_rng(0)
    repeated = axis_of(numbered(rng.choice(DAYS, 60)))
    uneven = axis_of(numbered(rng.permutation([day for day in DAYS if rng.random() < 0.4])))
    for axis in (repeated, uneven):
        assert (axis.disordered, axis.nearly_ordered) == (True, False)
        assert "not in order of time" in axis.issues[0]


def test_one_late_row_is_sorted_where_it_fits_and_refused_where_it_does_not() -> None:
    fits = [*DAYS[:20], *DAYS[21:40], DAYS[20], *DAYS[40:]]
    assert axis_of(numbered(fits)).issues == []
    typo = [*DAYS]
    typo[30] = typo[30].replace("2021", "2012")
    (issue,) = axis_of(numbered(typo)).issues
    assert (
        f"'{typo[30]}' (data row 31) is earlier than the row before; its date fits in nowhere"
        in issue
    )


def test_a_group_of_two_columns_has_a_name_of_both() -> None:
    columns = {
        "day": DAYS * 4,
        "shop": ["b"] * 120 + ["a"] * 120,
        "item": ([1] * 60 + [2] * 60) * 2,
        "y": range(240),
    }
    axis = axis_of(columns, group=["shop", "item"])
    assert list(axis.series) == ["a / 1", "a / 2", "b / 1", "b / 2"]
    assert axis.series["b / 2"].tolist() == [*range(60, 120)]
    assert axis.issues == []


def stamp_texts(times: pandas.DatetimeIndex) -> list[str]:
    return [str(item) for item in times.strftime("%d.%m.%Y %H:%M")]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("minutes", [15, 30])
def test_an_hour_that_a_clock_is_set_back_keeps_the_order_of_the_file(
    minutes: int, newest_first: bool
) -> None:
    times = pandas.date_range("2023-10-28", "2023-10-31", freq=f"{minutes}min", tz="UTC")
    texts = stamp_texts(times.tz_convert("Europe/Berlin"))
    axis = axis_of(numbered(texts[::-1] if newest_first else texts))
    assert axis.issues == [] and axis.season == 24 * 60 // minutes
    rows = list(range(len(times)))
    assert axis.series[""].tolist() == (rows[::-1] if newest_first else rows)
    (note,) = [note for note in axis.notes if "clock" in note]
    assert "29.10.2023 02:00" in note and "data row" in note


def test_an_hour_back_twice_in_a_week_is_no_change_of_clocks() -> None:
    times = pandas.date_range("2023-10-28", periods=500, freq="15min")
    wrong = times.where(times < "2023-10-29", times - pandas.Timedelta("1h"))
    wrong = wrong.where(times < "2023-10-31", wrong - pandas.Timedelta("1h"))
    assert axis_of(numbered(stamp_texts(wrong))).disordered
