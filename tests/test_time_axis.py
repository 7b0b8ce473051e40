"""Dates in the forms that people write, and the distances between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.timestamps.axis import TimeAxis
from nnzoo.data.timestamps.describe import describe_time, time_note
from nnzoo.data.timestamps.frequency import describe_spacing
from nnzoo.data.timestamps.parse import looks_like_dates, read_dates
from nnzoo.errors import ConfigError, DataError


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


# Forms.

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
        parse(Document(value=tree), "x.yaml", [], None)  # type: ignore[arg-type]


# Distances.


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
    assert (frequency.name(), frequency.season, spacing.neighbours) == (name, season, 1.0)
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
        "distances between neighbours differ, from 1 day to 14 days; they count as equal steps"
    ]


# Which columns hold the time.


DAYS = [str(day.date()) for day in pandas.date_range("2021-01-04", periods=60)]
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


def test_rows_without_a_target_are_left_out_and_said() -> None:
    axis = axis_of(numbered(DAYS))
    frame = pandas.DataFrame({"when": DAYS, "y": 1.0})
    missing = np.isin(np.arange(60), [0, 1, 30, 59])
    cut = axis.without_missing(missing, ["y"], frame, "s.csv")
    assert cut.series[""].tolist() == [*range(2, 30), *range(31, 59)]
    assert cut.notes[-2:] == [
        "left out at the ends: 3 rows without a value of 'y', first data row 1",
        "left out inside the series: 1 row without a value of 'y', first data row 31; their "
        "neighbours count as consecutive steps",
    ]
    assert cut.spacing is not None and cut.spacing.missing == 1
    assert axis.without_missing(missing & False, ["y"], frame, "s.csv") is axis
    with pytest.raises(DataError, match=r"s\.csv: no row has a value of 'y'"):
        axis.without_missing(missing | True, ["y"], frame, "s.csv")


def test_words_that_count_up_put_the_rows_in_order() -> None:
    axis = axis_of(
        numbered([f"{year}-{month:02d}" for year in (1, 2, 3) for month in range(1, 13)], "Month")
    )
    assert axis.notes == [
        "'1-01' in column 'Month' is no date that is known (data.date_format); its rows are in order, and "
        "are taken for equal steps"
    ]
    assert (axis.following("", 2), axis.why_no_dates()) == (None, None)


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


# Rows that do not belong.


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


# Order.


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


def test_repeats_are_said_and_many_of_them_are_refused() -> None:
    few = axis_of(numbered([*DAYS[:10], DAYS[9], *DAYS[10:]]))
    assert few.notes == [
        f"the time '{DAYS[9]}' (data row 11) comes more than once: equal times count as steps"
    ]
    many = axis_of(numbered(sorted(DAYS * 2)))
    assert "and many others come more than once" in many.issues[0]


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


# Tables whose rows are in order of time.


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


def test_dates_of_two_forms_are_a_time_whose_other_form_is_named() -> None:
    times = pandas.date_range("2004-01-01", periods=400)
    texts = [f"{item:%Y-%m-%d}" if i < 250 else f"{item:%d/%m/%Y}" for i, item in enumerate(times)]
    axis = axis_of(numbered(texts))
    assert axis.columns == ["when"] and "data row 251: '07/09/2004' is not a date" in axis.issues[0]
