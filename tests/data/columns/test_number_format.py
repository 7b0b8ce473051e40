"""Formats of columns of numbers: separators, units, values of several parts."""

from __future__ import annotations

import pandas
import pytest

from nnzoo.data.columns.description import describe_columns
from nnzoo.data.columns.values import parse_numbers
from nnzoo.data.data_spec import NumberFormat
from tests.data.columns.describing import column, described, numbers_of


def test_several_units_in_a_column_are_named_and_never_one_number() -> None:
    description = described(["5 km", "300 m", "2 km", "40 m"])
    assert (
        description.problem
        == "numbers in several units ('5 km' in data row 1, '300 m' in data row 2)"
    )
    assert described(["$5", "\u20ac6", "$7", "\u20ac8"]).problem
    _, unread = parse_numbers(column(["5 km", "300 m"]), NumberFormat(unit="km"))
    assert unread.tolist() == [False, True]


def test_an_ambiguous_separator_is_decided_by_the_column_then_the_file_and_said() -> None:
    assert numbers_of(["1,250", "2,5", "3,125"]) == [1.25, 2.5, 3.125]
    assert numbers_of(["1,250", "950", "3,125"]) == [1250, 950, 3125]
    assert numbers_of(["1.250", "2.125", "3.500"]) == [1.25, 2.125, 3.5]
    grouped = ["1.250", "950", "12.400", "3.100", "2.300", "1.100"]
    assert numbers_of(grouped) == [1250, 950, 12_400, 3100, 2300, 1100]
    frame = pandas.DataFrame({"a": ["1,250", "3,125"], "b": ["1,5", "2,75"]}, dtype=object)
    description = describe_columns(frame)["a"]
    assert (description.format.decimal, description.remarks) == (
        ",",
        ("'1,250' is ambiguous, and read as 1.25 (data.decimal and data.thousands say otherwise)",),
    )
    assert (
        described(["1,250", "3,125"])
        .remarks[0]
        .startswith("'1,250' is ambiguous, and read as 1,250")
    )
    assert numbers_of(["1,250", "3,125"], decimal=",") == [1.25, 3.125]
    assert numbers_of(["1.250", "3.125"], thousands=".") == [1250, 3125]
    assert described(["1,250", "3,125"], thousands="none", decimal=".").problem == (
        "numbers that data.decimal and data.thousands do not read ('1,250' in data row 1)"
    )


def test_a_column_with_both_decimal_separators_names_the_rarer_one() -> None:
    description = described([f"{i}.5" for i in range(30)] + ["7,25"])
    assert [(odd.text, odd.first) for odd in description.odd] == [("7,25", 31)]


@pytest.mark.parametrize(
    ("texts", "unit", "values"),
    [
        (["6'9\"", "5'11\"", "6'", "5′7″", "6’ 2”"], "inches", [81, 71, 72, 67, 74]),
        (["6 ft 9 in", "5ft 11in", "6 feet 1 inch", "5 ft"], "inches", [81, 71, 73, 60]),
        (["11 st 4 lb", "9 stone 13 lbs", "12st"], "pounds", [158, 139, 168]),
        (["7 lb 3 oz", "6 lbs 15 oz", "8 lb"], "ounces", [115, 111, 128]),
        (["51°30'N", "0°7'30\"W", "33° 51' S"], "degrees", [51.5, -0.125, -33.85]),
        (["1980/81", "1999/00", "2003/04", "1999-2000"], "first year", [1980, 1999, 2003, 1999]),
    ],
)
def test_values_of_several_parts_are_one_number(
    texts: list[str], unit: str, values: list[float]
) -> None:
    description = described(texts * 5)
    assert (description.role, description.format.compound) == ("number", unit)
    assert numbers_of(texts * 5)[: len(values)] == pytest.approx(values)
    assert NumberFormat.from_spec(description.format.to_spec()) == description.format


@pytest.mark.parametrize(
    "texts", [["2001/02", "2005/06"], ["1980/83", "1981/85", "1982/90"], ["6'13\"", "5'20\""]]
)
def test_what_only_resembles_several_parts_is_no_number(texts: list[str]) -> None:
    assert described(texts * 9).role in ("category", "date")
