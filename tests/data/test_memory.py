"""Tables in memory are read as a file of the same columns; equal rows are one row with their weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
import torch

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.memory import MemoryTable, as_frame


def options(**changes: Any) -> CsvOptions:
    split = GroupSplit(val=0.25, test=0)
    return CsvOptions(name="csv", path="the table", split=split, **changes)


def table(frame: pandas.DataFrame, target: Any, weights: Any = None) -> MemoryTable:
    target = np.asarray(target)
    weights = np.ones(len(frame)) if weights is None else weights
    if target.ndim == 1:
        return MemoryTable(frame, target, "classification", ["a", "b"], weights)
    return MemoryTable(frame, target, "regression", ["y"], weights)


def test_columns_become_numbers_or_texts() -> None:
    frame = pandas.DataFrame(
        {
            "whole": pandas.array([1, None, 3], dtype="Int64"),
            "mixed": [1, 2.5, None],
            "text": ["x", None, "y"],
            "flag": [True, False, True],
            "level": pandas.Categorical([2, 1, 2]),
        },
        index=[5, 6, 7],
    ).astype({"mixed": object})
    read, categorical = as_frame(frame, list(frame))
    assert categorical == ["level"]
    np.testing.assert_array_equal(read["whole"], [1, np.nan, 3])
    np.testing.assert_array_equal(read["mixed"], [1, 2.5, np.nan])
    assert read["text"].fillna("?").tolist() == ["x", "?", "y"]
    assert read["flag"].tolist() == ["True", "False", "True"]
    assert read["level"].tolist() == ["2", "1", "2"]


def test_arrays_are_read_by_position() -> None:
    read, _ = as_frame(np.array([[True, False]]), ["0", "1"])
    assert read.to_numpy().tolist() == [[1.0, 0.0]]
    read, _ = as_frame(np.array([[1, "x"]], dtype=object), ["0", "1"])
    assert read.dtypes.map(str).tolist()[0] == "float64" and read["1"].tolist() == ["x"]


def test_a_value_that_is_neither_is_refused() -> None:
    with pytest.raises(TypeError, match="a string or a number, but column '1' has a dict in row 1"):
        as_frame(np.array([[1, 2], [3, {}]], dtype=object), ["0", "1"])


def test_equal_rows_are_one_with_the_sum_of_their_weights() -> None:
    frame = pandas.DataFrame({"x": [1.0, 2.0, 1.0, 1.0, np.nan, np.nan], "t": list("uuuvww")})
    merged = table(frame, [0, 0, 0, 0, 1, 1], np.array([1.0, 0.0, 2.0, 1.0, 0.5, 0.5])).merged()
    rows = merged.frame.assign(y=merged.target, w=merged.weights).sort_values("w")
    assert rows["w"].tolist() == [1.0, 1.0, 3.0]
    assert rows["t"].tolist()[-1] == "u" and rows["x"].tolist()[-1] == 1.0
    # The same inputs of two classes are two rows.
    assert len(table(frame[:1].loc[[0, 0]], [0, 1]).merged().frame) == 2


def test_many_copies_of_few_rows_stay_copies() -> None:
    frame = pandas.DataFrame({"x": [0.0, 1.0] * 30})
    counts = table(frame, [0, 1] * 30, np.array([1.0, 2.0] * 30)).merged()
    assert len(counts.frame) == 90 and (counts.weights == 1.0).all()
    assert counts.frame["x"].sum() == counts.target.sum() == 60
    fractions = table(frame, [0, 1] * 30, np.array([0.255, 0.5] * 30)).merged()
    assert len(fractions.frame) == 8 + 15
    np.testing.assert_allclose(fractions.weights, [7.65 / 8] * 8 + [1.0] * 15)


def test_large_weights_are_no_counts() -> None:
    frame = pandas.DataFrame({"x": [0.0, 1.0, 2.0]})
    merged = table(frame, [0, 1, 1], np.array([1000.0, 2000.0, 3000.0])).merged()
    assert sorted(merged.weights) == [0.5, 1.0, 1.5]


def test_weights_reach_the_splits_unless_they_are_equal() -> None:
    frame = pandas.DataFrame({"x": np.arange(8.0)})
    y, weights = [0, 1] * 4, np.arange(1.0, 9.0)
    dataset = table(frame, y, weights).dataset(options())
    parts = [split.weights for split in dataset.splits.values()]
    assert sorted(torch.cat([part for part in parts if part is not None]).tolist()) == [*weights]
    equal = table(frame, y, np.full(8, 3.0)).dataset(options())
    assert all(split.weights is None for split in equal.splits.values())


def test_the_order_of_rows_follows_from_their_values() -> None:
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(50, 3)), columns=["a", "b", "c"])
    y = rng.normal(size=(50, 2))
    order = rng.permutation(50)
    one = table(frame, y).merged()
    other = table(frame.iloc[order].reset_index(drop=True), y[order]).merged()
    pandas.testing.assert_frame_equal(one.frame, other.frame)
    assert (one.target == other.target).all()


def test_what_is_learned_comes_from_training_rows_alone() -> None:
    frame = pandas.DataFrame({"x": np.arange(40.0) ** 2, "t": ["u", "v"] * 20})
    y = np.array([0, 1] * 20)
    dataset = table(frame, y).dataset(options())
    assert {part: len(split) for part, split in dataset.splits.items()} == {"train": 30, "val": 10}
    assert dataset.spec.labels == ["a", "b"] and dataset.notes == ["columns: 1 number, 1 category"]
    values = set(dataset.splits["train"].tensors()[0][:, 0].tolist())
    poisoned = frame.copy()
    held_out = ~poisoned["x"].isin(values)
    poisoned.loc[held_out, ["x", "t"]] = [1e9, "new"]
    again = table(poisoned, y).dataset(options())
    assert again.spec == dataset.spec
    train = again.splits["train"].tensors()[0]
    assert (train == dataset.splits["train"].tensors()[0]).all()


def test_a_class_is_never_in_validation_alone() -> None:
    frame = pandas.DataFrame({"x": np.arange(12.0)})
    single = MemoryTable(
        frame, np.arange(12), "classification", [str(i) for i in range(12)], np.ones(12)
    )
    dataset = single.dataset(options())
    assert len(dataset.splits["train"]) == 12 and "val" not in dataset.splits


def test_several_numbers_and_filled_values() -> None:
    frame = pandas.DataFrame({"x": [1.0, np.nan, 3.0, 4.0], "spare": [0.0] * 4})
    several = MemoryTable(frame, np.arange(8.0).reshape(4, 2), "regression", ["y", "z"], np.ones(4))
    dataset = several.without(["spare"]).dataset(options())
    assert dataset.spec.targets == ["y", "z"] and dataset.spec.task == "regression"
    assert dataset.notes[-1] == "missing values filled with the mean: 1 of 'x'"
