"""Tables as people have them: each kind of finding is read as the clean table is, or named."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.load import load_config
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.dataset import Dataset
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError
from tests.conftest import Result

NNZOO = Callable[..., Result]
ROWS = 120
Cells = dict[str, list[str]]


def clean() -> Cells:
    """A table of numbers, a category, a number target and a class target."""
    draw = random.Random(1)
    size = [draw.randrange(1_000, 4_000_000) for _ in range(ROWS)]
    rate = [draw.randrange(-500, 5000) / 100 for _ in range(ROWS)]
    age = [draw.randrange(18, 80) for _ in range(ROWS)]
    return {
        "size": [str(item) for item in size],
        "rate": [f"{item:.2f}" for item in rate],
        "age": [str(item) for item in age],
        "town": [draw.choice(["Bern", "Basel", "Genf"]) for _ in range(ROWS)],
        "price": [f"{item / 7 + 10_000 * i % 997:.2f}" for i, item in enumerate(size)],
        "bought": [draw.choice(["yes", "no"]) for _ in range(ROWS)],
    }


def text_of(cells: Cells, delimiter: str = ";") -> str:
    rows = zip(*cells.values(), strict=True)
    lines = [delimiter.join(cells), *(delimiter.join(map(quoted, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',";\n') else cell


def load(cells: Cells, target: str, **options: Any) -> Dataset:
    Path("t.csv").write_text(text_of(cells))
    others = [name for name in ("price", "bought") if name in cells and name != target]
    options = {"path": "t.csv", "target": target, "drop": others} | options
    return load_csv(CsvOptions(name="csv", **options))


def same_data(one: Dataset, other: Dataset) -> bool:
    """Whether both hold the same rows, in the same splits."""
    return list(one.splits) == list(other.splits) and all(
        torch.equal(a.nan_to_num(-7e7), b.nan_to_num(-7e7))
        for part in one.splits
        for a, b in zip(one.splits[part].tensors(), other.splits[part].tensors(), strict=True)
    )


def dirtied(**changes: Callable[[int, str], str]) -> Cells:
    """The clean table with columns written in another way; a change gets the row and the value."""
    cells = clean()
    for name, change in changes.items():
        cells[name] = [change(row, value) for row, value in enumerate(cells[name])]
    return cells


def grouped(separator: str, decimal: str = ".") -> Callable[[int, str], str]:
    def change(row: int, value: str) -> str:
        return (
            f"{float(value):,.2f}".replace(",", "|").replace(".", decimal).replace("|", separator)
        )

    return change


def whole(separator: str) -> Callable[[int, str], str]:
    return lambda row, value: f"{int(value):,}".replace(",", separator)


def comma(row: int, value: str) -> str:
    return value.replace(".", ",")


# F2 and F23: numbers in people's clothes, in inputs and in the target.

CLOTHES: dict[str, dict[str, Callable[[int, str], str]]] = {
    "thousands commas": {"size": whole(",")},
    "thousands points": {"size": whole(".")},
    "thousands blanks": {"size": whole(" ")},
    "thousands no-break blanks": {"size": whole("\u00a0")},
    "thousands thin blanks": {"size": whole("\u202f")},
    "thousands apostrophes": {"size": whole("'")},
    "dollars": {"price": lambda i, v: f"${float(v):,.2f}"},
    "minus before dollars": {"rate": lambda i, v: f"-${v[1:]}" if v[0] == "-" else f"${v}"},
    "euros behind": {"price": lambda i, v: grouped(".", ",")(i, v) + " \u20ac"},
    "currency code": {"price": lambda i, v: "CHF " + grouped("'")(i, v)},
    "currency code behind": {"price": lambda i, v: grouped(",")(i, v) + " USD"},
    "percent": {"rate": lambda i, v: f"{v}%"},
    "percent with a blank": {"rate": lambda i, v: f"{v} %"},
    "a unit": {"age": lambda i, v: f"{v} years"},
    "a unit, singular too": {"age": lambda i, v: f"{v} year{'s' * (i % 2)}"},
    "a unit without a blank": {"age": lambda i, v: f"{v}kg"},
    "unicode minus": {"rate": lambda i, v: v.replace("-", "\u2212")},
    "brackets": {"rate": lambda i, v: f"({v[1:]})" if v[0] == "-" else v},
    "minus behind": {"rate": lambda i, v: f"{v[1:]}-" if v[0] == "-" else v},
    "plus": {"rate": lambda i, v: v if v[0] == "-" else f"+{v}"},
    "footnotes": {"age": lambda i, v: v + ("*" if i % 9 == 0 else "[1]" if i % 11 == 0 else "")},
    "quotes inside": {"age": lambda i, v: f'"{v}"'},
    "fullwidth digits": {"age": lambda i, v: "".join(chr(ord(c) + 0xFEE0) for c in v)},
    "blanks around": {"age": lambda i, v: f" {v} ", "rate": lambda i, v: f"{v} "},
    "decimal commas": {"rate": comma, "price": comma},
    "decimal commas and thousands points": {"price": grouped(".", ",")},
    "decimal commas and thousands blanks": {"price": grouped(" ", ",")},
    "scientific": {"rate": lambda i, v: f"{float(v):.4e}"},
}


@pytest.mark.parametrize("target", ["price", "bought"])
@pytest.mark.parametrize("kind", CLOTHES)
def test_numbers_in_clothes_are_read_as_the_clean_table_and_said(kind: str, target: str) -> None:
    plain = load(clean(), target)
    other = load(dirtied(**CLOTHES[kind]), target)
    assert same_data(other, plain), other.notes
    changed = [name for name in CLOTHES[kind] if name not in ("price",) or target == "price"]
    silent = ("plus", "scientific", "blanks around")  # what any program writes or skips
    if changed and kind not in silent:
        assert any("read as numbers" in n or "the mark in" in n for n in other.notes), other.notes


def test_what_is_read_so_is_read_so_in_new_files_too(nnzoo: NNZOO) -> None:
    cells = dirtied(
        size=whole("."), price=lambda i, v: grouped(".", ",")(i, v) + " \u20ac", rate=comma
    )
    Path("t.csv").write_text(text_of(cells))
    assert nnzoo("init", "t.csv", "--target", "price", "--drop", "bought").code == 0
    result = nnzoo("train", "t", "-s", "train.epochs=2")
    assert result.code == 0, result.err
    assert "read as numbers: 'size' (" in result.err
    few = {name: values[:6] for name, values in cells.items()}
    Path("new.csv").write_text(text_of(few))
    german = nnzoo("predict", "checkpoints/t", "new.csv").out
    few |= {name: clean()[name][:6] for name in ("size", "rate", "price")}
    few["size"] = [whole(".")(0, item) for item in few["size"]]
    few["rate"] = [comma(0, item) for item in few["rate"]]
    Path("new.csv").write_text(text_of(few))
    assert nnzoo("predict", "checkpoints/t", "new.csv").out == german
    assert nnzoo("eval", "checkpoints/t", "--json").json["r2"] is not None


def test_categories_that_new_files_write_otherwise_are_reported(nnzoo: NNZOO) -> None:
    Path("t.csv").write_text(text_of(clean()))
    assert nnzoo("init", "t.csv", "--target", "bought").code == 0
    assert nnzoo("train", "t", "-s", "train.epochs=1").code == 0
    few = {name: values[:4] for name, values in clean().items()}
    plain = few | {"town": ["Bern"] * 4}
    Path("new.csv").write_text(text_of(plain))
    known = nnzoo("predict", "checkpoints/t", "new.csv").out
    Path("new.csv").write_text(text_of(plain | {"town": ["BERN", "bern ", "Bern", "Bern"]}))
    result = nnzoo("predict", "checkpoints/t", "new.csv")
    assert result.out == known
    assert (
        "typed differently than in training, and read alike: 2 of 'town' (BERN, bern" in result.err
    )


def test_percent_stays_what_it_says() -> None:
    other = load(dirtied(rate=lambda i, v: f"{v}%"), "bought")
    assert any(" %)" in note for note in other.notes)


def test_units_that_differ_are_refused_by_row_with_the_way_out() -> None:
    cells = dirtied(age=lambda i, v: f"{v} km" if i % 2 else f"{int(v) * 1000} m")
    with pytest.raises(DataError) as error:
        load(cells, "bought")
    assert "column 'age' has numbers in several units ('" in str(error.value)
    assert "data.drop: [price, age]" in str(error.value)


def test_a_decimal_separator_that_is_stated_holds() -> None:
    cells = dirtied(size=lambda i, v: f"{1 + int(v) // 9000},{int(v) % 1000:03d}", rate=comma)
    thousands = load(cells, "bought", thousands=",", decimal=".", drop=["rate", "price"])
    decimal = load(cells, "bought", thousands="none", decimal=",", drop=["rate", "price"])
    x, smaller = (item.splits["train"].tensors()[0][:, 0] for item in (thousands, decimal))
    assert torch.allclose(x, 1000 * smaller)


@pytest.mark.parametrize("options", [{"decimal": ","}, {}])
def test_numbers_that_no_one_separator_reads_are_named_and_never_categories(
    options: dict[str, Any], nnzoo: NNZOO
) -> None:
    cells = clean() if options else dirtied(rate=lambda i, v: comma(i, v) if i % 2 else v)
    with pytest.raises(DataError, match=r"column 'rate' has numbers .* \('"):
        load(cells, "bought", **options)
    if not options:
        Path("t.csv").write_text(text_of(cells))
        assert nnzoo("init", "t.csv", "--target", "bought").code == 0
        assert load_config("t").data.drop == ["rate"]  # type: ignore[attr-defined]


# F3: words for a missing value.

WORDS = [
    "#N/A",
    "<NA>",
    ".",
    "unknown",
    "n.a.",
    "Not available",
    "missing",
    "#DIV/0!",
    "tbd",
    "void",
]


@pytest.mark.parametrize("step", [3, 30])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_among_numbers_is_a_gap_like_an_empty_cell_and_said(word: str, step: int) -> None:
    empty = load(dirtied(age=lambda i, v: v if i % step else ""), "bought")
    other = load(dirtied(age=lambda i, v: v if i % step else word), "bought")
    assert same_data(other, empty), other.notes
    assert any("missing values filled with the mean" in note for note in other.notes)
    if word.isalpha():
        assert any(f"counts as missing: '{word}' in" in note for note in other.notes)


def test_one_odd_value_is_named_by_train_and_init_counts_it_as_missing(nnzoo: NNZOO) -> None:
    cells = dirtied(age=lambda i, v: "3O" if i == 41 else v)
    with pytest.raises(DataError, match="column 'age' holds numbers, but data row 42 has '3O'"):
        load(cells, "bought", split=GroupSplit(val=0, test=0))
    Path("t.csv").write_text(text_of(cells))
    assert nnzoo("init", "t.csv").code == 0
    line = "  missing: [\"3O\"]    # not numbers: '3O' in data row 42; correct them, or count as missing"
    assert line.replace('"', "") in Path("t.yaml").read_text().replace('"', "")
    assert nnzoo("train", "t", "-s", "train.epochs=1").code == 0


def test_further_missing_words_hold_for_every_column() -> None:
    cells = dirtied(
        age=lambda i, v: "-1" if i % 9 == 0 else v, town=lambda i, v: "-1" if i % 9 == 0 else v
    )
    other = load(cells, "bought", missing=["-1"])
    empty = load(
        dirtied(
            age=lambda i, v: "" if i % 9 == 0 else v, town=lambda i, v: "" if i % 9 == 0 else v
        ),
        "bought",
    )
    assert same_data(other, empty)


def test_a_sentinel_is_reported() -> None:
    other = load(dirtied(age=lambda i, v: "-999" if i % 9 == 0 else v), "bought")
    assert any("'age': -999 is in" in note for note in other.notes)


def test_ranges_that_are_left_out_are_said_with_the_way_out(nnzoo: NNZOO) -> None:
    cells = dirtied(age=lambda i, v: f"{v}-{int(v) + 1 + i}")
    Path("t.csv").write_text(text_of(cells))
    result = nnzoo("init", "t.csv", "--target", "bought")
    assert "age (ranges such as '" in result.err
    assert "one number each, such as the middle, can be used" in Path("t.yaml").read_text()
    with pytest.raises(DataError, match="'age' holds ranges such as '"):
        load(cells, "bought", max_categories=20)


def test_a_duration_in_order_is_read_and_its_order_said_without_contradiction() -> None:
    clock = dirtied(age=lambda i, v: f"{i // 60}:{i % 60:02d}:00")
    cells = {"age": clock.pop("age"), **clock}
    notes = load(cells, "bought").notes
    assert any("'age' ('0:00:00' is 0 seconds)" in note for note in notes)
    assert any("random split, though the rows are in order of 'age'" in note for note in notes)
    assert not any("looks like time" in note for note in notes)


def test_a_time_column_with_ties_has_the_note_on_the_random_split() -> None:
    cells = {"Time": [str(i * i // 50) for i in range(ROWS)], **clean()}
    notes = load(cells, "bought").notes
    assert any("random split, though the rows are in order of 'Time'" in note for note in notes)


def test_an_empty_column_is_said_to_be_unused_with_the_reason(nnzoo: NNZOO) -> None:
    cells = {
        **dirtied(age=lambda i, v: ""),
        "day": [f"2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(ROWS)],
    }
    assert "column 'age' is empty in the training rows and left out" in load(cells, "bought").notes
    Path("t.yaml").write_text("data: {name: csv, path: t.csv, target: bought}\nmodel: mlp\n")
    assert "not used: no values" in nnzoo("check", "t.yaml").out
    Path("s.csv").write_text(text_of({key: cells[key] for key in ("day", "age", "price")}))
    result = nnzoo("init", "s.csv", "--series")
    assert "not used: 'age' (no values)" in result.err, result.err


@pytest.mark.parametrize("kind", ["doubled", "rows doubled", "aligned"])
def test_runs_of_tabs_are_one_delimiter_and_said(kind: str) -> None:
    cells = clean()
    plain = load(cells, "bought")
    names, *rows = [line.split(";") for line in text_of(cells).splitlines()]
    between = {"doubled": lambda i: "\t\t", "rows doubled": lambda i: "\t\t"}.get(
        kind, lambda i: "\t" * (1 + i % 2)
    )
    lines = [("\t" if kind == "rows doubled" else "\t\t").join(names)]
    for n, row in enumerate(rows):
        lines.append("".join(cell + between(n + j) for j, cell in enumerate(row[:-1])) + row[-1])
    Path("t.tsv").write_text("\n".join(lines) + "\n")
    options: dict[str, Any] = {
        "name": "csv",
        "path": "t.tsv",
        "target": "bought",
        "drop": ["price"],
    }
    tabs = load_csv(CsvOptions(**options))
    assert same_data(plain, tabs)
    assert "columns are set apart by runs of tabs (data.delimiter)" in tabs.notes
    assert same_data(plain, load_csv(CsvOptions(**options, delimiter="\t+")))


# F4: columns that identify rows.

IDS: dict[str, tuple[str, Callable[[int], str]]] = {
    "row numbers without a name": ("", str),
    "row numbers": ("nr", lambda i: str(i + 1)),
    "row numbers downwards": ("rank", lambda i: str(500 - i)),
    "shuffled row numbers": ("key", lambda i: str(i * 7 % ROWS + 1)),
    "an id of words and digits": ("customer", lambda i: f"{i * 7919 % 9973:04d}-{'QZX'[i % 3]}"),
    "uuids": ("u", lambda i: f"{random.Random(i).getrandbits(128):032x}"),
    "large numbers": ("account", lambda i: str(7_000_000_000 + i * 104_729 % 999_983)),
    "names": ("name", lambda i: f"Ford, Mrs. {'ABCDEFGH'[i % 8]} {i}"),
    "free text": (
        "note",
        lambda i: f"the {i}th customer was {'not ' * (i % 3)}happy with all this",
    ),
    "dates": ("when", lambda i: f"20{i * 7 % 23:02d}-0{1 + i % 9}-1{i % 7}"),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_names_and_dates_are_left_out_by_init_and_reported_by_train(
    nnzoo: NNZOO, kind: str
) -> None:
    name, value = IDS[kind]
    Path("t.csv").write_text(text_of({name: [value(i) for i in range(ROWS)], **clean()}))
    result = nnzoo("init", "t.csv", "--target", "bought", "--table")
    assert result.code == 0, result.err
    shown = name or "0"
    assert f"left out: {shown} (" in result.err
    assert shown in [str(item) for item in load_config("t").data.drop]  # type: ignore[attr-defined]
    try:
        used = load_csv(CsvOptions(name="csv", path="t.csv", max_categories=ROWS))
    except DataError as error:
        pytest.fail(str(error))
    assert any(f"'{shown}'" in note and "data.drop" in note for note in used.notes), used.notes


def test_columns_of_too_many_texts_are_named_at_once_with_the_line_to_paste() -> None:
    cells = {
        "a": [f"x{i}" for i in range(300)],
        "b": [f"y{i * 7}" for i in range(300)],
        "c": [str(i % 5) for i in range(300)],
        "y": ["u", "v"] * 150,
    }
    with pytest.raises(DataError) as error:
        load(cells, "y", drop=["c"])
    assert str(error.value) == (
        "t.csv: 2 columns cannot be used as they are: 'a' is text with 210 different values; 'b' is text "
        "with 210 different values. Leave them out or raise data.max_categories:\n"
        "  data.drop: [c, a, b]"
    )


# F10 and F33: labels that differ by typing.

LABELS: dict[str, Callable[[int, str], str]] = {
    "blanks": lambda i, v: v + " " * (i % 3),
    "no-break blanks": lambda i, v: v + "\u00a0" * (i % 2),
    "case": lambda i, v: v.upper() if i % 5 == 0 else v.title() if i % 7 == 0 else v,
    "all of it": lambda i, v: f" {v.title()}" if i % 4 == 0 else f"{v} " if i % 5 == 0 else v,
    "invisible": lambda i, v: v + "\u200b" * (i % 2),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("column", ["bought", "town"])
def test_labels_and_categories_that_mean_the_same_are_one_and_said(kind: str, column: str) -> None:
    plain = load(clean(), "bought")
    other = load(dirtied(**{column: LABELS[kind]}), "bought")
    assert same_data(other, plain)
    assert other.spec.labels == ["no", "yes"]
    assert any("typed in several ways are read as one" in note for note in other.notes)


def test_unicode_forms_of_a_label_are_one() -> None:
    cells = clean()
    cells["bought"] = [
        "Zu\u0308rich" if i % 4 == 0 else "Z\u00fcrich" if i % 2 == 0 else "Genf"
        for i in range(ROWS)
    ]
    assert load(cells, "bought").spec.labels == ["Genf", "Z\u00fcrich"]


@pytest.mark.parametrize(
    ("forms", "labels"),
    [
        (["0", "0.0", "1", "1.0"], ["0", "1"]),
        (["00", "0", "01", "1"], ["0", "1"]),
        (["Y", "y", "N", "n"], ["N", "Y"]),
        (["TRUE", "True", "FALSE", "False"], ["FALSE", "TRUE"]),
        (["1", "2", "3"], ["1", "2", "3"]),
    ],
)
def test_forms_of_a_number_or_truth_value_are_one_label(
    forms: list[str], labels: list[str]
) -> None:
    cells = clean() | {"bought": [forms[i % len(forms)] for i in range(ROWS)]}
    assert [label.upper() for label in load(cells, "bought").spec.labels] == labels


def test_letters_that_differ_by_case_stay_apart_and_are_reported() -> None:
    cells = clean() | {"bought": ["aAbB"[i % 4] for i in range(ROWS)]}
    other = load(cells, "bought")
    assert other.spec.labels == ["A", "B", "a", "b"]
    assert any("differ by case alone, and are not one: 'A' and 'a'" in n for n in other.notes)


def test_labels_are_kept_as_they_are_where_the_target_is_named_as_categories() -> None:
    cells = dirtied(bought=lambda i, v: v.title() if i % 4 == 0 else v)
    for name in ("bought", -1):
        assert load(cells, "bought", categories=[name]).spec.labels == ["No", "Yes", "no", "yes"]


# F14: words for missing that are labels; rows without a target.


@pytest.mark.parametrize("word", ["None", "NA", "null", "-", "?", "N/A", "unknown"])
def test_a_word_for_missing_is_a_label_of_the_target_and_said(word: str, nnzoo: NNZOO) -> None:
    cells = clean() | {"bought": [[word, "Apnea", "Insomnia"][i % 3] for i in range(ROWS)]}
    other = load(cells, "bought")
    assert word in other.spec.labels and len(other.spec.labels) == 3
    assert any(f"a class of the target 'bought': '{word}'" in note for note in other.notes)
    assert load(cells, "bought", missing=[word]).spec.labels == ["Apnea", "Insomnia"]


def test_labels_that_are_all_signs_are_found_in_the_last_column(nnzoo: NNZOO) -> None:
    cells = {"a": clean()["size"], "b": clean()["rate"], "kind": ["+-"[i % 2] for i in range(ROWS)]}
    Path("t.csv").write_text(text_of(cells))
    assert nnzoo("init", "t.csv").code == 0
    assert load_config("t").data.target == "kind"  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["price", "bought"])
def test_rows_without_a_target_are_left_out_and_counted(target: str) -> None:
    cells = dirtied(**{target: lambda i, v: "" if i % 10 == 3 else v})
    other = load(cells, target)
    assert sum(len(split) for split in other.splits.values()) == ROWS - 12
    assert (
        f"t.csv: 12 of 120 rows have no target '{target}' and are left out, first data row 4"
        in other.notes
    )


def test_words_are_gaps_of_a_number_target() -> None:
    other = load(dirtied(price=lambda i, v: "n/a" if i % 10 == 3 else v), "price")
    assert other.spec.task == "regression"
    assert any("have no target 'price' ('n/a') and are left out" in note for note in other.notes)


# F15 and F18: dates and durations in tables.


def test_a_table_with_dates_that_are_in_no_order_is_a_table(nnzoo: NNZOO) -> None:
    draw = random.Random(3)
    dates = [
        f"201{draw.randrange(4, 6)}{draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}T000000"
        for _ in range(ROWS)
    ]
    cells = {"date": dates, **{name: clean()[name] for name in ("size", "age", "price")}}
    Path("t.csv").write_text(text_of(cells))
    result = nnzoo("init", "t.csv")
    assert (result.code, load_config("t").data.name) == (0, "csv")
    assert "left out: date (dates)" in result.err


@pytest.mark.parametrize(
    "form", ["{h}:{m:02d}:{s:02d}", "{h:02d}:{m:02d}", "{h}h {m}m", "PT{h}H{m}M"]
)
def test_durations_are_numbers_of_a_table(form: str, nnzoo: NNZOO) -> None:
    texts = [form.format(h=1 + i // 50, m=i * 7 % 60, s=i * 11 % 60) for i in range(ROWS)]
    Path("t.csv").write_text(
        text_of({"finish": texts, "age": clean()["age"], "y": clean()["price"]})
    )
    assert nnzoo("init", "t.csv").code == 0
    assert load_config("t").data.name == "csv"
    other = load_csv(CsvOptions(name="csv", path="t.csv"))
    assert other.spec.columns[0].to_dict() == {"name": "finish", "format": {"duration": True}}
    assert any("seconds" in note for note in other.notes)


# F16 and F22: the answer among the inputs.


def test_rows_that_test_and_train_alike_are_counted() -> None:
    cells = {
        name: [value for value in values[:40] for _ in range(3)] for name, values in clean().items()
    }
    other = load(cells, "bought")
    assert any(note.startswith("equal a training row in all inputs: ") for note in other.notes)
    assert not any("equal a training row" in note for note in load(clean(), "bought").notes)


@pytest.mark.parametrize(
    ("copy", "target"),
    [
        (lambda cells: cells["bought"], "bought"),
        (lambda cells: [str(int(item == "yes")) for item in cells["bought"]], "bought"),
        (
            lambda cells: [
                {"yes": f"b{i % 3}", "no": f"n{i % 2}"}[v] for i, v in enumerate(cells["bought"])
            ],
            "bought",
        ),
        (lambda cells: [f"{2 * float(item) + 3:.2f}" for item in cells["price"]], "price"),
        (lambda cells: [f"${float(item):,.2f}" for item in cells["price"]], "price"),
    ],
)
def test_the_target_in_other_words_is_reported(
    copy: Callable[[Cells], list[str]], target: str
) -> None:
    cells = {"copy": copy(clean()), **clean()}
    notes = load(cells, target).notes
    assert any("the target is among the inputs in other words: 'copy'" in item for item in notes)
    assert not any("in other words" in item for item in load(clean(), target).notes)


def test_constant_columns_are_reported() -> None:
    notes = load({"same": ["7"] * ROWS, **clean()}, "bought").notes
    assert "the same value in all training rows: 'same'" in notes


# Files beside it.


def test_columns_that_only_the_test_file_has_are_reported() -> None:
    Path("e.csv").write_text(text_of({"extra": ["1"] * ROWS, **clean()}))
    other = load(clean(), "bought", test_path="e.csv")
    assert "e.csv: not used, the training file lacks them: 'extra'" in other.notes


def test_parquet_of_texts_is_read_alike() -> None:
    import pandas

    cells = dirtied(size=whole(","), rate=comma, bought=lambda i, v: v.title() if i % 3 else v)
    pandas.DataFrame(cells).to_parquet("t.parquet")
    typed = load_csv(CsvOptions(name="csv", path="t.parquet", target="bought", drop=["price"]))
    assert same_data(typed, load(cells, "bought"))


def test_a_clean_table_says_only_what_its_columns_are() -> None:
    assert load(clean(), "bought").notes == ["columns: 3 numbers, 1 category"]
    assert np.isfinite(load(clean(), "price").splits["train"].tensors()[0].numpy()).all()


# The inputs of the findings themselves, where they are.

TABLES = Path(__file__).parents[3] / "shared" / "findings" / "own-files" / "tables"
# Per file: rows, labels ([] for a number), and the note that is due, if any.
RIGHT: dict[str, tuple[int, int, str]] = {
    "row_index": (150, 3, "left out: 0 (counts the rows)"),
    "numeric_header": (120, 2, ""),
    "years_header": (120, 2, ""),
    "months_header": (120, 2, ""),
    "thousands_feature": (200, 0, "'income' ('3,400,000' is 3400000)"),
    "currency_target": (300, 0, "'price' ('$90,000.00' is 90000)"),
    "units": (200, 0, "'power' ('89 hp' is 89)"),
    "percent": (200, 2, "'rate' ('10.1%' is 10.1 %)"),
    "na_excel": (300, 2, "missing values filled with the mean: 56 of 'temp'"),
    "na_few": (300, 2, "missing values filled with the mean: 8 of 'temp'"),
    "ages_unknown": (300, 0, "counts as missing: 'unknown' in"),
    "label_blanks": (200, 2, "classes typed in several ways are read as one"),
    "int_and_float_labels": (200, 2, "'0.0' as '0'"),
    "plus_minus": (200, 2, "a class of the target '4': '-'"),
    "none_label": (200, 3, "a class of the target 'disorder': 'None'"),
    "passengers": (250, 2, "left out: PassengerId (counts the rows), Name ("),
    "customers": (200, 2, "left out: customerID (different in each row)"),
    "target_first": (200, 10, ""),
    "house_sales": (
        150,
        0,
        "left out: id (different in each row, and named like an id), date (dates)",
    ),
    "marathon": (120, 0, "'half' ('1:00:08' is 3608 seconds)"),
    "tripled_rows": (
        240,
        2,
        "equal a training row in all inputs: 24 of 24 val rows, 48 of 48 test rows",
    ),
    "words_no_header": (60, 2, ""),
    "decimal_comma": (120, 3, "'größe' ('168,60' is 168.6)"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_tables_of_the_findings_come_out_right(nnzoo: NNZOO, name: str) -> None:
    if not TABLES.is_dir():
        pytest.skip(f"no {TABLES}")
    rows, labels, message = RIGHT[name]
    result = nnzoo("init", TABLES / f"{name}.csv", "t.yaml")
    assert result.code == 0, result.err
    dataset = load_csv(load_config("t").data)  # type: ignore[arg-type]
    assert sum(len(split) for split in dataset.splits.values()) == rows
    assert len(dataset.spec.labels) == labels
    assert message in "\n".join([result.err, *dataset.notes])
