"""Tables of any format: notes, and rows that are no data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.tables import load_csv
from tests.data.table_files.reading import (
    NAMES,
    text_of,
)


def test_notes_of_the_reader_are_notes_of_the_dataset() -> None:
    Path("d.csv").write_text(
        "# by hand\n"
        + text_of([["a", "b", "y"], *[[f"{i}", f"{i % 3}", f"{i % 2}"] for i in range(40)]])
    )
    Path("t.csv").write_text(
        "Title\n"
        + text_of([["a", "b", "y"], *[[f"{i}", f"{i % 3}", f"{i % 2}"] for i in range(9)]])
    )
    options = CsvOptions(name="csv", path="d.csv", test_path="t.csv", split=GroupSplit(val=0.2))
    notes = load_csv(options).notes
    assert "skipped a line above the header: '# by hand' (data.skip_rows)" in notes
    assert "t.csv: skipped a line above the header: 'Title' (data.skip_rows)" in notes


def test_init_writes_how_a_file_is_read_and_what_it_guessed(nnzoo: Any) -> None:
    many = [[f"{i}.5", f"{i % 7}.25", "xyz"[i % 3]] for i in range(40)]
    cp1252 = text_of([NAMES, *many], ";").encode("cp1252")
    cases: list[tuple[bytes, str]] = [
        (cp1252, "  encoding: cp1252    # a guess: it is not UTF-8\n"),
        (text_of(many).encode(), "  header: false    # the first row looks like data"),
        (text_of([["2015", "2016", "k"], *many]).encode(), "is taken for the header; is it data?"),
        (
            ("# log\n" + text_of([NAMES, *many])).encode(),
            "# skipped a line above the header: '# log'",
        ),
    ]
    for i, (data, line) in enumerate(cases):
        Path(f"f{i}.csv").write_bytes(data)
        result = nnzoo("init", f"f{i}.csv")
        assert result.code == 0, result.err
        assert line in Path(f"f{i}.yaml").read_text()
        assert nnzoo("train", "--config", f"f{i}.yaml", "--dry-run").code == 0


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
    """Output of init, check and train, which all have to name the same rows."""
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
)
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
        (
            ["Summe:,6000,66000,", "Source: ministry,,,"],
            "s 61 ('Summe:', '6000', '66000'), 62 ('Source: ministry')",
        ),
        ([",351,364,"], "61 ('351', '364')"),
    ],
)
def test_totals_and_sources_below_the_rows_are_no_data(
    nnzoo: Any, write: Write, below: list[str], row: str
) -> None:
    rows = _rows()
    sums = [sum(int(item.split(",")[i]) for item in rows) for i in (1, 2)]
    below = [item.replace("351", str(sums[0])).replace("364", str(sums[1])) for item in below]
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
