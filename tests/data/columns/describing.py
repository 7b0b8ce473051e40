"""Describe a column of a few values."""

from __future__ import annotations

from typing import Any

import pandas

from nnzoo.data.columns.description import ColumnDescription, describe_columns
from nnzoo.data.columns.values import ValueOptions, parse_numbers


def column(values: list[Any], name: str = "c") -> pandas.Series:
    return pandas.Series(values, name=name, dtype=object)


def describe_column(column: pandas.Series, **options: Any) -> ColumnDescription:
    return describe_columns(column.to_frame(), ValueOptions(**options))[str(column.name)]


def described(values: list[Any], name: str = "c", **options: Any) -> ColumnDescription:
    return describe_column(column(values, name), **options)


def numbers_of(values: list[Any], **options: Any) -> list[float]:
    """The values of a column that must be read as numbers without a rest."""
    description = described(values, **options)
    assert description.numbers, description
    assert not description.problem and not description.odd
    values_, unread = parse_numbers(column(values), description.format)
    assert not unread.any()
    return [round(value, 6) for value in values_.tolist()]
