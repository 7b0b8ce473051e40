"""Which columns of a table a network reads and as what, and its target: found from training rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.formatting import flow_yaml
from nnzoo.data.columns.description import ColumnDescription, describe_columns
from nnzoo.data.columns.labels import MergedLabels, clean_label, merge_labels
from nnzoo.data.columns.values import (
    MISSING,
    NumberFormat,
    ValueOptions,
    column_name,
    is_missing_word,
    parse_numbers,
    to_text,
)
from nnzoo.data.data_spec import ColumnSpec, TaskName
from nnzoo.errors import DataError
from nnzoo.text import list_some, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

# A whole-number target with at most this many values is taken for classes.
MAX_AUTO_CLASSES = 20
# The target.


@dataclass(frozen=True)
class TargetSpec:
    """The target of a table: its labels in order, or the format of its numbers."""

    task: TaskName
    labels: list[str] = field(default_factory=list)
    format: NumberFormat = field(default_factory=NumberFormat)


def without_target_gaps(
    frame: pandas.DataFrame, target: str, task: str, options: CsvOptions, path: str
) -> tuple[pandas.DataFrame, list[str]]:
    """The rows that have a target, and a note on those that have none.

    An empty cell and data.missing are no target; of a number neither are the usual words, which among
    classes are one. Raises DataError where no row is left.
    """
    column = frame[target]
    text = to_text(column)
    missing = tuple(options.missing)
    words = {each for each in text.dropna().unique() if clean_label(each) in ("", *missing)}
    empty = np.array(text.isna() | text.isin(words), dtype=bool)
    if task == "regression" or (task == "auto" and not looks_like_classes(column[~empty], options)):
        words |= {each for each in text[~empty].unique() if is_missing_word(each, missing)}
        empty = np.array(text.isna() | text.isin(words), dtype=bool)
    if not empty.any():
        return frame, []
    rows = np.flatnonzero(empty)
    if len(rows) == len(frame):
        raise DataError.at(
            "data.target",
            f"{path}: the target '{shorten(target)}' is missing in all rows; is it the right column "
            "(data.target)?",
        )
    shown = [quoted_name(word) for word in sorted(words) if clean_label(word)]
    held = f" ({list_some(shown, 3, counted=True)})" if shown else ""
    note = (
        f"{path}: {len(rows):,} of {len(frame):,} rows have no target '{shorten(target)}'{held} and are "
        f"left out, first data row {frame.index[rows[0]] + 1}"
    )
    return frame[~empty], [note]


def looks_like_classes(column: pandas.Series, options: CsvOptions) -> bool:
    """Whether a target is one of classes: texts, or few whole numbers without separators or units."""
    found = describe_target(column, options)
    if not found.numbers:
        return True
    values = parse_numbers(column, found.format)[0]
    known = values[np.isfinite(values)]
    values = np.unique(known)
    few = len(values) <= MAX_AUTO_CLASSES and bool((values == np.round(values)).all())
    few = few and not 2 < len(values) == len(known)  # a class is not of one row alone
    return few and (len(values) <= 2 or not found.example)


def describe_target(column: pandas.Series, options: CsvOptions) -> ColumnDescription:
    return describe_columns(column.to_frame(), ValueOptions.of(options))[str(column.name)]


def target_labels(column: pandas.Series, target: str, options: CsvOptions) -> MergedLabels:
    """The classes of a target column without gaps."""
    verbatim = target in (str(each) for each in options.categories)
    return merge_labels(to_text(column).value_counts(sort=False).to_dict(), verbatim)


def infer_target(
    column: pandas.Series, options: CsvOptions, task: str
) -> tuple[TargetSpec, list[str]]:
    """Describe a target by its training rows, with notes. Raises DataError."""
    target, path = str(column.name), options.path
    if task == "auto":
        task = "classification" if looks_like_classes(column, options) else "regression"
    if task == "regression":
        return _number_target(column, options)
    merged = target_labels(column, target, options)
    labels = sorted(merged.names, key=natural_key)
    if len(labels) < 2:
        raise DataError.at(
            "data.target",
            f"{path}: the target '{target}' has one class in the training rows "
            f"('{shorten(labels[0])}'); nothing can be learned",
        )
    if options.task == "auto" and len(labels) > max(MAX_AUTO_CLASSES, len(column) // 2):
        raise DataError.at(
            "data.target",
            f"{path}: the target '{target}' has {len(labels)} different values in {len(column)} "
            "training rows; no class can be learned from so few, is it the right column "
            "(data.target)?",
        )
    notes = merged_notes({target: merged}, "classes")
    rows = to_text(column)
    words = [each for each in labels if each in MISSING or each.casefold() in _WORDS_TO_TELL]
    if words:
        counts = [f"'{shorten(w)}' ({int((rows == w).sum()):,} rows)" for w in words]
        notes.append(
            f"a class of the target '{shorten(target)}': {list_some(counts, 6, counted=True)}; data.missing: "
            f"{flow_yaml(words)} leaves such rows out"
        )
    return TargetSpec("classification", labels), notes


_WORDS_TO_TELL = ("unknown", "missing", "not available", "n.a.", "no data", "blank", "none")


def _number_target(column: pandas.Series, options: CsvOptions) -> tuple[TargetSpec, list[str]]:
    target, path = str(column.name), options.path
    found = describe_target(column, options)
    if found.problem:
        raise DataError.at(
            "data.target",
            f"{path}: the target '{target}' has {found.problem}; write them in one way",
        )
    notes = format_notes([found])
    notes += [f"target {quoted_name(target)}: {remark}" for remark in found.remarks]
    return TargetSpec("regression", format=found.format), notes


def natural_key(label: str) -> tuple[int, float, str]:
    """Sort numbers by size, then words."""
    try:
        number = float(label)
    except ValueError:
        return (1, 0.0, label)
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)


# The inputs.


def infer_columns(
    train: pandas.DataFrame, target: str, options: CsvOptions
) -> tuple[list[ColumnSpec], list[str]]:
    """The columns that the network reads, numbers first, and what is worth telling of them.

    Raises DataError that names every column that cannot be used as it is.
    """
    path = options.path
    stated = {
        key: {column_name(train, column, f"data.{key}") for column in getattr(options, key)}
        for key in ("numbers", "categories", "drop")
    }
    if target in stated["drop"]:
        raise DataError.at("data.drop", f"'{target}' is the target")
    twice = sorted(stated["numbers"] & stated["categories"])
    if twice:
        raise DataError.at("data.categories", f"'{twice[0]}' stands in data.numbers, too")
    inputs = [n for n in train.columns if n != target and n not in stated["drop"]]
    found = describe_columns(train[inputs], ValueOptions.of(options))
    numbers: list[ColumnSpec] = []
    categories: list[ColumnSpec] = []
    merged: dict[str, MergedLabels] = {}
    for name, each in found.items():
        if name in stated["numbers"] or (each.numbers and name not in stated["categories"]):
            numbers.append(ColumnSpec(name, format=each.format))
        elif each.role != "empty":
            merged[name] = merge_labels(
                _category_rows(train[name], options), name in stated["categories"]
            )
            names = sorted(merged[name].names)
            categories.append(ColumnSpec(name, names, list(options.missing)))
    refuse_unusable(found, merged, stated, options)
    if not numbers and not categories:
        raise DataError.at(
            "data.drop" if options.drop else "data.path",
            f"{path} has no column to learn from but the target '{target}'",
        )
    used = [found[column.name] for column in numbers]
    notes = [f"columns: {describe_counts(numbers + categories)}"]
    empty = [name for name, each in found.items() if each.role == "empty"]
    notes += [f"column '{name}' is empty in the training rows and left out" for name in empty]
    notes += [
        *format_notes(used),
        *gap_notes(used, "training row"),
        *_word_notes(train, categories, options),
        *merged_notes(merged, "categories"),
    ]
    notes += [f"{quoted_name(each.name)}: {remark}" for each in used for remark in each.remarks]
    return numbers + categories, notes + _doubt_notes(list(found.values()), stated)


def _category_rows(column: pandas.Series, options: CsvOptions) -> dict[str, int]:
    """How many rows have each text that is a category."""
    rows = to_text(column).dropna().value_counts(sort=False).to_dict()
    missing = {*MISSING, *options.missing}
    return {text: count for text, count in rows.items() if text.strip() not in missing}


def _word_notes(
    train: pandas.DataFrame, columns: list[ColumnSpec], options: CsvOptions
) -> list[str]:
    """A line on words in columns of categories that count as no category."""
    missing = {*MISSING, *options.missing}
    listed = []
    for column in columns:
        counts = to_text(train[column.name]).dropna().value_counts()
        listed += [
            f"'{shorten(text.strip())}' in {count:,} training row{'s' * (count != 1)} of "
            f"{quoted_name(column.name)}"
            for text, count in counts.items() if text.strip() and text.strip() in missing
        ]  # fmt: skip
    return [f"counts as no category: {list_some(listed, 6, counted=True)}"] if listed else []


def refuse_unusable(
    found: dict[str, ColumnDescription],
    merged: dict[str, MergedLabels],
    stated: dict[str, set[str]],
    options: CsvOptions,
) -> None:
    """Raise DataError that names all columns that cannot be used as they are, and the way out."""
    reasons = {}
    for name, each in merged.items():
        count = len(each.names)
        if count > options.max_categories and name not in stated["categories"]:
            described = found[name]
            if described.role == "date":
                reasons[name] = f"holds dates, {count} different ones"
            elif described.reason.startswith("ranges"):
                reasons[name] = f"holds {described.reason}"
            else:
                reasons[name] = f"is text with {count} different values"
    hint = " or raise data.max_categories" if reasons else ", or write them in one way"
    for column in found.values():
        if column.problem and column.name not in stated["categories"]:
            reasons[column.name] = f"has {column.problem}"
    if not reasons:
        return
    path = options.path
    line = f"data.drop: {flow_yaml([*map(str, options.drop), *reasons])}"
    if len(reasons) == 1:
        ((name, reason),) = reasons.items()
        raise DataError.at(
            "data.drop", f"{path}: column '{name}' {reason}; leave it out ({line}){hint}"
        )
    listed = "; ".join(f"{quoted_name(name)} {reason}" for name, reason in reasons.items())
    raise DataError.at(
        "data.drop",
        f"{path}: {len(reasons)} columns cannot be used as they are: {listed}. Leave them out{hint}:\n"
        f"  {line}",
    )


def _doubt_notes(found: list[ColumnDescription], stated: dict[str, set[str]]) -> list[str]:
    """Lines on columns that most likely should not be inputs."""
    chosen = stated["numbers"] | stated["categories"]
    doubtful = [each for each in found if each.name not in chosen]
    ids = [each for each in doubtful if each.role in ("id", "text") and each.reason]
    notes = []
    if ids:
        listed = list_some(
            [f"{quoted_name(each.name)} ({each.reason})" for each in ids], 6, counted=True
        )
        drop = flow_yaml([each.name for each in ids])
        notes.append(
            f"used as an input though it tells rows apart, and little else: {listed}; data.drop: {drop}"
        )
    dates = [each for each in doubtful if each.role == "date"]
    if dates:
        listed = list_some([quoted_name(each.name) for each in dates], 6, counted=True)
        drop = flow_yaml([each.name for each in dates])
        notes.append(
            f"dates used as categories, each a value of its own: {listed}; data.drop: {drop}"
        )
    constant = [
        each for each in found if each.distinct == 1 and not each.missing and each.role != "empty"
    ]
    if constant:
        listed = list_some([quoted_name(each.name) for each in constant], 6, counted=True)
        notes.append(f"the same value in all training rows: {listed}")
    return notes


def format_notes(found: list[ColumnDescription]) -> list[str]:
    """A line on columns whose texts are numbers only when what stands around them is taken away."""
    listed = [
        f"{quoted_name(each.name)} ({value})"
        for each in found
        if each.example and (value := each.format.describe_value(each.example))
    ]
    if not listed:
        return []
    separated = any(each.format.decimal != "." or each.format.thousands for each in found)
    hint = " (data.decimal and data.thousands say otherwise)" * separated
    return [f"read as numbers: {list_some(listed, 6, counted=True)}{hint}"]


def gap_notes(found: list[ColumnDescription], rows: str = "row") -> list[str]:
    """A line on words in columns of numbers that count as missing; rows: what was looked at."""
    listed = [
        f"'{shorten(gap.text.strip())}' in {gap.rows:,} {rows}{'s' * (gap.rows != 1)} of {quoted_name(each.name)}"
        for each in found for gap in each.gaps
    ]  # fmt: skip
    if not listed:
        return []
    return [
        f"counts as missing: {list_some(listed, 6, counted=True)} (data.missing lists such words; data.categories makes them "
        "categories)"
    ]


def merged_notes(merged: dict[str, MergedLabels], what: str) -> list[str]:
    """Lines on labels that were typed in several ways, and on those that differ by case alone."""
    changed = [
        f"{list_some([repr(text) for text in others], 3, counted=True)} as '{shorten(label)}'"
        + (f" in {quoted_name(name)}" if what == "categories" else "")
        for name, each in merged.items()
        for label, others in each.changed().items()
    ]
    notes = []
    if changed:
        hint = (
            ""
            if what == "categories"
            else f" (data.categories: {flow_yaml(list(merged))} keeps them)"
        )
        notes.append(
            f"{what} typed in several ways are read as one: {list_some(changed, 4, counted=True)}{hint}"
        )
    apart = [
        f"'{shorten(one)}' and '{shorten(other)}' in {quoted_name(name)}"
        for name, each in merged.items() for one, other in each.apart
    ]  # fmt: skip
    if apart:
        notes.append(f"differ by case alone, and are not one: {list_some(apart, 6, counted=True)}")
    return notes


def describe_counts(columns: list[ColumnSpec]) -> str:
    """How many columns of each sort, in words: "12 numbers, 3 categories"."""
    categories = sum(column.categories is not None for column in columns)
    numbers = len(columns) - categories
    texts = [f"{numbers} number{'s' * (numbers != 1)}"] if numbers else []
    texts += [f"{categories} categor{'y' if categories == 1 else 'ies'}"] if categories else []
    return ", ".join(texts)
