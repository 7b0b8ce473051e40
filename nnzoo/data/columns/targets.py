"""The targets of a table: one column, several columns of numbers, or labels of which a row can have several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.label_sets import (
    encode_flags,
    encode_label_sets,
    find_separator,
    infer_labels,
    looks_like_flags,
    rarest_labels,
    unlabeled,
)
from nnzoo.data.columns.labels import LabelIndex, clean_label
from nnzoo.data.columns.target import (
    TargetSpec,
    infer_target,
    looks_like_classes,
    target_gaps,
    target_labels,
    without_target_gaps,
)
from nnzoo.data.columns.values import column_name, parse_numbers, refuse_huge, to_text
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec, NumberFormat
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
# Texts with more labels than this, and than half their rows, are no labels.
MAX_AUTO_LABELS = 20
_NO_INPUTS = DataSpec(InputSpec("table", (0,)), "multilabel")


def target_names(frame: pandas.DataFrame, options: CsvOptions) -> list[str]:
    """The names of the target columns; raises DataError for one that is not there, or twice in the list."""
    if not isinstance(options.target, list):
        return [column_name(frame, options.target, "data.target")]
    names: list[str] = []
    for i, column in enumerate(options.target):
        name = column_name(frame, column, f"data.target[{i}]")
        if name in names:
            raise DataError.at(
                f"data.target[{i}]", f"'{shorten(name)}' is in the list already", code="E44"
            )
        names.append(name)
    if len(names) > 1 and options.task == "classification":
        raise DataError.at(
            "data.task",
            "classes are read from one target column, and data.target lists several",
            code="E44",
        )
    return names


def without_gaps(
    frame: pandas.DataFrame, targets: list[str], task: str, options: CsvOptions, path: str
) -> tuple[pandas.DataFrame, list[str]]:
    """The rows that have every target, and a note on the others; raises DataError if no row is left."""
    if task == "multilabel":
        return _without_unlabeled(frame, targets, options, path)
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
            "data.target", f"{path}: no row has all targets; missing values: {listed}", code="E40"
        )
    first = frame.index[int(empty.argmax())] + 1
    note = Note(
        "N07",
        f"{path}: {int(empty.sum()):,} of {len(frame):,} rows lack a target ({listed}) and are left out, "
        f"first data row {first}",
    )
    return frame[~empty], [note]


def _without_unlabeled(
    frame: pandas.DataFrame, targets: list[str], options: CsvOptions, path: str
) -> tuple[pandas.DataFrame, list[str]]:
    """The rows of several labels that are labeled: an empty cell of texts is a row without any label, but a word of
    data.missing, or empty cells in all columns of labels, are no labels at all."""
    if has_label_columns(options):
        empty = unlabeled(frame[targets])
    else:
        words = {clean_label(word) for word in options.missing}
        texts = to_text(frame[targets[0]]).fillna("")
        empty = np.array([clean_label(text) in words for text in texts], dtype=bool)
    if not empty.any():
        return frame, []
    if empty.all():
        raise DataError.at(
            "data.target", f"{path}: no row has labels; is it the right column?", code="E40"
        )
    note = Note(
        "N07",
        f"{path}: {int(empty.sum()):,} of {len(frame):,} rows have no labels and are left out, first data row "
        f"{frame.index[int(empty.argmax())] + 1}",
    )
    return frame[~empty], [note]


def has_label_columns(options: CsvOptions) -> bool:
    """Whether each label has a column of its own, as it does where data.target is a list."""
    return isinstance(options.target, list)


def resolve_task(frame: pandas.DataFrame, targets: list[str], options: CsvOptions) -> str:
    """The task of several targets: labels where all hold yes and no; of one target as it is in `options`."""
    if options.task != "auto" or not isinstance(options.target, list) or len(targets) == 1:
        return options.task
    are_flags = all(looks_like_flags(frame[name]) for name in targets)
    return "multilabel" if are_flags else "regression"


def infer_targets(
    train: pandas.DataFrame, targets: list[str], options: CsvOptions, task: str
) -> tuple[TargetSpec, list[str]]:
    """The targets by their training rows, and notes; raises DataError as `infer_target` does."""
    if task == "multilabel":
        return _infer_multilabel(train, targets, options)
    if len(targets) == 1:
        return infer_target(train[targets[0]], options, task)
    columns, notes = [], []
    for name in targets:
        described, more = infer_target(train[name], options, "regression")
        columns.append(ColumnSpec(name, format=described.format))
        notes += more
    return TargetSpec("regression", columns=columns), notes


def _infer_multilabel(
    train: pandas.DataFrame, targets: list[str], options: CsvOptions
) -> tuple[TargetSpec, list[str]]:
    if has_label_columns(options):
        columns = [ColumnSpec(name) for name in targets]
        return TargetSpec("multilabel", list(targets), columns=columns), []
    column, notes = train[targets[0]], []
    separator = options.label_separator
    if separator == "auto":
        separator = find_separator(column)
        if separator:
            notes.append(
                Note("N03", f"labels are separated by '{separator}' (data.label_separator)")
            )
        else:
            notes.append(Note("N03", "no row has several labels (data.label_separator)"))
    labels, merged = infer_labels(column, separator)
    if not labels:
        raise DataError.at(
            "data.target",
            f"{options.path}: no training row has a label in '{column.name}'",
            code="E40",
        )
    # In how many rows a label is on average; a row can have several labels.
    index = encode_label_sets(column, labels, separator)[0]
    if len(labels) > max(MAX_AUTO_LABELS, int(index.sum()) // 2):
        raise DataError.at(
            "data.target",
            f"{options.path}: the target '{column.name}' has {len(labels):,} labels in {len(column):,} "
            "training rows; no label can be learned from so few, is it the right column (data.target), "
            "with the right data.label_separator?",
            code="E40",
        )
    return TargetSpec("multilabel", labels, separator=separator), notes + merged


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
        extra=spec.extra | ({"separator": described.separator} if described.separator else {}),
    )


def stratification(
    frame: pandas.DataFrame, targets: list[str], task: str, options: CsvOptions
) -> Array | None:
    """The class of each row as a code, which splits keep the frequencies of, or its rarest label; None for numbers."""
    import pandas

    if task == "multilabel":
        spec = with_targets(_NO_INPUTS, targets, _infer_multilabel(frame, targets, options)[0])
        return rarest_labels(encode_targets(frame, spec, options.path))
    column = frame[targets[0]]
    is_auto = task == "auto" and len(targets) == 1
    if task != "classification" and not (is_auto and looks_like_classes(column, options)):
        return None
    merged = target_labels(column, str(column.name), options)
    codes: Array = pandas.factorize(to_text(column).map(merged.of))[0]
    return codes


def encode_targets(frame: pandas.DataFrame, spec: DataSpec, source: str = "the table") -> Array:
    """Classes (rows,) int64, labels (rows, labels) float32 of 1 and 0, or numbers (rows, targets) float64.

    Raises DataError naming `source`.
    """
    if spec.task == "multilabel":
        if spec.target is None:
            return encode_flags(frame[spec.target_names], source)
        separator = str(spec.extra.get("separator", ""))
        return encode_label_sets(frame[spec.target], spec.labels, separator)[0]
    if spec.is_classification:
        return _codes(frame[spec.target_names[0]], spec, source)
    formats = zip(spec.target_names, spec.target_formats, strict=True)
    return np.stack([_numbers(frame[name], form, source) for name, form in formats], 1)


def unknown_labels(frame: pandas.DataFrame, spec: DataSpec) -> dict[str, int]:
    """The labels of cells that no training row has, which are not predicted, with their number of rows."""
    if spec.task != "multilabel" or spec.target is None:
        return {}
    separator = str(spec.extra.get("separator", ""))
    return encode_label_sets(frame[spec.target], spec.labels, separator)[1]


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
            code="E41",
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
            code="E39",
        )
    refuse_huge(column, numbers, source)
    return numbers
