"""The division of rows: by time in order, as a column says, equal rows told, together or once; over all keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnzoo.data.divide import divide
from nnzoo.errors import DataError
from tests.data.division_cases import RNG, division, options, random_times, refusal, rows_of


def test_validation_rows_are_drawn_where_the_column_names_none() -> None:
    classes = np.arange(40) % 2
    groups = [f"g{i // 4}" for i in range(40)]
    train = rows_of(40, column=["train"] * 30 + ["test"] * 10, group=groups)
    rows, _, notes, _ = division(train, classes, column="part", group="g", val=0.2)
    assert rows["test"].tolist() == list(range(30, 40))
    sides = [{groups[i] for i in rows[part]} for part in ("train", "val")]
    assert not sides[0] & sides[1] and abs(len(rows["val"]) - 6) <= 2
    assert any("'part' says val in no row" in note for note in notes)
    # Rows 28 to 31 are of one group: the column has it on two sides.
    assert any(
        note.startswith("1 of") and "in the test rows too, such as 'g7'" in note for note in notes
    )
    folds = division(
        rows_of(40, column=["train"] * 30 + ["test"] * 10), column="part", folds=3, fold=2
    )
    assert len(folds.rows["val"]) == 10 and folds.rows["test"].tolist() == list(range(30, 40))
    *_, notes, _ = division(rows_of(4, column=["train", "train", "val", "val"]), column="part")
    assert notes == ["'part' says test in no row: nothing is tested"]


@pytest.mark.parametrize(
    ("words", "split", "message"),
    [
        (
            ["train", "3", "holdout", "x"],
            {},
            "'part' names no part with '3' in data row 2, data row 4",
        ),
        (
            ["train", None],
            {},
            "t.csv: 'part' is empty in data row 2; write train, val or test there",
        ),
        (["test", "val"], {}, "'part' says train in no row; nothing can be learned"),
        (["train", "val"], {"folds": 2}, "'part' has validation rows of its own"),
    ],
)
def test_columns_that_say_no_part_are_refused(
    words: list[Any], split: dict[str, Any], message: str
) -> None:
    assert message in refusal(rows_of(len(words), column=words), column="part", **split)


def random_contents(count: int) -> np.ndarray:
    return RNG.integers(0, count, count) // int(RNG.choice([1, 3]))


def test_together_puts_equal_rows_and_groups_that_overlap_on_one_side() -> None:
    for i in range(60):
        contents = random_contents(120)
        groups = RNG.integers(0, 60, 120).tolist() if i % 2 else None
        split: dict[str, Any] = {"duplicates": "together"} | ({"group": "g"} if groups else {})
        train = rows_of(120, contents=contents, **({"group": groups} if groups else {}))
        try:
            rows, *_ = division(train, RNG.integers(0, 2, 120), **split)
        except DataError as error:
            assert "cannot be divided" in str(error)
            continue
        assert sorted(np.concatenate([*rows.values()]).tolist()) == list(range(120))
        for codes in filter(lambda one: one is not None, (contents, groups)):
            sides = [{np.asarray(codes)[row] for row in index.tolist()} for index in rows.values()]
            assert sum(map(len, sides)) == len(set().union(*sides))


@pytest.mark.parametrize("keys", [{}, {"by": "t"}, {"column": "c"}, {"group": "g"}])
def test_drop_leaves_one_copy_of_each_input_in_training_if_it_can(keys: dict[str, str]) -> None:
    for _ in range(20):
        contents = random_contents(90)
        contents[:3] = -1  # texts without a word equal nothing
        times, words = random_times(90), RNG.choice(["train", "train", "val", "test"], 90).tolist()
        roles = {"by": times, "column": words, "group": RNG.integers(0, 30, 90).tolist()}
        named = {role: roles[role] for role in keys}
        test = rows_of(40, "u.csv", RNG.integers(0, 120, 40))
        parts = {"train": rows_of(90, contents=contents, **named)}
        parts |= {} if "column" in keys else {"test": test}
        rows, kept, notes, _ = divide(parts, options(duplicates="drop", **keys))
        used = np.concatenate([*rows.values()])
        known = contents[used][contents[used] >= 0]
        assert len(np.unique(known)) == len(known) and {*known} == {*contents[contents >= 0]}
        assert {0, 1, 2} <= {*used.tolist()}
        lost = 90 - len(used)
        assert (f"copies of other rows: {lost:,} of 90" in " ".join(notes)) or not lost
        if "column" in keys:
            of_train = {code for code, word in zip(contents, words, strict=True) if word == "train"}
            assert of_train - {-1} == {*contents[rows["train"]]} - {-1}
        else:
            assert test.contents is not None
            fresh = test.contents[kept["test"]]
            assert not {*fresh} & {*contents} and len(np.unique(fresh)) == len(fresh)


def test_files_of_their_own_keep_their_part() -> None:
    train = rows_of(20, by=list(range(20)))
    test = rows_of(3, "u.csv", by=[18, 19, 30])
    rows, kept, notes, _ = divide({"train": train, "test": test}, options(by="t"))
    assert rows["val"].tolist() == [18, 19] and kept["test"].tolist() == [0, 1, 2]
    assert notes[0] == "1 of 3 rows of u.csv are earlier than the latest of t.csv (data.split.by)"
    words = rows_of(4, column=["train", "train", "test", "val"])
    with pytest.raises(DataError, match=r"'c' says test in 1 row, but u\.csv has the test rows"):
        divide({"train": words, "test": test}, options(column="c"))
    with pytest.raises(DataError, match="the validation rows have a file or folder of their own"):
        divide({"train": train, "val": test}, options(folds=2))
