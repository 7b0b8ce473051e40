"""What a file of columns holds by its configuration, found without torch: for `nnzoo check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.data_options import CsvOptions, FileOptions, SeriesOptions
from nnzoo.data.columns.values import ValueOptions, column_name
from nnzoo.errors import ConfigError, ConfigIssue, DataError
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription

# Of a longer file the first rows are looked at.
MAX_ROWS = 50_000
MAX_COLUMNS = 40


def description(data: FileOptions) -> list[str]:
    """Lines on the file of a `data` section: its size, each column and what it is read as, notes.

    Raises ConfigError for keys that name no column of it, DataError where it cannot be read.
    """
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.table_files.table_io import ReadOptions, read_pieces, without_stray_rows

    if not Path(data.path).exists():
        return [f"data.path: no file {data.path} yet"]
    pieces = read_pieces(data.path, ReadOptions.of(data, keep_words=True))
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
    found = describe_columns(frame, ValueOptions.of(data))
    rows = f"{size:,} rows" if whole else f"the first {size:,} rows"
    notes = [*table.notes, *strays]
    if isinstance(data, CsvOptions):
        notes += _try_to_infer(frame, data, roles)
    if isinstance(data, SeriesOptions):
        notes += _time_notes(frame, data)
    return [
        f"{data.path}: {rows}, {len(frame.columns):,} columns",
        *_table_lines(found, roles),
        *(f"note: {' '.join(each.split())}" for each in notes),
    ]


def _table_lines(found: dict[str, ColumnDescription], roles: dict[str, str]) -> list[str]:
    """Columns as a table of text, details of one below it."""
    columns = list(found.values())[:MAX_COLUMNS]
    names = [shorten(" ".join(each.name.split()), 30) for each in columns]
    reads = [_role(each, roles.get(each.name, "")) for each in columns]
    width, role_width = max(6, *map(len, names)), max(7, *map(len, reads))
    lines = [f"  {'column':<{width}}  {'read as':<{role_width}}  {'missing':>7}  {'different':>9}"]
    for name, role, each in zip(names, reads, columns, strict=True):
        lines.append(
            f"  {name:<{width}}  {role:<{role_width}}  {each.missing:>7,}  {each.distinct:>9,}"
        )
        lines += [f"    {' '.join(detail.split())}" for detail in _details(each)]
    if len(found) > len(columns):
        lines.append(f"  and {len(found) - len(columns):,} more columns")
    return lines


def _roles(frame: pandas.DataFrame, data: FileOptions, issues: list[ConfigIssue]) -> dict[str, str]:
    """What the configuration says of each column; keys that name none go to `issues`."""
    words = {
        "target": "target", "numbers": "number", "categories": "category", "drop": "dropped",
        "time": "time", "group": "group", "covariates": "covariate",
    }  # fmt: skip
    roles: dict[str, str] = {}
    for key, word in words.items():
        value = getattr(data, key, None)
        if value is None or (key == "covariates" and isinstance(value, str)):
            continue
        for i, column in enumerate(value if isinstance(value, list) else [value]):
            path = f"data.{key}[{i}]" if isinstance(value, list) else f"data.{key}"
            try:
                roles[column_name(frame, column, path)] = word
            except DataError as error:
                issues.append(ConfigIssue("", path, str(error)))
    return roles


def _try_to_infer(frame: pandas.DataFrame, data: CsvOptions, roles: dict[str, str]) -> list[str]:
    """Notes on the target, whose role becomes what it is read as; why training would stop, if it would."""
    from nnzoo.data.columns.inputs import infer_columns
    from nnzoo.data.columns.target import infer_target, without_target_gaps

    target = column_name(frame, data.target, "data.target")
    try:
        rows, notes = without_target_gaps(frame, target, data.task, data, data.path)
        spec, _ = infer_target(rows[target], data, data.task)
        classes = f"{len(spec.labels):,} classes"
        roles[target] = f"target: {classes if spec.labels else 'a number'}"
        infer_columns(rows, target, data)
    except DataError as error:
        return [f"training stops here: {error}"]
    return notes


def _time_notes(frame: pandas.DataFrame, data: SeriesOptions) -> list[str]:
    from nnzoo.data.columns.values import mark_missing
    from nnzoo.data.timestamps.axis import describe_time

    targets = data.target if isinstance(data.target, list) else [data.target]
    names = [column_name(frame, each, "data.target") for each in targets]
    frame = mark_missing(frame)
    axis = describe_time(frame, data, names)
    if not axis.faults:
        axis = axis.without_missing(
            frame[names].isna().any(axis=1).to_numpy(), names, frame, data.path
        )
    found = f"time: {', '.join(axis.columns)}" if axis.columns else "no column of time"
    every = f", a step of one {axis.frequency.name()}" if axis.frequency else ""
    return [f"{found}{every}", *axis.notes, *axis.faults]


def _role(found: ColumnDescription, stated: str) -> str:
    """What a column is: as the configuration says, else as its values do."""
    if stated in ("target", "covariate"):
        return f"{stated}: {found.role}"
    return stated or found.role


def _details(found: ColumnDescription) -> list[str]:
    """Lines on one column: the format of its numbers, and examples of what does not fit."""
    details = [each for each in (found.problem, found.reason) if each]
    details += ["not used: no values"] * (found.role == "empty")
    if found.numbers and found.example and (value := found.format.describe_value(found.example)):
        details.append(value)
    share = max(found.shares.values(), default=0.0)
    if 0 < share < 1 and (found.odd or found.gaps):
        details.append(f"{100 * share:.3g} % of the different values are numbers")
    details += [
        f"'{shorten(each.text)}' in {each.rows:,} rows counts as missing" for each in found.gaps[:3]
    ]
    details += [
        f"'{shorten(each.text)}' in data row {each.first} is none" for each in found.odd[:3]
    ]
    details += found.remarks
    if found.role == "category":
        details.append(f"such as '{shorten(found.example)}'")
    return details
