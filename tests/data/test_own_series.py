"""Series as people have them: from `init` to `predict`, with the right outcome or a line on the issue.

The kinds are those of own-files.md; each input is made here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import yaml

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.dataset import Dataset
from nnzoo.data.series import load_series

NNZOO = Callable[..., Any]
RUN = "checkpoints/s"


def wave(rows: int, seed: int = 0) -> list[str]:
    noise = np.random.default_rng(seed).normal(0, 0.2, rows)
    return [f"{value:.2f}" for value in 10 + 3 * np.sin(np.arange(rows) / 4) + noise]


def write(header: str, *columns: Iterable[Any], sep: str = ",", footer: str = "") -> None:
    lines = [sep.join(map(str, row)) for row in zip(*columns, strict=True)]
    Path("s.csv").write_text("\n".join([header, *lines]) + "\n" + footer)


def days(
    rows: int, form: str = "%Y-%m-%d", freq: str = "D", start: str = "2021-01-01"
) -> list[str]:
    return list(pandas.date_range(start, periods=rows, freq=freq).strftime(form))


def load(**options: Any) -> Dataset:
    return load_series(SeriesOptions(name="series", path="s.csv", **options))


def time_index(dataset: Dataset) -> Any:
    assert dataset.time_index is not None
    return dataset.time_index


def initialised(nnzoo: NNZOO) -> tuple[dict[str, Any], str]:
    """The data section that `init` writes, and the comments of the file."""
    result = nnzoo("init", "s.csv", "--force")
    assert result.code == 0, result.err
    text = Path("s.yaml").read_text()
    return yaml.safe_load(text)["data"], text


def forecast(nnzoo: NNZOO, *words: str, steps: int = 3) -> tuple[list[dict[str, Any]], str]:
    """Forecasts of `predict` after `init` and one epoch, and the messages of `train`."""
    initialised(nnzoo)
    trained = nnzoo("train", "--config", "s", "-s", "train.epochs=1", *words)
    assert trained.code == 0, trained.err
    result = nnzoo("predict", RUN, "--steps", str(steps), "--json")
    assert result.code == 0, result.err
    return result.lines, " ".join(trained.err.split())


def times(forecasts: list[dict[str, Any]]) -> list[str]:
    return [row["time"] for row in forecasts]


# F6: time as a number.


@pytest.mark.parametrize(
    ("header", "column", "after"),
    [
        ("timestamp,value", [1609459200 + 3600 * i for i in range(120)], "2021-01-06 00:00:00"),
        ("time,value", [1609459200000 + 60000 * i for i in range(120)], "2021-01-01 02:00:00"),
        ("Year,value", range(1850, 1970), "1970"),
        ("date,value", days(120, "%Y%m%d"), "2021-05-01"),
        ("period,value", days(120, "%Y%m", "MS"), "2031-01-01"),
        ("t,value", range(120), "120"),
    ],
)
def test_time_as_a_number_is_time(nnzoo: NNZOO, header: str, column: Any, after: str) -> None:
    write(header, column, wave(120))
    forecasts, message = forecast(nnzoo, steps=1)
    assert times(forecasts) == [after]
    assert f"time: '{header.split(',', maxsplit=1)[0]}' from" in message


def test_parts_of_a_date_in_columns_are_time(nnzoo: NNZOO) -> None:
    hours = pandas.date_range("2021-01-01", periods=150, freq="h")
    write(
        "No,year,month,day,hour,temp,load",
        range(1, 151),
        hours.year,
        hours.month,
        hours.day,
        hours.hour,
        wave(150),
        wave(150, 1),
    )
    data, _ = initialised(nnzoo)
    assert (data["name"], data["time"]) == ("series", ["year", "month", "day", "hour"])
    forecasts, message = forecast(nnzoo, "-s", "data.covariates=all", steps=1)
    assert times(forecasts) == ["2021-01-07 06:00:00"]
    assert "time: 'year', 'month', 'day' and 'hour' from 2021-01-01 00:00:00" in message
    assert "the time is 'year', 'month', 'day' and 'hour' together (data.time)" in load().notes
    assert "column 'No' counts the rows and is left out" in message


def test_a_table_that_is_in_order_of_time_says_so_when_it_trains(nnzoo: NNZOO) -> None:
    write("Year,x,value", range(1850, 1970), wave(120), wave(120, 1))
    Path("t.yaml").write_text("data: {name: csv, path: s.csv}\nmodel: mlp\ntrain: {epochs: 1}\n")
    result = nnzoo("train", "--config", "t")
    assert result.code == 0, result.err
    note = "random split, though the rows are in order of 'Year'"
    assert note in " ".join(result.err.split())


# F7: ambiguous dates, and other forms.


def test_the_first_of_each_month_is_not_a_day_of_january(nnzoo: NNZOO) -> None:
    write("month,sales", days(144, "%d/%m/%Y", "MS", "2005-01-01"), wave(144))
    forecasts, message = forecast(nnzoo)
    assert times(forecasts) == ["2017-01-01", "2017-02-01", "2017-03-01"]
    assert (
        "dates are read day first (by their equal distances): '01/02/2005' is 2005-02-01" in message
    )
    assert "a season of 12" in message


def test_an_order_of_day_and_month_can_be_stated(nnzoo: NNZOO) -> None:
    write("day,sales", days(12, "%d/%m/%Y", "MS", "2005-01-01"), wave(12))
    assert any("(a guess)" in note for note in load(window=2).notes)
    assert load(window=2, date_format="day_first").spec.seasonal_period == 12
    assert load(window=2, date_format="month_first").spec.seasonal_period == 7
    assert load(window=2, date_format="%d/%m/%Y").spec.seasonal_period == 12


@pytest.mark.parametrize(
    ("form", "freq", "season"),
    [
        ("%b-%y", "MS", 12),
        ("%B %Y", "MS", 12),
        ("%d. %b %Y", "D", 7),
        ("%d.%m.%y", "D", 7),
        ("%Y-%m", "MS", 12),
        ("%m/%d/%Y %I:%M %p", "h", 24),
        ("%G-W%V", "W-MON", 52),
    ],
)
def test_dates_in_other_forms_are_dates(nnzoo: NNZOO, form: str, freq: str, season: int) -> None:
    write("when,sales", days(150, form, freq, "2001-01-01"), wave(150))
    data, _ = initialised(nnzoo)
    assert data["name"] == "series"
    assert load().spec.seasonal_period == season


@pytest.mark.parametrize("quarter", ["{}Q{}", "{}-Q{}", "Q{1} {0}"])
def test_quarters_are_dates(nnzoo: NNZOO, quarter: str) -> None:
    write("when,gdp", [quarter.format(1990 + i // 4, 1 + i % 4) for i in range(60)], wave(60))
    forecasts, _ = forecast(nnzoo, steps=2)
    assert times(forecasts) == ["2005-01-01", "2005-04-01"]


# F9: covariates that begin late, and gaps.


def late(missing: int, rows: int = 200) -> None:
    pressure = [""] * missing + [f"{float(v) + 1000:.2f}" for v in wave(rows - missing, 1)]
    write("time,pressure,level", days(rows, "%Y-%m-%d %H:00", "h"), pressure, wave(rows))


def test_a_covariate_that_begins_late_trains_as_if_the_file_began_there(nnzoo: NNZOO) -> None:
    late(50)
    actual = load(covariates="all", window=8)
    lines = Path("s.csv").read_text().splitlines()
    Path("s.csv").write_text("\n".join([lines[0], *lines[51:]]) + "\n")
    cut = load(covariates="all", window=8)
    assert actual.fingerprint() == cut.fingerprint()
    assert actual.notes[-1].startswith(
        "covariate 'pressure' is missing in the first 50 rows: the 50 rows"
    )


def test_a_covariate_that_begins_very_late_is_filled_with_its_mean_and_never_with_0(
    nnzoo: NNZOO,
) -> None:
    late(120)
    dataset = load(covariates="all", window=8)
    values = dataset.splits["train"].values[:, 1]  # type: ignore[attr-defined]
    assert float(values.min()) > 1000
    assert "120 at the start are the mean of the training steps" in dataset.notes[-1]


def test_gaps_of_a_covariate_are_counted(nnzoo: NNZOO) -> None:
    late(0)
    lines = Path("s.csv").read_text().splitlines()
    for row in (*range(40, 52), 80):
        time, _, level = lines[row].split(",")
        lines[row] = f"{time},,{level}"
    Path("s.csv").write_text("\n".join(lines) + "\n")
    _, message = forecast(nnzoo, "-s", "data.covariates=all", steps=1)
    assert (
        "is missing in 13 of 200 rows: 13 keep the last value before (up to 12 steps long)"
        in message
    )


def test_columns_of_words_are_no_covariates_and_said(nnzoo: NNZOO) -> None:
    write(
        "No,day,sky,empty,x,y",
        range(1, 101),
        days(100),
        ["sun", "rain"] * 50,
        [""] * 100,
        wave(100, 1),
        wave(100),
    )
    dataset = load(covariates="all", window=8)
    assert dataset.spec.column_names == ["y", "x"]
    assert dataset.notes[1:] == [
        "column 'No' counts the rows and is left out",
        "no numbers, and left out of the covariates: 'sky' (category), 'empty' (empty)",
    ]


def test_two_covariates_that_begin_late_cut_at_the_later_one(nnzoo: NNZOO) -> None:
    first, second = [""] * 10 + wave(90, 1), [""] * 25 + wave(75, 2)
    write("day,a,b,y", days(100), first, second, wave(100))
    dataset = load(covariates="all", window=8)
    assert len(dataset.splits["train"].values) == 75  # type: ignore[attr-defined]
    assert dataset.notes[1:] == [
        "covariate 'a' is missing in the first 10 rows: the 25 rows up to the first with all values are "
        "left out",
        "covariate 'b' is missing in the first 25 rows: the 25 rows up to the first with all values are "
        "left out",
    ]


# F11: footers and dates that are none.


@pytest.mark.parametrize("rows", [40, 200])
def test_a_total_below_the_rows_is_left_out_and_said(nnzoo: NNZOO, rows: int) -> None:
    write("Date,load", days(rows, "%Y-%m-%d %H:00", "h"), wave(rows))
    clean = load(window=8).fingerprint()
    write("Date,load", days(rows, "%Y-%m-%d %H:00", "h"), wave(rows), footer="Total,2000\n")
    assert load(window=8).fingerprint() == clean
    data, text = initialised(nnzoo)
    note = f"left out below the last date: data row {rows + 1} ('Total')"
    assert (data["name"], f"# {note}" in text) == ("series", True)
    assert note in forecast(nnzoo, steps=1)[1]


@pytest.mark.parametrize(
    ("row", "date"), [(9, "09.01.2021"), (60, "31.02.2021"), (120, "Subtotal"), (120, "2021-13-01")]
)
def test_a_wrong_date_is_blamed_by_its_row_and_init_says_it(
    nnzoo: NNZOO, row: int, date: str
) -> None:
    dates = days(200)
    dates[row - 1] = date
    write("Date,load", dates, wave(200))
    message = f"s.csv: data row {row}: '{date}' is not a date like the others ('2021-01-01')"
    data, text = initialised(nnzoo)
    assert data["name"] == "series"
    assert f"# cannot train yet: {message}" in text
    result = nnzoo("train", "--config", "s")
    assert result.code == 3
    assert message in " ".join(result.err.split())


# F15 and F18: not a series.


def test_dates_in_no_order_make_a_table(nnzoo: NNZOO) -> None:
    rng = np.random.default_rng(0)
    dates = rng.choice(days(200, "%Y%m%dT000000"), 150)
    write(
        "id,date,rooms,price",
        rng.permutation(150) + 7000,
        dates,
        rng.integers(1, 6, 150),
        rng.integers(100, 900, 150),
    )
    assert initialised(nnzoo)[0]["name"] == "csv"


def test_durations_and_codes_make_a_table(nnzoo: NNZOO) -> None:
    seconds = 3600 + np.cumsum(np.random.default_rng(0).integers(5, 30, 120))
    clock = [f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}" for s in seconds]
    write(
        "place,age,half,speed", range(1, 121), [30 + i % 20 for i in range(120)], clock, wave(120)
    )
    assert initialised(nnzoo)[0]["name"] == "csv"


# Order.


@pytest.mark.parametrize("how", ["newest first", "shuffled"])
def test_rows_in_another_order_train_like_those_in_order(nnzoo: NNZOO, how: str) -> None:
    rows = list(zip(days(150, freq="B"), wave(150), strict=True))
    write("Date,Close", *zip(*rows, strict=True))
    expected = load(window=8).fingerprint()
    order = np.random.default_rng(0).permutation(150) if how == "shuffled" else range(149, -1, -1)
    write("Date,Close", *zip(*[rows[i] for i in order], strict=True))
    assert load(window=8).fingerprint() == expected
    forecasts, message = forecast(nnzoo, steps=1)
    assert times(forecasts) == ["2021-07-30"]
    assert ("read in reverse" if how == "newest first" else "sorted by 'Date'") in message


# F19: gaps, repeats, weekdays.


@pytest.mark.parametrize(
    ("weekdays", "season", "after"),
    [(5, 5, ["2021-07-30", "2021-08-02"]), (6, 6, ["2021-06-25", "2021-06-26"])],
)
def test_days_that_are_closed_are_no_gaps(
    nnzoo: NNZOO, weekdays: int, season: int, after: list[str]
) -> None:
    opened = pandas.date_range("2021-01-01", periods=300)
    opened = opened[opened.day_of_week < weekdays][:150]
    write("Date,Close", opened.strftime("%Y-%m-%d"), wave(150))
    forecasts, message = forecast(nnzoo, steps=2)
    assert times(forecasts) == after
    assert f"a season of {season}" in message
    assert "missing" not in message


def test_many_gaps_are_said_and_leave_no_season(nnzoo: NNZOO) -> None:
    kept = np.random.default_rng(0).random(400) < 0.7
    kept[[0, 399]] = True
    write(
        "Date,load", np.array(days(400, "%Y-%m-%d %H:00:00", "h"))[kept], np.array(wave(400))[kept]
    )
    forecasts, message = forecast(nnzoo, steps=2)
    assert times(forecasts) == ["2021-01-17 16:00:00", "2021-01-17 17:00:00"]
    missing = int((~kept).sum())
    assert f"of the hours are missing ({missing} of 400)" in message
    assert "count as neighbors" in message
    assert "no baseline of the last season" in message
    assert "last season" not in json.dumps(nnzoo("eval", RUN, "--json").json)


def test_uneven_dates_are_said_and_forecasts_say_why_they_have_none(nnzoo: NNZOO) -> None:
    steps = np.cumsum(np.random.default_rng(0).integers(1, 20, 100))
    dates = [str(np.datetime64("2021-01-01") + int(step)) for step in steps]
    write("Date,load", dates, wave(100))
    initialised(nnzoo)
    trained = nnzoo("train", "--config", "s", "-s", "train.epochs=1")
    assert "distances between neighbors differ, from 1 day to 19 days" in trained.err
    result = nnzoo("predict", RUN)
    assert result.out.startswith("step,load\n")
    assert "the dates that follow are not known" in result.err


def test_repeated_times_are_said(nnzoo: NNZOO) -> None:
    hours = days(150, "%Y-%m-%d %H:00", "h")
    write("Date,load", [*hours[:50], hours[49], *hours[50:]], wave(151))
    assert "comes more than once" in forecast(nnzoo, steps=1)[1]


# F25: date and time of day.


@pytest.mark.parametrize(
    ("form", "clock"), [("%d/%m/%Y", "%H:%M:%S"), ("%Y-%m-%d", "%H:%M"), ("%m/%d/%Y", "%I:%M %p")]
)
def test_date_and_time_in_two_columns_are_joined(nnzoo: NNZOO, form: str, clock: str) -> None:
    write(
        "Date;Time;power", days(150, form, "30min"), days(150, clock, "30min"), wave(150), sep=";"
    )
    data, _ = initialised(nnzoo)
    assert data["time"] == ["Date", "Time"]
    forecasts, message = forecast(nnzoo, steps=1)
    assert times(forecasts) == ["2021-01-04 03:00:00"]
    assert "time: 'Date' and 'Time' from 2021-01-01 00:00:00" in message
    assert "the time is 'Date' and 'Time' together (data.time)" in load(window=8).notes


# F26 and F31: several series.


def stores(lengths: dict[tuple[Any, Any], int]) -> None:
    rows = [
        (day, *key, value)
        for i, (key, length) in enumerate(lengths.items())
        for day, value in zip(days(length), wave(length, i), strict=True)
    ]
    write("date,store,item,sales", *zip(*rows, strict=True))


def test_two_columns_tell_the_series_apart(nnzoo: NNZOO) -> None:
    stores({(store, item): 60 for store in (1, 2) for item in ("tea", "nuts")})
    data, text = initialised(nnzoo)
    assert data["group"] == ["store", "item"] or data["group"] == ["item", "store"]
    assert "240 time steps of 4 series" in text
    forecasts, _ = forecast(nnzoo, steps=1)
    names = {"1 / nuts", "1 / tea", "2 / nuts", "2 / tea"}
    assert {row["group"] for row in forecasts} in (
        names,
        {" / ".join(n.split(" / ")[::-1]) for n in names},
    )
    assert times(forecasts) == ["2021-03-02"] * 4


def test_one_short_series_is_left_out_by_name_and_shrinks_no_window(nnzoo: NNZOO) -> None:
    stores({("Bern", 1): 150, ("Chur", 1): 120, ("Oslo", 1): 8})
    data, _ = initialised(nnzoo)
    assert (data["group"], data["window"]) == ("store", 14)
    forecasts, message = forecast(nnzoo, steps=1)
    assert "1 of 3 series is left out, too short to train with window 14" in message
    assert "Oslo (8 time steps)" in message
    assert [row["group"] for row in forecasts] == ["Bern", "Chur"]


# F32: numbers in people's clothes.


@pytest.mark.parametrize(
    ("form", "example"),
    [("{:,}", "10,300"), ("${:,}.50", "$10,300.50"), ("{:,} kWh", "10,300 kWh")],
)
def test_a_target_with_thousands_is_a_number(nnzoo: NNZOO, form: str, example: str) -> None:
    values = [10300, *(int(float(v) * 1000) for v in wave(99))]
    write("Date,passengers", days(100), [f'"{form.format(v)}"' for v in values])
    forecasts, message = forecast(nnzoo, steps=1)
    assert 1000 < forecasts[0]["passengers"] < 100_000
    assert f"read as numbers: 'passengers' ('{example}' is" in message


# The first hour.


def test_the_first_series_of_a_tutorial_starts(nnzoo: NNZOO) -> None:
    Path("s.csv").write_text("".join(f"{value}\n" for value in range(10, 100, 10)))
    data, text = initialised(nnzoo)
    assert (data["name"], data["window"]) == ("series", 3)
    assert "n_steps" in text
    assert nnzoo("train", "--config", "s", "-s", "train.epochs=2").code == 0


def test_shops_with_gaps_come_from_init_to_dates_without_an_edit(nnzoo: NNZOO) -> None:
    rng = np.random.default_rng(7)
    rows = []
    for shop, base in (("Bern", 120), ("Zürich", 300), ("Basel", 80)):
        for day in pandas.date_range("2024-01-01", periods=200):
            if day.day_of_week != 6 and rng.random() > 0.03:
                rows.append(
                    (day.date(), shop, int(rng.random() < 0.1), round(base + rng.normal(), 2))
                )
    write("date,shop,promo,sales", *zip(*rows, strict=True))
    data, text = initialised(nnzoo)
    assert (data["group"], data["covariates"]) == ("shop", "none")
    assert "a season of 6" in text
    forecasts, message = forecast(nnzoo, steps=2)
    assert [(row["group"], row["step"]) for row in forecasts] == [
        (shop, step) for shop in ("Basel", "Bern", "Zürich") for step in (1, 2)
    ]
    assert all(np.datetime64(time) > np.datetime64("2024-07-10") for time in times(forecasts))
    assert not any(pandas.Timestamp(time).day_of_week == 6 for time in times(forecasts))
    assert "days (Monday to Saturday) are missing" in message
    report = nnzoo("eval", RUN, "--json").json
    assert report["series"] == ["Basel", "Bern", "Zürich"]
    assert report["period"]["from"] > "2024-05-01"
    assert report["period"]["to"] >= "2024-07-15"
    assert nnzoo("report", RUN).code == 0
    page = Path(RUN, "report.html").read_text()
    assert "Forecast and truth: Zürich" in page
    assert f"{report['period']['from']} to {report['period']['to']}" in page
    assert re.search(r"(Basel|Bern|Zürich), 2024-0[67]-\d\d</span>", page)
    assert ">row " not in page


@pytest.mark.parametrize("word", ["", "n/a", "unknown", "-"])
def test_a_missing_target_inside_a_series_is_a_gap_in_time(word: str) -> None:
    write("date,sales", days(60), [*wave(30), word, *wave(29)])
    dataset = load(window=4)
    assert (
        "left out inside the series: 1 row without a value of 'sales', first data row 31; their "
        "neighbors count as consecutive steps"
    ) in dataset.notes
    assert any(note.startswith("2% of the days are missing (1 of 60)") for note in dataset.notes)
    write("date,sales", [*days(60)[:30], *days(60)[31:]], [*wave(30), *wave(29)])
    without = load(window=4)
    assert dataset.fingerprint() == without.fingerprint()
    assert time_index(dataset).times.tolist() == time_index(without).times.tolist()


def test_a_target_that_comes_once_a_week_is_a_weekly_series() -> None:
    write("date,sales", days(140), [i if i % 7 == 0 else "" for i in range(140)])
    dataset = load(window=4)
    assert len(time_index(dataset).times) == 20
    assert dataset.spec.seasonal_period == 52
    assert any("114 rows without a value of 'sales', first data row 2" in n for n in dataset.notes)


def test_a_series_without_any_target_is_left_out() -> None:
    rows = [
        (day, g, v)
        for g, values in (("a", wave(40)), ("b", [""] * 40))
        for day, v in zip(days(40), values, strict=True)
    ]
    write("date,shop,sales", *zip(*rows, strict=True))
    dataset = load(window=4, group="shop")
    assert time_index(dataset).names == ["a"]
    assert "left out: 1 of 2 series without a value of 'sales' (b)" in dataset.notes


def test_a_covariate_without_values_is_left_out_with_the_reason() -> None:
    write("date,x,sales", days(40), [""] * 40, wave(40))
    dataset = load(window=4, covariates="all")
    assert dataset.spec.column_names == ["sales"]
    assert "no numbers, and left out of the covariates: 'x' (empty)" in dataset.notes


def test_init_says_why_a_column_is_not_used_and_which_rows_are_left_out(nnzoo: NNZOO) -> None:
    write("date,x,place,sales", days(60), [""] * 60, ["Bern"] * 60, [*wave(30), "", *wave(29)])
    assert nnzoo("init", "s.csv", "--series").code == 0
    text = Path("s.yaml").read_text()
    assert "not used: 'x' (no values), 'place' (text)" in text
    assert "left out inside the series: 1 row without a value of 'sales'" in text
    assert "stops here" not in text
