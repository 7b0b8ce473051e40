"""Times, parts and weights of rows: in any form, what cannot be read by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.division_cases import division, refusal, rows_of


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
    rows, _, notes, _ = division(rows_of(12, by=texts), by="t", val=4, test=4)
    assert {texts[i] for i in rows["train"]} == {first}
    assert f"split by time: train {first}, val " in " ".join(notes)


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
    rows, _, notes, _ = division(rows_of(8, column=words), column="part")
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
