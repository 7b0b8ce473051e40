"""Columns of a table of recordings: numbers in the notation of the first rows, the target, columns of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.formatting import flow_yaml
from nnzoo.data.columns.checks import name_words
from nnzoo.data.columns.description import (
    ColumnDescription,
    describe_columns,
    format_notes,
    gap_notes,
)
from nnzoo.data.columns.roles import role_columns, role_names, role_texts
from nnzoo.data.columns.values import (
    ValueOptions,
    looks_numeric,
    parse_numbers,
    to_numbers,
    to_text,
)
from nnzoo.data.data_spec import NumberFormat
from nnzoo.data.table_files.table_io import ReadOptions
from nnzoo.data.timestamps.numeric import INDICES, bare_name, is_time_name
from nnzoo.errors import DataError
from nnzoo.text import quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
TARGET_NAMES = frozenset(
    ["target", "label", "labels", "class", "y", "klasse", "ziel", "outcome", "response"]
)


@dataclass(frozen=True)
class TableOptions:
    """How tables of recordings are read: the options of their text and values, and the columns by their roles.

    roles: columns by role. need_target: whether a recording without a target is an error; need_roles: the same of
    columns that have a role.
    """

    reading: ReadOptions
    values: ValueOptions = field(default_factory=ValueOptions)
    date_format: str = "auto"
    channels: Sequence[str | int] | None = None
    id: Sequence[str | int] = ()
    time: str | int | None = None
    target: str | int | None = None
    roles: Mapping[str, str | int] = field(default_factory=dict)
    need_target: bool = True
    need_roles: bool = True

    @classmethod
    def of(cls, data: Any, need_target: bool = True, need_roles: bool = True) -> TableOptions:
        """The options in a config's `data` section; the defaults for keys that it does not have."""
        id_ = getattr(data, "id", None)
        channels = getattr(data, "channels", "all")
        return cls(
            ReadOptions.of(data, keep_words=True),
            ValueOptions.of(data),
            getattr(data, "date_format", "auto"),
            None if channels == "all" else channels,
            [] if id_ is None else id_ if isinstance(id_, list) else [id_],
            getattr(data, "time", None),
            getattr(data, "target", None),
            role_columns(data),
            need_target,
            need_roles,
        )


@dataclass
class NumberColumns:
    """Reads columns of numbers chunk by chunk, in the notation that the first chunk has.

    together: whether all columns are written alike, as the time steps of a wide table are.
    """

    source: str
    options: ValueOptions
    together: bool = False
    formats: dict[str, NumberFormat] = field(default_factory=dict)
    described: list[ColumnDescription] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """Lines on notations that were recognized, and words that count as missing."""
        numbers = [column for column in self.described if column.numbers]
        return [*format_notes(numbers), *gap_notes(self.described, "time step")]

    def read(self, frame: pandas.DataFrame) -> Array:
        """The columns of a frame as (rows, columns) float64, NaN where one is missing; raises DataError
        naming the row and column of what is no number."""
        import pandas

        types = pandas.api.types
        if all(types.is_numeric_dtype(t) and not types.is_bool_dtype(t) for t in frame.dtypes):
            values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
            return np.where(np.isfinite(values), values, np.nan)
        if not self.together:
            columns = [self._column(frame[name], str(name)) for name in frame.columns]
            return np.stack(columns, 1)
        cells = to_text(pandas.Series(frame.to_numpy(dtype=object).ravel()))
        values, unread = self._parse(cells, "")
        if unread.any():
            row, column = divmod(int(unread.argmax()), frame.shape[1])
            self._refuse(frame.iloc[:, column], row)
        return values.reshape(frame.shape)

    def learn(self, frame: pandas.DataFrame) -> None:
        """Find the notation of each column by some rows."""
        for name in frame.columns:
            self._learn_format(frame[name], str(name))

    def _column(self, column: pandas.Series, name: str) -> Array:
        values, unread = self._parse(column, name)
        if unread.any():
            self._refuse(column, int(unread.argmax()))
        return values

    def _parse(self, column: pandas.Series, name: str) -> tuple[Array, Array]:
        if name not in self.formats:
            self._learn_format(column, name)
        return parse_numbers(column, self.formats[name])

    def _learn_format(self, column: pandas.Series, name: str) -> None:
        described = describe_columns(column.rename(name or "values").to_frame(), self.options)
        (one,) = described.values()
        if one.numbers and one.problem:
            raise DataError.at(
                "data.path",
                f"{self.source}: column {quoted_name(one.name)} has {one.problem}; write them in one way",
                code="E39",
            )
        self.formats[name] = one.format if one.numbers else NumberFormat()
        self.described.append(one)

    def _refuse(self, column: pandas.Series, row: int) -> None:
        text = shorten(str(column.iloc[row]).strip())
        raise DataError.at(
            "data.path",
            f"{self.source}: column {quoted_name(str(column.name))} should hold numbers, but data row "
            f"{column.index[row] + 1} has '{text}'; correct it, leave the column out (data.channels), or count "
            f"it as missing (data.missing: {flow_yaml([text])})",
            code="E39",
        )


def find_roles(frame: pandas.DataFrame, options: TableOptions) -> dict[str, str]:
    """The names of the columns by role; those of a test file, or of new data, may be missing."""
    return role_names(frame, options.roles, required=options.need_roles)


def texts_by_row(frame: pandas.DataFrame, roles: Mapping[str, str]) -> list[dict[str, str | None]]:
    """The texts of the columns by role, of each row."""
    columns = role_texts(frame, roles)
    return [{role: texts[i] for role, texts in columns.items()} for i in range(len(frame))]


def texts_of(frame: pandas.DataFrame, name: str | None) -> list[str | None]:
    """A column as texts, None where one is missing or there is no such column."""
    if name is None:
        return [None] * len(frame)
    column = frame[name]
    texts = to_text(column)
    return [text if there else None for text, there in zip(texts, column.notna(), strict=True)]


def named_target(names: Sequence[str]) -> str | None:
    """The one column that is named like a target; None where none is, or several."""
    named = [name for name in names if name.strip().casefold() in TARGET_NAMES]
    named = named or [name for name in names if name_words(name)[-1:] in (["target"], ["label"])]
    return named[0] if len(named) == 1 else None


def time_column(frame: pandas.DataFrame, names: Sequence[str], ids: Array) -> str | None:
    """The column among `names` that holds the time: named like one or like an index, and rising within each
    recording; without names the first one, where it counts in even steps.

    ids: (rows,) code of the recording of each row.
    """
    from nnzoo.data.timestamps.parse import looks_like_dates

    for i, name in enumerate(names):
        bare = bare_name(name)
        unnamed = name.isdecimal() and i == 0 and len(names) > 1
        first = bare == "" and not name.isdecimal() and name == frame.columns[0]
        if not (is_time_name(name) or bare in INDICES or first or unnamed):
            continue
        if not looks_numeric(frame[name]):
            if looks_like_dates(frame[name]):
                return name
            continue
        times = to_numbers(frame[name])
        order = np.argsort(ids, kind="stable")
        same = np.diff(ids[order]) == 0
        steps = np.diff(times[order])[same]
        if np.isnan(times).any() or not len(steps):
            continue
        if unnamed:
            starts = times[order][np.concatenate([[True], ~same])]
            even = steps.min() > 0 and np.ptp(steps) <= 1e-6 * steps.max()
            if even and (starts == starts[0]).all() and starts[0] in (0, 1):
                return name
        elif (steps > 0).mean() >= 0.9 or _counts_evenly(times, ids):
            return name
    return None


def _counts_evenly(times: Array, ids: Array) -> bool:
    """Whether the times of each recording, whose rows are in any order, are evenly spaced."""
    order = np.lexsort((times, ids))
    steps = np.diff(times[order])[np.diff(ids[order]) == 0]
    return bool(steps.min() > 0 and np.ptp(steps) <= 1e-6 * steps.max())
