"""Splits: disjoint, complete, seeded, fair to the classes, and by time for series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnzoo.config.split_options import RowSplit, TimeSplit, ValSplit
from nnzoo.data.row_split import resolve_count, split_rows, split_time
from nnzoo.errors import DataError

fractions = st.one_of(st.floats(0.01, 0.45), st.integers(0, 4))


@given(total=st.integers(10, 300), val=fractions, test=fractions, seed=st.integers(0, 99))
def test_every_row_is_in_exactly_one_split(
    total: int, val: float | int, test: float | int, seed: int
) -> None:
    rows = split_rows(total, RowSplit(val=val, test=test, seed=seed))
    assert list(rows) == ["train", "val", "test"]
    assert sorted(np.concatenate(list(rows.values()))) == list(range(total))
    assert len(rows["val"]) == resolve_count(val, total)
    assert len(rows["test"]) == resolve_count(test, total)
    for chosen in rows.values():
        assert (np.diff(chosen) > 0).all()


@given(
    count=st.integers(2, 6),
    rows_per_class=st.integers(4, 60),
    seed=st.integers(0, 99),
    val=st.floats(0.05, 0.3),
)
def test_equal_classes_have_equal_fractions_of_each_split(
    count: int, rows_per_class: int, seed: int, val: float
) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(count), rows_per_class))
    for part, chosen in split_rows(len(classes), RowSplit(val=val, seed=seed), classes).items():
        got = np.bincount(classes[chosen], minlength=count)
        off = np.abs(got - len(chosen) / count).max()
        # val is cut out between the other two: it bears the rounding of both of its ends.
        assert off < (2 if part == "val" else 1)


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    seed=st.integers(0, 99),
    val=st.floats(0.05, 0.29),
)
def test_rare_classes_stay_in_the_training_rows_and_others_have_nearly_their_fraction(
    counts: list[int], seed: int, val: float
) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = split_rows(len(classes), RowSplit(val=val, test=0.2, seed=seed), classes)
    if len(rows["val"]) + len(rows["test"]) < len(classes) / 2 - len(counts):
        assert set(classes[rows["train"]]) == set(range(len(counts)))
    got = np.bincount(classes[rows["test"]], minlength=len(counts))
    fraction = np.array(counts) / len(classes)
    # Half a row for a class's own rounding, and its part of the other classes' rounding.
    assert (np.abs(got - fraction * len(rows["test"])) <= 1 + fraction * len(counts) / 2).all()


def test_without_stratify_classes_do_not_matter() -> None:
    classes = np.arange(100) % 2
    options = RowSplit(stratify=False)
    for part, rows in split_rows(100, options, classes).items():
        assert rows.tolist() == split_rows(100, options)[part].tolist()


def test_the_seed_of_the_split_decides() -> None:
    first, again = split_rows(100, RowSplit(seed=1)), split_rows(100, RowSplit(seed=1))
    other = split_rows(100, RowSplit(seed=2))
    assert first["test"].tolist() == again["test"].tolist()
    assert first["test"].tolist() != other["test"].tolist()


def test_names_of_classes_do_not_change_the_split() -> None:
    classes = np.arange(60) % 3
    renamed = np.array(["c", "a", "b"])[classes]
    first, second = split_rows(60, RowSplit(), classes), split_rows(60, RowSplit(), renamed)
    assert first["val"].tolist() == second["val"].tolist()


def test_no_test_rows_are_drawn_where_they_lie_elsewhere() -> None:
    assert list(split_rows(50, RowSplit(), test=False)) == ["train", "val"]
    assert list(split_rows(50, ValSplit())) == ["train", "val"]


@pytest.mark.parametrize("options", [RowSplit(val=30, test=20), RowSplit(val=0.5, test=25)])
def test_holding_out_everything_is_refused(options: RowSplit) -> None:
    with pytest.raises(DataError) as error:
        split_rows(50, options)
    held = f"{resolve_count(options.val, 50)} val + {resolve_count(options.test, 50)} test"
    assert str(error.value) == f"{held} of 50 rows leave none to train on; hold out fewer"


@given(total=st.integers(20, 500), val=fractions, test=fractions)
def test_time_runs_from_train_over_val_to_test(total: int, val: float, test: float) -> None:
    steps = split_time(total, TimeSplit(val=val, test=test))
    assert list(steps) == ["train", "val", "test"]
    assert [step for part in steps.values() for step in part] == list(range(total))
    assert len(steps["test"]) == resolve_count(test, total)


def test_a_given_training_length_leaves_the_rest_unused() -> None:
    steps = split_time(100, TimeSplit(train=50, val=10, test=20))
    assert steps == {"train": range(50), "val": range(50, 60), "test": range(60, 80)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TimeSplit(train=80, val=10, test=20), "80 + 10 + 20 time steps do not fit into the 100"),
        (TimeSplit(val=50, test=50), "0 + 50 + 50 time steps do not fit into the 100"),
    ],
)
def test_more_time_than_there_is_is_refused(options: TimeSplit, message: str) -> None:
    with pytest.raises(DataError) as error:
        split_time(100, options)
    assert str(error.value) == f"{message} of the file"
