"""The input columns of a table: numbers and categories, found from training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.formatting import flow_yaml
from nnzoo.data.columns.description import (
    ColumnDescription,
    describe_columns,
    format_notes,
    gap_notes,
)
from nnzoo.data.columns.labels import MergedLabels, merge_labels, merge_notes
from nnzoo.data.columns.roles import role_columns, role_names, role_notes
from nnzoo.data.columns.values import MISSING, ValueOptions, column_name, to_text
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class _StatedColumns:
    """The columns whose role the configuration states, by name."""

    numbers: set[str]
    categories: set[str]
    drop: set[str]

    @classmethod
    def of(
        cls, options: CsvOptions, frame: pandas.DataFrame, targets: Sequence[str]
    ) -> _StatedColumns:
        """Raises DataError for a column that is not there, or in two roles."""
        names = {
            key: {column_name(frame, column, f"data.{key}") for column in getattr(options, key)}
            for key in ("numbers", "categories", "drop")
        }
        stated = cls(**names)
        if dropped := [target for target in targets if target in stated.drop]:
            raise DataError.at("data.drop", f"'{dropped[0]}' is {_the_target(targets)}", code="E44")
        if both := sorted(stated.numbers & stated.categories):
            raise DataError.at(
                "data.categories", f"'{both[0]}' is in data.numbers, too", code="E44"
            )
        return stated


def _the_target(targets: Sequence[str]) -> str:
    return "the target" if len(targets) == 1 else "a target"


def input_names(
    train: pandas.DataFrame, targets: Sequence[str], options: CsvOptions
) -> tuple[list[str], list[str]]:
    """The columns that may be inputs, in the file's order: not a target, what `data.drop` names, nor a column that
    has a role unless it is stated to be an input; and notes on the last. Raises DataError."""
    stated = _StatedColumns.of(options, train, targets)
    roles = {
        role: name
        for role, name in role_names(train, role_columns(options)).items()
        if name not in stated.numbers | stated.categories | stated.drop | {*targets}
    }
    left_out = {*targets, *stated.drop, *roles.values()}
    return [name for name in train.columns if name not in left_out], role_notes(roles)


def infer_columns(
    train: pandas.DataFrame, targets: Sequence[str], options: CsvOptions
) -> tuple[list[ColumnSpec], list[str]]:
    """The columns that the network reads, numbers first, and notes on them.

    Raises DataError that names every column that cannot be used as it is.
    """
    stated = _StatedColumns.of(options, train, targets)
    inputs, notes_on_roles = input_names(train, targets, options)
    descriptions = describe_columns(train[inputs], ValueOptions.of(options))
    numbers, categories = list[ColumnSpec](), list[ColumnSpec]()
    merged: dict[str, MergedLabels] = {}
    counts_as_none: list[str] = []
    for name, column in descriptions.items():
        if name in stated.numbers or (column.numbers and name not in stated.categories):
            numbers.append(ColumnSpec(name, format=column.format))
        elif column.role != "empty":
            rows, words = _category_rows(train[name], options)
            counts_as_none += words
            merged[name] = merge_labels(rows, name in stated.categories)
            categories.append(ColumnSpec(name, sorted(merged[name].names), list(options.missing)))
    _check_usable(descriptions, merged, stated, options)
    if not numbers and not categories:
        raise DataError.at(
            "data.drop" if options.drop else "data.path",
            f"{options.path} has no column to learn from"
            + " but the target " * bool(targets)
            + ", ".join(f"'{target}'" for target in targets),
            code="E38",
        )
    used = [descriptions[column.name] for column in numbers]
    notes = [
        f"columns: {describe_counts(numbers + categories)}",
        *notes_on_roles,
        *(
            Note("N08", f"column '{column.name}' is empty in the training rows and left out")
            for column in descriptions.values()
            if column.role == "empty"
        ),
        *format_notes(used),
        *gap_notes(used, "training row"),
    ]
    if counts_as_none:
        listed = list_some(counts_as_none, 6, counted=True)
        notes.append(Note("N05", f"counts as no category: {listed}"))
    notes += merge_notes(merged, "categories")
    for column in used:
        notes += [Note("N04", f"{quoted_name(column.name)}: {text}") for text in column.remarks]
    return numbers + categories, notes + _doubt_notes(list(descriptions.values()), stated)


def _category_rows(column: pandas.Series, options: CsvOptions) -> tuple[dict[str, int], list[str]]:
    """The number of rows of each text that is a category; and of each word that is none, in words."""
    missing = {*MISSING, *options.missing}
    rows: dict[str, int] = {}
    words = []
    for text, count in to_text(column).dropna().value_counts(sort=False).items():
        if text.strip() not in missing:
            rows[text] = count
        elif text.strip():
            words.append(
                f"'{shorten(text.strip())}' in {plural(count, 'training row')} of "
                f"{quoted_name(str(column.name))}"
            )
    return rows, words


def _check_usable(
    descriptions: dict[str, ColumnDescription],
    merged: dict[str, MergedLabels],
    stated: _StatedColumns,
    options: CsvOptions,
) -> None:
    """Raise DataError that names all columns that cannot be used as they are, and the way out."""
    reasons = {}
    for name, labels in merged.items():
        count = len(labels.names)
        if count > options.max_categories and name not in stated.categories:
            column = descriptions[name]
            if column.role == "date":
                reasons[name] = f"holds dates, {count} different ones"
            elif column.has_ranges:
                reasons[name] = f"holds {column.reason}"
            else:
                reasons[name] = f"is text with {count} different values"
    hint = " or raise data.max_categories" if reasons else ", or write them in one way"
    for column in descriptions.values():
        if column.problem and column.name not in stated.categories:
            reasons[column.name] = f"has {column.problem}"
    if not reasons:
        return
    drop = f"data.drop: {flow_yaml([*map(str, options.drop), *reasons])}"
    listed = "; ".join(f"{quoted_name(name)} {reason}" for name, reason in reasons.items())
    if len(reasons) == 1:
        message = f"column {listed}; leave it out ({drop}){hint}"
    else:
        message = (
            f"{len(reasons)} columns cannot be used as they are: {listed}. Leave them out{hint}:\n"
            f"  {drop}"
        )
    raise DataError.at("data.drop", f"{options.path}: {message}", code="E39")


def _doubt_notes(descriptions: list[ColumnDescription], stated: _StatedColumns) -> list[str]:
    """Lines on columns that most likely should not be inputs."""
    notes: list[str] = []

    def add(code: str, text: str, columns: list[ColumnDescription], remedy: bool = True) -> None:
        names = [
            f"{quoted_name(column.name)}" + f" ({column.reason})" * (code == "W41")
            for column in columns
        ]
        drop = f"; data.drop: {flow_yaml([column.name for column in columns])}" * remedy
        if columns:
            notes.append(Note(code, f"{text}: {list_some(names, 6, counted=True)}{drop}"))

    inferred = [
        column for column in descriptions if column.name not in stated.numbers | stated.categories
    ]
    ids = [column for column in inferred if column.role in ("id", "text") and column.reason]
    dates = [column for column in inferred if column.role == "date"]
    add("W41", "used as an input though it identifies rows, and little else", ids)
    add("N12", "dates used as categories, each a value of its own", dates)
    constant = [
        column
        for column in descriptions
        if column.distinct == 1 and not column.missing and column.role != "empty"
    ]
    add("W42", "the same value in all training rows", constant, remedy=False)
    return notes


def describe_counts(columns: list[ColumnSpec]) -> str:
    """The number of columns of each sort, in words: "12 numbers, 3 categories"."""
    categories = sum(column.categories is not None for column in columns)
    numbers = len(columns) - categories
    texts = [plural(numbers, "number")] if numbers else []
    texts += [plural(categories, "category", "categories")] if categories else []
    return ", ".join(texts)
