"""Columns that say something of each row: its place in time, its part, its weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnzoo.config.options import MAX_MAGNITUDE
from nnzoo.data.columns.description import describe_columns
from nnzoo.data.columns.label_sets import FLAGS
from nnzoo.data.columns.roles import ROLE_KEYS
from nnzoo.data.columns.values import ValueOptions, looks_numeric, parse_numbers
from nnzoo.data.image_files.split_names import PART_WORDS, split_of_folder, words_of
from nnzoo.data.timestamps.parse import MIN_DATES, read_dates
from nnzoo.errors import DataError
from nnzoo.text import list_some, shorten

Array = np.ndarray[Any, Any]


class RoleColumn(NamedTuple):
    """The texts of a column that says something of each row. name: as the config names the column; source: its file;
    place: of a row, for messages."""

    role: str
    name: str | int
    source: str
    texts: Sequence[str | None]
    place: Callable[[int], str]

    def refuse(self, rows: Array, what: str, hint: str) -> None:
        """Raise DataError that names these rows (bool), if any. what: is wrong with them; hint: what to do."""
        if rows.any():
            places = [self.place(i) for i in np.flatnonzero(rows)[:5].tolist()]
            more = f", in {int(rows.sum()):,} rows in all" if rows.sum() > len(places) else ""
            raise DataError.at(
                ROLE_KEYS[self.role],
                f"{self.source}: '{self.name}' {what} in {list_some(places, 5)}{more}; {hint}",
                code="E42",
            )

    def refuse_empty(self, hint: str) -> None:
        """Raise DataError that names the rows without a text, if any. hint: what to do."""
        empty = np.array([not (text or "").strip() for text in self.texts], dtype=bool)
        self.refuse(empty, "is empty", hint)

    def example(self, rows: Array) -> str:
        """The text of the first of these rows (bool)."""
        return f"'{shorten(str(self.texts[int(rows.argmax())]).strip())}'"

    def series(self) -> Any:
        """The column as pandas has it, without blanks around its texts."""
        import pandas

        texts = [None if text is None else text.strip() or None for text in self.texts]
        return pandas.Series(texts, dtype=object, name=str(self.name))


def read_order(
    column: RoleColumn, values: ValueOptions, date_format: str = "auto"
) -> tuple[Array, list[str]]:
    """The time of each row (rows,) as float64 or int64, larger is later, from numbers or dates in any form; and notes.

    Raises DataError naming the rows without one.
    """
    column.refuse_empty("fill it in, or leave these rows out")
    series = column.series()
    described = describe_columns(series.to_frame(), values)[series.name]
    if (described.numbers or looks_numeric(series, 0.5)) and "%" not in date_format:
        numbers, _ = parse_numbers(series, described.format)
        wrong = np.isnan(numbers)
        if wrong.any():
            column.refuse(wrong, f"holds numbers, but {column.example(wrong)}", "correct it")
        return numbers, []
    dates = read_dates(series, date_format)
    wrong = np.isnat(dates.times)
    if wrong.any():
        what = "is neither a date nor a number" if dates.fraction < MIN_DATES else "is no date"
        hint = "correct it, or name its form (data.date_format)"
        column.refuse(wrong, f"{what} ({column.example(wrong)})", hint)
    return dates.times.astype(np.int64), dates.notes


def read_parts(column: RoleColumn) -> Array:
    """The part (rows,) that a column says of each row: "train", "val" or "test"; raises DataError for other words.

    True and false, yes and no, 1 and 0 answer the name of the column, such as is_test: no to train is test.
    """
    named = {PART_WORDS[word] for word in words_of(str(column.name)) if word in PART_WORDS}
    yes = named.pop() if len(named) == 1 else None
    no = "test" if yes == "train" else "train"
    known: dict[str | None, str] = {}
    for text in set(column.texts):
        word = (text or "").strip().casefold()
        part = split_of_folder(word)
        if part is None and yes is not None and word in FLAGS:
            part = yes if FLAGS[word] else no
        known[text] = part or ""
    column.refuse_empty("write train, val or test there")
    parts = np.array([known[text] for text in column.texts], dtype=object)
    wrong = parts == ""
    if wrong.any():
        hint = "write train, val or test there"
        column.refuse(wrong, f"names no part with {column.example(wrong)}", hint)
    return parts


def read_weights(column: RoleColumn, values: ValueOptions) -> Array:
    """The weight of each row (rows,) float64; raises DataError naming rows that have none, or one below zero."""
    column.refuse_empty("write 1 for an ordinary row")
    series = column.series()
    described = describe_columns(series.to_frame(), values)[series.name]
    weights, _ = parse_numbers(series, described.format)
    wrong = ~(np.abs(weights) <= MAX_MAGNITUDE)
    if wrong.any():
        what = f"is no number up to {MAX_MAGNITUDE:g} ({column.example(wrong)})"
        column.refuse(wrong, what, "correct it")
    negative = weights < 0
    if negative.any():
        what = f"is below zero ({column.example(negative)})"
        column.refuse(negative, what, "weights are numbers from 0 on")
    return weights
