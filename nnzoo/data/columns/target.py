"""The target of a table: classes or numbers, its labels, and rows without one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.formatting import flow_yaml
from nnzoo.data.columns.description import ColumnDescription, describe_columns, format_notes
from nnzoo.data.columns.labels import (
    LabelIndex,
    MergedLabels,
    clean_label,
    merge_labels,
    merge_notes,
)
from nnzoo.data.columns.values import (
    MISSING,
    ValueOptions,
    is_missing_word,
    parse_numbers,
    to_text,
)
from nnzoo.data.data_spec import ColumnSpec, NumberFormat, TaskName
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

# A whole-number target with at most this many values is taken for classes.
MAX_AUTO_CLASSES = 20
# Labels that may stand for a missing value: reported, since among classes they count as a class.
_DOUBTFUL_LABELS = ("unknown", "missing", "not available", "n.a.", "no data", "blank", "none")


@dataclass(frozen=True)
class TargetSpec:
    """The target of a table: its labels in order, or the format of its numbers; columns: of several targets, with
    their formats; separator: between the labels of a cell."""

    task: TaskName
    labels: list[str] = field(default_factory=list)
    format: NumberFormat = field(default_factory=NumberFormat)
    columns: list[ColumnSpec] = field(default_factory=list)
    separator: str = ""


@dataclass(frozen=True)
class NamedTargets:
    """The targets of samples that go by names; source: their file or folder, noun: what a sample is."""

    source: str
    texts: list[str]
    names: list[str]
    noun: str

    def encode(self, labels: list[str], form: NumberFormat) -> np.ndarray:
        """Classes (samples,) int64, or without labels numbers (samples, 1) float64; raises DataError naming the
        sample whose target is neither."""
        return self._codes(labels) if labels else self._numbers(form)

    def _codes(self, labels: list[str]) -> np.ndarray:
        index = LabelIndex(labels)
        code_of = {text: index.code(text) for text in dict.fromkeys(self.texts)}
        unknown = sorted(text for text, code in code_of.items() if code < 0)
        if unknown:
            name = self.names[self.texts.index(unknown[0])]
            more = f" (and {list_some(unknown[1:])})" * (len(unknown) > 1)
            raise DataError.at(
                "data.target",
                f"{self.source}: {name} has the label '{shorten(unknown[0])}' that no training "
                f"{self.noun} has{more}",
                code="E41",
            )
        return np.array([code_of[text] for text in self.texts], dtype=np.int64)

    def _numbers(self, form: NumberFormat) -> np.ndarray:
        import pandas

        numbers, _ = parse_numbers(pandas.Series(self.texts, dtype=object), form)
        if np.isnan(numbers).any():
            row = int(np.isnan(numbers).argmax())
            raise DataError.at(
                "data.target",
                f"{self.source}: the target should be a number, but {self.names[row]} has "
                f"'{shorten(self.texts[row])}'",
                code="E39",
            )
        return numbers[:, None]


def target_gaps(
    column: pandas.Series, task: str, options: CsvOptions
) -> tuple[np.ndarray, set[str]]:
    """Which rows have no target (rows,) bool, and the words in their place.

    An empty cell and the words of data.missing are no target. The usual missing words (NA, none, ...)
    are none of a number, but a label among classes.
    """
    text = to_text(column)
    missing = tuple(options.missing)
    words = {word for word in text.dropna().unique() if clean_label(word) in ("", *missing)}
    empty = np.array(text.isna() | text.isin(words), dtype=bool)
    if task == "regression" or (task == "auto" and not looks_like_classes(column[~empty], options)):
        words |= {word for word in text[~empty].unique() if is_missing_word(word, missing)}
        empty = np.array(text.isna() | text.isin(words), dtype=bool)
    return empty, words


def without_target_gaps(
    frame: pandas.DataFrame, target: str, task: str, options: CsvOptions, path: str
) -> tuple[pandas.DataFrame, list[str]]:
    """The rows that have a target, and a note on those that have none; raises DataError if no row is left."""
    empty, words = target_gaps(frame[target], task, options)
    if not empty.any():
        return frame, []
    rows = np.flatnonzero(empty)
    if len(rows) == len(frame):
        raise DataError.at(
            "data.target",
            f"{path}: the target '{shorten(target)}' is missing in all rows; is it the right column "
            "(data.target)?",
            code="E40",
        )
    shown = [quoted_name(word) for word in sorted(words) if clean_label(word)]
    held = f" ({list_some(shown, 3, counted=True)})" if shown else ""
    note = Note(
        "N07",
        f"{path}: {len(rows):,} of {len(frame):,} rows have no target '{shorten(target)}'{held} and are "
        f"left out, first data row {frame.index[rows[0]] + 1}",
    )
    return frame[~empty], [note]


def looks_like_classes(column: pandas.Series, options: CsvOptions) -> bool:
    """Whether a target has classes: texts, or few whole numbers without separators or units."""
    description = describe_target(column, options)
    if not description.numbers:
        return True
    values = parse_numbers(column, description.format)[0]
    known = values[np.isfinite(values)]
    values = np.unique(known)
    few = len(values) <= MAX_AUTO_CLASSES and bool((values == np.round(values)).all())
    few = few and not 2 < len(values) == len(known)  # a class has more than one row
    return few and (len(values) <= 2 or not description.example)


def describe_target(column: pandas.Series, options: CsvOptions) -> ColumnDescription:
    return describe_columns(column.to_frame(), ValueOptions.of(options))[str(column.name)]


def target_labels(column: pandas.Series, target: str, options: CsvOptions) -> MergedLabels:
    """The classes of a target column without gaps."""
    verbatim = target in map(str, options.categories)
    return merge_labels(to_text(column).value_counts(sort=False).to_dict(), verbatim)


def infer_target(
    column: pandas.Series, options: CsvOptions, task: str
) -> tuple[TargetSpec, list[str]]:
    """The target by its training rows, and notes.

    Raises DataError for a single class, more classes than can be learned, or numbers in several
    formats.
    """
    if task == "auto":
        task = "classification" if looks_like_classes(column, options) else "regression"
    return (_infer_numbers if task == "regression" else _infer_classes)(column, options)


def _infer_classes(column: pandas.Series, options: CsvOptions) -> tuple[TargetSpec, list[str]]:
    target, path = str(column.name), options.path
    merged = target_labels(column, target, options)
    labels = sorted(merged.names, key=natural_key)
    if len(labels) < 2:
        raise DataError.at(
            "data.target",
            f"{path}: the target '{target}' has one class in the training rows "
            f"('{shorten(labels[0])}'); nothing can be learned",
            code="E40",
        )
    if options.task == "auto" and len(labels) > max(MAX_AUTO_CLASSES, len(column) // 2):
        raise DataError.at(
            "data.target",
            f"{path}: the target '{target}' has {len(labels)} different values in {len(column)} "
            "training rows; no class can be learned from so few, is it the right column "
            "(data.target)?",
            code="E40",
        )
    notes = merge_notes({target: merged}, "classes")
    rows = to_text(column)
    words = [label for label in labels if label in MISSING or label.casefold() in _DOUBTFUL_LABELS]
    if words:
        counts = [f"'{shorten(word)}' ({int((rows == word).sum()):,} rows)" for word in words]
        text = (
            f"a class of the target '{shorten(target)}': {list_some(counts, 6, counted=True)}; "
            f"data.missing: {flow_yaml(words)} leaves such rows out"
        )
        notes.append(Note("N05", text))
    return TargetSpec("classification", labels), notes


def _infer_numbers(column: pandas.Series, options: CsvOptions) -> tuple[TargetSpec, list[str]]:
    target = str(column.name)
    description = describe_target(column, options)
    if description.problem:
        raise DataError.at(
            "data.target",
            f"{options.path}: the target '{target}' has {description.problem}; write them in one way",
            code="E39",
        )
    notes = format_notes([description])
    notes += [
        Note("N04", f"target {quoted_name(target)}: {remark}") for remark in description.remarks
    ]
    return TargetSpec("regression", format=description.format), notes


def natural_key(label: str) -> tuple[int, float, str]:
    """A sort key: numbers by size, then words."""
    try:
        number = float(label)
    except ValueError:
        return (1, 0.0, label)
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)
