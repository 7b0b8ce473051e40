"""Roles of columns by their values: numbers, missing words, ids, dates, texts."""

from __future__ import annotations

import numpy as np
import pytest

from nnzoo.data.columns.values import parse_numbers
from nnzoo.data.data_spec import NumberFormat
from tests.data.columns.describing import column, described, numbers_of


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


@pytest.mark.parametrize(
    "word", ["#N/A", "<NA>", ".", "unknown", "Not available", "n.a.", "broken"]
)
@pytest.mark.parametrize("fraction", [0.03, 0.5])
def test_a_word_among_many_numbers_is_a_gap_whatever_its_fraction(
    word: str, fraction: float
) -> None:
    texts = [word if i < fraction * 200 else f"{i}.5" for i in range(200)]
    description = described(texts)
    assert (description.role, description.missing) == ("number", int(np.ceil(fraction * 200)))
    values, unread = parse_numbers(column(texts), description.format)
    assert np.isnan(values).sum() == description.missing and not unread.any()


def test_a_slip_is_named_and_no_gap() -> None:
    description = described([f"{i}.5" for i in range(60)] + ["4.l", "oops"])
    assert [(odd.text, odd.rows, odd.first) for odd in description.odd] == [
        ("4.l", 1, 61),
        ("oops", 1, 62),
    ]


def test_a_few_words_beside_few_numbers_stay_categories() -> None:
    assert described(["2", "4", "more"] * 20).role == "category"
    assert described(["a", "b", "1"] * 20).role == "category"


def test_free_text_and_names_are_no_categories() -> None:
    names = [f"Ford, Mrs. {'ABCDEFGHIJ'[i % 10]} {i}" for i in range(60)]
    assert described(names).role == "text"
    assert described([f"T/{i % 40}" for i in range(60)]).role == "text"
    assert described(["red", "blue", "green"] * 20).role == "category"


def test_a_column_of_durations_is_numbers_of_seconds() -> None:
    texts = [f"{1 + i // 60}:{i % 60:02d}:{i * 7 % 60:02d}" for i in range(100)]
    description = described(texts)
    assert (description.role, description.format) == ("duration", NumberFormat(compound="seconds"))
    assert parse_numbers(column(texts), description.format)[0][1] == 3667


def test_dates_are_dates() -> None:
    assert described(["2020-01-05", "2020-02-07", "2019-03-01"]).role == "date"
    assert described(["20140729T000000", "20150219T000000"]).role == "date"


@pytest.mark.parametrize(
    "form", ["{}-{}", "{} - {}", "{}–{}", "{} to {}", "${}-${}", "{}-{} kg", "{:,}-{:,}", "{}..{}"]
)
def test_ranges_are_said_to_be_ranges(form: str) -> None:
    texts = [form.format(i * 10, i * 10 + 7 + i % 5) for i in range(60)]
    description = described([*texts, *texts[:-1], "700+"])
    assert description.role == "text"
    assert description.reason.startswith(
        f"ranges such as '{texts[0].replace('–', '-')}', 61 different"
    )
    assert not described([f"{i}-{i - 9}" for i in range(10, 70)] * 2).reason.startswith("ranges")
