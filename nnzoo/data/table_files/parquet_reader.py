"""Parquet files as frames of numbers and text, within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnzoo.data import limits
from nnzoo.data.table_files.arrow_frame import (
    Typed,
    empty_columns,
    frame_of,
    is_nested,
    is_text,
    nested_note,
    row_size,
)
from nnzoo.data.table_files.parquet_pages import PREFIXES, read_pages
from nnzoo.errors import DataError, first_line

# Bytes of text that are decoded at once where each value may repeat the one before.
BATCH = 1 << 26


def read_parquet(file: Path) -> Typed:
    """Numbers stay numbers; everything else becomes the text that a CSV would hold.

    Columns of lists, maps and structs are not decoded: they are empty, with a note. Raises DataError
    for a damaged file, and before anything is decoded for one that unfolds beyond the bounds.
    """
    try:
        return _read(file)
    except DataError:
        raise
    except Exception as error:  # pyarrow's errors have no common ground but this
        raise DataError(f"{file} is not a readable Parquet file: {first_line(error)}") from None


def _read(file: Path) -> Typed:
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
    nested = {each.name for each in schema if is_nested(each.type)}
    flat = [i for i, name in enumerate(names) if name not in nested]
    pages = read_pages(file, metadata, flat)
    rows = max([metadata.num_rows, *(column.values for column in pages.values())])
    limits.refuse_cells(file, rows, len(schema))
    fields = [each for each in schema if each.name not in nested]
    limits.refuse_unpacked(file, sum(rows * row_size(each.type) for each in fields))
    texts = [each.name for each in fields if is_text(each.type)]
    for i, column in pages.items():
        if PREFIXES in column.encodings:
            _refuse_repeated(file, names[i], BATCH // max(1, column.largest), safe)
    table = parquet.read_table(
        file, columns=[each.name for each in fields] if nested else None, read_dictionary=texts,
        partitioning=None, **safe,
    )  # fmt: skip
    return Typed(
        frame_of(file, table, empty_columns(schema, nested)), nested_note(file, schema, nested)
    )


def _footer_size(file: Path) -> int:
    with file.open("rb") as binary:
        size = binary.seek(0, 2)
        binary.seek(max(0, size - 8))
        return min(size, int.from_bytes(binary.read(4), "little"))


def _refuse_repeated(file: Path, name: str, batch: int, safe: dict[str, Any]) -> None:
    """Read a column of text, whose bytes say little of its size, once in small pieces."""
    from pyarrow import parquet

    size = 0
    with parquet.ParquetFile(file, **safe) as opened:
        for each in opened.iter_batches(max(1, min(batch, 65_536)), columns=[name]):
            size += each.nbytes
            limits.refuse_unpacked(file, size)
