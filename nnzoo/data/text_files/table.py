"""Tables with a column of text: which column it is, which one the target, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.roles import role_columns, role_names, role_texts
from nnzoo.data.columns.target import without_target_gaps
from nnzoo.data.columns.values import column_name, looks_numeric, to_text
from nnzoo.data.recording_files.columns import named_target
from nnzoo.data.table_files.table_io import ReadOptions, Table, read_table
from nnzoo.data.text_files.documents import Documents, check_length, check_lines
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

# Rows by which the column of text is found.
SAMPLED = 1000


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table of texts by their roles; the text is None where no column was named and none is one."""

    text: str | int | None = None
    target: str | int | None = None
    roles: Mapping[str, str | int] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any) -> TableColumns:
        """The columns that a config's `data` section names."""
        named = getattr(data, "text", None), getattr(data, "target", None)
        return cls(*named, role_columns(data))


def read_texts(path: str, data: Any, need_target: bool = True, key: str = "data.path") -> Documents:
    """The texts of a table, with their targets if they are needed; data: a config's `data` section.

    Raises DataError naming the column or row of what cannot be read.
    """
    reading = ReadOptions.of(data, keep_words=True, raw_quotes=True)
    check_lines(path)
    table = read_table(path, reading, key)
    columns = TableColumns.of(data)
    if (
        key != "data.path"
    ):  # rows of a test file have their part, and may lack the columns that decide it
        names = {role: one for role, one in columns.roles.items() if one in table.frame.columns}
        columns = replace(columns, roles=names)
    return texts_of_table(table, path, data, columns, need_target)


def texts_of_table(
    table: Table, path: str, data: Any, columns: TableColumns, need_target: bool = True
) -> Documents:
    """The texts of a table that is in memory."""
    frame = table.frame
    stated = None if columns.target is None else column_name(frame, columns.target, "data.target")
    text = text_column(frame, columns.text, path, stated)
    notes = list(table.notes)
    if not need_target:
        return _documents(table, frame, path, text, notes)
    target = stated or find_target(frame, text, path)
    roles = role_names(frame, columns.roles)
    used = {text, target, *roles.values()}
    others = [quoted_name(name) for name in frame.columns if name not in used]
    if others:
        notes.append(
            Note(
                "N09",
                f"not used: {list_some(others, 6, counted=True)}; the network reads '{shorten(text)}' alone",
            )
        )
    options = target_options(data, path)
    frame, gaps = without_target_gaps(frame, target, options.task, options, path)
    documents = _documents(table, frame, path, text, notes + gaps)
    targets = [str(one) for one in to_text(frame[target])]
    return replace(documents, targets=targets, target=target, roles=role_texts(frame, roles))


def target_options(data: Any, path: str) -> CsvOptions:
    """The options by which a target is read, as those of a table."""
    keys = ("decimal", "thousands", "missing", "task")
    values = {key: getattr(data, key) for key in keys if hasattr(data, key)}
    return CsvOptions(name="csv", path=path, **values)


def _documents(
    table: Table, frame: pandas.DataFrame, path: str, text: str, notes: list[str]
) -> Documents:
    texts = [one if isinstance(one, str) else "" for one in to_text(frame[text])]
    rows = (frame.index.to_numpy() + 1).tolist()
    total = 0
    for row, one in zip(rows, texts, strict=True):
        total = check_length(one, f"{path}: data row {row}", total)
    return Documents(
        path,
        texts,
        rows,
        [f"data row {row:,}" for row in rows],
        "table",
        text=text,
        header=table.named,
        width=None if table.named else len(table.frame.columns),
        notes=notes,
    )


def text_column(
    frame: pandas.DataFrame, stated: str | int | None, path: str, target: str | None = None
) -> str:
    """The column of text: as stated, else the one with the longest texts in the first rows."""
    if stated is not None:
        return column_name(frame, stated, "data.text")
    lengths = mean_lengths(frame)
    # Labels may be longer than texts.
    named = target or target_by_name([str(name) for name in frame.columns]) or ""
    if target is not None or len(lengths) > 1:
        lengths.pop(named, None)
    if not lengths:
        raise DataError.at("data.text", f"{path} has no column of text", code="E51")
    return max(lengths, key=lambda name: lengths[name])


def mean_lengths(frame: pandas.DataFrame) -> dict[str, float]:
    """The mean number of characters in the first rows of each column of texts."""
    sample = frame.iloc[:SAMPLED]
    result = {}
    for name in frame.columns:
        texts = to_text(sample[name]).dropna()
        if len(texts) and not looks_numeric(texts):
            result[str(name)] = float(np.mean([len(text) for text in texts]))
    return result


# Names of targets that texts often have, beside the usual ones.
_TARGETS = frozenset(
    [
        "sentiment",
        "category",
        "topic",
        "rating",
        "stars",
        "score",
        "spam",
        "language",
        "intent",
        "emotion",
    ]
)


def find_target(frame: pandas.DataFrame, text: str, path: str) -> str:
    """The target of a table of texts: by its name, else the only other column; raises DataError where several
    columns could be it."""
    others = [str(name) for name in frame.columns if name != text]
    named = target_by_name(others)
    if named is not None:
        return named
    if len(others) == 1:
        return others[0]
    if not others:
        raise DataError.at(
            "data.target", f"{path} has one column, '{shorten(text)}', and no target", code="E40"
        )
    shown = list_some([quoted_name(name) for name in others], 6, counted=True)
    raise DataError.at(
        "data.target",
        f"{path}: which of {plural(len(others), 'column')} is the target ({shown})? Name it (data.target)",
        code="E40",
    )


def target_by_name(names: Sequence[str]) -> str | None:
    """The one column that is named like a target of texts; None where none is, or several."""
    named = named_target(names)
    if named is not None:
        return named
    usual = [name for name in names if name.strip().casefold() in _TARGETS]
    return usual[0] if len(usual) == 1 else None
