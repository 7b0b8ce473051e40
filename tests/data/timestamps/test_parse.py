"""Dates in the forms that people write, and the order of day and month."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzoo.data.timestamps.parse import looks_like_dates, read_dates
from nnzoo.errors import ConfigError, DataError
from tests.data.timestamps.axes import text

FORMS = [
    ("2020-02-03", "2020-02-03T00:00"),
    ("2020/2/3", "2020-02-03T00:00"),
    ("2020.02.03", "2020-02-03T00:00"),
    ("20200203T0405", "2020-02-03T04:05"),
    ("2020-02-03 04:05", "2020-02-03T04:05"),
    ("2020-02-03T04:05:06.5", "2020-02-03T04:05:06.5"),
    ("2020-02-03 24:00", "2020-02-04T00:00"),
    ("2020-02-03T04:05:06Z", "2020-02-03T04:05:06"),
    ("23/02/2020", "2020-02-23T00:00"),
    ("02/23/2020", "2020-02-23T00:00"),
    ("23.2.20", "2020-02-23T00:00"),
    ("23-02-2020 4:05 pm", "2020-02-23T16:05"),
    ("02/23/2020 12:05 AM", "2020-02-23T00:05"),
    ("23.02.2020, 16:05 Uhr", "2020-02-23T16:05"),
    ("3 Feb 2020", "2020-02-03T00:00"),
    ("03-Feb-20", "2020-02-03T00:00"),
    ("February 3, 2020", "2020-02-03T00:00"),
    ("Mon, 3 February 2020", "2020-02-03T00:00"),
    ("3rd February 2020", "2020-02-03T00:00"),
    ("Monday, February 3, 2020", "2020-02-03T00:00"),
    ("3. März 2020", "2020-03-03T00:00"),
    ("Mo., 3. Mai 2020", "2020-05-03T00:00"),
    ("3 févr. 2020", "2020-02-03T00:00"),
    ("1er août 2020", "2020-08-01T00:00"),
    ("3 de enero de 2020", "2020-01-03T00:00"),
    ("2020年2月3日", "2020-02-03T00:00"),
    ("Jan-90", "1990-01-01T00:00"),
    ("Dez 1999", "1999-12-01T00:00"),
    ("1990 Feb", "1990-02-01T00:00"),
    ("2020-02", "2020-02-01T00:00"),
    ("02/2020", "2020-02-01T00:00"),
    ("2020M02", "2020-02-01T00:00"),
    ("2020Q2", "2020-04-01T00:00"),
    ("Q2 2020", "2020-04-01T00:00"),
    ("2Q20", "2020-04-01T00:00"),
    ("2020-Q2", "2020-04-01T00:00"),
    ("2. Quartal 2020", "2020-04-01T00:00"),
    ("2020-W01", "2019-12-30T00:00"),
    ("KW 2/2020", "2020-01-06T00:00"),
    ("2020-W02-3", "2020-01-08T00:00"),
]


@pytest.mark.parametrize(("value", "time"), FORMS)
def test_a_date_is_read_in_the_forms_that_people_write(value: str, time: str) -> None:
    dates = read_dates(text([value, None, f" {value} "]))
    assert dates.times[[0, 2]].tolist() == [np.datetime64(time, "us").item()] * 2
    assert np.isnat(dates.times[1])
    assert not dates.wrong.any()
    assert looks_like_dates(text([value]))


@pytest.mark.parametrize(
    "value",
    [
        "2020-13-01",
        "31.06.2021",
        "2021-02-29",
        "2020-01-01 25:00",
        "2020-01-01 13:00 pm",
        "2020Q5",
        "2020-W54",
        "Foo 2020",
        "1:05:30",
        "12:30",
        "1,278",
        "1 278",
        "5-10",
        "Mon",
        "a b c",
        "1.2.3",
        "Total",
        "10.4.5.6",
        "+49 30 1234",
        "2020",
    ],
)
def test_what_is_no_date_is_none(value: str) -> None:
    assert read_dates(text([value])).wrong.all()
    assert not looks_like_dates(text([value]))


def test_one_date_in_another_form_is_wrong_and_nearly_one() -> None:
    dates = read_dates(text(["2024-01-08", "09.01.2024", "2024-01-10", "Total"]))
    assert dates.wrong.tolist() == [False, True, False, True]
    assert dates.nearly.tolist() == [False, True, False, False]


def test_an_offset_that_all_have_stays_and_others_become_utc() -> None:
    summer = read_dates(text(["2020-07-01 12:00+02:00", "2020-07-01 13:00+02:00"]))
    assert (summer.offset, str(summer.times[0])) == ("+02:00", "2020-07-01T12:00:00.000000")
    both = read_dates(text(["2020-01-01 12:00 CET", "2020-07-01 12:00 CEST"]))
    assert (both.offset, [str(time)[11:16] for time in both.times]) == (
        "+00:00",
        ["11:00", "10:00"],
    )
    some = read_dates(text(["2020-01-01 12:00+01:00", "2020-01-01 13:00"]))
    assert some.notes == ["1 of 2 dates have no offset from UTC and are read as UTC"]


ORDERS = ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%d-%m-%Y %H:%M"]


@given(
    start=st.dates(pandas.Timestamp("1975-01-01").date(), pandas.Timestamp("2030-01-01").date()),
    rows=st.integers(13, 60),
    freq=st.sampled_from(["D", "B", "W-FRI", "MS", "ME", "QS"]),
    form=st.sampled_from(ORDERS),
)
@settings(max_examples=60, deadline=None)
def test_day_and_month_are_never_exchanged_in_silence(
    start: Any, rows: int, freq: str, form: str
) -> None:
    days = pandas.date_range(start, periods=rows, freq=freq)
    dates = read_dates(text(days.strftime(form)))
    right = bool((dates.times == days.to_numpy().astype("M8[us]")).all())
    assert right or any("data.date_format" in note for note in dates.notes)
    stated = read_dates(text(days.strftime(form)), form)
    assert (stated.times == days.to_numpy().astype("M8[us]")).all()


def test_an_order_of_day_and_month_is_guessed_by_equal_distances_and_said() -> None:
    firsts = [f"01/{month:02d}/{year}" for year in (2005, 2006) for month in range(1, 13)]
    dates = read_dates(text(firsts))
    assert str(dates.times[1])[:10] == "2005-02-01"
    assert dates.notes == [
        "dates are read day first (by their equal distances): '01/02/2005' is 2005-02-01; "
        "data.date_format: month_first reads them month first"
    ]
    assert str(read_dates(text(firsts), "month_first").times[1])[:10] == "2005-01-02"
    assert read_dates(text(firsts), "month_first").notes == []
    year = read_dates(text(firsts[:12]))  # days of January, or months of a year
    assert "(a guess)" in year.notes[0]


def test_years_of_two_digits_are_said() -> None:
    dates = read_dates(text(["Jan-49", "Feb-49", "Mar-60"]))
    known = "(00 to 39 as 20.., 40 to 99 as 19..)"
    assert dates.notes == [f"two-digit years are read as 1949 to 1960 {known}"]
    assert read_dates(text(["Jan-21", "Feb-21", "Mar-21"])).notes == [
        f"two-digit years are read as 2021 {known}"
    ]


def test_a_date_format_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match=r"^'%Q': "):
        read_dates(text(["2020"]), "%Q")
    from nnzoo.config.load import parse
    from nnzoo.config.yaml_parser import Document

    tree = {"data": {"name": "series", "path": "x", "date_format": "dmy"}, "model": "rnn"}
    with pytest.raises(ConfigError, match="expected auto, day_first, month_first, or a form"):
        parse(Document(value=tree), "x.yaml", [], None)
