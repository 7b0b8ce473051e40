"""Columns that say how rows are used and are no inputs: the group, the time, the part and the weight of each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnzoo.config.split_options import Column
from nnzoo.data.columns.values import column_name, to_text
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas

ROLE_KEYS = {
    "group": "data.split.group",
    "by": "data.split.by",
    "column": "data.split.column",
    "weight": "data.weight",
}
"""The key of a config that names the column of each role."""
_USES = {
    "group": "keeps groups together",
    "by": "orders the rows in time",
    "column": "says the part of each row",
    "weight": "has the weight of each row",
}
ROLE_WORDS = {"group": "group", "by": "order", "column": "part", "weight": "weight"}
"""A word for the columns of each role."""
RoleTexts = Mapping[str, Sequence[str | None]]
"""By role the text of each row, None where one is missing; without roles whose column a file lacks."""


def role_columns(data: Any) -> dict[str, Column]:
    """The columns that a config's `data` section names, by role."""
    split = getattr(data, "split", None)
    named = {role: getattr(split, role, None) for role in ("group", "by", "column")}
    named["weight"] = getattr(data, "weight", None)
    return {role: column for role, column in named.items() if column is not None}


def role_names(
    frame: pandas.DataFrame, columns: Mapping[str, Column], required: bool = True
) -> dict[str, str]:
    """The names of a file's columns by role; without `required` those alone that it has by name.

    Raises DataError for a column that is not there.
    """
    names = list(frame.columns)
    return {
        role: column_name(frame, column, ROLE_KEYS[role])
        for role, column in columns.items()
        if required or column in names
    }


def role_texts(frame: pandas.DataFrame, names: Mapping[str, str]) -> dict[str, list[str | None]]:
    """The texts of the columns of each role, None for a missing value."""
    return {
        role: [text if isinstance(text, str) else None for text in to_text(frame[name])]
        for role, name in names.items()
    }


def role_notes(names: Mapping[str, str]) -> list[str]:
    """Lines on the columns that are no inputs for their role."""
    return [
        Note("N09", f"column '{shorten(name)}' {_USES[role]}, and is no input")
        for role, name in names.items()
    ]


def no_columns(columns: Mapping[str, Column], message: str) -> None:
    """Raise DataError with the message where a column is named, for sources without columns."""
    for role in columns:
        raise DataError.at(ROLE_KEYS[role], message, code="E44")


def select_texts(texts: RoleTexts, rows: Iterable[int]) -> dict[str, list[str | None]]:
    """The texts of some rows."""
    chosen = list(rows)
    return {role: [column[i] for i in chosen] for role, column in texts.items()}
