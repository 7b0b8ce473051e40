"""Your tables: what is found in them, what never leaks out of test rows, and what is refused."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.dataset import Dataset
from nnzoo.data.row_split import split_rows
from nnzoo.data.table_files import csv_reader, limits, text_encoding
from nnzoo.data.table_files.table_io import ReadOptions, read_chunks, read_table
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError, NnzooError
from tests.zoo import begin, config, finish, same


def write(text: str | bytes, name: str = "d.csv") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def load(text: str | bytes | None = None, **options: Any) -> Dataset:
    """A CSV of this text; without split options every row trains."""
    if text is not None:
        write(text)
    options.setdefault("split", GroupSplit(val=0, test=0))
    return load_csv(CsvOptions(name="csv", **{"path": "d.csv", **options}))


def rows(dataset: Dataset, split: str = "train") -> tuple[list[Any], list[Any]]:
    x, y = dataset.splits[split].tensors()
    return x.tolist(), y.tolist()


def refused(text: str | bytes | None = None, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(text, **options)
    return str(error.value)


def names(dataset: Dataset) -> list[str]:
    return dataset.spec.column_names


SMALL = "a,b,kind,y\n1,2.5,u,no\n3,4.5,v,yes\n-1,0.5,u,yes\n"


# Layout of columns.


def test_numbers_come_first_then_category_codes_then_classes_by_name() -> None:
    dataset = load("kind,a,y\nv,1,no\nu,3,yes\nv,-1,yes\n")
    assert [item.to_dict() for item in dataset.spec.columns] == [
        {"name": "a"},
        {"name": "kind", "categories": ["u", "v"]},
    ]
    assert rows(dataset) == ([[1, 1], [3, 0], [-1, 1]], [0, 1, 1])
    assert dataset.spec.labels == ["no", "yes"]
    assert dataset.spec.task == "classification"
    assert dataset.notes == ["columns: 1 number, 1 category"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (SMALL, ["a", "b", "kind"]),
        ("1,2,x\n3,4,y\n", ["0", "1"]),
        ("u,v,w\np,q,y\nr,q,x\np,s,x\n", ["u", "v"]),  # all text, no name comes again
        ("u,v,x\np,q,y\nr,v,x\n", ["0", "1"]),  # names do not come again
        ("u,u,x\np,q,y\n", ["0", "1"]),  # no two columns share a name
        ("a,2,x\nb,4,y\n", ["1", "0"]),  # a number names nothing
    ],
)
def test_a_header_is_recognised(text: str, columns: list[str]) -> None:
    assert names(load(text, task="classification")) == columns


def test_header_true_and_false_are_obeyed() -> None:
    assert rows(load("1,2,u\n3,4,v\n5,6,w\n", header=True)) == ([[3, 4], [5, 6]], [0, 1])
    text = "p,q,u\nr,q,v\n"
    assert rows(load(text, header=False)) == ([[0, 0], [1, 0]], [0, 1])
    assert names(load(text, header=False)) == ["0", "1"]


def test_a_header_of_numbers_that_is_read_as_data_is_noted() -> None:
    note = "no header found: the first row ('9', '20', '21') is data (data.header)"
    text = "9,20,21\n" + "".join(f"{i % 9},{i % 7},{i % 2}.5\n" for i in range(30))
    actual = load(text)
    assert (len(actual.splits["train"]), actual.notes[1:]) == (31, [note])
    assert load(text, header=False).notes == load(text, header=True).notes == ["columns: 2 numbers"]
    assert note not in load(SMALL).notes
    pandas.DataFrame({"0": [1, 2], "1": ["u", "v"]}).to_parquet("d.parquet")
    assert note not in load(path="d.parquet").notes


@pytest.mark.parametrize("target", ["kind", 2, -2])
def test_the_target_is_named_by_name_or_position(target: str | int) -> None:
    dataset = load(SMALL, target=target)
    assert names(dataset) == ["a", "b", "y"]
    assert dataset.spec.labels == ["u", "v"]


def test_a_column_whose_name_is_a_number_goes_by_that_name() -> None:
    assert names(load("2020,x,1\n1,2,3\n2,3,4\n", header=True, target=1)) == ["2020", "x"]
    assert names(load("5,x,0\n1,2,3\n2,3,4\n", header=True, target=0)) == ["5", "x"]


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["1", "2", "3", "1"], "classification"),
        (["1", "2", "3"], "regression"),  # no class is of one row alone
        (["1.0", "2.0", "1"], "classification"),
        (["1", "2.5", "3"], "regression"),
        ([str(i % 20) for i in range(40)], "classification"),
        ([str(i % 21) for i in range(42)], "regression"),
        (["low", "high", "low"], "classification"),
        (["True", "False", "True"], "classification"),
    ],
)
def test_the_task_is_reported_by_the_target(values: list[str], task: str) -> None:
    text = "a,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))
    assert load(text).spec.task == task


def test_the_task_can_be_stated() -> None:
    text = "a,y\n1,1\n2,2\n3,10\n"
    dataset = load(text, task="regression")
    assert rows(dataset)[1] == [[1], [2], [10]]
    assert dataset.spec.targets == ["y"]
    assert load(text, task="classification").spec.labels == ["1", "2", "10"]  # in order of size


def test_columns_can_be_stated_and_dropped() -> None:
    dataset = load("zip,n,note,y\n10,1,hello,a\n20,2,world,b\n", categories=["zip"], drop=[-2])
    assert [item.to_dict() for item in dataset.spec.columns] == [
        {"name": "n"},
        {"name": "zip", "categories": ["10", "20"]},
    ]
    forced = load("n,y\nNA,a\n1,b\n", numbers=["n"])
    assert np.isnan(rows(forced)[0][0][0])


def test_missing_values_are_nan_and_an_unknown_category() -> None:
    dataset = load("a,kind,y\n1,u,0\n?,v,1\n3,NA,1\n,,0\n")
    x = rows(dataset)[0]
    assert np.isnan(x[1][0])
    assert np.isnan(x[3][0])
    assert [row[1] for row in x] == [0, 1, -1, -1]


def test_infinite_numbers_count_as_missing() -> None:
    assert np.isnan(rows(load("a,y\n1,0\ninf,1\n-Infinity,0\n"))[0][1:]).all()


def test_whole_numbers_beyond_float64_are_rounded_and_huge_ones_stay_finite() -> None:
    x = rows(load(f"a,y\n{2**53 + 1},u\n{10**30},v\n-{10**30},v\n"))[0]
    assert x == [[float(2**53)], [1e30], [-1e30]]


def test_a_number_too_large_for_float64_is_an_error_not_a_gap() -> None:
    assert "data row 2 has '1e999'" in refused("a,y\n1,u\n1e999,v\n")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: "\ufeff" + text, "BOM"),
        (lambda text: text.replace("\n", "\r\n"), "CRLF"),
        (lambda text: text.replace("\n", "\r"), "CR"),
        (lambda text: text.replace(",", ",  "), "spaces after commas"),
        (lambda text: text.replace("kind", " kind "), "spaces around a name"),
        (lambda text: text.replace("u", '"u"').replace("2.5", '"2.5"'), "quotes"),
        (lambda text: text.rstrip("\n"), "no last line end"),
        (lambda text: "\n\n" + text.replace("\n", "\n\n"), "blank lines"),
        (lambda text: text + "   \n", "a line of spaces"),
    ],
)
def test_the_same_table_in_another_dress(change: Callable[[str], str], what: str) -> None:
    plain, other = load(SMALL), load(change(SMALL))
    assert other.spec == plain.spec, what
    assert rows(other) == rows(plain), what


def test_quoted_values_may_hold_line_ends_delimiters_and_quotes() -> None:
    dataset = load('a,note,y\n1,"two\nlines, ""quoted""",u\n2,plain,v\n')
    assert dataset.spec.columns[1].categories == ["plain", 'two\nlines, "quoted"']


def test_other_delimiters_are_read() -> None:
    for delimiter in ";\t|":
        dataset = load(SMALL.replace(",", delimiter), delimiter=delimiter)
        assert rows(dataset) == rows(load(SMALL)), delimiter


def test_true_and_false_are_categories() -> None:
    dataset = load("flag,y\nTrue,0\nFalse,1\n")
    assert [item.to_dict() for item in dataset.spec.columns] == [
        {"name": "flag", "categories": ["False", "True"]}
    ]


def test_an_empty_column_is_left_out_and_said_so() -> None:
    dataset = load("a,hole,y\n1,,0\n2,NA,1\n")
    assert names(dataset) == ["a"]
    assert dataset.notes[1] == "column 'hole' is empty in the training rows and left out"


def test_a_constant_column_does_no_harm() -> None:
    write("a,b,c,y\n" + "".join(f"{i},7,same,{i % 2}\n" for i in range(30)))
    run = begin(config("mlp", {"name": "csv", "path": "d.csv"}))
    assert all(np.isfinite(row["train_loss"]) for row in finish(run))


def test_a_column_without_a_name_goes_by_its_position() -> None:
    assert names(load(",a,y\n0,1,u\n1,2,v\n")) == ["0", "a"]


def test_real_files_without_a_header_are_read(shared_data: Path) -> None:
    housing = load(path=str(shared_data / "tables" / "housing.csv"))
    assert (housing.spec.task, housing.spec.input.shape, len(housing.splits["train"])) == (
        "regression",
        (13,),
        506,
    )
    sonar = load(path=str(shared_data / "tables" / "sonar.csv"))
    assert (sonar.spec.labels, sonar.spec.input.shape) == (["M", "R"], (60,))


# Parquet.


def test_parquet_and_csv_of_the_same_frame_are_the_same_data() -> None:
    frame = pandas.DataFrame(
        {
            "whole": [1, 2, 2**53 + 1, -4],
            "part": [0.5, None, -1.25, 1e-9],
            "flag": [True, False, True, True],
            "gap": pandas.array([True, None, False, True], dtype="boolean"),
            "code": pandas.array([10, None, 20, 10], dtype="Int64"),
            "text": ["u", "NA", None, "w"],
            "kind": pandas.Categorical(["p", "q", None, "p"]),
            "day": pandas.to_datetime(["2020-01-01", "2020-01-02", None, "2020-01-04"]),
            "y": ["no", "yes", "yes", "no"],
        }
    )
    frame.to_csv("d.csv", index=False)
    frame.to_parquet("d.parquet")
    options: Any = {"categories": ["code"], "drop": ["day"]}
    text, typed = load(**options), load(path="d.parquet", **options)
    assert names(text) == ["whole", "part", "flag", "gap", "code", "text", "kind"]
    assert text.spec.columns[names(text).index("code")].to_dict() == {
        "name": "code",
        "categories": ["10", "20"],
    }
    assert typed.spec == text.spec
    assert typed.fingerprint() == text.fingerprint()


def test_an_index_in_a_parquet_file_is_a_column_where_it_has_a_name() -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0], "y": ["u", "v"]}, index=[7, 9])
    frame.to_parquet("plain.parquet")
    frame.rename_axis("id").to_parquet("named.parquet")
    assert names(load(path="plain.parquet")) == ["a"]
    assert rows(load(path="named.parquet"))[0] == [[7, 1], [9, 2]]


def test_dates_in_a_parquet_file_are_text_as_in_a_csv() -> None:
    days = pandas.date_range("2020-01-01", periods=200)
    pandas.DataFrame({"day": days, "y": np.arange(200) % 2}).to_parquet("d.parquet")
    assert refused(path="d.parquet") == (
        "d.parquet: column 'day' holds dates, 200 different ones; leave it out "
        "(data.drop: [day]) or raise data.max_categories"
    )


def test_columns_of_lists_and_bytes_can_be_dropped() -> None:
    frame = pandas.DataFrame(
        {"l": [[1], [2, 3]], "b": [b"x", b"\xff"], "a": [1, 2], "y": ["u", "v"]}
    )
    frame.to_parquet("d.parquet")
    assert names(load(path="d.parquet", drop=["l", "b"])) == ["a"]


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"a,b\n1,2\n"])
def test_a_broken_parquet_file_is_named(content: bytes) -> None:
    write(content, "d.parquet")
    assert refused(path="d.parquet").startswith("d.parquet is not a readable Parquet file: ")


# Test rows of their own.


def test_a_test_file_is_the_test_split_and_unknown_categories_are_all_zero() -> None:
    write("y,kind,extra,a\nyes,w,0,5\nno,u,0,6\n", "t.csv")  # columns go by name
    dataset = load(SMALL, test_path="t.csv", drop=["b"])
    assert rows(dataset, "test") == ([[5, -1], [6, 0]], [1, 0])
    assert len(dataset.splits["train"]) == 3


def test_a_test_file_of_few_text_rows_has_a_header_where_the_training_file_has_one() -> None:
    write("k,l,y\np,q,u\n", "t.csv")
    text = "k,l,y\np,q,u\nr,q,v\np,s,v\n"
    assert len(load(text, test_path="t.csv").splits["test"]) == 1
    write("p,q,u\n", "t.csv")
    headless = load("p,p,u\nr,q,v\np,s,v\n", test_path="t.csv")
    assert rows(headless, "test") == ([[0, 1]], [0])


@pytest.mark.parametrize(
    ("test_text", "message"),
    [
        ("a,b,kind\n1,2,u\n", "t.csv: no column 'y', which is the target"),
        ("a,kind,y\n1,u,no\n", "t.csv: column 'b' is missing; the network was trained with it"),
        (
            "a,b,kind,y\n1,2,u,no\n1,2,u,maybe\n",
            "t.csv: the target 'y' has in data row 2 the label 'maybe' that no training row has",
        ),
        (
            "a,b,kind,y\n1,2,u,no\n1,x,u,no\n",
            "t.csv: column 'b' holds numbers, but data row 2 has 'x'; correct it, or count it "
            'as missing (data.missing: ["x"])',
        ),
        (
            "a,b,kind,y\n1,2,u,\n",
            "t.csv: the target 'y' is missing in all rows; is it the right column (data.target)?",
        ),
    ],
)
def test_what_is_wrong_with_a_test_file_is_said(test_text: str, message: str) -> None:
    write(test_text, "t.csv")
    assert refused(SMALL, test_path="t.csv") == message


def test_a_missing_test_file_is_named() -> None:
    assert refused(SMALL, test_path="none.csv") == "no file none.csv"


# Nothing leaks out of test rows.


def poisoned_table(task: str, poison: Callable[[list[list[str]], list[int]], None]) -> str:
    """A table whose test rows were changed by `poison`."""
    rng = np.random.default_rng(0)
    cells = [
        [f"{rng.normal():.4f}", "" if i % 7 == 3 else f"{rng.normal():.4f}", "uvw"[i % 3]]
        for i in range(60)
    ]
    for i, row in enumerate(cells):
        row.append("yes" if i % 2 else "no") if task == "classification" else row.append(
            f"{i * 1.5:.2f}"
        )
    classes = np.arange(60) % 2 if task == "classification" else None
    poison(cells, split_rows(60, GroupSplit(), classes)["test"].tolist())
    return "a,b,kind,y\n" + "".join(",".join(row) + "\n" for row in cells)


def trained(**data: Any) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    run = begin(
        config("mlp", {"name": "csv", "path": "d.csv", **data}), out=f"out{random.random()}"
    )
    finish(run)
    network = run.network
    return network.model.state_dict(), network.preprocess.state_dict(), network.task.state_dict()


def poison_features(cells: list[list[str]], test: list[int]) -> None:
    for i in test:
        cells[i][:3] = ["-1e12", "", "never seen"]


def poison_targets(cells: list[list[str]], test: list[int]) -> None:
    for i in test:
        cells[i][3] = "1e9"


@pytest.mark.parametrize(
    ("task", "poison"),
    [
        ("classification", poison_features),
        ("regression", poison_features),
        ("regression", poison_targets),
    ],
)
def test_changing_test_rows_changes_no_bit_of_the_trained_network(
    task: str, poison: Callable[..., None]
) -> None:
    clean = poisoned_table(task, lambda cells, test: None)
    dirty = poisoned_table(task, poison)
    assert clean != dirty
    write(clean)
    first = trained()
    write(dirty)
    assert same(first, trained())
    # The comparison can fail: the same change of a training row is seen.
    write(
        poisoned_table(task, lambda cells, test: poison(cells, [min(set(range(60)) - set(test))]))
    )
    assert not same(first, trained())


def test_a_test_file_changes_no_bit_of_the_trained_network() -> None:
    write(poisoned_table("classification", lambda cells, test: None))
    write("a,b,kind,y\n1,2,u,yes\n1,2,u,no\n", "t.csv")
    first = trained(test_path="t.csv")
    write("a,b,kind,y\n-1e12,,never,no\n1e12,9,w,no\n3,9,w,no\n", "t.csv")
    assert same(first, trained(test_path="t.csv"))


def test_what_a_column_is_follows_from_training_rows_alone() -> None:
    def text_in_a_test_row(cells: list[list[str]], test: list[int]) -> None:
        cells[test[0]][0] = "oops"

    row = int(split_rows(60, GroupSplit(), np.arange(60) % 2)["test"][0]) + 1
    assert refused(poisoned_table("classification", text_in_a_test_row), split=GroupSplit()) == (
        f"d.csv: column 'a' holds numbers, but data row {row} has 'oops'; correct it, or count it as "
        'missing (data.missing: ["oops"])'
    )


# Refused files.

LONG = "x" * 200_000
MANY = "".join(f"w{i},{i % 2}\n" for i in range(101))
NUMBERS = "".join(f"{i}.5,{i % 2}\n" for i in range(60))

BAD: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "empty file": ("", {}, "d.csv is empty"),
    "only blank lines": ("\n \n\r\n", {}, "d.csv is empty"),
    "header only": (
        "a,b,y\n",
        {},
        "d.csv has a header but no rows (or set data.header: false)",
    ),
    "header only, stated": ("a,b,y\n", {"header": True}, "d.csv has a header but no rows"),
    "short row": (
        "a,b,y\n1,2,u\n3,v\n",
        {},
        "d.csv:3: ragged rows: 2 values where the first row has 3",
    ),
    "long row": (
        "a,b,y\n1,2,u\n3,4,v,5\n",
        {},
        "d.csv:3: ragged rows: 4 values where the first row has 3",
    ),
    "all rows longer than the header": (
        "a,y\n1,u,9\n3,v,9\n",
        {},
        "d.csv:2: ragged rows: 3 values where the first row has 2",
    ),
    "ragged behind a quoted line end": (
        'a,y\n"1\n2",u\n3,v,5\n',
        {},
        "d.csv:4: ragged rows: 3 values where the first row has 2",
    ),
    "no such column": (
        SMALL,
        {"target": "knd"},
        "no column 'knd'; did you mean 'kind'?",
    ),
    "no such column, in other letters' case": (
        SMALL,
        {"target": "KIND"},
        "no column 'KIND'; did you mean 'kind'?",
    ),
    "no such column, nothing near": (
        SMALL,
        {"drop": ["zzz"]},
        "no column 'zzz'; the file has a, b, kind, y",
    ),
    "no such position": (SMALL, {"target": 4}, "no column 4; the file has 4 columns"),
    "one class": (
        "a,y\n1,u\n2,u\n",
        {},
        "d.csv: the target 'y' has one class in the training rows ('u'); nothing can be learned",
    ),
    "target missing": (
        "a,y\n1,\n2,\n",
        {},
        "d.csv: the target 'y' is missing in all rows; is it the right column (data.target)?",
    ),
    "target infinite": (
        "a,y\n1,0.5\n2,inf\n",
        {"task": "regression"},
        "d.csv: the target 'y' should be a number, but data row 2 has 'inf'",
    ),
    "text in a number target": (
        "a,y\n1,0.5\n2,abc\n",
        {"task": "regression"},
        "d.csv: the target 'y' should be a number, but data row 2 has 'abc'",
    ),
    "a huge number": (
        "a,y\n1,u\n-1e300,v\n",
        {},
        "d.csv: column 'a': '-1e300' in data row 2 is beyond ±1e30",
    ),
    "a huge target": (
        "a,y\n1,0.5\n2,1.1e30\n",
        {"task": "regression"},
        "d.csv: column 'y': '1.1e30' in data row 2 is beyond ±1e30",
    ),
    "one typo in a number target": (
        "a,y\n" + "".join(f"1,{i}.5\n" for i in range(50)) + "1,9.5.0\n",
        {},
        "d.csv: the target 'y' should be a number, but data row 51 has '9.5.0'",
    ),
    "one typo in a number column": (
        "a,y\n" + NUMBERS + "4.l,1\n",
        {},
        "d.csv: column 'a' holds numbers, but data row 61 has '4.l'; correct it, or count it as "
        'missing (data.missing: ["4.l"])',
    ),
    "text in a stated number column": (
        "a,y\n1,u\nx,v\n",
        {"numbers": ["a"]},
        "d.csv: column 'a' holds numbers, but data row 2 has 'x'; correct it, or count it as missing "
        '(data.missing: ["x"])',
    ),
    "not UTF-8": (
        "a,y\n1,u\n2,caf\xe9\n".encode("latin-1"),
        {},
        "d.csv:3: not UTF-8 text (byte 14); save the file as UTF-8, or name its "
        "encoding (data.encoding: cp1252)",
    ),
    "binary": (
        b"\x01\x00\x00\x02\x00\x00",
        {},
        "d.csv is not a text file (it holds zero bytes); expected CSV in UTF-8",
    ),
    "open quote": (
        'a,y\n1,u\n2,"v\n3,u\n',
        {},
        "d.csv:3: a quote is opened and never closed",
    ),
    "text behind a quote": (
        'a,y\n1,"u"v\n',
        {},
        "d.csv:2: there is text behind a closing quote; a quote inside a value is written twice",
    ),
    "huge value": (
        f"a,y\n1,u\n2,{LONG}\n",
        {},
        "d.csv:3: a value of more than 131,072 characters; an open quote?",
    ),
    "semicolons": (
        SMALL.replace(",", ";"),
        {"delimiter": ","},
        "d.csv has one column; are its values separated by ';'? Set data.delimiter: ';'",
    ),
    "tabs": (
        SMALL.replace(",", "\t"),
        {"delimiter": ","},
        'd.csv has one column; are its values separated by "\\t"? Set data.delimiter: "\\t"',
    ),
    "semicolons and decimal commas": (
        "a;b;y\n1,5;2,5;3\n1,5;2;4\n",
        {"delimiter": ","},
        "d.csv has one column; are its values separated by ';'? Set data.delimiter: ';'",
    ),
    "one column": ("y\n1\n2\n", {}, "d.csv has no column to learn from but the target 'y'"),
    "only empty columns": (
        "a,y\n,1\n,2\n",
        {},
        "d.csv has no column to learn from but the target 'y'",
    ),
    "too many categories": (
        "word,y\n" + MANY,
        {},
        "d.csv: column 'word' is text with 101 different values; leave it out (data.drop: [word]) "
        "or raise data.max_categories",
    ),
    "a target of names": (
        "a,y\n" + "".join(f"{i % 3},name {i}\n" for i in range(40)),
        {},
        "d.csv: the target 'y' has 40 different values in 40 training rows; no class can be "
        "learned from so few, is it the right column (data.target)?",
    ),
    "the target is dropped": (SMALL, {"drop": ["y"]}, "'y' is the target"),
    "number and category": (
        SMALL,
        {"numbers": ["a"], "categories": [0]},
        "'a' is in data.numbers, too",
    ),
    "nothing left to train on": (
        SMALL,
        {"split": GroupSplit(val=1, test=2)},
        "1 val + 2 test of 3 rows leave none to train on; hold out fewer",
    ),
}


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    commas = load(SMALL)
    actual = load(SMALL.replace(",", delimiter))
    assert actual.fingerprint() == commas.fingerprint()


@pytest.mark.parametrize("name", BAD)
def test_a_faulty_table_is_refused_in_one_line(name: str) -> None:
    text, options, message = BAD[name]
    assert refused(text, **options) == message


@pytest.mark.parametrize(
    "name",
    [
        "empty file",
        "short row",
        "no such column",
        "one class",
        "target missing",
        "not UTF-8",
        "binary",
        "open quote",
    ],
)
def test_the_command_ends_with_exit_code_3_and_the_message(nnzoo: Any, name: str) -> None:
    text, options, message = BAD[name]
    write(text)
    Path("c.yaml").write_text("data: {name: csv, path: d.csv}\nmodel: mlp\n")
    sets = [word for key, value in options.items() for word in ("--set", f"data.{key}={value}")]
    result = nnzoo("train", "--config", "c.yaml", *sets)
    assert result.code == 3
    assert result.out == ""
    key, _, rest = message.partition(": ")
    if key.startswith("data."):  # where it stands is named too
        message = f"--set  {key}  {rest}"
    assert "".join(message.split()) in "".join(result.err.split())
    assert "Traceback" not in result.err
    assert not Path("checkpoints").exists()


def test_a_missing_file_and_a_folder_are_named(nnzoo: Any) -> None:
    Path("folder.csv").mkdir()
    assert refused(path="none.csv") == "no file none.csv"
    assert refused(path="folder.csv") == "folder.csv is a folder, not a file"
    Path("c.yaml").write_text("data: {name: csv, path: none.csv}\nmodel: mlp\n")
    result = nnzoo("train", "--config", "c.yaml")
    assert (result.code, result.out) == (3, "")


# Any bytes at all.

SNIPPETS = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b" ",
    b"\t",
    b";",
    b"nan",
    b"inf",
    b"1e999",
    b"-",
    b"99999999999999999999",
    b"True",
    b'""',
    b"\xc3\xa9",
    b"\\",
    b"0x1f",
    b"\xe2\x80\xa8",
    b"\x85",
    b"\x0b",
]


def mutated(data: bytes, rng: random.Random) -> bytes:
    result = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        place = rng.randrange(len(result) + 1)
        match rng.randrange(4):
            case 0:
                result[place:place] = rng.choice(SNIPPETS)
            case 1:
                del result[place : place + rng.choice([1, 3, 20, 200])]
            case 2:
                result[place : place + 1] = bytes([rng.randrange(256)])
            case 3:
                result[place:place] = result[: rng.choice([5, 30, 100])]
    return bytes(result)


def test_any_bytes_give_a_dataset_or_a_data_error() -> None:
    rng = random.Random(0)
    lines = [f'{i * 0.7:.2f},{i % 9},"{"xyz"[i % 3]}",{"uv"[i % 2]},{i % 2}' for i in range(30)]
    base = ("a,b,c,kind,y\n" + "\n".join(lines) + "\n").encode()
    loaded = failed = 0
    for _ in range(200):
        write(mutated(base, rng))
        try:
            header: Any = rng.choice(["auto", True, False])
            dataset = load(header=header, target=rng.choice([-1, 0]), split=GroupSplit())
        except NnzooError as error:
            failed += 1
            assert isinstance(error, DataError)
            assert "\n" not in str(error) or len(str(error)) < 300
        else:
            loaded += 1
            assert len(dataset.fingerprint()) == 16
    assert loaded > 5
    assert failed > 20


def test_reading_back_uses_the_columns_and_labels_of_the_first_reading() -> None:
    dataset = load(SMALL)
    write("b,kind,a,y\n2.5,w,1,yes\n4.5,v,3,yes\n")
    options = CsvOptions(name="csv", path="d.csv", split=GroupSplit(val=0, test=0))
    again = load_csv(options, dataset.spec)
    assert rows(again) == ([[1, 2.5, -1], [3, 4.5, 1]], [1, 1])


def test_equal_rows_of_torch_and_numpy_types() -> None:
    x, y = load(SMALL).splits["train"].tensors()
    assert (x.dtype, y.dtype) == (torch.float64, torch.int64)


# Too large, and no file at all.


@pytest.mark.parametrize("name", ["p", "p.parquet", "/dev/zero"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(name: str) -> None:
    if name[0] == "p":
        os.mkfifo(name)
    assert refused(path=name) == f"not a regular file: {name}"


def parquet(columns: dict[str, Any], **options: Any) -> None:
    pyarrow.parquet.write_table(pyarrow.table(columns), "d.parquet", store_schema=False, **options)


def test_packed_text_of_parquet_reads_as_text() -> None:
    packed = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1, None, 0]), ["u", "v"])
    parquet({"t": packed, "s": ["p", "NA", None, "q"], "y": ["a", "b", "a", "b"]})
    assert rows(load(path="d.parquet"))[0] == [[0, 0], [1, -1], [-1, -1], [0, 1]]


def test_columns_set_apart_by_several_spaces_are_read() -> None:
    text = "  1.5   2   u\n 10    3   v\n"
    assert rows(load(text, delimiter=" ", header=False)) == ([[1.5, 2], [10, 3]], [0, 1])


# In pieces.


def in_pieces(text: str | bytes, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Any]:
    write(text)
    monkeypatch.setattr(csv_reader, "CHUNK", 40)
    return [piece.frame for piece in read_chunks("d.csv", ReadOptions(**options))]


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_pieces_of_a_csv_are_the_whole(own_folder: Path, data: st.DataObject) -> None:
    cell = st.sampled_from(["1", "-2.5", "", "u", "NA", '"a,b"', '"x\ny"', '"q""q"', " v "])
    table = data.draw(st.lists(st.tuples(cell, cell), min_size=1, max_size=60))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    header: Any = data.draw(st.sampled_from(["auto", True, False]))
    write(end.join(["a,b", *(",".join(row) for row in table)]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reader, "CHUNK", data.draw(st.integers(1, 200)))
        pieces = [piece.frame for piece in read_chunks("d.csv", ReadOptions(header))]
        joined = read_table("d.csv", ReadOptions(header)).frame
    whole = read_table("d.csv", ReadOptions(header)).frame
    pandas.testing.assert_frame_equal(pandas.concat(pieces), whole, check_index_type=False)
    pandas.testing.assert_frame_equal(joined, whole, check_index_type=False)
    assert list(whole.index) == list(range(len(whole)))


def test_issues_behind_the_first_chunk_name_their_line_and_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = "a,y\n" + "".join(f"{i},{i}.5\n" for i in range(90))
    for end, message in (
        ("7\n", "d.csv:92: ragged rows: 1 values where the first row has 2"),
        ('7,"8\n', "d.csv:92: a quote is opened and never closed"),
        (
            '7,"8"9\n',
            "d.csv:92: there is text behind a closing quote; a quote inside a value is "
            "written twice",
        ),
    ):
        with pytest.raises(DataError) as error:
            in_pieces(good + end, monkeypatch)
        assert str(error.value) == message
        assert refused(good + end) == message
    assert "data row 91 has 'x'" in refused(good + "x,1\n")
    pieces = in_pieces(good, monkeypatch)
    assert len(pieces) > 5
    assert [row for piece in pieces for row in piece.index] == list(range(90))


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("bad", [b"caf\xe9,1\n", b"\xe2\x82,1\n", b"1,\xf0\x9f\x98"])
def test_a_byte_that_is_no_utf8_is_named_wherever_it_stands(
    bom: bytes, bad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text is decoded in blocks: a byte is found behind a block, between two of them, and at the end
    of the file."""
    monkeypatch.setattr(text_encoding, "BLOCK_BYTES", 1 << 14)
    for size in (10, (1 << 14) - len(bom) - 11, 1 << 14):
        rows_above = size // 4
        above = bom + b"a,y\n" + b"1,2\n" * rows_above
        place = len(above) + next(i for i in range(len(bad)) if bad[i] > 127) + 1
        assert refused(above + bad) == (
            f"d.csv:{rows_above + 2}: not UTF-8 text (byte {place}); save the file as UTF-8, or name its "
            "encoding (data.encoding: cp1252)"
        )


def test_pieces_have_no_bound_on_the_size_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,b\n" + "1,2\n" * 100
    for limit in ("MAX_CELLS", "MAX_CSV_BYTES"):
        monkeypatch.setattr(limits, limit, 99)
    assert sum(map(len, in_pieces(text, monkeypatch))) == 100
    assert refused() == (
        "d.csv has 404 bytes; a CSV may have 99. Keep fewer rows or columns, or save it as Parquet"
    )
    monkeypatch.setattr(limits, "MAX_CSV_BYTES", 10**9)
    assert refused() == (
        "d.csv has 100 rows of 2 columns; at most 99 values are read. Keep fewer rows or columns"
    )
