"""Your tables: what each column is, found on the training rows alone, and rows as numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.schema import CsvOptions
from nnzoo.data.columns import (
    column_name,
    looks_numeric,
    refuse_huge,
    shorten,
    to_numbers,
    to_text,
)
from nnzoo.data.dataset import Dataset, Kind, TensorSplit, check_memory
from nnzoo.data.splitting import split_rows
from nnzoo.data.table_io import ReadOptions, numbered, read_table
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

# A whole-number target with at most this many values is taken for classes.
MAX_AUTO_CLASSES = 20
# Where at least this share of a column are numbers, the rest is taken for mistakes: a typo must
# not turn a column of prices into hundreds of categories.
MOSTLY = 0.9


def load_csv(options: CsvOptions, spec: dict[str, Any] | None = None) -> Dataset:
    """A table as float64 rows: number columns first (NaN for missing), then category codes.

    spec: what an earlier reading found; columns and labels are then taken from there.
    Raises DataError for whatever is wrong with the file.
    """
    import pandas

    reading = ReadOptions.of(options)
    table = read_table(options.path, reading)
    frame, table_notes = table.frame, table.notes
    target = column_name(frame, options.target, "data.target")
    frames, files = {"train": frame}, {"train": options.path, "val": options.path}
    if options.test_path is None:
        files["test"] = options.path
    else:
        # Both files have a header or none has: a few test rows alone would not tell.
        alike = replace(reading, header=table.named)
        test = read_table(options.test_path, alike, "data.test_path")
        other, table_notes = test.frame, table_notes + test.notes
        if target not in other.columns:
            raise DataError(f"{options.test_path}: no column '{target}', which is the target")
        frames["test"], files["test"] = other, options.test_path
    for part, each in frames.items():
        _check_target(each, target, files[part])

    task = spec["task"] if spec else options.task
    # Only for keeping the shares of classes in the split, which needs a look at all rows.
    stratify = _looks_like_classes(frame[target]) if task == "auto" else task == "classification"
    classes = pandas.factorize(to_text(frame[target]))[0] if stratify else None
    rows = split_rows(len(frame), options.split, classes, test="test" not in frames)
    parts = {part: frame.iloc[chosen] for part, chosen in rows.items() if len(chosen)}
    if "test" in frames:
        parts["test"] = frames["test"]
    empty: list[str] = []
    if spec is None:
        spec, empty = _describe(parts["train"], target, options)
    width = sum(len(column.get("categories", "1")) for column in spec["columns"])
    count = sum(map(len, parts.values()))
    check_memory(
        16 * count * width, f"{options.path}: {count:,} rows of {width:,} inputs, a category each",
        "leave out what has many values (data.drop)",
    )  # fmt: skip
    x = {part: encode_columns(each, spec["columns"], files[part]) for part, each in parts.items()}
    y = {part: encode_target(each[target], spec, files[part]) for part, each in parts.items()}
    splits: dict[str, Any] = {part: TensorSplit(x[part], y[part]) for part in parts}
    notes = [f"columns: {describe_columns(spec['columns'])}"]
    notes += [f"column '{name}' is empty in the training rows and left out" for name in empty]
    notes += table_notes
    kind = Kind("table", (len(spec["columns"]),))
    return Dataset(kind, spec["task"], splits, spec, notes=notes)


def _check_target(frame: pandas.DataFrame, target: str, path: str) -> None:
    missing = frame[target].isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise DataError(
            f"{path}: the target '{target}' is missing in {int(missing.sum())} row(s), first in "
            f"data row {row + 1}; remove them or fill them in"
        )


def _looks_like_classes(column: pandas.Series) -> bool:
    if not looks_numeric(column):
        return not (looks_numeric(column, MOSTLY) and column.nunique() > MAX_AUTO_CLASSES)
    values = np.unique(to_numbers(column))
    return bool(len(values) <= MAX_AUTO_CLASSES and (values == np.round(values)).all())


def _describe(
    train: pandas.DataFrame, target: str, options: CsvOptions
) -> tuple[dict[str, Any], list[str]]:
    """What the training rows say about every column and the target; and the empty columns."""
    path = options.path
    named = {
        key: {column_name(train, column, f"data.{key}") for column in getattr(options, key)}
        for key in ("numbers", "categories", "drop")
    }
    if target in named["drop"]:
        raise DataError(f"data.drop: '{target}' is the target")
    twice = sorted(named["numbers"] & named["categories"])
    if twice:
        raise DataError(f"'{twice[0]}' stands in both data.numbers and data.categories")
    numbers, categories, empty = [], [], []
    for name in train.columns:
        if name == target or name in named["drop"]:
            continue
        column = train[name]
        found = name not in named["categories"] and looks_numeric(column, MOSTLY)
        if name in named["numbers"] or found:
            numbers.append({"name": name})
        elif column.notna().any():
            if name not in named["categories"]:
                _refuse_decimal_commas(column, path)
            values = sorted(to_text(column).dropna().unique())
            if len(values) > options.max_categories and name not in named["categories"]:
                raise DataError(
                    f"{path}: column '{name}' is text with {len(values)} different values; leave "
                    f"it out (data.drop: [{name}]) or raise data.max_categories"
                )
            categories.append({"name": name, "categories": values})
        else:
            empty.append(name)
    if not numbers and not categories:
        raise DataError(f"{path} has no column to learn from but the target '{target}'")
    spec: dict[str, Any] = {"columns": numbers + categories, "target": target}
    if numbered(train):
        spec["width"] = len(train.columns)  # tells later whether a file lacks the target
    task = options.task
    if task != "classification":
        _refuse_decimal_commas(train[target], path)
    if task == "auto":
        task = "classification" if _looks_like_classes(train[target]) else "regression"
    spec["task"] = task
    if task == "classification":
        labels = to_text(train[target]).unique()
        spec["labels"] = sorted(labels, key=_natural)
        if len(labels) < 2:
            raise DataError(
                f"{path}: the target '{target}' has one class in the training rows "
                f"('{shorten(labels[0])}'); nothing can be learned"
            )
        if options.task == "auto" and len(labels) > max(MAX_AUTO_CLASSES, len(train) // 2):
            raise DataError(
                f"{path}: the target '{target}' has {len(labels)} different values in {len(train)} "
                "training rows; no class can be learned from so few, is it the right column "
                "(data.target)?"
            )
    else:
        spec["targets"] = [target]
    return spec, empty


def _refuse_decimal_commas(column: pandas.Series, path: str) -> None:
    """A decimal comma ("1,5") would silently make a category."""
    text = to_text(column)
    if not looks_numeric(column) and looks_numeric(text.str.replace(",", ".", regex=False)):
        value = text[text.str.contains(",", na=False)].iloc[0]
        raise DataError(
            f"{path}: column '{column.name}' has decimal commas ('{shorten(value)}'); write "
            "decimal points, or name the column in data.categories"
        )


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers in order of size, then words."""
    try:
        number = float(label)
    except ValueError:
        return (1, 0.0, label)
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)


def encode_columns(
    frame: pandas.DataFrame, columns: list[dict[str, Any]], source: str = "the table"
) -> Tensor:
    """Rows as float64 (rows, columns) in the order of `columns`; raises DataError naming `source`.

    A missing number is NaN; a missing category, or one that no training row had, is -1.
    """
    arrays = []
    for column in columns:
        name = column["name"]
        if name not in frame.columns:
            raise DataError(
                f"{source}: column '{name}' is missing; the network was trained with it"
            )
        if "categories" in column:
            index = {value: code for code, value in enumerate(column["categories"])}
            codes = to_text(frame[name]).map(index)
            arrays.append(codes.fillna(-1).to_numpy(dtype=np.float64))
        else:
            values = to_numbers(frame[name])
            _refuse_text(frame[name], values, source)
            refuse_huge(frame[name], values, source)
            arrays.append(values)
    return torch.from_numpy(np.stack(arrays, 1))


def _refuse_text(column: pandas.Series, values: np.ndarray, source: str) -> None:
    wrong = np.isnan(values) & column.notna().to_numpy()
    for row in np.flatnonzero(wrong):
        value = str(column.iloc[row]).strip()
        if value.lower().lstrip("+-") not in ("inf", "infinity"):
            raise DataError(
                f"{source}: column '{column.name}' holds numbers, but data row "
                f"{column.index[row] + 1} has '{shorten(value)}'; correct it, or name the column "
                "in data.categories"
            )


def encode_target(column: pandas.Series, spec: dict[str, Any], source: str = "the table") -> Tensor:
    """Classes (rows,) int64 or numbers (rows, 1) float64; raises DataError naming `source`."""
    if spec["task"] == "classification":
        index = {label: code for code, label in enumerate(spec["labels"])}
        values = to_text(column)
        unknown = sorted(set(values.unique()) - set(index))
        if unknown:
            row = column.index[int((values == unknown[0]).to_numpy().argmax())]
            raise DataError(
                f"{source}: the target '{spec['target']}' has in data row {row + 1} the label "
                f"'{shorten(unknown[0])}' that no training row has"
            )
        return torch.from_numpy(values.map(index).to_numpy(dtype=np.int64, copy=True))
    numbers = to_numbers(column)
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax())
        raise DataError(
            f"{source}: the target '{spec['target']}' should be a number, but data row "
            f"{column.index[row] + 1} has '{shorten(str(column.iloc[row]))}'"
        )
    refuse_huge(column, numbers, source)
    return torch.from_numpy(numbers[:, None])


def describe_columns(columns: list[dict[str, Any]]) -> str:
    """How many columns of each sort, in words: "12 numbers, 3 categories"."""
    categories = sum("categories" in column for column in columns)
    numbers = len(columns) - categories
    texts = [f"{numbers} number{'s' * (numbers != 1)}"] if numbers else []
    texts += [f"{categories} categor{'y' if categories == 1 else 'ies'}"] if categories else []
    return ", ".join(texts)
