"""Several series in one table: which row belongs to which, by the values of one or several columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.values import column_name

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


def group_columns(frame: pandas.DataFrame, group: Any) -> list[str]:
    """The names of the columns of `data.group`: none, one, or several. Raises DataError."""
    if group is None:
        return []
    columns = group if isinstance(group, list) else [group]
    return [column_name(frame, column, "data.group") for column in columns]


def without_group(frame: pandas.DataFrame, columns: list[str]) -> Array:
    """(rows,) where a row does not say to which series it belongs."""
    if not columns:
        return np.zeros(len(frame), bool)
    return np.asarray(frame[columns].isna().any(axis=1).to_numpy())


def split_by_group(
    frame: pandas.DataFrame, columns: list[str], kept: Array | None = None
) -> dict[str, Array]:
    """The rows of each series as positions, in the order of the table; the series in that of their
    names, "a / b" where two columns name one. kept: (rows,) the rows that count."""
    import pandas

    rows = np.arange(len(frame)) if kept is None else np.flatnonzero(kept)
    if not columns:
        return {"": rows}
    keys = [frame[column].iloc[rows].reset_index(drop=True) for column in columns]
    groups = pandas.Series(rows).groupby(keys if len(keys) > 1 else keys[0], sort=True)
    return {
        " / ".join(map(str, name)) if isinstance(name, tuple) else str(name): piece.to_numpy()
        for name, piece in groups
    }
