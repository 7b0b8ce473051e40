"""Your series: windows as one would cut them by hand, and a future that cannot be seen."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from nnzoo.config.data_options import SeriesOptions
from nnzoo.config.split_options import TimeSplit
from nnzoo.data import dataset as dataset_module
from nnzoo.data.dataset import Dataset, WindowSplit
from nnzoo.data.series import load_series
from nnzoo.data.timestamps.parse import looks_like_dates
from nnzoo.errors import DataError
from tests.zoo import begin, config, finish, same


def write(columns: dict[str, Any] | str, name: str = "s.csv") -> None:
    if isinstance(columns, str):
        Path(name).write_text(columns)
    else:
        pandas.DataFrame(columns).to_csv(name, index=False)


def load(columns: dict[str, Any] | str | None = None, **options: Any) -> Dataset:
    if columns is not None:
        write(columns)
    return load_series(SeriesOptions(name="series", **{"path": "s.csv", **options}))


def refused(columns: dict[str, Any] | str | None = None, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(columns, **options)
    return str(error.value)


def windows_of(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    part = dataset.splits[split]
    x, y = part.batch(torch.arange(len(part)))
    return x.numpy(), y.numpy()


def days(rows: int, freq: str = "D") -> list[str]:
    return [str(day) for day in pandas.date_range("2020-01-01", periods=rows, freq=freq)]


# Windows.


def test_windows_are_slices_and_their_targets_the_steps_behind() -> None:
    dataset = load({"y": range(100)}, window=5, horizon=1, split=TimeSplit(val=10, test=20))
    assert str(dataset.spec.input) == "series 5×1"
    for split, first in (("train", range(5, 70)), ("val", range(70, 80)), ("test", range(80, 100))):
        x, y = windows_of(dataset, split)
        assert x[:, :, 0].tolist() == [list(range(t - 5, t)) for t in first]
        assert y.tolist() == [[t] for t in first]


def test_a_horizon_runs_over_time_first_and_targets_second() -> None:
    a, b, c = np.arange(60), np.arange(60) * 10, np.arange(60) * 100
    dataset = load(
        {"a": a, "b": b, "c": c},
        target=["c", "a"],
        covariates=["b"],
        window=3,
        horizon=2,
        split=TimeSplit(val=6, test=10),
    )
    assert dataset.spec.column_names == ["c", "a", "b"]
    assert (dataset.spec.targets, dataset.spec.horizon) == (["c", "a"], 2)
    for split, first in (("train", range(3, 43)), ("val", range(44, 49)), ("test", range(50, 59))):
        x, y = windows_of(dataset, split)
        assert x.tolist() == [[[c[s], a[s], b[s]] for s in range(t - 3, t)] for t in first]
        assert y.tolist() == [[c[t], a[t], c[t + 1], a[t + 1]] for t in first]


@pytest.mark.parametrize("horizon", [1, 4])
def test_no_target_step_is_in_two_splits(horizon: int) -> None:
    dataset = load({"y": range(200)}, window=7, horizon=horizon)
    steps = {split: set(windows_of(dataset, split)[1].ravel()) for split in dataset.splits}
    assert max(steps["train"]) < min(steps["val"])
    assert max(steps["val"]) < min(steps["test"])
    assert len(set.union(*steps.values())) == 200 - 7


def test_targets_and_past_targets_agree_with_the_batches() -> None:
    dataset = load(
        {"y": range(50), "x": range(50)}, target=0, covariates="all", window=4, horizon=3
    )
    split = dataset.splits["train"]
    assert isinstance(split, WindowSplit)
    x, y = windows_of(dataset, "train")
    assert split.targets().tolist() == y.tolist()
    assert split.past_targets(torch.arange(4)).tolist() == x[:, :, :1].tolist()


@pytest.mark.parametrize(
    ("covariates", "seen"),
    [("none", ["y"]), ("all", ["y", "a", "b"]), (["b"], ["y", "b"]), ([1, "y"], ["y", "a"])],
)
def test_covariates_are_seen_beside_the_target(covariates: Any, seen: list[str]) -> None:
    columns = {"day": days(60), "a": range(60), "b": range(60), "y": range(60)}
    dataset = load(columns, covariates=covariates, window=5)
    assert dataset.spec.column_names == seen


# Several series.


def grouped(shuffled: bool = False) -> dict[str, Any]:
    rows = [("B", t, 1000 + t) for t in range(40)] + [("A", t, t) for t in range(30)]
    if shuffled:
        rows.sort(key=lambda row: row[1])
    group, time, value = zip(*rows, strict=True)
    return {"g": group, "day": [days(40)[t] for t in time], "y": value}


@pytest.mark.parametrize("shuffled", [False, True])
def test_no_window_crosses_from_one_series_into_the_next(shuffled: bool) -> None:
    dataset = load(
        grouped(shuffled), group="g", window=4, horizon=2, split=TimeSplit(val=4, test=5)
    )
    for split, count in (("train", 15 + 25 + 2), ("val", 2 * 3), ("test", 2 * 4)):
        x, y = windows_of(dataset, split)
        whole = np.concatenate([x[:, :, 0], y], 1)
        assert (np.diff(whole) == 1).all()
        assert len(whole) == count
    assert {value < 500 for value in windows_of(dataset, "test")[1].ravel()} == {True, False}


def test_a_series_that_is_too_short_is_named() -> None:
    rows = {"g": ["Brest"] * 5 + ["Lyon"] * 5, "y": range(10)}
    assert refused(rows, group="g", window=5) == (
        "series 'Brest' has 5 time steps, fewer than window + horizon (5 + 1); use a smaller window"
    )
    rows = {"g": ["Lyon"] * 20 + ["Brest"] * 5, "y": range(25)}
    assert refused(rows, group="g", window=15).startswith("series 'Brest' has 5 time steps")
    rows = {"g": ["Lyon"] * 20, "y": range(20)}
    assert refused(rows, group="g", window=15) == (
        "the train split of series 'Lyon' has 14 time steps, too few for window 15 and horizon 1; "
        "change data.split or data.window"
    )


def test_series_that_are_too_short_are_left_out_among_others() -> None:
    rows = {"g": ["Brest"] * 40 + ["Lyon"] * 5 + ["Paris"] * 16, "y": range(61)}
    dataset = load(rows, group="g", window=12)
    assert dataset.notes == [
        "2 of 3 series are left out, too short to train with window 12 and horizon 1: Lyon (5 time "
        "steps), Paris (16 time steps)"
    ]
    single = load({"g": ["Brest"] * 40, "y": range(40)}, group="g", window=12)
    for split in single.splits:
        for actual, expected in zip(
            windows_of(dataset, split), windows_of(single, split), strict=True
        ):
            np.testing.assert_array_equal(actual, expected)
    assert load(rows, group="g", window=4, horizon=3).notes == [
        "1 of 3 series is left out, too short to train with window 4 and horizon 3: Lyon (5 time steps)",
        "1 of 2 series without val rows (Paris): too few time steps there for window 4 and horizon 3",
    ]


def test_a_series_is_named_where_the_group_is_a_number_and_the_only_one() -> None:
    frame = pandas.DataFrame({"g": [7] * 5, "y": range(5)})
    frame.to_parquet("s.parquet")
    assert refused(path="s.parquet", group="g", window=5).startswith("series '7' has 5 time steps")


def test_a_row_without_its_group_is_refused_instead_of_dropped() -> None:
    write("g,y\n" + "a,1\n" * 20 + ",2\n")
    assert refused(group="g") == "s.csv: 'g' (data.group) is missing in data row 21"


def test_several_series_without_a_group_are_noticed() -> None:
    message = refused(grouped())
    assert "s.csv: not in order of time: '2020-01-01 00:00:00' (data row 41) is earlier" in message
    assert message.endswith("name the column that tells them apart (data.group)")
    assert refused(grouped(shuffled=True)) == (
        "s.csv: the time '2020-01-01 00:00:00' (data row 2) and many others come more than once; "
        "where the file holds several series, name the column that tells them apart (data.group)"
    )


# The future.


def trained(**data: Any) -> Any:
    options = {"name": "series", "path": "s.csv", "window": 6, "target": "y", **data}
    run = begin(config("rnn", options), out=f"out{random.random()}")
    finish(run)
    network = run.network
    return network.model.state_dict(), network.preprocess.state_dict(), network.task.state_dict()


@pytest.mark.parametrize("grouping", [{}, {"group": "g"}])
@pytest.mark.parametrize("horizon", [1, 3])
def test_changing_the_future_changes_no_bit_of_the_trained_network(
    grouping: dict[str, str], horizon: int
) -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"g": ["a"] * 60 + ["b"] * 60}
    columns |= {"x": rng.normal(size=120), "y": rng.normal(size=120)}
    late = [119, 110] + ([50] if grouping else [])  # the last fifth of each series tests
    options = {"covariates": ["x"], "horizon": horizon, **grouping}
    write(columns)
    first = trained(**options)
    for key, value in (("x", 1e9), ("y", -1e9)):
        columns[key][late] = value
    write(columns)
    assert same(first, trained(**options))
    columns["x"][20] = 5.0  # the comparison can fail: a training step is seen
    write(columns)
    assert not same(first, trained(**options))


# Gaps and order.


def test_a_missing_covariate_keeps_its_last_value_and_rows_before_the_first_are_left_out() -> None:
    x = [None, None, 3.0, None, 5.0, None] + [1.0] * 30
    dataset = load({"x": x, "y": range(36)}, covariates="all", window=6)
    assert windows_of(dataset, "train")[0][0, :, 1].tolist() == [3, 3, 5, 5, 1, 1]
    assert dataset.notes == [
        "covariate 'x' is missing in the first 2 rows: the 2 rows up to the first with all values are "
        "left out",
        "covariate 'x' is missing in 2 of 34 rows: 2 keep the last value before (one step long)",
    ]
    write({"x": [3, 3, 5, 5] + [1] * 30, "y": range(2, 36)})
    same_as = load(covariates="all", window=6)
    assert dataset.fingerprint() == same_as.fingerprint()


def test_a_covariate_that_begins_late_is_the_training_mean_before_it_does() -> None:
    x = [None] * 20 + [3.0, 5.0] + [1.0] * 3 + [1e6] * 11  # the last 11 validate and test
    dataset = load({"x": x, "y": range(36)}, covariates="all", window=6)
    assert set(windows_of(dataset, "train")[0][0, :, 1]) == {2.2}
    assert dataset.spec.columns[1].fill == 2.2
    assert dataset.notes == [
        "covariate 'x' is missing in 20 of 36 rows: 20 at the start are the mean of the training steps "
        "(2.2)"
    ]


def test_a_covariate_without_a_training_value_is_refused() -> None:
    message = refused({"x": [None] * 30 + [1.0] * 6, "y": range(36)}, covariates="all", window=6)
    assert message == (
        "s.csv: the covariate 'x' has no value in the training time steps; leave it out "
        "(data.covariates)"
    )


def test_gaps_are_not_filled_from_the_series_before() -> None:
    x = [7.0] * 20 + [None] + [1.0] * 19
    columns = {"g": ["a"] * 20 + ["b"] * 20, "x": x, "y": range(40)}
    dataset = load(columns, covariates=["x"], group="g", window=3, split=TimeSplit(val=0, test=0))
    first_of_b = windows_of(dataset, "train")[0][17]
    assert first_of_b.tolist() == [[21, 1], [22, 1], [23, 1]]


ROWS = "".join(f"2020-01-{i:02d},{i},{i}\n" for i in range(1, 29))

BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no target at all": (
        "day,x,y\n" + "".join(f"2020-01-{i:02d},{i},\n" for i in range(1, 29)),
        {},
        "s.csv: no row has a value of 'y'",
    ),
    "text in the target": (
        "day,x,y\n" + ROWS.replace(",7,7\n", ",7,seven\n"),
        {},
        "s.csv: the target 'y' should be a number, but data row 7 has 'seven'",
    ),
    "text in a covariate": (
        "day,x,y\n" + ROWS.replace(",7,7\n", ",seven,7\n"),
        {"covariates": ["x"]},
        "s.csv: the covariate 'x' should be a number, but data row 7 has 'seven'",
    ),
    "out of order": (
        "day,x,y\n" + ROWS.replace("01-09", "01-03"),
        {"group": None},
        "s.csv: not in order of time: '2020-01-03' (data row 9) is earlier than the row before; "
        "sort the file; or, where it holds several series, name the column that tells them apart "
        "(data.group)",
    ),
    "out of order within a group": (
        "g,t,y\n" + "".join(f"a,{i},1\n" for i in [*range(20), 5]),
        {"group": "g", "time": "t"},
        "s.csv: not in order of time: '5' (data row 21) is earlier than the row before; sort the "
        "file",
    ),
    "out of order behind a gap": (
        "day,y\n" + "".join(f"{d},1\n" for d in [*days(60), "", "2020-01-05 00:00:00"]),
        {},
        "s.csv: data row 61: 'day' is missing; correct it, or delete the row (and 1 more)",
    ),
    "a huge target": (
        "day,x,y\n" + ROWS.replace(",7,7\n", ",7,-2e30\n"),
        {},
        "s.csv: column 'y': '-2e30' in data row 7 is beyond ±1e30",
    ),
    "a huge covariate": (
        "day,x,y\n" + ROWS.replace(",7,7\n", ",1e300,7\n"),
        {"covariates": ["x"]},
        "s.csv: column 'x': '1e300' in data row 7 is beyond ±1e30",
    ),
    "no date": (
        "day,x,y\n" + ROWS.replace("2020-01-05", "soon"),
        {"time": "day"},
        "s.csv: data row 5: 'soon' is not a date like the others ('2020-01-01'); correct it, or delete the row",
    ),
    "no such time": (
        "day,x,y\n" + ROWS,
        {"time": "dya"},
        "no column 'dya'; did you mean 'day'?",
    ),
    "no such covariate": (
        "day,x,y\n" + ROWS,
        {"covariates": ["z"]},
        "no column 'z'; the file has day, x, y",
    ),
    "too short": (
        "day,x,y\n" + ROWS,
        {"window": 28},
        "series has 28 time steps, fewer than window + horizon (28 + 1); use a smaller window",
    ),
    "training steps too few": (
        "day,x,y\n" + ROWS,
        {"window": 20},
        "the train split of series has 19 time steps, too few for window 20 and horizon 1; change "
        "data.split or data.window",
    ),
    "validation steps too few": (
        "day,x,y\n" + ROWS,
        {"window": 4, "horizon": 4},
        "the val split of series has 3 time steps, too few for window 4 and horizon 4; change "
        "data.split or data.window",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_faulty_series_is_refused_in_one_line(name: str) -> None:
    text, options, message = BAD[name]
    assert refused(text, **{"window": 4, **options}) == message


@pytest.mark.parametrize("name", ["no target at all", "out of order", "no date", "too short"])
def test_the_command_ends_with_exit_code_3_and_the_message(nnzoo: Any, name: str) -> None:
    text, options, message = BAD[name]
    write(text)
    Path("c.yaml").write_text("data: {name: series, path: s.csv, window: 4}\nmodel: rnn\n")
    sets = [word for k, v in options.items() if v for word in ("--set", f"data.{k}={v}")]
    result = nnzoo("train", "--config", "c.yaml", *sets)
    assert (result.code, result.out) == (3, "")
    key, _, rest = message.partition(": ")
    if key.startswith("data."):  # where it stands is named too
        message = f"--set  {key}  {rest}"
    assert "".join(message.split()) in "".join(result.err.split())


def test_a_clock_that_is_set_back_is_no_error() -> None:
    hours = days(100, "h")
    assert (
        load({"day": [*hours[:50], hours[49], *hours[50:]], "y": range(101)}).spec.seasonal_period
        == 24
    )


# Dates.


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        ("h", 24),
        ("D", 7),
        ("W", 52),
        ("MS", 12),
        ("ME", 12),
        ("QS", 4),
        ("30min", 48),
        ("15min", 96),
        ("6h", 4),
        ("min", 0),
        ("YS", 0),
    ],
)
def test_the_season_follows_from_the_distance_of_the_dates(freq: str, season: int) -> None:
    assert load({"day": days(120, freq), "y": range(120)}).spec.seasonal_period == season


def test_a_season_can_be_stated_and_is_unknown_without_dates() -> None:
    assert load({"y": range(60)}).spec.seasonal_period == 0
    assert load({"t": range(60), "y": range(60)}, time="t").spec.seasonal_period == 0
    assert load({"day": days(60), "y": range(60)}, season=5).spec.seasonal_period == 5


@pytest.mark.parametrize(
    "write_day",
    ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%b %d %Y", "%Y-%m-%dT%H:%M:%S+01:00", "%Y%m%dT%H"],
)
def test_dates_are_found_in_the_usual_forms(write_day: str) -> None:
    dates = pandas.date_range("2020-02-01", periods=90).strftime(write_day)
    dataset = load({"y": range(90), "x": range(90), "when": dates}, target="y", covariates="all")
    assert dataset.spec.column_names == ["y", "x"]
    assert dataset.spec.seasonal_period == 7


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("1,278", False),
        ("1 278", False),
        ("1,234,567", False),
        ("1,278.50", False),
        ("5-10", False),
        ("Mon", False),
        ("a b c", False),
        ("2020-03", True),
        ("Mar 2020", True),
        ("03/02/20", True),
        ("Mar 2, 20", True),
        ("20200302T05", True),
        ("2020-03-02 05:00:00+01:00", True),
    ],
)
def test_a_date_has_a_year_of_four_digits_or_two_separators(value: str, date: bool) -> None:
    assert looks_like_dates(pandas.Series([value, None, value])) == date


def test_a_series_without_a_header_notes_it() -> None:
    note = "no header found: the first row ('6', '20') is data (data.header)"
    text = "".join(f"{i % 7},{i}\n" for i in range(20, 120))
    assert load(text).notes == [note]
    assert load(text, header=False).notes == load("a,b\n" + text).notes == []


def test_words_that_could_be_dates_are_not_taken_for_the_time() -> None:
    weekdays = ["Wed", "Thu", "Fri", "Sat", "Sun", "Mon", "Tue"] * 10
    assert len(load({"weekday": weekdays, "y": range(70)}).splits["train"]) > 0


def test_parquet_dates_are_read_as_in_a_csv() -> None:
    frame = pandas.DataFrame(
        {"day": pandas.date_range("2020", periods=80, freq="h"), "y": range(80)}
    )
    frame.to_csv("s.csv", index=False)
    frame.to_parquet("s.parquet")
    text, typed = load(), load(path="s.parquet")
    assert (typed.spec.seasonal_period, typed.fingerprint()) == (24, text.fingerprint())


def test_real_series_are_read(shared_data: Path) -> None:
    folder = shared_data / "series"
    monthly = load(path=str(folder / "airline-passengers.csv"))
    assert (monthly.spec.seasonal_period, monthly.spec.input.shape) == (12, (24, 1))
    daily = load(path=str(folder / "daily-min-temperatures.csv"))
    assert daily.spec.seasonal_period == 7
    hourly = load(path=str(folder / "ETTh1.csv"), covariates="all", window=96, horizon=24)
    assert (hourly.spec.seasonal_period, hourly.spec.input.shape) == (24, (96, 7))
    steps = sum(len(split) + 23 for split in hourly.splits.values())
    assert steps == 17_420 - 96


def test_a_fingerprint_of_windows_counts_only_the_steps_that_are_used() -> None:
    columns = {"y": np.arange(60.0)}
    options: dict[str, Any] = {"window": 4, "split": TimeSplit(train=30, val=5, test=5)}
    first = load(columns, **options).fingerprint()
    columns["y"][59] = -1  # behind the test split
    assert load(columns, **options).fingerprint() == first
    columns["y"][39] = -1
    assert load(columns, **options).fingerprint() != first


def test_windows_whose_targets_would_fill_the_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dataset_module, "total_memory", lambda: 10_000)
    with pytest.raises(DataError, match="windows with 5 steps to predict would take"):
        load({"y": range(400)}, window=4, horizon=5)
