"""JSON as a frame of text: a list of records, a record a line, or a list for each column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.file_format import Source
from nnzoo.data.table_files.text_encoding import TextLines
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas

EXPECTED = 'expected a list of records ([{"a": 1, "b": 2}, …]), or a record a line'


def looks_like_json(head: list[str]) -> bool:
    """Whether the first lines of a text begin a JSON list or object, and no row of a table."""
    text = "".join(head[:20]).lstrip()
    if text.startswith("["):
        return text[1:].lstrip()[:1] in ("{", "[", "]")
    return text.startswith("{") and text[1:].lstrip()[:1] in ('"', "}")


def read_json(source: Source, codec: str) -> tuple[pandas.DataFrame, list[str]]:
    """Values as the text that they are written as; true and false as True and False.

    A record without a key has no value there. Raises DataError for other JSON and nested values.
    """
    import pandas

    records = _records(source, _read(source, codec))
    columns: dict[str, list[str | None]] = {}
    short = 0
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataError(f"{source.file}: record {row + 1} is no object; {EXPECTED}", code="E36")
        short += len(columns) > len(record)
        for name, value in record.items():
            if name not in columns:
                short += row > 0
                columns[name] = [None] * row
                limits.refuse_columns(source.file, len(columns))
            columns[name].append(_text(source, name, row, value))
        if len(record) < len(columns):
            for column in columns.values():
                column += [None] * (row + 1 - len(column))
        limits.refuse_cells(source.file, row + 1, len(columns))
    series = [pandas.Series(values, dtype=str) for values in columns.values()]
    frame = pandas.concat(series, axis=1) if series else pandas.DataFrame()
    frame.columns = pandas.Index([str(name) for name in columns])
    notes: list[str] = (
        [Note("N05", f"{short:,} records lack keys that others have: missing values")]
        if short
        else []
    )
    return frame, notes


def _read(source: Source, codec: str) -> Any:
    """The JSON value of a text, or a list of those of its lines; numbers stay as they are written."""
    lines = TextLines(source, codec)
    kept: list[str] = []
    size = 0
    try:
        for line in lines:
            size += len(line)
            if size > limits.MAX_JSON:
                raise DataError(
                    f"{source.file} has more than {limits.MAX_JSON:,} characters of JSON; save it as CSV "
                    "or Parquet",
                    code="E34",
                )
            kept.append(line)
    finally:
        lines.close()
    exact: dict[str, Any] = {"parse_float": str, "parse_int": str, "parse_constant": str}
    try:
        return json.loads("".join(kept), **exact)
    except RecursionError:
        raise DataError(f"{source.file} is nested too deep; {EXPECTED}", code="E34") from None
    except json.JSONDecodeError as error:
        first_error = error
    records = []
    for number, line in enumerate(kept, 1):
        if line.strip():
            try:
                records.append(json.loads(line, **exact))
            except (json.JSONDecodeError, RecursionError):
                if number > 1 and records:
                    raise DataError(
                        f"{source.file}:{number}: not a JSON record; {EXPECTED}", code="E36"
                    ) from None
                raise DataError(
                    f"{source.file}:{first_error.lineno}: not JSON: {first_error.msg}", code="E36"
                ) from None
    return records


def _records(source: Source, value: Any) -> list[Any]:
    """Rows, also of the other forms that pandas writes."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        names = value.get("columns")
        if isinstance(names, list) and all(isinstance(row, list) for row in value["data"]):
            return _zipped(source, names, value["data"])
        if value["data"] and isinstance(value["data"][0], dict):
            return list(value["data"])
    if isinstance(value, dict) and value:
        first = next(iter(value.values()))
        if isinstance(first, dict) and all(
            isinstance(column, dict) and column.keys() == first.keys() for column in value.values()
        ):  # of each column its values by their index
            return _zipped(
                source,
                list(value),
                zip(*(column.values() for column in value.values()), strict=True),
            )
        if isinstance(first, list) and all(
            isinstance(column, list) and len(column) == len(first) for column in value.values()
        ):
            return _zipped(source, list(value), zip(*value.values(), strict=True))
        return [value]
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        names, *rows = value
        if all(
            isinstance(name, str) and len(row) == len(names) for name in names for row in rows[:1]
        ):
            return _zipped(source, names, rows)
    if not isinstance(value, list):
        raise DataError(f"{source.file}: {EXPECTED}", code="E36")
    return value


def _zipped(source: Source, names: list[Any], rows: Any) -> list[dict[str, Any]]:
    records = []
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise DataError(
                f"{source.file}: record {i + 1} has {len(row)} values, not {len(names)}", code="E36"
            )
        records.append({str(name): value for name, value in zip(names, row, strict=True)})
    return records


def _text(source: Source, name: str, row: int, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return str(value)
    raise DataError(
        f"{source.file}: '{shorten(name)}' of record {row + 1} holds several values; {EXPECTED}, each "
        "with one value a key: pandas.json_normalize makes such a table",
        code="E36",
    )
