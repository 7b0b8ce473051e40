"""One number of text taken apart: scales, powers, values of several parts."""

from __future__ import annotations

import time

import pytest

from nnzoo.data.columns.number_format import Separators
from nnzoo.data.columns.number_text import compound_value, split_number
from nnzoo.data.data_spec import COMPOUND_UNITS
from tests.data.columns.describing import column, describe_column


def test_every_unit_of_a_data_spec_has_a_reader() -> None:
    assert [compound_value("no number", unit) for unit in COMPOUND_UNITS] == [None] * 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5 x 10^-5", "1.5e-5"),
        ("1.5×10⁻⁵", "1.5e-5"),
        ("2 * 10**3", "2e3"),
        ("2.69 ± 0.29", "2.69"),
        ("12 +/- 3", "12"),
    ],
)
def test_powers_of_ten_and_errors(text: str, value: str) -> None:
    description = split_number(text)
    assert description is not None
    assert (
        f"{description.body}{'e' * bool(description.exponent)}{description.exponent.lstrip('e')}"
        == value
    )


@pytest.mark.parametrize(
    ("text", "scale", "unit"),
    [
        ("₹ 1.43 Cr", 1e7, "inr"),
        ("₹ 53.60 Lac", 1e5, "inr"),
        ("3 lakhs", 1e5, ""),
        ("3.2万", 1e4, ""),
        ("1.1亿元", 1e8, "元"),
        ("500.00 Cr", 1.0, "cr"),
        ("500.00 Dr", 1.0, "dr"),
    ],
)
def test_scales_of_india_and_china(text: str, scale: float, unit: str) -> None:
    description = split_number(text)
    assert description is not None and (description.scale, description.unit) == (scale, unit)


def test_laps_are_durations() -> None:
    assert compound_value("2:01.30", "seconds") == pytest.approx(121.3)
    assert compound_value("0:57,89", "seconds") == pytest.approx(57.89)
    assert compound_value("2:01", "seconds") == 7260


def test_three_decimals_before_an_exponent_are_not_ambiguous() -> None:
    separators = Separators()
    separators.add("3.097", "e-07")
    assert not separators.ambiguous and separators.decimal["."] == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:00:08", 3608),
        ("2:03", 7380),
        ("1 day 02:00:00", 93_600),
        ("2h 30m", 9000),
        ("PT1H5M", 3900),
        ("-0:01:30", -90),
        ("0:00:01.5", 1.5),
        ("3 days", 259_200),
        ("1:99:00", None),
        ("h", None),
        ("", None),
        ("12:00 PM", None),
    ],
)
def test_durations_are_seconds(text: str, value: float | None) -> None:
    assert compound_value(text, "seconds") == value


@pytest.mark.parametrize("piece", ["1", "1,", "a ", "1.", "9:", "- ", "(", "2020-01-01 "])
def test_a_long_value_takes_no_time(piece: str) -> None:
    long = piece * (100_000 // len(piece))
    began = time.process_time()
    describe_column(column([long, "1", "2", "3", long + "x"]))
    assert time.process_time() - began < 0.5
