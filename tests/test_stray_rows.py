"""Rows that are no data, and numbers in forms that few write: read rightly, or named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.data.columns.checks import sentinels
from nnzoo.data.columns.number_format import Separators
from nnzoo.data.columns.number_text import compound_value, split_number

Write = Callable[[list[str]], Path]


@pytest.fixture
def write(own_folder: Path) -> Write:
    def to_file(lines: list[str]) -> Path:
        file = own_folder / "t.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    return to_file


def _rows(count: int = 60) -> list[str]:
    return [f"{'ABC'[i % 3]},{i * 7 % 13},{i * 5 % 11 + i % 3},{'ud'[i % 2]}" for i in range(count)]


def _noted(nnzoo: Any, file: Path) -> str:
    """What init, check and train say, which all have to tell the same rows."""
    init = nnzoo("init", file)
    assert init.code == 0
    check = nnzoo("check", "--config", "t")
    train = nnzoo("train", "--config", "t", "-s", "train.epochs=1", "-v", "2")
    assert train.code == 0, train.err
    lines = {line for line in train.err.splitlines() if line.startswith("left out")}
    for line in lines:
        assert line in init.err and line in check.out
    assert "60 rows" in Path("t.yaml").read_text(encoding="utf-8") or not lines
    return str(train.err)


@pytest.mark.parametrize(
    "above",
    [
        ["shop,How many?,How long?,which way"],
        ["shop,visits,sales,direction", '{"id":1},{"id":2},{"id":3},{"id":4}'],
        ["-,pieces,°C,-"],
    ],
)  # fmt: skip
def test_questions_and_units_below_the_header_are_no_data(
    nnzoo: Any, write: Write, above: list[str]
) -> None:
    err = _noted(nnzoo, write(["shop,q1,q2,way", *above, *_rows()]))
    assert f"left out above the data: data row{'s' * (len(above) > 1)} 1 (" in err
    assert "2 classes" in err and "2 numbers" in err


@pytest.mark.parametrize(
    ("below", "row"),
    [
        (["Total,6000,66000,u"], "61 ('Total', '6000', '66000', …)"),
        (["Summe:,6000,66000,", "Source: ministry,,,"], "s 61 ('Summe:', '6000', '66000'), 62 ('Source: ministry')"),
        ([",351,364,"], "61 ('351', '364')"),
    ],
)  # fmt: skip
def test_totals_and_sources_below_the_rows_are_no_data(
    nnzoo: Any, write: Write, below: list[str], row: str
) -> None:
    rows = _rows()
    sums = [sum(int(each.split(",")[i]) for each in rows) for i in (1, 2)]
    below = [each.replace("351", str(sums[0])).replace("364", str(sums[1])) for each in below]
    row = row.replace("351", str(sums[0])).replace("364", str(sums[1]))
    assert f"left out below the data: data row{row if row[0] == 's' else ' ' + row}" in _noted(
        nnzoo, write(["shop,q1,q2,way", *rows, *below])
    )


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("A,bad,3,u", "C,4,5,d"),  # a slip beside a number
        ("A,bad,worse,u", "C,4,5,d"),  # slips beside categories that come again
        ("Total,4,4,u", "Total,4,5,d"),  # a category of that name
        ("A,4,4,u", ",4,5,d"),  # an empty cell
    ],
)
def test_rows_with_slips_stay(nnzoo: Any, write: Write, first: str, last: str) -> None:
    err = _noted(nnzoo, write(["shop,q1,q2,way", first, *_rows(), last]))
    assert "left out" not in err
    assert ("counts as missing" in err or "missing values filled" in err) == ("bad" in first)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5 x 10^-5", "1.5e-5"), ("1.5×10⁻⁵", "1.5e-5"), ("2 * 10**3", "2e3"),
        ("2.69 ± 0.29", "2.69"), ("12 +/- 3", "12"),
    ],
)  # fmt: skip
def test_powers_of_ten_and_errors(text: str, value: str) -> None:
    found = split_number(text)
    assert found is not None
    assert f"{found.body}{'e' * bool(found.exponent)}{found.exponent.lstrip('e')}" == value


@pytest.mark.parametrize(
    ("text", "scale", "unit"),
    [
        ("₹ 1.43 Cr", 1e7, "inr"), ("₹ 53.60 Lac", 1e5, "inr"), ("3 lakhs", 1e5, ""),
        ("3.2万", 1e4, ""), ("1.1亿元", 1e8, "元"), ("500.00 Cr", 1.0, "cr"), ("500.00 Dr", 1.0, "dr"),
    ],
)  # fmt: skip
def test_scales_of_india_and_china(text: str, scale: float, unit: str) -> None:
    found = split_number(text)
    assert found is not None and (found.scale, found.unit) == (scale, unit)


def test_laps_are_durations() -> None:
    assert compound_value("2:01.30", "seconds") == pytest.approx(121.3)
    assert compound_value("0:57,89", "seconds") == pytest.approx(57.89)
    assert compound_value("2:01", "seconds") == 7260


def test_three_decimals_before_an_exponent_are_not_ambiguous() -> None:
    separators = Separators()
    separators.add("3.097", "e-07")
    assert not separators.ambiguous and separators.decimal["."] == 1


def test_codes_below_zero_are_told() -> None:
    import numpy as np

    scale = np.array([1, 2, 3, 4, 5, -9] * 5, dtype=float)
    assert '(data.missing: ["-9"]' in sentinels(scale)[0]
    assert sentinels(np.array([-9, -3, 0, 4, 8] * 5, dtype=float)) == []
    assert sentinels(np.array([1, 2, 3, 9] * 5, dtype=float)) == []


def test_numbers_of_several_units_are_no_text(nnzoo: Any, write: Write) -> None:
    rows = [
        f"{50 + i}kg,{'mf'[i % 2]},{i % 7}" if i % 2 else f"{110 + i} lbs,f,{i % 5}"
        for i in range(60)
    ]
    result = nnzoo("init", write(["weight,sex,y", *rows]))
    assert (
        "weight (numbers in several units ('110 lbs' in data row 1, '51kg' in data row 2))"
        in result.err
    )


def test_init_says_why_the_last_column_is_not_the_target(nnzoo: Any, write: Write) -> None:
    rows = [f"{i % 7},{i * 5 % 11},ok" for i in range(60)]
    result = nnzoo("init", write(["a,b,state", *rows]))
    assert "the last column that can be one: 'state' has the same value in all rows" in result.err


def test_words_that_are_no_category_are_named(nnzoo: Any, write: Write) -> None:
    rows = [f"{'ab?'[i % 3]},{i % 7},{'ud'[i % 2]}" for i in range(60)]
    err = _noted(nnzoo, write(["kind,n,way", *rows]))
    assert "counts as no category: '?' in" in err and "training rows of 'kind'" in err


def test_dates_of_two_forms_are_no_text(nnzoo: Any, write: Write) -> None:
    days = [f"2023-{i // 28 + 1:02}-{i % 28 + 1:02}" for i in range(60)]
    days[1::2] = [f"{day[5:7]}/{day[8:]}/2023" for day in days[1::2]]
    path = write(["day,n,y", *[f"{day},{i % 7},{i % 5}" for i, day in enumerate(days)]])
    result = nnzoo("init", path, "--table")
    assert (
        "left out: day (dates written in several ways: '2023-01-01' in data row 1, '01/02/2023' in data "
        "row 2; write them in one way)"
    ) in result.err


@pytest.mark.parametrize(
    "texts", [["1/2", "3/4", "x"], ["5-Oct", "10-15", "1-5"], ["may", "june", "will"]]
)
def test_sizes_and_fractions_are_no_dates_of_two_forms(texts: list[str]) -> None:
    import pandas

    from nnzoo.data.columns.description import describe_columns

    assert describe_columns(pandas.DataFrame({"a": texts * 20}))["a"].role == "category"


def test_predict_passes_over_units_and_keeps_row_numbers(nnzoo: Any, write: Write) -> None:
    file = write(["shop,q1,q2,way", "-,pieces,°C,-", *_rows()])
    _noted(nnzoo, file)
    result = nnzoo("predict", "checkpoints/t", file)
    assert result.code == 0
    assert "left out above the data: data row 1 ('-', 'pieces', '°C', …)" in result.err
    rows = result.out.splitlines()
    assert len(rows) == 61 and rows[1].startswith("2,")
