"""Splits by groups: no group on two sides, fractions as asked for, classes even; refused where that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.row_split import split_rows
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError


def random_groups(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """The group and class of each row: 8 to 60 groups, some ten times as large as others."""
    groups = int(rng.integers(8, 61))
    sizes = rng.geometric(rng.choice([0.05, 0.2, 1.0]), groups)
    codes = rng.permutation(np.repeat(np.arange(groups), np.minimum(sizes, 40)))
    classes = rng.integers(0, int(rng.integers(2, 6)), len(codes))
    if rng.random() < 0.3:  # a class per group, as a person's diagnosis is
        classes = rng.integers(0, 3, groups)[codes]
    return [f"p{code}" for code in codes], classes


def refusal(groups: list[str], **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        split_rows(len(groups), GroupSplit(group="g", **options), groups=groups)
    return str(caught.value)


def test_no_group_is_on_two_sides_of_a_thousand_random_tables() -> None:
    rng = np.random.default_rng(0)
    split, errors, distances = 0, [], []
    for i in range(1000):
        groups, classes = random_groups(rng)
        options = GroupSplit(val=float(rng.uniform(0.1, 0.25)), test=0.2, seed=i, group="g")
        try:
            rows = split_rows(len(groups), options, classes, groups=groups)
        except DataError as error:
            errors.append(str(error))
            continue
        split += 1
        assert list(rows) == ["train", "val", "test"]
        assert sorted(np.concatenate([*rows.values()]).tolist()) == list(range(len(groups)))
        sides = [{groups[row] for row in index} for index in rows.values()]
        assert all(sides) and not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
        distances.append(abs(len(rows["test"]) / len(groups) - 0.2))
    assert split > 950 and all("cannot be divided so" in error for error in errors)
    assert np.median(distances) < 0.01 and np.quantile(distances, 0.95) < 0.05


def test_no_group_is_in_two_folds_or_in_the_test_rows_too() -> None:
    rng = np.random.default_rng(1)
    for i in range(200):
        groups, classes = random_groups(rng)
        folds = []
        try:
            for fold in range(1, 4):
                options = GroupSplit(test=0.2, folds=3, fold=fold, seed=i, group="g")
                folds.append(split_rows(len(groups), options, classes, groups=groups))
        except DataError as error:
            assert "cannot be divided so" in str(error)
            continue
        assert all(np.array_equal(fold["test"], folds[0]["test"]) for fold in folds)
        sides = [
            {groups[row] for row in index}
            for index in (folds[0]["test"], *(fold["val"] for fold in folds))
        ]
        assert sum(map(len, sides)) == len(set(groups))
        for parts in folds:
            train, val = ({groups[row] for row in parts[name]} for name in ("train", "val"))
            assert not train & val


def test_classes_are_as_even_as_groups_allow() -> None:
    groups = [f"p{i % 40}" for i in range(400)]
    classes = np.array([int(group[1:]) % 4 == 0 for group in groups]).astype(int)
    rows = split_rows(400, GroupSplit(val=0.2, test=0.2, group="g"), classes, groups=groups)
    assert [round(float(classes[index].mean()), 2) for index in rows.values()] == [0.25] * 3


def test_the_training_rows_have_every_class_where_groups_allow() -> None:
    groups = [f"p{i // 10}" for i in range(200)]
    classes = np.zeros(200, dtype=int)
    classes[70:80] = 1  # in one group
    for seed in range(20):
        rows = split_rows(200, GroupSplit(seed=seed, group="g"), classes, groups=groups)
        assert 1 in classes[rows["train"]]


@pytest.mark.parametrize(
    ("groups", "options", "expected"),
    [
        (
            ["a"] * 6 + ["b"] * 4,
            {},
            "2 groups of 10 rows ('a' 6, 'b' 4) cannot be divided into 3 parts (val, test, train), each with groups of its own",
        ),
        (
            ["a"] * 95 + [f"p{i}" for i in range(5)],
            {},
            "6 groups of 100 rows ('a' 95, 'p0' 1, 'p1' 1, 'p2' 1, 'p3' 1, …) cannot be divided so: val would have",
        ),
        (
            ["a", "b"] * 20,
            {"folds": 3, "test": 0},
            "2 groups of 40 rows ('a' 20, 'b' 20) cannot be divided into 3 parts",
        ),
    ],
)
def test_groups_that_cannot_be_divided_are_refused_with_the_counts(
    groups: list[str], options: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(groups, **options)


def test_a_few_large_groups_are_divided_as_well_as_they_can_be() -> None:
    groups = [f"p{i % 5}" for i in range(100)]
    rows = split_rows(100, GroupSplit(group="g"), groups=groups)
    assert [len(index) for index in rows.values()] == [60, 20, 20]


def test_a_tables_column_of_groups(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["who,x,label", *(f"p{i % 12},{rng.normal():.4f},{'ab'[i % 2]}" for i in range(120))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    options = CsvOptions(name="csv", path=str(tmp_path / "t.csv"), split=GroupSplit(group="who"))
    data = load_csv(options)
    assert data.spec.column_names == ["x"]
    assert "column 'who' keeps groups together, and is no input" in data.notes
    listed = load_csv(options.model_copy(update={"categories": ["who"]}))
    assert listed.spec.column_names == ["x", "who"]
    unknown = {part: split.tensors()[0][:, 1] for part, split in listed.splits.items()}
    assert (unknown["val"] == -1).all() and (unknown["test"] == -1).all()
    (tmp_path / "t.csv").write_text("\n".join([*lines, ",1,a"]))
    with pytest.raises(DataError, match="'who' is empty in data row 121"):
        load_csv(options)


def test_groups_of_a_test_file_that_training_has_too_are_noted(tmp_path: Path) -> None:
    header = "who,x,label"
    train = [f"p{i % 12},{i * 37 % 11}.5,{'ab'[i % 2]}" for i in range(120)]
    (tmp_path / "t.csv").write_text("\n".join([header, *train]))
    (tmp_path / "u.csv").write_text("\n".join([header, "p3,1.5,a", "q1,2.5,b"]))
    options = CsvOptions(
        name="csv",
        path=str(tmp_path / "t.csv"),
        test_path=str(tmp_path / "u.csv"),
        target="label",
        split=GroupSplit(group="who"),
    )
    assert any(
        note.startswith("1 of 12 groups of the training file are in ") and "such as 'p3'" in note
        for note in load_csv(options).notes
    )
