"""Several labels per row: columns of yes and no, or texts with a separator between the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.labels import LabelIndex, clean_label, merge_labels, merge_notes
from nnzoo.data.columns.values import to_text
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]

FLAGS = {
    **dict.fromkeys(("1", "1.0", "yes", "true", "y", "t"), 1.0),
    **dict.fromkeys(("0", "0.0", "no", "false", "n", "f"), 0.0),
}
"""Texts for yes and no, in small letters."""
SEPARATORS = (";", "|", ",")
"""What may be between the labels of a cell; of those in equally many cells the first is it."""


def read_flags(column: pandas.Series) -> Array:
    """A column of yes and no as 1 and 0 (rows,) float32; nan for an empty cell and -1 for other texts."""
    import pandas

    rows, texts = pandas.factorize(to_text(column))
    values = [
        FLAGS.get(text.strip().casefold(), -1.0) if text.strip() else np.nan for text in texts
    ]
    # The index -1 of a missing value takes the last item.
    flags: Array = np.array([*values, np.nan], dtype=np.float32)[rows]
    return flags


def looks_like_flags(column: pandas.Series) -> bool:
    """Whether a column has nothing but yes and no."""
    flags = read_flags(column)
    return not (flags == -1).any() and not np.isnan(flags).all()


def unlabeled(columns: pandas.DataFrame) -> Array:
    """Which rows (rows,) have no value in any of the columns of labels."""
    empty = [np.isnan(read_flags(columns[name])) for name in columns]
    rows: Array = np.logical_and.reduce(empty)
    return rows


def encode_flags(columns: pandas.DataFrame, source: str) -> Array:
    """Columns of yes and no as (rows, labels) float32 of 1 and 0.

    Raises DataError naming the row that has neither, or nothing.
    """
    encoded = []
    for name in columns:
        flags = read_flags(columns[name])
        wrong = np.isnan(flags) | (flags < 0)
        if wrong.any():
            row = int(wrong.argmax())
            text = columns[name].iloc[row]
            has = f"has '{shorten(str(text))}'" if flags[row] < 0 else "is empty"
            raise DataError.at(
                "data.target",
                f"{source}: the label {quoted_name(str(name))} should be 1 or 0, yes or no, true or false, but "
                f"{has} in data row {columns.index[row] + 1}",
                code="E40",
            )
        encoded.append(flags)
    return np.stack(encoded, 1)


def find_separator(column: pandas.Series) -> str:
    """The separator between the labels of cells, the one of SEPARATORS that is in most of them (of equals the first);
    empty if none is."""
    texts = to_text(column).dropna().unique()
    counts = {sign: sum(sign in text for text in texts) for sign in SEPARATORS}
    best = max(SEPARATORS, key=counts.__getitem__)
    return best if counts[best] else ""


def looks_like_label_sets(column: pandas.Series) -> bool:
    """Whether the cells of a column of texts most likely have several labels each: they combine fewer labels than there
    are different cells, and each label is in several of those."""
    separator = find_separator(column)
    if not separator:
        return False
    cells = to_text(column).dropna().unique()
    counts: dict[str, int] = {}
    for text in cells:
        for label in split_labels(text, separator):
            counts[label] = counts.get(label, 0) + 1
    return 1 < len(counts) < len(cells) and min(counts.values()) > 1


def split_labels(text: str, separator: str) -> list[str]:
    """The labels of a cell; of one that is empty none."""
    parts = text.split(separator) if separator else [text]
    return [label for label in map(clean_label, parts) if label]


def infer_labels(column: pandas.Series, separator: str) -> tuple[list[str], list[str]]:
    """The labels of the cells of training rows, sorted, and notes on those typed in several ways."""
    counts: dict[str, int] = {}
    for text, rows in to_text(column).dropna().value_counts(sort=False).items():
        for label in split_labels(text, separator):
            counts[label] = counts.get(label, 0) + rows
    merged = merge_labels(counts)
    return sorted(merged.names), merge_notes({str(column.name): merged}, "labels")


def encode_label_sets(
    column: pandas.Series, labels: Sequence[str], separator: str
) -> tuple[Array, dict[str, int]]:
    """Cells of labels as (rows, labels) float32 of 1 and 0, and in how many rows labels are that are unknown."""
    import pandas

    index = LabelIndex(labels)
    rows, texts = pandas.factorize(to_text(column))
    encoded = np.zeros((len(texts) + 1, len(labels)), dtype=np.float32)
    cells_of: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        for label in split_labels(text, separator):
            code = index.code(label)
            if code < 0:
                cells_of.setdefault(label, []).append(i)
            else:
                encoded[i, code] = 1
    counts = np.bincount(rows[rows >= 0], minlength=len(texts))
    unknown = {label: int(counts[cells].sum()) for label, cells in cells_of.items()}
    result: Array = encoded[rows]  # a missing cell is -1, the last row, which has no label
    return result, unknown


def unknown_note(part: str, unknown: dict[str, int]) -> str:
    """A line on labels that no training row has and that are not predicted, so not counted either."""
    listed = [f"'{shorten(label)}' in {rows:,}" for label, rows in unknown.items()]
    return Note(
        "N11",
        f"labels in {part} rows that no training row has are left out: "
        f"{list_some(listed, 4, counted=True)}",
    )


def rarest_labels(encoded: Array) -> Array:
    """The rarest label of each row (rows,) int64, which splits keep the frequencies of; -1 for none."""
    rank = np.argsort(np.argsort(encoded.sum(0), kind="stable"))
    ranks = np.where(encoded > 0, rank, encoded.shape[1])
    rarest: Array = np.where(encoded.any(1), ranks.argmin(1), -1).astype(np.int64)
    return rarest
