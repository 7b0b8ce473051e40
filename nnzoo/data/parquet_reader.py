"""Parquet files as frames of numbers and text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.data import limits
from nnzoo.data.columns import shorten, to_text
from nnzoo.errors import DataError, first_line

if TYPE_CHECKING:
    import pandas


def read_parquet(file: Path) -> pandas.DataFrame:
    """Numbers stay numbers; everything else becomes the text that a CSV would hold."""
    import pandas

    try:
        packed = _texts_of(file)
        # The nullable types keep whole numbers whole beside missing ones; text stays packed.
        frame = pandas.read_parquet(file, dtype_backend="numpy_nullable", read_dictionary=packed)
    except DataError:
        raise
    except Exception as error:  # pyarrow's errors have no common ground but this
        raise DataError(f"{file} is not a readable Parquet file: {first_line(error)}") from None
    named_index = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named_index)
    frame.columns = frame.columns.map(str)
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    limits.refuse_unpacked(file, sum(_characters(file, column) for column in columns))
    for i, column in enumerate(columns):
        if isinstance(column.dtype, pandas.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        boolean = pandas.api.types.is_bool_dtype(column.dtype)
        if boolean or not pandas.api.types.is_numeric_dtype(column.dtype):
            columns[i] = to_text(column)
        else:
            columns[i] = column
    return pandas.concat(columns, axis=1) if columns else frame


def _texts_of(file: Path) -> list[str]:
    """The columns of text; raises DataError by what the end of the file says of its size."""
    from pyarrow import parquet, types

    metadata = parquet.read_metadata(file)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    rows = max(sum(group.num_rows for group in groups), metadata.num_rows)
    limits.refuse_columns(file, metadata.num_columns)
    limits.refuse_cells(file, rows, metadata.num_columns)
    limits.refuse_unpacked(file, sum(group.total_byte_size for group in groups))
    columns = list(parquet.read_schema(file))
    for column in columns:
        if types.is_fixed_size_binary(column.type):
            limits.refuse_unpacked(file, rows * column.type.byte_width)
    if any(types.is_nested(column.type) for column in columns):  # many values in a row
        leaves = [each.column(j) for each in groups for j in range(each.num_columns)]
        limits.refuse_cells(file, sum(leaf.num_values for leaf in leaves), 1)
    text = (types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary, types.is_binary_view)  # fmt: skip
    return [each.name for each in columns if any(is_text(each.type) for is_text in text)]


def _characters(file: Path, column: pandas.Series) -> int:
    """How much text a packed column unpacks to: each row names one of some values."""
    import pandas

    if not isinstance(column.dtype, pandas.CategoricalDtype):
        return 0
    lengths = np.array([len(v) if isinstance(v, str | bytes) else 8 for v in column.cat.categories])
    if lengths.max(initial=0) > limits.MAX_VALUE:
        raise DataError(
            f"{file}: column '{shorten(str(column.name))}' has a value of more than {limits.MAX_VALUE:,} "
            "characters; leave the column out of the file"
        )
    codes = column.cat.codes.to_numpy()
    return int(lengths[codes[codes >= 0]].sum())
