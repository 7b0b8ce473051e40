"""What a column holds: numbers in people's clothes, missing words, ids, durations, dates, texts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.data.columns.description import ColumnDescription, describe_columns
from nnzoo.data.columns.number_text import compound_value
from nnzoo.data.columns.values import NumberFormat, ValueOptions, parse_numbers


def column(values: list[Any], name: str = "c") -> pandas.Series:
    return pandas.Series(values, name=name, dtype=object)


def describe_column(column: pandas.Series, **options: Any) -> ColumnDescription:
    return describe_columns(column.to_frame(), ValueOptions(**options))[str(column.name)]


def described(values: list[Any], name: str = "c", **options: Any) -> ColumnDescription:
    return describe_column(column(values, name), **options)


def numbers_of(values: list[Any], **options: Any) -> list[float]:
    """The values of a column that must be read as numbers without a rest."""
    found = described(values, **options)
    assert found.numbers, found
    assert not found.problem and not found.odd
    values_, unread = parse_numbers(column(values), found.format)
    assert not unread.any()
    return [round(value, 6) for value in values_.tolist()]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,250,000", "950", "12,000"], [1_250_000, 950, 12_000]),
        (["1.250.000", "950", "12.000"], [1_250_000, 950, 12_000]),
        (["1 250 000", "950", "12 000"], [1_250_000, 950, 12_000]),
        (["1\u00a0250\u00a0000", "950"], [1_250_000, 950]),
        (["1\u202f250,5", "950,25"], [1250.5, 950.25]),
        (["1\u2009250.5", "950.25"], [1250.5, 950.25]),
        (["1'250'000", "1\u2019250"], [1_250_000, 1250]),
        (["12,50,000", "1,00,000"], [1_250_000, 100_000]),
        (["$1,250.00", "$950.50", "-$3.00"], [1250, 950.5, -3]),
        (["EUR 1.250,00", "EUR 950,50"], [1250, 950.5]),
        (["1.250,00 \u20ac", "950,50 \u20ac"], [1250, 950.5]),
        (["CHF 1'250.\u2013", "CHF 950.50"], [1250, 950.5]),
        (["12.5%", "3 %", "0.5 %"], [12.5, 3, 0.5]),
        (["75 hp", "80hp", "101 HP"], [75, 80, 101]),
        (["36 months", "1 month"], [36, 1]),
        (["75 km/h", "80 km/h"], [75, 80]),
        (["40 m\u00b2", "52 m\u00b2"], [40, 52]),
        (["\u22125", "\u20136.5", "7"], [-5, -6.5, 7]),
        (["(1,234.50)", "12.00"], [-1234.5, 12]),
        (["($3.50)", "$4.00"], [-3.5, 4]),
        (["100-", "50"], [-100, 50]),
        (["<5", "12", "40"], [5, 12, 40]),
        (["10,000+", "500+"], [10_000, 500]),
        (["12*", "13", "14\u2020"], [12, 13, 14]),
        (["12[1]", "13 [a]", "14"], [12, 13, 14]),
        (["12\u00b9", "13"], [12, 13]),
        (['"12"', "'13'", "14"], [12, 13, 14]),
        (["+5", "+6.5"], [5, 6.5]),
        (["1,5e3", "2,5e-1"], [1500, 0.25]),
        (["\uff11\uff12", "\uff11\uff13.5"], [12, 13.5]),
        (["\u0661\u0662", "13"], [12, 13]),
        (["$1.2M", "$950k"], [1_200_000, 950_000]),
        (["3rd", "1st", "22nd"], [3, 1, 22]),
        (["007", "012"], [7, 12]),
    ],
)
def test_numbers_are_read_whatever_stands_around_them(
    texts: list[str], values: list[float]
) -> None:
    assert numbers_of(texts) == values


@pytest.mark.parametrize(
    "texts",
    [
        ["C12", "D7", "C12"],
        ["12A", "7B", "3C"],
        ["100 Main St", "12 Oak Ave", "7 Elm Rd"],
        ["10-20", "20-30", "30-40"],
        ["1/2", "3/4", "1/4"],
        ["192.168.0.1", "10.0.0.1"],
        ["2,3,4", "5,6", "1"],
        ["True", "False"],
    ],
)
def test_codes_ranges_and_addresses_are_no_numbers(texts: list[str]) -> None:
    assert described(texts).role in ("category", "text", "id")


def test_several_units_in_a_column_are_named_and_never_one_number() -> None:
    found = described(["5 km", "300 m", "2 km", "40 m"])
    assert found.problem == "numbers in several units ('5 km' in data row 1, '300 m' in data row 2)"
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
    found = describe_columns(frame)["a"]
    assert (found.format.decimal, found.remarks) == (
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
    found = described([f"{i}.5" for i in range(30)] + ["7,25"])
    assert [(odd.text, odd.first) for odd in found.odd] == [("7,25", 31)]


@pytest.mark.parametrize(
    "word", ["#N/A", "<NA>", ".", "unknown", "Not available", "n.a.", "broken"]
)
@pytest.mark.parametrize("share", [0.03, 0.5])
def test_a_word_among_many_numbers_is_a_gap_whatever_its_share(word: str, share: float) -> None:
    texts = [word if i < share * 200 else f"{i}.5" for i in range(200)]
    found = described(texts)
    assert (found.role, found.missing) == ("number", int(np.ceil(share * 200)))
    values, unread = parse_numbers(column(texts), found.format)
    assert np.isnan(values).sum() == found.missing and not unread.any()


def test_a_slip_is_named_and_no_gap() -> None:
    found = described([f"{i}.5" for i in range(60)] + ["4.l", "oops"])
    assert [(odd.text, odd.rows, odd.first) for odd in found.odd] == [
        ("4.l", 1, 61),
        ("oops", 1, 62),
    ]


def test_further_missing_words_also_name_numbers() -> None:
    assert np.isnan(numbers_of(["1", "-999.0", "3"], missing=("-999",))[1])
    frame = pandas.Series([1.0, -999.0], name="c")
    assert np.isnan(parse_numbers(frame, NumberFormat(missing=("-999",)))[0][1])


def test_a_few_words_beside_few_numbers_stay_categories() -> None:
    assert described(["2", "4", "more"] * 20).role == "category"
    assert described(["a", "b", "1"] * 20).role == "category"


def test_a_sentinel_far_from_all_other_values_is_told() -> None:
    texts = [f"{i % 30}" for i in range(100)]
    texts[3] = texts[50] = "-999"
    (remark,) = described(texts).remarks
    assert remark.startswith("-999 stands in 2 rows, far from all others")
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
        ([str(1000 + 7 * i % 977) for i in range(50)], "PassengerId", "different in each row, and named like an id"),
        ([str(7 * i % 50 + 1) for i in range(50)], "x", "each number from 1 to the rows once"),
        ([str(7_000_000_000 + 7919 * i % 999_983) for i in range(50)], "x", "different in each row, of 10 digits"),
        ([f"{i * 7919 % 9973:04x}-{'abc'[i % 3]}" for i in range(50)], "who", "different in each row"),
    ],
)  # fmt: skip
def test_ids_are_told_with_the_reason(values: list[str], name: str, reason: str) -> None:
    found = described(values, name)
    assert (found.role, found.reason) == ("id", reason)
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


def test_free_text_and_names_are_no_categories() -> None:
    names = [f"Ford, Mrs. {'ABCDEFGHIJ'[i % 10]} {i}" for i in range(60)]
    assert described(names).role == "text"
    assert described([f"T/{i % 40}" for i in range(60)]).role == "text"
    assert described(["red", "blue", "green"] * 20).role == "category"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:00:08", 3608), ("2:03", 7380), ("1 day 02:00:00", 93_600), ("2h 30m", 9000),
        ("PT1H5M", 3900), ("-0:01:30", -90), ("0:00:01.5", 1.5), ("3 days", 259_200),
        ("1:99:00", None), ("h", None), ("", None), ("12:00 PM", None),
    ],
)  # fmt: skip
def test_durations_are_seconds(text: str, value: float | None) -> None:
    assert compound_value(text, "seconds") == value


def test_a_column_of_durations_is_numbers_of_seconds() -> None:
    texts = [f"{1 + i // 60}:{i % 60:02d}:{i * 7 % 60:02d}" for i in range(100)]
    found = described(texts)
    assert (found.role, found.format) == ("duration", NumberFormat(compound="seconds"))
    assert parse_numbers(column(texts), found.format)[0][1] == 3667


def test_dates_are_dates() -> None:
    assert described(["2020-01-05", "2020-02-07", "2019-03-01"]).role == "date"
    assert described(["20140729T000000", "20150219T000000"]).role == "date"


def test_a_format_survives_a_checkpoint_and_foreign_ones_are_refused() -> None:
    form = NumberFormat(",", ".", "eur", missing=("weg",))
    assert NumberFormat.from_spec(form.to_spec()) == form
    assert NumberFormat().to_spec() == {}
    for foreign in ([], {"decimals": "."}, {"unit": 3}, {"missing": [1]}):
        with pytest.raises(TypeError):
            NumberFormat.from_spec(foreign)


@pytest.mark.parametrize("piece", ["1", "1,", "a ", "1.", "9:", "- ", "(", "2020-01-01 "])
def test_a_long_value_takes_no_time(piece: str) -> None:
    long = piece * (100_000 // len(piece))
    began = time.process_time()
    describe_column(column([long, "1", "2", "3", long + "x"]))
    assert time.process_time() - began < 0.5


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
    found = described(texts * 5)
    assert (found.role, found.format.compound) == ("number", unit)
    assert numbers_of(texts * 5)[: len(values)] == pytest.approx(values)
    assert NumberFormat.from_spec(found.format.to_spec()) == found.format


@pytest.mark.parametrize(
    "texts", [["2001/02", "2005/06"], ["1980/83", "1981/85", "1982/90"], ["6'13\"", "5'20\""]]
)
def test_what_only_resembles_several_parts_is_no_number(texts: list[str]) -> None:
    assert described(texts * 9).role in ("category", "date")


@pytest.mark.parametrize(
    "form", ["{}-{}", "{} - {}", "{}–{}", "{} to {}", "${}-${}", "{}-{} kg", "{:,}-{:,}", "{}..{}"]
)
def test_ranges_are_said_to_be_ranges(form: str) -> None:
    texts = [form.format(i * 10, i * 10 + 7 + i % 5) for i in range(60)]
    found = described([*texts, *texts[:-1], "700+"])
    assert found.role == "text"
    assert found.reason.startswith(f"ranges such as '{texts[0].replace('–', '-')}', 61 different")
    assert not described([f"{i}-{i - 9}" for i in range(10, 70)] * 2).reason.startswith("ranges")
