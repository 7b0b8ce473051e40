"""The targets of a table: one column, or several columns of numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.target import (
    TargetSpec,
    infer_target,
    looks_like_classes,
    target_gaps,
    target_labels,
    without_target_gaps,
)
from nnzoo.data.columns.values import column_name, parse_numbers, refuse_huge, to_text
from nnzoo.data.data_spec import ColumnSpec, DataSpec, NumberFormat
from nnzoo.errors import DataError
from nnzoo.text import list_some, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


def target_names(frame: pandas.DataFrame, options: CsvOptions) -> list[str]:
    """The names of the target columns; raises DataError for one that is not there, or twice in the list."""
    if not isinstance(options.target, list):
        return [column_name(frame, options.target, "data.target")]
    names: list[str] = []
    for i, column in enumerate(options.target):
        name = column_name(frame, column, f"data.target[{i}]")
        if name in names:
            raise DataError.at(f"data.target[{i}]", f"'{shorten(name)}' is in the list already")
        names.append(name)
    if len(names) > 1 and options.task == "classification":
        raise DataError.at(
            "data.task", "classes are read from one target column, and data.target lists several"
        )
    return names


def without_gaps(
    frame: pandas.DataFrame, targets: list[str], task: str, options: CsvOptions, path: str
) -> tuple[pandas.DataFrame, list[str]]:
    """The rows that have every target, and a note on the others; raises DataError if no row is left."""
    if len(targets) == 1:
        return without_target_gaps(frame, targets[0], task, options, path)
    gaps = {name: target_gaps(frame[name], "regression", options)[0] for name in targets}
    empty = np.logical_or.reduce(list(gaps.values()))
    if not empty.any():
        return frame, []
    counts = [
        f"{int(gap.sum()):,} of {quoted_name(name)}" for name, gap in gaps.items() if any(gap)
    ]
    listed = list_some(counts, 4, counted=True)
    if empty.all():
        raise DataError.at(
            "data.target", f"{path}: no row has all targets; missing values: {listed}"
        )
    first = frame.index[int(empty.argmax())] + 1
    note = (
        f"{path}: {int(empty.sum()):,} of {len(frame):,} rows lack a target ({listed}) and are left out, "
        f"first data row {first}"
    )
    return frame[~empty], [note]


def infer_targets(
    train: pandas.DataFrame, targets: list[str], options: CsvOptions, task: str
) -> tuple[TargetSpec, list[str]]:
    """The targets by their training rows, and notes; raises DataError as `infer_target` does."""
    if len(targets) == 1:
        return infer_target(train[targets[0]], options, task)
    columns, notes = [], []
    for name in targets:
        described, more = infer_target(train[name], options, "regression")
        columns.append(ColumnSpec(name, format=described.format))
        notes += more
    return TargetSpec("regression", columns=columns), notes


def with_targets(spec: DataSpec, targets: list[str], described: TargetSpec) -> DataSpec:
    """The description of a table completed by that of its targets."""
    return replace(
        spec,
        task=described.task,
        labels=described.labels,
        targets=[] if described.labels else targets,
        target=None if described.columns else targets[0],
        target_format=described.format,
        target_columns=described.columns,
    )


def stratification(
    frame: pandas.DataFrame, targets: list[str], task: str, options: CsvOptions
) -> Array | None:
    """The class of each row as a code, which splits keep the frequencies of; None for numbers."""
    import pandas

    column = frame[targets[0]]
    is_auto = task == "auto" and len(targets) == 1
    if task != "classification" and not (is_auto and looks_like_classes(column, options)):
        return None
    merged = target_labels(column, str(column.name), options)
    codes: Array = pandas.factorize(to_text(column).map(merged.of))[0]
    return codes


def encode_targets(frame: pandas.DataFrame, spec: DataSpec, source: str = "the table") -> Array:
    """Classes (rows,) int64 or numbers (rows, targets) float64; raises DataError naming `source`."""
    if spec.is_classification:
        return _codes(frame[spec.target_names[0]], spec, source)
    formats = zip(spec.target_names, spec.target_formats, strict=True)
    return np.stack([_numbers(frame[name], form, source) for name, form in formats], 1)


def _codes(column: pandas.Series, spec: DataSpec, source: str) -> Array:
    import pandas

    index = LabelIndex(spec.labels)
    rows, texts = pandas.factorize(to_text(column))
    codes = np.array([index.code(text) for text in texts], dtype=np.int64)
    unknown = sorted(text for text, code in zip(texts, codes, strict=True) if code < 0)
    if unknown:
        row = column.index[int((to_text(column) == unknown[0]).to_numpy().argmax())]
        raise DataError.at(
            "data.target",
            f"{source}: the target '{column.name}' has in data row {row + 1} the label "
            f"'{shorten(unknown[0])}' that no training row has",
        )
    result: Array = codes[rows]
    return result


def _numbers(column: pandas.Series, form: NumberFormat, source: str) -> Array:
    numbers, _ = parse_numbers(column, form)
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax())
        raise DataError.at(
            "data.target",
            f"{source}: the target '{column.name}' should be a number, but data row "
            f"{column.index[row] + 1} has '{shorten(str(column.iloc[row]))}'",
        )
    refuse_huge(column, numbers, source)
    return numbers
