"""The target of a table: classes or numbers, and the rows that have none."""

from __future__ import annotations

from typing import Any

import pandas
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.target import (
    infer_target,
    looks_like_classes,
    natural_key,
    without_target_gaps,
)
from nnzoo.errors import DataError
from tests.data.columns.describing import column


def options(**more: Any) -> CsvOptions:
    return CsvOptions(name="csv", path="t.csv", **more)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["a", "b", "a"], True),
        (["0", "1", "1", "0"], True),
        (["1", "2", "3", "1", "2", "3"], True),
        (["1", "2", "3", "4"], False),  # no value twice
        (["0.5", "1.5", "0.5", "1.5"], False),
        ([str(i % 21) for i in range(100)], False),  # too many for classes
        ([str(i % 20) for i in range(100)], True),
    ],
)
def test_few_whole_numbers_and_texts_are_classes(values: list[str], classes: bool) -> None:
    assert looks_like_classes(column(values), options()) == classes


def gaps(values: list[Any], task: str = "auto", **more: Any) -> tuple[list[int], list[str]]:
    frame = pandas.DataFrame({"x": range(len(values)), "y": column(values)})
    rows, notes = without_target_gaps(frame, "y", task, options(**more), "t.csv")
    return rows["x"].tolist(), notes


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    rows, (note,) = gaps(["a", "", "b", None, "a"])
    assert rows == [0, 2, 4]
    assert note == ("t.csv: 2 of 5 rows have no target 'y' and are left out, first data row 2")
    assert gaps(["a", "b"]) == ([0, 1], [])


def test_words_for_missing_are_none_of_a_number_but_may_be_a_class() -> None:
    assert gaps(["1.5", "NA", "2.5"])[0] == [0, 2]
    assert gaps(["low", "NA", "high"])[0] == [0, 1, 2]
    rows, (note,) = gaps(["low", "NA", "high"], missing=["NA"])
    assert rows == [0, 2] and "('NA')" in note


def test_a_target_that_is_missing_everywhere_is_refused() -> None:
    with pytest.raises(DataError, match=r"the target 'y' is missing in all rows; is it the right"):
        gaps(["", None])


def test_labels_are_in_natural_order_and_numbers_have_none() -> None:
    spec, notes = infer_target(column(["10", "9", "1", "10", "9", "1"], "y"), options(), "auto")
    assert (spec.task, spec.labels, notes) == ("classification", ["1", "9", "10"], [])
    spec, _ = infer_target(column(["1.5", "2.5", "9"], "y"), options(), "auto")
    assert (spec.task, spec.labels) == ("regression", [])
    assert sorted(["b", "10", "a", "nan", "-2"], key=natural_key) == ["-2", "10", "a", "b", "nan"]


def test_a_doubtful_class_is_pointed_out_with_the_way_out() -> None:
    _, (note,) = infer_target(column(["yes", "unknown", "no", "unknown"], "y"), options(), "auto")
    assert note == (
        "a class of the target 'y': 'unknown' (2 rows); data.missing: [unknown] leaves such rows out"
    )


def test_one_class_or_almost_as_many_as_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"has one class in the training rows \('a'\)"):
        infer_target(column(["a", "a"], "y"), options(), "auto")
    many = column([f"word {i}" for i in range(30)], "y")
    with pytest.raises(DataError, match="has 30 different values in 30 training rows"):
        infer_target(many, options(), "auto")
    spec, _ = infer_target(many, options(task="classification"), "classification")
    assert len(spec.labels) == 30, "where data.task asks for classes"
