"""Parquet files as frames of numbers and text, within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.arrow import (
    TypedTable,
    empty_columns,
    frame_of,
    is_nested,
    is_text,
    nested_note,
    row_size,
)
from nnzoo.errors import DataError, first_line

MAX_PAGES = 500_000
MAX_HEADER = 1 << 24  # bytes of a page's header, which may hold its least and largest value
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
PREFIXES = 7  # DELTA_BYTE_ARRAY: a text is the beginning of the one before and some more


@dataclass
class Column:
    """Sizes of the pages of a column (of the file, not of a nested type), in all row groups.

    unpacked: bytes of its pages; largest: of the largest one; encodings: of its data pages.
    """

    values: int = 0
    unpacked: int = 0
    largest: int = 0
    encodings: frozenset[int] = frozenset()


def read_pages(file: Path, metadata: Any, columns: list[int]) -> dict[int, Column]:
    """Sizes of the pages of some columns, by their positions in `metadata` (pyarrow's).

    Raises DataError where they are too many, or unfold beyond the bounds; ValueError where they
    are damaged.
    """
    sizes = {i: Column() for i in columns}
    pages = 0
    with file.open("rb") as binary:
        for group in range(metadata.num_row_groups):
            for i in columns:
                chunk = metadata.row_group(group).column(i)
                start = chunk.data_page_offset
                if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                    start = min(start, chunk.dictionary_page_offset)
                end = start + chunk.total_compressed_size
                while start < end:
                    pages += 1
                    if pages > MAX_PAGES:
                        raise DataError(
                            f"{file} has more than {MAX_PAGES:,} pages; write it anew", code="E34"
                        )
                    start = _add_page(binary, start, sizes[i])
                limits.refuse_unpacked(file, sum(column.unpacked for column in sizes.values()))
    return sizes


def _add_page(binary: BinaryIO, start: int, column: Column) -> int:
    """Count the page that starts there; gives where it ends. Raises ValueError."""
    for size in (1 << 12, MAX_HEADER):
        binary.seek(start)
        reader = _Compact(binary.read(size))
        try:
            header = reader.struct()
            break
        except IndexError:
            continue
    else:
        raise ValueError("a page's header does not end")
    kind, unpacked, packed = (header.get(i, -1) for i in (1, 2, 3))
    if not all(isinstance(value, int) and value >= 0 for value in (kind, unpacked, packed)):
        raise ValueError("a page has no size")
    column.unpacked += unpacked
    column.largest = max(column.largest, unpacked)
    content = {_DATA: header.get(5), _DATA_V2: header.get(8)}.get(kind)
    if isinstance(content, dict):
        column.values += max(0, content.get(1, 0))
        encoding = content.get(2 if kind == _DATA else 4, 0)
        column.encodings |= {encoding}
    return start + reader.place + packed


class _Compact:
    """Structs of whole numbers and structs in Thrift's compact protocol; the rest is passed over.

    Raises IndexError at the end of the bytes, ValueError for what is no such struct.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._whole()
            fields[number] = self._value(kind & 15, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > 8:
            raise ValueError("a page's header is nested too deep")
        if kind in (1, 2):  # true and false have no bytes
            return kind == 1
        if kind in (4, 5, 6):
            return self._whole()
        if kind == 3:
            return self._byte()
        if kind == 7:
            return self._pass(8)
        if kind == 8:
            return self._pass(self._varint())
        if kind in (9, 10):
            size = self._byte()
            count = size >> 4 if size >> 4 < 15 else self._varint()
            for _ in range(count):
                self._pass(1) if size & 15 in (1, 2) else self._value(size & 15, depth + 1)
            return None
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError("a page's header cannot be read")

    def _pass(self, size: int) -> None:
        self.place += size
        if self.place > len(self.data):
            raise IndexError

    def _byte(self) -> int:
        self._pass(1)
        return self.data[self.place - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a page's header cannot be read")

    def _whole(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


# Bytes of text that are decoded at once where each value may repeat the one before.
BATCH = 1 << 26


def read_parquet(file: Path) -> TypedTable:
    """Numbers stay numbers; everything else becomes the text that a CSV would hold.

    Columns of lists, maps and structs are not decoded: they are empty, with a note. Raises DataError
    for a damaged file, and before anything is decoded for one that unfolds beyond the bounds.
    """
    try:
        return _read(file)
    except DataError:
        raise
    except Exception as error:  # pyarrow's errors have no common ground but this
        raise DataError(
            f"{file} is not a readable Parquet file: {first_line(error)}", code="E33"
        ) from None


def _read(file: Path) -> TypedTable:
    from pyarrow import parquet

    # An element of a list takes at least a byte: what claims more would be made in vain.
    footer = max(1000, _footer_size(file))
    safe: dict[str, Any] = {
        "thrift_string_size_limit": footer,
        "thrift_container_size_limit": footer,
    }
    with parquet.ParquetFile(file, **safe) as opened:
        metadata, schema = opened.metadata, opened.schema_arrow
    limits.refuse_columns(file, metadata.num_columns)
    names = [metadata.schema.column(i).path.split(".")[0] for i in range(metadata.num_columns)]
    nested = {column.name for column in schema if is_nested(column.type)}
    flat = [i for i, name in enumerate(names) if name not in nested]
    pages = read_pages(file, metadata, flat)
    rows = max([metadata.num_rows, *(column.values for column in pages.values())])
    limits.refuse_cells(file, rows, len(schema))
    fields = [column for column in schema if column.name not in nested]
    limits.refuse_unpacked(file, rows * sum(row_size(column.type) for column in fields))
    texts = [column.name for column in fields if is_text(column.type)]
    for i, column in pages.items():
        if PREFIXES in column.encodings:
            _refuse_repeated(file, names[i], BATCH // max(1, column.largest), safe)
    chosen = [column.name for column in fields] if nested else None
    safe |= {"read_dictionary": texts, "partitioning": None}
    table = parquet.read_table(file, columns=chosen, **safe)
    return TypedTable(
        frame_of(file, table, empty_columns(schema, nested)), nested_note(file, schema, nested)
    )


def _footer_size(file: Path) -> int:
    with file.open("rb") as binary:
        size = binary.seek(0, 2)
        binary.seek(max(0, size - 8))
        return min(size, int.from_bytes(binary.read(4), "little"))


def _refuse_repeated(file: Path, name: str, batch_rows: int, safe: dict[str, Any]) -> None:
    """Read a column of text, whose bytes say little of its size, once in small pieces."""
    from pyarrow import parquet

    size = 0
    with parquet.ParquetFile(file, **safe) as opened:
        for batch in opened.iter_batches(max(1, min(batch_rows, 65_536)), columns=[name]):
            size += batch.nbytes
            limits.refuse_unpacked(file, size)
