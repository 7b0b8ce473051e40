"""Lines of a CSV: what Python's writer of CSV makes of the same values."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from nnzoo.predict.csv_lines import csv_lines
from nnzoo.predict.predictions import Predictions

VALUES = np.array([[0.1, 1e-12], [1 / 3, 123456789.0], [np.nan, -np.inf], [1e22, -0.0]])
INDEX: dict[str, list[Any]] = {
    "row": [1, 20, 300, 4000],
    "a, b": ["x", 'say "no"', "", "line\nline"],
    "time": [datetime(2026, 1, 2), None, 0.5, True],
}
CASES = [
    Predictions(["y", "%d"], False, VALUES, INDEX, low=VALUES - 1, high=VALUES + 1),
    Predictions(["a,b", '"c"'], True, VALUES.astype(np.float32), INDEX, members=VALUES > 0.2),
    Predictions(["a", "b"], True, VALUES, {"row": INDEX["row"]}, std=VALUES),
    Predictions(["a", "b"], False, VALUES, INDEX, thresholds=np.array([0.2, 0.5])),
]


def written(predictions: Predictions) -> str:
    """The same by Python's writer, value by value."""
    digits = 6 if predictions.has_probabilities else 7
    columns = predictions.columns(lambda value: f"{value:.{digits}g}")
    if predictions.members is not None:
        columns["set"] = [";".join(labels) for labels in columns["set"]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


@pytest.mark.parametrize("predictions", CASES)
def test_lines_are_those_of_pythons_writer(predictions: Predictions) -> None:
    expected = written(predictions)
    assert csv_lines(predictions, header=True) == expected
    assert csv_lines(predictions, header=False) == expected[expected.index("\n") + 1 :]


def test_no_rows_are_no_lines() -> None:
    empty = CASES[0].empty_with_notes(["a note"])
    assert csv_lines(empty, header=False) == ""
