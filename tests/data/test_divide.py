"""The division of rows: by time in order, as a column says, equal rows told, together or once; over all keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.divide import Division, PartRows, divide
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError

RNG = np.random.default_rng(20)


def options(**split: Any) -> CsvOptions:
    return CsvOptions(name="csv", path="t.csv", split=GroupSplit(**split))


def rows_of(
    total: int, source: str = "t.csv", contents: Any = None, **roles: list[Any]
) -> PartRows:
    """The rows of a part, with texts by role."""
    texts = {
        role: [None if x is None else str(x) for x in column] for role, column in roles.items()
    }
    names = [f"data row {i + 1}" for i in range(total)]
    return PartRows(source, names, texts, None if contents is None else np.asarray(contents))


def division(train: PartRows, classes: Any = None, **split: Any) -> Division:
    return divide({"train": train}, options(**split), classes)


def refusal(train: PartRows, **split: Any) -> str:
    with pytest.raises(DataError) as error:
        division(train, **split)
    return str(error.value)


def random_times(count: int) -> list[int]:
    return RNG.integers(0, RNG.choice([count // 3 + 4, 10 * count]), count).tolist()


def test_no_row_is_later_than_one_of_the_next_part_and_equal_times_are_in_one() -> None:
    for i in range(200):
        times = random_times(int(RNG.integers(12, 60)))
        split = {"val": 0.2, "test": 0.2} if i % 2 else {"test": 3, "folds": 3, "fold": i % 3 + 1}
        rows, _, notes = division(rows_of(len(times), by=times), by="t", **split)
        values = np.array(times)
        train, val, test = (values[rows[part]] for part in ("train", "val", "test"))
        assert len(train) and train.max() < val.min() and val.max() < test.min()
        used = np.concatenate([*rows.values()])
        assert len(np.unique(used)) == len(used)
        if i % 2:
            assert len(used) == len(times)
            # As near to the sizes asked for as the rows of one time let a border be.
            most = max(np.unique(values, return_counts=True)[1])
            assert abs(len(test) - round(0.2 * len(times))) <= most
        else:
            assert len(used) == len(times) or "are not used" in notes[-1]


def test_folds_by_time_go_forward_and_test_on_the_same_rows() -> None:
    train = rows_of(50, by=list(range(50)))
    folds = [division(train, by="t", folds=4, fold=k, test=10).rows for k in (1, 2, 3, 4)]
    assert [part["test"].tolist() for part in folds] == [list(range(40, 50))] * 4
    assert [part["train"].tolist() for part in folds] == [list(range(8 * k)) for k in (1, 2, 3, 4)]
    assert [part["val"].tolist() for part in folds] == [
        list(range(8 * k, 8 * k + 8)) for k in (1, 2, 3, 4)
    ]
    short = rows_of(9, by=[1, 1, 1, 2, 2, 2, 3, 3, 3])
    assert "3 different values, too few for 5 parts" in refusal(short, by="t", folds=3, test=1)


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2020-03-01", "2019-12-31", "2020-01-15"] * 4, "2019-12-31"),
        (["1.3.2020", "31.12.2019", "15.1.2020"] * 4, "31.12.2019"),
        (["Mar 2020", "Dec 2019", "Jan 2020"] * 4, "Dec 2019"),
        (["2020-03-01 10:00", "2020-03-01 09:59", "2020-03-01 09:59:30"] * 4, "2020-03-01 09:59"),
        (["10", "9", "9.5"] * 4, "9"),
        (["1.000,5", "-3,5", "7,0"] * 4, "-3,5"),
        (["1700000000", "1600000000", "1650000000"] * 4, "1600000000"),
    ],
)
def test_times_are_dates_and_numbers_in_any_form(texts: list[str], first: str) -> None:
    rows, _, notes = division(rows_of(12, by=texts), by="t", val=4, test=4)
    assert {texts[i] for i in rows["train"]} == {first}
    assert f"split by time: train {first}, val " in " ".join(notes)


def test_rows_at_a_border_that_had_to_move_are_said() -> None:
    *_, notes = division(rows_of(12, by=[1] * 6 + [2] * 6), by="t", val=0, test=4)
    assert "rows of one time stay on one side: test has 6 rows, not 4 (data.split.by)" in notes


@pytest.mark.parametrize(
    ("texts", "split", "message"),
    [
        (
            ["1", None, "3", " "],
            {},
            "t.csv: 't' is empty in data row 2, data row 4; fill it in, or leave these rows out",
        ),
        (
            ["1", "2", "3", "x"] * 2,
            {},
            "'t' holds numbers, but 'x' in data row 4, data row 8; correct",
        ),
        (
            ["a1", "b c", "?"] * 2,
            {},
            "is neither a date nor a number ('a1') in data row 1, data row 2",
        ),
        (["2020-01-01"] * 11 + ["2020-13-13"], {}, "is no date ('2020-13-13') in data row 12"),
        (["7"] * 9, {}, "'t' has 1 different value, too few for 3 parts"),
        (["1", "2", "3"], {"val": 2, "test": 1}, "1 test + 2 val of 3 rows leave none to train on"),
    ],
)
def test_times_that_cannot_be_put_in_order_are_named(
    texts: list[Any], split: dict[str, Any], message: str
) -> None:
    assert message in refusal(rows_of(len(texts), by=texts), by="t", **split)


def test_a_column_says_the_part_of_each_row_in_the_usual_words() -> None:
    words = ["train", "Training", "val", "VALIDATION", "dev", "test", "Testing", " train_set "]
    rows, _, notes = division(rows_of(8, column=words), column="part")
    assert {part: index.tolist() for part, index in rows.items()} == {
        "train": [0, 1, 7],
        "val": [2, 3, 4],
        "test": [5, 6],
    }
    assert notes == []


@pytest.mark.parametrize(
    ("name", "words", "test"),
    [("is_test", "0100", [1]), ("in_train", ["yes", "no", "Yes", "no"], [1, 3])],
)
def test_yes_and_no_refer_to_the_name_of_the_column(name: str, words: Any, test: list[int]) -> None:
    rows, *_ = division(rows_of(4, column=list(words)), column=name, val=0)
    assert rows["test"].tolist() == test


def test_validation_rows_are_drawn_where_the_column_names_none() -> None:
    classes = np.arange(40) % 2
    groups = [f"g{i // 4}" for i in range(40)]
    train = rows_of(40, column=["train"] * 30 + ["test"] * 10, group=groups)
    rows, _, notes = division(train, classes, column="part", group="g", val=0.2)
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
    *_, notes = division(rows_of(4, column=["train", "train", "val", "val"]), column="part")
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


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"by": "t", "stratify": True}, "not with 'by': the order in time decides"),
        ({"by": "t", "group": "g"}, "not with 'group'"),
        ({"by": "t", "column": "c"}, "not with 'column'"),
        ({"by": "t", "duplicates": "together"}, "'together' is not for 'by'"),
        ({"column": "c", "duplicates": "together"}, "'together' is not for 'column'"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(split: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GroupSplit(**split)


def test_a_resolved_config_reads_back() -> None:
    split = GroupSplit(by="t")
    assert split.stratify is False and GroupSplit(**split.model_dump()) == split


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
        rows, kept, notes = divide(parts, options(duplicates="drop", **keys))
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
    rows, kept, notes = divide({"train": train, "test": test}, options(by="t"))
    assert rows["val"].tolist() == [18, 19] and kept["test"].tolist() == [0, 1, 2]
    assert notes[0] == "1 of 3 rows of u.csv are earlier than the latest of t.csv (data.split.by)"
    words = rows_of(4, column=["train", "train", "test", "val"])
    with pytest.raises(DataError, match=r"'c' says test in 1 row, but u\.csv has the test rows"):
        divide({"train": words, "test": test}, options(column="c"))
    with pytest.raises(DataError, match="the validation rows have a file or folder of their own"):
        divide({"train": train, "val": test}, options(folds=2))


def write(path: Path, header: str, rows: list[list[Any]]) -> str:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


@pytest.mark.parametrize("i", range(6))
def test_duplicates_of_a_table_are_counted_as_a_brute_force_counts_them(
    i: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(i)
    spellings = {1: ["1", "1.0"], 2: ["2", "02"], 3: ["", "NA"]}

    def table(count: int) -> tuple[list[list[Any]], list[Any]]:
        keys = [(*rng.integers(1, 4, 2).tolist(), "abc"[rng.integers(3)]) for _ in range(count)]
        cells = [
            [rng.choice(spellings[x]), rng.choice(spellings[y]), z, ["no", "yes"][rng.integers(2)]]
            for x, y, z in keys
        ]
        return cells, keys

    train, keys = table(40)
    test, test_keys = table(15)
    for j, row in enumerate(train):
        row += [("train", "val")[int(j >= 30)], j]
    path = write(tmp_path / "t.csv", "x,y,z,label,split,w", train)
    other = write(tmp_path / "u.csv", "x,y,z,label", test)
    data = load_csv(
        CsvOptions(
            name="csv",
            path=path,
            test_path=other,
            target="label",
            drop=["w"],
            split=GroupSplit(column="split"),
        )
    )
    assert "column 'split' says the part of each row, and is no input" in data.notes
    assert data.spec.column_names == ["x", "y", "z"]
    known = {
        key: {row[3] for row, k in zip(train[:30], keys, strict=False) if k == key}
        for key in keys[:30]
    }
    val = sum(key in known for key in keys[30:])
    both = sum(key in known for key in test_keys)
    differ = sum(
        key in known and row[3] not in known[key]
        for row, key in [
            *zip(train[30:], keys[30:], strict=True),
            *zip(test, test_keys, strict=True),
        ]
    )
    of_val = sum(key in {*keys[30:]} for key in test_keys)
    counts = [f"{val} of 10 val rows"] * bool(val) + [f"{both} of 15 test rows"] * bool(both)
    line = f"equal a training row in all inputs: {', '.join(counts)}"
    line += f"; {differ} of these with another target" * bool(differ)
    line += f"; equal a val row in all inputs: {of_val} of 15 test rows" * bool(of_val)
    assert line in data.notes


def test_columns_of_a_role_are_inputs_where_they_are_named_as_such(tmp_path: Path) -> None:
    rows = [[2000 + i, i * 7 % 5, ["no", "yes"][i % 2]] for i in range(30)]
    path = write(tmp_path / "t.csv", "year,x,label", rows)
    by = GroupSplit(by="year", val=5, test=5)
    data = load_csv(CsvOptions(name="csv", path=path, split=by))
    assert data.spec.column_names == ["x"]
    assert "column 'year' orders the rows in time, and is no input" in data.notes
    named = load_csv(CsvOptions(name="csv", path=path, split=by, numbers=["year"]))
    assert named.spec.column_names == ["year", "x"]
    years = {part: split.tensors()[0][:, 0] for part, split in named.splits.items()}
    assert years["train"].max() < years["val"].min() <= years["val"].max() < years["test"].min()
