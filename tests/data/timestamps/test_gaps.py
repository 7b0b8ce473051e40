"""Gaps of covariates: no later value is used, and notes report what is filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.data.columns.values import ValueOptions
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.data.timestamps.gaps import fill_gaps, first_complete_steps, read_columns
from nnzoo.errors import DataError

NAN = float("nan")


def series(*columns: list[float]) -> np.ndarray[Any, Any]:
    return np.array(columns, dtype=float).T


def test_a_gap_keeps_the_last_value_and_a_start_the_mean_of_training() -> None:
    values = series([1, 2, 3, 4, 5, 6], [NAN, 2, NAN, NAN, 8, 100])
    specs = [ColumnSpec("y"), ColumnSpec("x")]
    (note,) = fill_gaps({"": values}, specs, [5], "s.csv")
    assert values[:, 1].tolist() == [5, 2, 2, 2, 8, 100]  # the 100 is not among those that train
    assert (specs[0].fill, specs[1].fill) == (None, 5.0)
    assert note == (
        "covariate 'x' is missing in 3 of 6 rows: 1 at the start are the mean of the training "
        "steps (5); 2 keep the last value before (up to 2 steps long)"
    )


def test_no_value_crosses_from_one_series_into_the_next() -> None:
    both = {"a": series([1, 2, 3]), "b": series([NAN, NAN, 9])}
    specs = [ColumnSpec("x")]
    fill_gaps(both, specs, [3, 1], "s.csv")
    assert both["b"][:, 0].tolist() == [2, 2, 9]


def test_a_fill_of_an_earlier_reading_is_used_and_not_fitted_again() -> None:
    values, specs = series([NAN, 4, 4]), [ColumnSpec("x", fill=-1.0)]
    fill_gaps({"": values}, specs, [0], "s.csv")
    assert values[:, 0].tolist() == [-1, 4, 4] and specs[0].fill == -1.0
    assert fill_gaps({"": series([1, 2])}, specs, [2], "s.csv") == []


def test_a_covariate_without_a_value_to_train_on_is_refused() -> None:
    with pytest.raises(
        DataError, match="the covariate 'x' has no value in the training time steps"
    ):
        fill_gaps({"": series([NAN, NAN, 1])}, [ColumnSpec("x")], [2], "s.csv")


def test_series_begin_where_all_covariates_do_unless_half_would_be_lost() -> None:
    specs = [ColumnSpec("x"), ColumnSpec("z")]
    late = {
        "a": series([NAN, 1, 1, 1], [NAN, NAN, 1, 1]),
        "b": series([1, 1, 1, 1], [NAN, NAN, NAN, 1]),
    }
    starts, notes = first_complete_steps(late, specs)
    assert starts == {"a": 2, "b": 0}
    assert notes[0] == (
        "covariate 'x' is missing in the first 1 rows of 1 series: the 2 rows up to the first with "
        "all values are left out"
    )
    assert len(notes) == 2
    assert first_complete_steps({"": series([1, NAN], [1, 1])}, specs) == ({"": 0}, [])


def read(values: list[str], name: str = "y", **more: Any) -> Any:
    frame = pandas.DataFrame({name: pandas.Series(values, dtype=object)})
    return read_columns(frame, [ColumnSpec(name)], 1, "s.csv", **more)


def test_numbers_are_read_in_the_form_of_their_column() -> None:
    columns = read(["1.234,5", "2.000,0", ""], options=ValueOptions())
    assert columns.values[:2, 0].tolist() == [1234.5, 2000.0] and np.isnan(columns.values[2, 0])
    again = read_columns(pandas.DataFrame({"y": ["7,5"]}), columns.specs, 1, "s.csv", options=None)
    assert again.values.tolist() == [[7.5]]


def test_a_constant_target_is_said_and_a_word_is_refused_with_its_row() -> None:
    assert read(["2", "2"], options=ValueOptions()).notes == [
        "the target 'y' is 2 in all rows: there is nothing to learn"
    ]
    with pytest.raises(
        DataError, match="the target 'y' should be a number, but data row 2 has 'x'"
    ):
        read(["1", "x", "3"], options=ValueOptions())
