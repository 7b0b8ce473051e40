"""Notes of `init` on a series that it guessed, and of training on its target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas

from tests.conftest import Result

NNZOO = Callable[..., Result]

DAYS = pandas.date_range("2020-01-01", periods=120)


def write(path: str, **columns: object) -> None:
    pandas.DataFrame(columns).to_csv(path, index=False)


def test_of_several_columns_of_numbers_the_target_is_said(nnzoo: NNZOO) -> None:
    write("prices.csv", date=DAYS, open=range(120), volume=[i % 7 for i in range(120)])
    result = nnzoo("init", "prices.csv")
    line = "target: 'volume', the last column of numbers (--target NAME for another)"
    assert line in result.err and f"# {line}" in Path("prices.yaml").read_text()
    Path("prices.yaml").unlink()
    assert "last column" not in nnzoo("init", "prices.csv", "--target", "open").err


def test_a_second_column_of_dates_leaves_a_series_one(nnzoo: NNZOO) -> None:
    write("load.csv", start=DAYS, end=DAYS + pandas.Timedelta("1D"), load=range(120))
    result = nnzoo("init", "load.csv")
    assert "not used: 'end'" in result.err
    assert "name: series" in Path("load.yaml").read_text()


def test_a_target_that_never_changes_is_said(nnzoo: NNZOO) -> None:
    write("flat.csv", date=DAYS, level=[5] * 120)
    nnzoo("init", "flat.csv")
    result = nnzoo("train", "flat.yaml", "-s", "train.epochs=1")
    assert "the target 'level' is 5 in all rows: there is nothing to learn" in result.err
