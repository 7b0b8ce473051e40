"""A few rows of a data frame: the numbers that reading column by column gives, or none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.data.data_spec import ColumnSpec, NumberFormat
from nnzoo.data.tables import encode_columns
from nnzoo.predict.inputs import predict
from nnzoo.predict.plain_frame import MAX_ROWS, plain_rows
from tests.predict.prediction_runs import TABLE, train, write_table

COLUMNS = [ColumnSpec("b"), ColumnSpec("a"), ColumnSpec("kind", ["u", "v", "w"])]
ROW: dict[str, list[Any]] = {"a": [1, -2], "kind": ["w", "u"], "b": [0.1, 1e30], "more": [None, 1]}


@pytest.mark.parametrize(
    "dtypes",
    [{}, {"a": "float32"}, {"kind": "category"}, {"a": object, "kind": object}, {"b": "float32"}],
)
def test_plain_cells_are_read_as_column_by_column(dtypes: Any) -> None:
    frame = pandas.DataFrame(ROW | {"b": [0.1, 3.5]}).astype(dtypes)
    raw = plain_rows(frame, COLUMNS)
    assert raw is not None and raw.equal(encode_columns(frame, COLUMNS))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8"])
def test_numbers_alone_are_read_at_once(dtype: Any) -> None:
    frame = pandas.DataFrame({"a": [1, 2], "b": [3, 4]}, dtype=dtype)
    raw = plain_rows(frame, COLUMNS[:2])
    assert raw is not None and raw.tolist() == [[3.0, 1.0], [4.0, 2.0]]


@pytest.mark.parametrize(
    "other",
    [
        {"a": [np.nan, 1]},
        {"a": [np.inf, 1]},
        {"b": [1e31, 1]},
        {"a": ["1", "2"]},
        {"a": [True, False]},
        {"kind": ["U", "v"]},
        {"kind": [None, "v"]},
        {"kind": [0, 1]},
        {"0": [1, 2]},
    ],
)
def test_what_may_need_a_note_is_read_column_by_column(other: Any) -> None:
    assert plain_rows(pandas.DataFrame(ROW | other), COLUMNS) is None


def test_other_tables_are_read_column_by_column() -> None:
    frame = pandas.DataFrame(ROW)
    assert plain_rows(frame.drop(columns="a"), COLUMNS) is None
    assert plain_rows(frame[["a", "a", "b", "kind"]], COLUMNS) is None
    assert plain_rows(frame.iloc[:0], COLUMNS) is None
    numbers = pandas.DataFrame({"a": np.ones(MAX_ROWS + 1)})
    assert plain_rows(numbers, [ColumnSpec("a")]) is None
    numbers = numbers.iloc[:2]
    assert plain_rows(numbers, [ColumnSpec("a", format=NumberFormat(missing=("1",)))]) is None
    mixed = pandas.DataFrame({"a": [1.0], "t": ["x"]})
    assert plain_rows(mixed, [ColumnSpec("a", format=NumberFormat(decimal=","))]) is None


def test_rows_of_a_frame_have_the_predictions_of_their_file() -> None:
    write_table("regression")
    network = train({"name": "mlp", "hidden": [8]}, TABLE | {"target": "y"})
    frame = pandas.read_csv("d.csv").dropna().iloc[:20]
    assert plain_rows(frame, network.data_spec.columns) is not None
    (fast,) = predict(network, frame)
    many = pandas.concat([frame] * 4)
    expected, *_ = predict(network, many)
    assert fast.index == {"row": list(range(1, 21))} and fast.notes == []
    assert np.allclose(fast.values, expected.values[:20], rtol=1e-6)
