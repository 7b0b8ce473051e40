"""Predictions as the lines of a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnzoo.predict.predictions import LABEL_SEPARATOR, Predictions


def csv_lines(predictions: Predictions, header: bool) -> str:
    """Return a line per input, and before them one of the names of columns where `header` is set."""
    columns = predictions.columns()
    if predictions.members is not None:
        columns["set"] = [LABEL_SEPARATOR.join(labels) for labels in columns["set"]]
    # One format per row takes a third of the time of a text per value.
    formats, cells = [], list[Sequence[Any]]()
    for column in columns.values():
        is_array = isinstance(column, np.ndarray)
        formats.append(value_format(predictions) if is_array else "%s")
        cells.append(column.tolist() if is_array else _quoted(column))
    row = ",".join(formats) + "\n"
    names = ",".join(_quoted(list(columns))) + "\n" if header else ""
    return names + "".join(map(row.__mod__, zip(*cells, strict=True)))


def value_format(predictions: Predictions) -> str:
    """The format of a value: a probability has 6 significant digits; a number 7, which is what float32 holds."""
    return "%.6g" if predictions.has_probabilities else "%.7g"


def _quoted(column: list[Any]) -> list[Any]:
    """The values as a CSV has them: whole numbers as they are, texts in quotes where these are needed."""
    texts = {value: _quote(value) for value in {value for value in column if type(value) is str}}
    return [
        value if type(value) is int else texts[value] if type(value) is str else _quote(value)
        for value in column
    ]


def _quote(value: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([value, ""])
    return text.getvalue().removesuffix(",\n")
