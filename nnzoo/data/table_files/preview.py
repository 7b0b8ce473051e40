"""The contents of a file of columns as its configuration reads them, for `nnzoo check`; without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.data_options import CsvOptions, FileOptions, SeriesOptions
from nnzoo.data.columns.roles import ROLE_KEYS, ROLE_WORDS, role_columns
from nnzoo.data.columns.values import ValueOptions, column_name, describe_number
from nnzoo.errors import ConfigError, ConfigIssue, DataError
from nnzoo.text import note_line, shorten

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription

# Only the first rows of a longer file are read.
MAX_ROWS = 50_000
MAX_COLUMNS = 40


def description(data: FileOptions) -> list[str]:
    """Lines on the file of a `data` section: its size, each column and what it is read as, notes.

    Raises ConfigError for keys that name no column of it, DataError where it cannot be read.
    """
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.table_files.table_io import ReadOptions, read_chunks, without_stray_rows

    if not Path(data.path).exists():
        return [f"data.path: no file {data.path} yet"]
    pieces = read_chunks(data.path, ReadOptions.of(data, keep_words=True))
    table = next(iter(pieces))
    frame = table.frame.iloc[:MAX_ROWS]
    whole = len(frame) == len(table.frame) and next(iter(pieces), None) is None
    issues: list[ConfigIssue] = []
    roles = _roles(frame, data, issues)
    if issues:
        raise ConfigError("configuration", issues)
    strays: list[str] = []
    size = len(frame)
    if isinstance(data, CsvOptions):
        frame, strays = without_stray_rows(frame, table.named)
    columns = describe_columns(frame, ValueOptions.of(data))
    rows = f"{size:,} rows" if whole else f"the first {size:,} rows"
    notes = [*table.notes, *strays]
    if isinstance(data, CsvOptions):
        notes += _try_to_infer(frame, data, roles)
    if isinstance(data, SeriesOptions):
        notes += _time_notes(frame, data)
    return [
        f"{data.path}: {rows}, {len(frame.columns):,} columns",
        *_table_lines(columns, roles),
        *(" ".join(note_line(note).split()) for note in notes),
    ]


def _table_lines(columns: dict[str, ColumnDescription], roles: dict[str, str]) -> list[str]:
    """The columns as a table of text, details of each below it."""
    shown = list(columns.values())[:MAX_COLUMNS]
    names = [shorten(" ".join(column.name.split()), 30) for column in shown]
    reads = [_role(column, roles.get(column.name, "")) for column in shown]
    width, role_width = max(6, *map(len, names)), max(7, *map(len, reads))
    lines = [f"  {'column':<{width}}  {'read as':<{role_width}}  {'missing':>7}  {'different':>9}"]
    for name, role, column in zip(names, reads, shown, strict=True):
        counts = f"{column.missing:>7,}  {column.distinct:>9,}"
        lines.append(f"  {name:<{width}}  {role:<{role_width}}  {counts}")
        lines += [f"    {' '.join(detail.split())}" for detail in _details(column)]
    if len(columns) > len(shown):
        lines.append(f"  and {len(columns) - len(shown):,} more columns")
    return lines


def _roles(frame: pandas.DataFrame, data: FileOptions, issues: list[ConfigIssue]) -> dict[str, str]:
    """The role that the configuration gives to columns; keys that name none go to `issues`."""
    words = {"numbers": "number", "categories": "category", "drop": "dropped"}
    words |= {"covariates": "covariate", "target": "target", "time": "time", "group": "group"}
    roles: dict[str, str] = {}
    for role, column in role_columns(data).items():
        try:
            roles[column_name(frame, column, ROLE_KEYS[role])] = ROLE_WORDS[role]
        except DataError as error:
            issues.append(ConfigIssue("", ROLE_KEYS[role], str(error), code=error.code))
    for key, word in words.items():
        value = getattr(data, key, None)
        if value is None or (key == "covariates" and isinstance(value, str)):
            continue
        for i, column in enumerate(value if isinstance(value, list) else [value]):
            path = f"data.{key}[{i}]" if isinstance(value, list) else f"data.{key}"
            try:
                roles[column_name(frame, column, path)] = word
            except DataError as error:
                issues.append(ConfigIssue("", path, str(error), code=error.code))
    return roles


def _try_to_infer(frame: pandas.DataFrame, data: CsvOptions, roles: dict[str, str]) -> list[str]:
    """Notes on the target, whose role becomes what it is read as; why training would stop, if it would."""
    from nnzoo.data.columns.inputs import infer_columns
    from nnzoo.data.columns.targets import infer_targets, resolve_task, target_names, without_gaps

    try:
        targets = target_names(frame, data)
        task = resolve_task(frame, targets, data)
        rows, notes = without_gaps(frame, targets, task, data, data.path)
        spec, more = infer_targets(rows, targets, data, task)
        role = f"{len(spec.labels):,} classes" if spec.labels else "a number"
        if spec.task == "multilabel":
            role = "a label" if spec.columns else f"{len(spec.labels):,} labels"
            notes += more
        roles |= dict.fromkeys(targets, f"target: {role}")
        infer_columns(rows, targets, data)
    except DataError as error:
        return [f"training stops here: {error}"]
    return notes


def _time_notes(frame: pandas.DataFrame, data: SeriesOptions) -> list[str]:
    from nnzoo.data.columns.values import mark_missing
    from nnzoo.data.timestamps.describe import describe_time

    targets = data.target if isinstance(data.target, list) else [data.target]
    names = [column_name(frame, target, "data.target") for target in targets]
    frame = mark_missing(frame)
    axis = describe_time(frame, data, names)
    if not axis.issues:
        axis = axis.without_missing(
            frame[names].isna().any(axis=1).to_numpy(), names, frame, data.path
        )
    time = f"time: {', '.join(axis.columns)}" if axis.columns else "no column of time"
    every = f", a step of one {axis.frequency.name()}" if axis.frequency else ""
    return [f"{time}{every}", *axis.notes, *axis.issues]


def _role(column: ColumnDescription, stated: str) -> str:
    """The role of a column: the one in the configuration, else that of its values."""
    if stated in ("target", "covariate"):
        return f"{stated}: {column.role}"
    return stated or column.role


def _details(column: ColumnDescription) -> list[str]:
    """Lines on one column: the format of its numbers, and examples of what does not fit."""
    details = [text for text in (column.problem, column.reason) if text]
    details += ["not used: no values"] * (column.role == "empty")
    if column.numbers and column.example:
        details += filter(None, [describe_number(column.example, column.format)])
    if 0 < column.numeric_fraction < 1 and (column.odd or column.gaps):
        details.append(f"{100 * column.numeric_fraction:.3g} % of the different values are numbers")
    details += [
        f"'{shorten(gap.text)}' in {gap.rows:,} rows counts as missing" for gap in column.gaps[:3]
    ]
    details += [f"'{shorten(odd.text)}' in data row {odd.first} is none" for odd in column.odd[:3]]
    details += column.remarks
    if column.role == "category":
        details.append(f"such as '{shorten(column.example)}'")
    return details
