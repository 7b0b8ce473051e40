"""Your tables: what each column is, found on the training rows alone, and rows as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.schema import CsvOptions
from nnzoo.data.dataset import Dataset, Kind, TensorSplit
from nnzoo.data.frames import column_name, looks_numeric, read_frame, to_numbers
from nnzoo.data.splitting import split_rows
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

# A whole-number target with at most this many values is taken for classes.
MAX_AUTO_CLASSES = 20


def load_csv(options: CsvOptions, spec: dict[str, Any] | None = None) -> Dataset:
    """A table as float64 rows: number columns first (NaN for missing), then category codes.

    spec: what an earlier reading found; columns and labels are then taken from there.
    Raises DataError for whatever is wrong with the file.
    """
    frame = read_frame(options.path, options.header, options.delimiter)
    frames = {"train": frame}
    if options.test_path is not None:
        frames["test"] = read_frame(options.test_path, options.header, options.delimiter)
    target = column_name(frame, options.target, "data.target")
    if "test" in frames and target not in frames["test"].columns:
        raise DataError(f"{options.test_path}: no column '{target}'")
    for part, each in frames.items():
        _check_target(each, target, options.path if part == "train" else str(options.test_path))

    task = spec["task"] if spec else options.task
    # Only for keeping the shares of classes in the split, which needs a look at all rows.
    stratify = _looks_like_classes(frame[target]) if task == "auto" else task == "classification"
    classes = None
    if stratify:
        classes = np.unique(frame[target].astype(str).to_numpy(dtype=str), return_inverse=True)[1]
    rows = split_rows(len(frame), options.split, classes, test="test" not in frames)
    parts = {part: frame.iloc[chosen] for part, chosen in rows.items() if len(chosen)}
    if "test" in frames:
        parts["test"] = frames["test"]
    if spec is None:
        spec = _describe(parts["train"], target, options)
    x = {part: encode_columns(each, spec["columns"]) for part, each in parts.items()}
    y = {part: encode_target(each[target], spec) for part, each in parts.items()}
    splits: dict[str, Any] = {part: TensorSplit(x[part], y[part]) for part in parts}
    notes = [f"columns: {describe_columns(spec['columns'])}"]
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
        return True
    values = np.unique(to_numbers(column))
    return bool(len(values) <= MAX_AUTO_CLASSES and (values == np.round(values)).all())


def _describe(train: pandas.DataFrame, target: str, options: CsvOptions) -> dict[str, Any]:
    """What the training rows say about every column and the target."""
    named = {
        key: {column_name(train, column, f"data.{key}") for column in getattr(options, key)}
        for key in ("numbers", "categories", "drop")
    }
    numbers, categories = [], []
    for name in train.columns:
        if name == target or name in named["drop"]:
            continue
        column = train[name]
        if name in named["numbers"] or (name not in named["categories"] and looks_numeric(column)):
            numbers.append({"name": name})
        elif column.notna().any():
            values = sorted(column.dropna().astype(str).unique())
            if len(values) > options.max_categories and name not in named["categories"]:
                raise DataError(
                    f"column '{name}' is text with {len(values)} different values; leave it out "
                    f"(data.drop: [{name}]) or raise data.max_categories"
                )
            categories.append({"name": name, "categories": values})
    if not numbers and not categories:
        raise DataError(f"{options.path} has no column but the target '{target}'")
    spec: dict[str, Any] = {"columns": numbers + categories, "target": target}
    task = options.task
    if task == "auto":
        task = "classification" if _looks_like_classes(train[target]) else "regression"
    spec["task"] = task
    if task == "classification":
        labels = train[target].astype(str).unique()
        spec["labels"] = sorted(labels, key=_natural)
        if len(labels) < 2:
            raise DataError(
                f"the target '{target}' has one class in the training rows ('{labels[0]}'); "
                "nothing can be learned"
            )
    else:
        spec["targets"] = [target]
    return spec


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers in order of size, then words."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def encode_columns(frame: pandas.DataFrame, columns: list[dict[str, Any]]) -> Tensor:
    """Rows as float64 (rows, columns) in the order of `columns`; raises DataError."""
    arrays = []
    for column in columns:
        name = column["name"]
        if name not in frame.columns:
            raise DataError(f"column '{name}' is missing; the network was trained with it")
        if "categories" in column:
            index = {value: code for code, value in enumerate(column["categories"])}
            codes = frame[name].astype(object).map(
                lambda value, index=index: index.get(str(value), -1)
            )
            arrays.append(codes.fillna(-1).to_numpy(dtype=np.float64))
        else:
            values = to_numbers(frame[name])
            wrong = np.isnan(values) & frame[name].notna().to_numpy()
            if wrong.any():
                row = int(wrong.argmax())
                value = frame[name].iloc[row]
                if str(value).strip().lower() not in ("inf", "-inf", "+inf", "infinity"):
                    raise DataError(
                        f"column '{name}' holds numbers, but data row {frame.index[row] + 1} has "
                        f"'{value}'; correct it, or name the column in data.categories"
                    )
            arrays.append(values)
    return torch.from_numpy(np.stack(arrays, 1))


def encode_target(column: pandas.Series, spec: dict[str, Any]) -> Tensor:
    """Classes (rows,) int64 or numbers (rows, 1) float64; raises DataError."""
    if spec["task"] == "classification":
        index = {label: code for code, label in enumerate(spec["labels"])}
        values = column.astype(str)
        unknown = sorted(set(values.unique()) - set(index))
        if unknown:
            raise DataError(
                f"the target '{spec['target']}' has the label '{unknown[0]}' that no training row has"
            )
        return torch.from_numpy(values.map(index).to_numpy(dtype=np.int64, copy=True))
    numbers = to_numbers(column)
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax())
        raise DataError(
            f"the target '{spec['target']}' should be a number, but data row "
            f"{column.index[row] + 1} has '{column.iloc[row]}'"
        )
    return torch.from_numpy(numbers[:, None])


def describe_columns(columns: list[dict[str, Any]]) -> str:
    """"12 numbers, 3 categories" in words."""
    categories = sum("categories" in column for column in columns)
    texts = [f"{len(columns) - categories} numbers"] if categories < len(columns) else []
    texts += [f"{categories} categories"] if categories else []
    return ", ".join(texts)
