"""Ids, row numbers and codes for missing values."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from nnzoo.data.columns.checks import sentinel_notes
from tests.data.columns.describing import column, describe_column, described


def test_codes_below_zero_are_reported() -> None:
    import numpy as np

    scale = np.array([1, 2, 3, 4, 5, -9] * 5, dtype=float)
    assert '(data.missing: ["-9"]' in sentinel_notes(scale)[0]
    assert sentinel_notes(np.array([-9, -3, 0, 4, 8] * 5, dtype=float)) == []
    assert sentinel_notes(np.array([1, 2, 3, 9] * 5, dtype=float)) == []


def test_a_sentinel_far_from_all_other_values_is_reported() -> None:
    texts = [f"{i % 30}" for i in range(100)]
    texts[3] = texts[50] = "-999"
    (remark,) = described(texts).remarks
    assert remark.startswith("-999 is in 2 rows, far from all others")
    assert described([f"{i % 30}" for i in range(100)]).remarks == ()
    assert described([f"{i % 100}" for i in range(200)]).remarks == ()  # 99 among 98


@pytest.mark.parametrize(
    ("codes", "listed"),
    [
        (["-9", "-99"], '["-99", "-9"]'),
        (["-9", "-8", "-7"], '["-9", "-8", "-7"]'),
        (["-999", "-9999"], '["-9999", "-999"]'),
        (["99", "999"], '["999", "99"]'),
        (["-99", "999"], '["-99", "999"]'),
        (["-3", "-9", "-99"], None),
    ],
)
def test_all_sentinels_of_a_column_are_named(codes: list[str], listed: str | None) -> None:
    texts = [f"{i % 8}" for i in range(120)]
    for i, code in enumerate(codes):
        texts[7 * i + 3] = texts[5 * i + 60] = code
    remarks = described(texts).remarks
    if listed is None:
        assert '"-3"' not in " ".join(remarks)
    else:
        assert f"data.missing: {listed} where they are no values" in " ".join(remarks)


@pytest.mark.parametrize(
    ("values", "name", "reason"),
    [
        ([str(i) for i in range(1, 51)], "0", "counts the rows"),
        ([str(100 - i) for i in range(50)], "place", "counts the rows"),
        (
            [str(1000 + 7 * i % 977) for i in range(50)],
            "PassengerId",
            "different in each row, and named like an id",
        ),
        ([str(7 * i % 50 + 1) for i in range(50)], "x", "each number from 1 to the rows once"),
        (
            [str(7_000_000_000 + 7919 * i % 999_983) for i in range(50)],
            "x",
            "different in each row, of 10 digits",
        ),
        (
            [f"{i * 7919 % 9973:04x}-{'abc'[i % 3]}" for i in range(50)],
            "who",
            "different in each row",
        ),
    ],
)
def test_ids_are_reported_with_the_reason(values: list[str], name: str, reason: str) -> None:
    description = described(values, name)
    assert (description.role, description.reason) == ("id", reason)
    typed = pandas.Series(values, name=name)
    if typed.str.isdecimal().all():
        assert describe_column(typed.astype(int)).reason == reason


def test_a_row_number_is_seen_in_some_of_the_rows() -> None:
    rows = column([str(i) for i in range(1, 101)]).iloc[[3, 8, 9, 20, 41, 50, 52, 70, 80, 90, 99]]
    assert describe_column(rows).reason == "counts the rows"


def test_numbers_that_are_all_different_are_no_ids() -> None:
    draw = np.random.default_rng(0)
    assert described([f"{x:.2f}" for x in draw.normal(size=100)]).role == "number"
    assert described([str(x) for x in draw.permutation(100_000)[:100]], "income").role == "number"
