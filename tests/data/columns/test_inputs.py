"""The columns that a network reads: numbers first, then categories, and what is refused or doubted."""

from __future__ import annotations

from typing import Any

import pandas
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.inputs import describe_counts, infer_columns
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.errors import DataError
from tests.data.columns.describing import column

ROWS = 40
COLUMNS: dict[str, list[Any]] = {
    "kind": ["u", "v", "w", "v"] * 10,
    "x": [f"{i * 7 % 11}.5" for i in range(ROWS)],
    "y": ["a", "b"] * 20,
}


def inferred(
    more: dict[str, list[Any]] | None = None, **options: Any
) -> tuple[list[ColumnSpec], str]:
    frame = pandas.DataFrame({k: column(v, k) for k, v in (COLUMNS | (more or {})).items()})
    specs, notes = infer_columns(frame, ["y"], CsvOptions(name="csv", path="t.csv", **options))
    return specs, "\n".join(notes)


def refused(more: dict[str, list[Any]] | None = None, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        inferred(more, **options)
    return str(error.value)


def test_numbers_come_first_and_the_target_is_no_input() -> None:
    specs, notes = inferred()
    assert [(spec.name, spec.categories) for spec in specs] == [
        ("x", None),
        ("kind", ["u", "v", "w"]),
    ]
    assert notes.startswith("columns: 1 number, 1 category")


def test_columns_can_be_stated_and_dropped() -> None:
    code = {"code": ["1", "2"] * 20}
    assert [spec.categories for spec in inferred(code)[0] if spec.name == "code"] == [None]
    specs, _ = inferred(code, categories=["code"], drop=["kind"])
    assert [(spec.name, spec.categories) for spec in specs] == [("x", None), ("code", ["1", "2"])]


def test_what_is_stated_twice_or_of_the_target_is_refused() -> None:
    assert refused(numbers=["x"], categories=["x"]).endswith("'x' is in data.numbers, too")
    assert refused(drop=["y"]).endswith("'y' is the target")
    assert "has no column to learn from but the target 'y'" in refused(drop=["x", "kind"])


def test_texts_of_many_values_are_refused_with_the_lines_to_write() -> None:
    words = {"word": [f"w{i}" for i in range(ROWS)], "other": [f"o{i}" for i in range(ROWS)]}
    one = refused({"word": words["word"]}, max_categories=30)
    assert "column 'word' is text with 40 different values; leave it out (data.drop: [word])" in one
    both = refused(words, max_categories=30, drop=["kind"])
    assert "2 columns cannot be used as they are" in both
    assert both.endswith("\n  data.drop: [kind, word, other]")
    specs, _ = inferred({"word": words["word"]}, max_categories=30, categories=["word"])
    assert len(specs[-1].categories or []) == ROWS


def test_empty_and_constant_columns_are_said() -> None:
    specs, notes = inferred({"none": [""] * ROWS, "same": ["3"] * ROWS})
    assert "none" not in [spec.name for spec in specs]
    assert "column 'none' is empty in the training rows and left out" in notes
    assert "the same value in all training rows: 'same'" in notes


def test_a_column_that_keeps_groups_together_is_no_input() -> None:
    specs, notes = inferred(split={"group": "kind"})
    assert [spec.name for spec in specs] == ["x"]
    assert "column 'kind' keeps groups together, and is no input" in notes


def test_words_for_missing_are_no_category_and_said() -> None:
    kinds = [*COLUMNS["kind"][:-2], "NA", "NA"]
    specs, notes = inferred({"kind": kinds})
    assert specs[1].categories == ["u", "v", "w"]
    assert "counts as no category: 'NA' in 2 training rows of 'kind'" in notes


def test_counts_are_in_words() -> None:
    number, category = ColumnSpec("a"), ColumnSpec("b", ["u"])
    assert describe_counts([number, number, category]) == "2 numbers, 1 category"
