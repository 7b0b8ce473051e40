"""Forecasts: of files, groups, the run's own series; dates and covariates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.timestamps.axis import TimeAxis
from nnzoo.data.timestamps.describe import describe_time
from nnzoo.errors import UsageError
from nnzoo.models.network import Network
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from tests.predict.prediction_runs import RUN, Nnzoo, refused, rows_of, train


def write_series(rows: int = 120, **columns: Any) -> None:
    time = np.arange(rows)
    table: dict[str, Any] = {
        "day": pandas.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
        "y": np.round(10 + 0.1 * time + np.sin(time / 3), 4),
    }
    pandas.DataFrame(table | columns).to_csv("s.csv", index=False)


SERIES = {"name": "series", "path": "s.csv", "target": "y", "window": 8}


def rolled_forecasts(network: Network, past: np.ndarray, steps: int) -> np.ndarray:
    """Forecasts one horizon after the other, on what was known and forecast before."""
    horizon = network.data_spec.horizon
    targets = len(network.data_spec.targets)
    network.eval()
    values = past
    for _ in range(-(-steps // horizon)):
        with torch.no_grad():
            forecast = network.predict(torch.tensor(values[None, -8:]))
        values = np.concatenate([values, forecast.numpy().reshape(horizon, targets)])
    return values[len(past) :][:steps]


def days(freq: str, rows: int = 30, start: str = "2020-01-31") -> pandas.Series:
    return pandas.Series([str(day) for day in pandas.date_range(start, periods=rows, freq=freq)])


def axis_of(past: pandas.Series) -> TimeAxis:
    frame = pandas.DataFrame({"day": past.reset_index(drop=True), "y": 1.0})
    return describe_time(frame, SeriesOptions(name="series", path="", time="day"), ["y"])


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("relative", [True, False])
def test_forecasts_beyond_the_horizon_feed_back_the_networks_own(
    nnzoo: Nnzoo, horizon: int, relative: bool
) -> None:
    write_series(z=np.cos(np.arange(120) / 5))
    network = train(
        "gru", SERIES | {"horizon": horizon, "difference_from_last": relative, "target": ["z", "y"]}
    )
    past = pandas.read_csv("s.csv")[["z", "y"]].to_numpy()
    expected = rolled_forecasts(network, past, 10)
    result = nnzoo("predict", RUN, "--steps", "10")
    assert (result.code, result.err) == (0, "")
    forecasts = rows_of(result.out)
    assert list(forecasts[0]) == ["step", "time", "z", "y"]
    assert [row["step"] for row in forecasts] == [str(i) for i in range(1, 11)]
    assert forecasts[0]["time"] == "2020-04-30"
    assert forecasts[-1]["time"] == "2020-05-09"
    actual = np.array([[float(row["z"]), float(row["y"])] for row in forecasts])
    np.testing.assert_allclose(actual, expected, rtol=2e-6)
    assert len(rows_of(nnzoo("predict", RUN).out)) == horizon
    of_windows = Predictions.concat(predict(network, past[None, -8:], steps=10))
    np.testing.assert_allclose(of_windows.values.reshape(10, 2), expected, rtol=1e-6)
    assert of_windows.names[:3] == ["z+1", "y+1", "z+2"]


def test_a_file_is_continued_from_its_own_end(nnzoo: Nnzoo) -> None:
    write_series()
    network = train("rnn", SERIES)
    frame = pandas.read_csv("s.csv")
    frame.iloc[:50].to_csv("new.csv", index=False)
    frame.iloc[:70].to_parquet("more.parquet")
    (line,) = nnzoo("predict", RUN, "new.csv", "--json").lines
    assert (line["step"], line["time"]) == (1, "2020-02-20")
    assert line["y"] == pytest.approx(
        rolled_forecasts(network, frame[["y"]].to_numpy()[:50], 1)[0, 0], 1e-6
    )
    both = rows_of(nnzoo("predict", RUN, "new.csv", "more.parquet", "--steps", "2").out)
    assert [(row["file"], row["step"]) for row in both] == [
        ("new.csv", "1"),
        ("new.csv", "2"),
        ("more.parquet", "1"),
        ("more.parquet", "2"),
    ]
    of_frame = Predictions.concat(predict(network, frame.iloc[:50], steps=2))
    assert [f"{value:.7g}" for value in of_frame.values[:, 0]] == [row["y"] for row in both[:2]]
    assert of_frame.index == {"step": [1, 2], "time": ["2020-02-20", "2020-02-21"]}


def test_each_group_is_continued(nnzoo: Nnzoo) -> None:
    time = np.arange(60.0)
    days = [str(day.date()) for day in pandas.date_range("2021-01-01", periods=60)]
    pandas.DataFrame(
        {"g": ["Brest"] * 60 + ["Ajaccio"] * 60, "day": days * 2, "y": [*time, *(time + 500)]}
    ).to_csv("s.csv", index=False)
    network = train("rnn", SERIES | {"group": "g"})
    forecasts = rows_of(nnzoo("predict", RUN, "--steps", "2").out)
    assert [(row["group"], row["step"], row["time"]) for row in forecasts] == [
        (name, step, day)
        for name in ("Ajaccio", "Brest")
        for step, day in (("1", "2021-03-02"), ("2", "2021-03-03"))
    ]
    expected = [rolled_forecasts(network, (time + start)[:, None], 2) for start in (500, 0)]
    actual = [float(row["y"]) for row in forecasts]
    np.testing.assert_allclose(actual, np.concatenate(expected)[:, 0], rtol=1e-5)


def test_the_generated_sine_is_continued(nnzoo: Nnzoo) -> None:
    network = train("rnn", {"name": "sine", "length": 200, "window": 8, "horizon": 2})
    wave = np.sin(2 * np.pi * np.arange(200) / 40)[:, None]
    forecasts = rows_of(nnzoo("predict", RUN, "--steps", "5").out)
    assert list(forecasts[0]) == ["step", "sine"]
    actual = [float(row["sine"]) for row in forecasts]
    np.testing.assert_allclose(
        actual, rolled_forecasts(network, wave, 5)[:, 0], rtol=1e-5, atol=1e-7
    )
    pandas.DataFrame({"sine": wave[:, 0]}).to_csv("new.csv", index=False)
    np.testing.assert_allclose(
        Predictions.concat(predict(network, "new.csv", 5)).values[:, 0], actual, 1e-5
    )
    np.savetxt("bare.csv", wave, fmt="%.9g")
    np.testing.assert_allclose(
        Predictions.concat(predict(network, "bare.csv", 5)).values[:, 0], actual, 1e-5
    )


def test_covariates_are_read_within_the_horizon_and_forbid_more() -> None:
    write_series(x=np.arange(120))
    network = train("rnn", SERIES | {"covariates": ["x"], "horizon": 4})
    assert len(Predictions.concat(predict(network, steps=4))) == 4
    assert refused(UsageError, network, steps=5) == (
        "5 steps: this network forecasts 4 from covariates (x), which are known up to the present "
        "only; train one with a larger data.horizon, or without covariates"
    )


@pytest.mark.parametrize(
    ("past", "future"),
    [
        (days("ME", 20), ["2021-09-30", "2021-10-31", "2021-11-30"]),
        (days("MS", 20), ["2021-10-01", "2021-11-01", "2021-12-01"]),
        (days("QE", 8), ["2022-03-31", "2022-06-30", "2022-09-30"]),
        (days("YS", 8), ["2029-01-01", "2030-01-01", "2031-01-01"]),
        (days("D"), ["2020-03-01", "2020-03-02", "2020-03-03"]),
        (days("W"), ["2020-08-30", "2020-09-06", "2020-09-13"]),
        (days("h"), ["2020-02-01 06:00:00", "2020-02-01 07:00:00", "2020-02-01 08:00:00"]),
        (days("12h", 4), ["2020-02-02 00:00:00", "2020-02-02 12:00:00", "2020-02-03 00:00:00"]),
        (days("D").str[:10].str.replace("-", "/"), ["2020-03-01", "2020-03-02", "2020-03-03"]),
        (
            days("h") + "+01:00",
            ["2020-02-01 06:00:00+01:00", "2020-02-01 07:00:00+01:00", "2020-02-01 08:00:00+01:00"],
        ),
        (
            pandas.concat([days("h") + "+01:00", days("h", 30, "2020-02-01 05:00") + "+00:00"]),
            ["2020-02-02 11:00:00+00:00", "2020-02-02 12:00:00+00:00", "2020-02-02 13:00:00+00:00"],
        ),
        (
            days("D").drop([7, 19]),
            ["2020-03-01", "2020-03-02", "2020-03-03"],
        ),  # two days are missing
        (days("B"), ["2020-03-13", "2020-03-16", "2020-03-17"]),
        (days("D", 2), None),
        (pandas.Series(["2020-01-01", None, "2020-01-03", "2020-01-04"]), None),
        (pandas.Series([1, 2, 3, 4]), ["5", "6", "7"]),
        (days("YS", 280, "1970"), ["2250-01-01", "2251-01-01", "2252-01-01"]),
    ],
)
def test_the_dates_that_follow_keep_their_distance(
    past: pandas.Series, future: list[str] | None
) -> None:
    assert axis_of(past).following("", 3) == future


@pytest.mark.parametrize(("freq", "steps"), [("YS", 9000), ("W", 10**6)])
def test_dates_beyond_the_calendar_are_left_out(freq: str, steps: int) -> None:
    axis = axis_of(days(freq, 20))
    assert axis.following("", steps) is None
    assert axis.why_no_dates() == "the dates that follow are beyond the calendar"


def test_a_series_with_gaps_of_the_target_is_continued_and_they_are_named(nnzoo: Nnzoo) -> None:
    write_series()
    train("rnn", SERIES)
    rows = "".join(f"2020-01-{i:02d},{i % 9 or ''}\n" for i in range(1, 20))
    Path("gap.csv").write_text(f"day,y\n{rows}")
    result = nnzoo("predict", RUN, "gap.csv")
    assert result.code == 0
    assert (
        "left out inside the series: 2 rows without a value of 'y', first data row 9" in result.err
    )


def test_a_series_that_cannot_be_continued_is_refused(nnzoo: Nnzoo) -> None:
    write_series()
    train("rnn", SERIES)
    Path("short.csv").write_text("day,y\n2020-01-01,1\n2020-01-02,2\n")
    Path("other.csv").write_text("day,z\n2020-01-01,1\n2020-01-02,2\n")
    for words, code, message in (
        (["short.csv"], 3, "short.csv has 2 time steps; this network reads the last 8\n"),
        (["other.csv"], 3, "other.csv: column 'y' is missing; the network was trained with it\n"),
        (["--steps", "1000001"], 2, "steps: expected 1 to 1,000,000, got 1000001\n"),
    ):
        result = nnzoo("predict", RUN, *words)
        assert (result.code, result.out, result.err) == (code, "", message)
    Path("s.csv").unlink()
    result = nnzoo("predict", RUN)
    assert result.code == 3
    assert result.err.endswith("s.csv\nIf the data has moved, give its file as INPUT\n")
