"""Arrow's tables, and files of them (Feather), as frames of numbers and text."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnzoo.data.columns.values import to_text
from nnzoo.data.table_files import limits
from nnzoo.errors import DataError, first_line
from nnzoo.text import Note, list_some, shorten

if TYPE_CHECKING:
    import pandas
    import pyarrow

_DICTIONARY, _RECORDS = 2, 3  # kinds of messages
# The nullable types keep whole numbers whole beside missing ones.
_NULLABLE = {
    f"{i}int{bits}": f"{i.upper()}Int{bits}" for i in ("", "u") for bits in (8, 16, 32, 64)
}
_NULLABLE |= {"float": "Float32", "double": "Float64", "bool": "boolean"}


class TypedTable(NamedTuple):
    """A file of columns that have types, and notes on those that were not read."""

    frame: pandas.DataFrame
    notes: list[str]


def is_nested(type_: pyarrow.DataType) -> bool:
    """Whether a value of this type may hold any number of others."""
    from pyarrow import types

    type_ = getattr(type_, "storage_type", type_)  # of an extension
    if types.is_dictionary(type_):
        type_ = type_.value_type
    return types.is_nested(type_) or types.is_run_end_encoded(type_) or types.is_union(type_)


def is_text(type_: pyarrow.DataType) -> bool:
    from pyarrow import types

    texts = (types.is_string, types.is_large_string, types.is_string_view)
    binaries = (types.is_binary, types.is_large_binary, types.is_binary_view)
    return any(is_type(type_) for is_type in (*texts, *binaries))


def row_size(type_: pyarrow.DataType) -> int:
    """Bytes that a value takes at most until it is a number or a short text; of text, its place."""
    from pyarrow import types

    type_ = getattr(type_, "storage_type", type_)
    if types.is_fixed_size_binary(type_):
        return 64 + 4 * int(type_.byte_width)
    if (
        types.is_boolean(type_)
        or types.is_null(type_)
        or types.is_dictionary(type_)
        or is_text(type_)
    ):
        return 32
    # A date or decimal is a Python object for a while.
    return 20 if types.is_integer(type_) or types.is_floating(type_) else 200


def nested_note(file: Path, schema: pyarrow.Schema, nested: set[str]) -> list[str]:
    """A note that names the columns that are not read."""
    if not nested:
        return []
    columns = [
        f"'{shorten(column.name)}' ({shorten(str(column.type), 30)})"
        for column in schema
        if column.name in nested
    ]
    return [
        Note(
            "N22",
            f"columns of lists, maps or structs are not read: {list_some(columns, counted=True)}",
        )
    ]


def empty_columns(schema: pyarrow.Schema, nested: set[str]) -> dict[int, str]:
    """The nested columns by their positions."""
    return {i: column.name for i, column in enumerate(schema) if column.name in nested}


def frame_of(file: Path, table: pyarrow.Table, empty: dict[int, str]) -> pandas.DataFrame:
    """Numbers as they are (whole ones beside missing ones), everything else as text.

    empty: names of columns without values, by the positions where they are put in. A named index of
    pandas is a column. Raises DataError where packed text unfolds beyond the bounds.
    """
    import pandas

    def dtype(type_: pyarrow.DataType) -> Any:
        name = _NULLABLE.get(str(type_))
        return None if name is None else pandas.api.types.pandas_dtype(name)

    _refuse_views(file, table)
    frame = table.to_pandas(types_mapper=dtype)
    named_index = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named_index)
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    limits.refuse_unpacked(file, sum(_characters(file, column) for column in columns))
    for i, column in enumerate(columns):
        if isinstance(column.dtype, pandas.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        boolean = pandas.api.types.is_bool_dtype(column.dtype)
        if boolean or not pandas.api.types.is_numeric_dtype(column.dtype):
            column = to_text(column)
        columns[i] = column.rename(str(column.name))
    for i, name in empty.items():
        nothing = pandas.Series([None] * len(frame), index=frame.index, name=name, dtype=object)
        columns.insert(min(i, len(columns)), nothing)
    return pandas.concat(columns, axis=1) if columns else frame


def _characters(file: Path, column: pandas.Series) -> int:
    """The bytes of text that a dictionary-encoded column decodes to."""
    import pandas

    if not isinstance(column.dtype, pandas.CategoricalDtype):
        return 0
    lengths = np.array([len(v) if isinstance(v, str | bytes) else 8 for v in column.cat.categories])
    if lengths.max(initial=0) > limits.MAX_VALUE:
        raise DataError(
            f"{file}: column '{shorten(str(column.name))}' has a value of more than "
            f"{limits.MAX_VALUE:,} characters; leave the column out of the file",
            code="E34",
        )
    codes = column.cat.codes.to_numpy()
    return int(lengths[codes[codes >= 0]].sum())


def _refuse_views(file: Path, table: pyarrow.Table) -> None:
    """Refuse text of which many rows name the same bytes."""
    from pyarrow import types

    size = 0
    for column in table.columns:
        if types.is_string_view(column.type) or types.is_binary_view(column.type):
            for chunk in column.chunks:
                views = np.frombuffer(chunk.buffers()[1], np.int32).reshape(-1, 4)
                size += int(views[chunk.offset : chunk.offset + len(chunk), 0].sum())
    limits.refuse_unpacked(file, size)


def read_arrow(file: Path) -> TypedTable:
    """A file or stream of Arrow, such as Feather of version 2; raises as `read_parquet` does."""
    import pyarrow

    try:
        with pyarrow.memory_map(str(file)) as source:
            # A file is a stream between a magic word and a list of its parts, which may lie.
            start = 8 if source.read(6) == b"ARROW1" else 0
            source.seek(start)
            _refuse_messages(file, pyarrow.ipc.MessageReader.open_stream(source))
            source.seek(start)
            with pyarrow.ipc.open_stream(source) as stream:
                schema = stream.schema
                limits.refuse_columns(file, len(schema))
                batches = list(stream)
            for batch in batches:
                batch.validate(full=True)
            table = pyarrow.Table.from_batches(batches, schema)
            nested = {column.name for column in schema if is_nested(column.type)}
            flat = [column for column in schema if column.name not in nested]
            limits.refuse_unpacked(file, len(table) * sum(row_size(column.type) for column in flat))
            frame = frame_of(file, table.drop_columns(list(nested)), empty_columns(schema, nested))
        return TypedTable(frame, nested_note(file, schema, nested))
    except DataError:
        raise
    except Exception as error:  # pyarrow's errors have no common ground but this
        raise DataError(
            f"{file} is not a readable Arrow file: {first_line(error)}", code="E33"
        ) from None


def _refuse_messages(file: Path, reader: Any) -> None:
    """Refuse a stream whose parts unpack to too much, before one is unpacked."""
    size = 0
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        data = memoryview(message.metadata).cast("B")
        (root,) = struct.unpack_from("<I", data)
        kind, content = _field(data, root, 1), _field(data, root, 2)
        if kind is None or content is None or data[kind] not in (_DICTIONARY, _RECORDS):
            continue
        batch = content + struct.unpack_from("<I", data, content)[0]
        if data[kind] == _DICTIONARY:
            inner = _field(data, batch, 1)
            if inner is None:
                continue
            batch = inner + struct.unpack_from("<I", data, inner)[0]
        rows = _field(data, batch, 0)
        if rows is not None:
            limits.refuse_cells(file, struct.unpack_from("<q", data, rows)[0], 1)
        size += _unpacked_size(data, batch, message.body)
        limits.refuse_unpacked(file, size)


def _unpacked_size(data: memoryview, batch: int, body: pyarrow.Buffer | None) -> int:
    """Bytes of the buffers of a batch; of packed ones, what they say in their first eight."""
    buffers, packed = _field(data, batch, 2), _field(data, batch, 3)
    if buffers is None or body is None:
        return 0
    place = buffers + struct.unpack_from("<I", data, buffers)[0]
    (count,) = struct.unpack_from("<I", data, place)
    contents = memoryview(body).cast("B")
    total = 0
    for offset, length in struct.iter_unpack("<qq", data[place + 4 : place + 4 + 16 * count]):
        size = length
        if packed is not None and length >= 8 and 0 <= offset <= len(contents) - 8:
            size = max(length, struct.unpack_from("<q", contents, offset)[0])
        total += max(0, size)
    return total


def _field(data: memoryview, table: int, number: int) -> int | None:
    """The offset of the value of a field of a flatbuffers table; None if it has the default."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, vtable)
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", data, vtable + place)[0] if place < size else 0
    return table + offset if offset else None
