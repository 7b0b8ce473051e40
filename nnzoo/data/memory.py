"""Tables in memory, from pandas or numpy, as data sets: read like a file of the same columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.checks import imputation_notes
from nnzoo.data.columns.inputs import infer_columns
from nnzoo.data.columns.values import to_text
from nnzoo.data.data_spec import DataSpec, InputSpec, TaskName
from nnzoo.data.dataset import Dataset, Split, TensorSplit
from nnzoo.data.row_split import split_rows
from nnzoo.data.tables import encode_columns
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
# With more rows of each sort, as among few categories, one validates for another, and merged ones are too few to learn
# from: on tables of 4 to 10 binary columns the error of probabilities rose from 0.03 to 0.19 at 60 copies, and fell
# below 5.
MAX_COPIES = 5


def as_frame(x: Any, names: Sequence[str]) -> tuple[pandas.DataFrame, list[str]]:
    """A DataFrame or an array (rows, columns) as columns of float64 numbers or of texts with these names, NaN or None
    where one is missing; and the names of the columns of pandas's type category.

    Raises TypeError for values that are neither, such as a dictionary.
    """
    import pandas

    if not isinstance(x, pandas.DataFrame):
        is_numeric = np.asarray(x).dtype.kind in "biuf"
        x = pandas.DataFrame(np.asarray(x, dtype=np.float64) if is_numeric else x)
    columns = [x.iloc[:, i] for i in range(x.shape[1])]
    categorical = [
        name
        for name, column in zip(names, columns, strict=True)
        if isinstance(column.dtype, pandas.CategoricalDtype)
    ]
    read = {name: _read_column(column) for name, column in zip(names, columns, strict=True)}
    return pandas.DataFrame(read), categorical


def _read_column(column: pandas.Series) -> pandas.Series:
    import pandas

    column = column.reset_index(drop=True)
    if column.dtype == object:
        _refuse_objects(column)
        column = column.infer_objects()
    is_number = pandas.api.types.is_numeric_dtype(column) and not (
        pandas.api.types.is_bool_dtype(column) or isinstance(column.dtype, pandas.CategoricalDtype)
    )
    if is_number:
        return pandas.Series(column.to_numpy(np.float64, na_value=np.nan))
    return to_text(column)


def _refuse_objects(column: pandas.Series) -> None:
    for row, value in enumerate(column):
        if isinstance(value, dict | list | tuple | set | np.ndarray):
            raise TypeError(
                f"argument must be a string or a number, but column '{shorten(str(column.name))}' has a "
                f"{type(value).__name__} in row {row}"
            )


@dataclass(frozen=True)
class MemoryTable:
    """Rows to learn from.

    frame: the inputs, as `as_frame` makes them. target: classes (rows,) int64, labels (rows, labels) float32 of 1 and
    0, or numbers (rows, targets) float64, by task. names: of the classes, labels or targets. weights: (rows,) float64.
    """

    frame: pandas.DataFrame
    target: Array
    task: TaskName
    names: list[str]
    weights: Array

    def without(self, names: Sequence[str]) -> MemoryTable:
        """The same rows without some of the columns."""
        return replace(self, frame=self.frame.drop(columns=list(names)))

    def merged(self) -> MemoryTable:
        """The distinct rows, each with the sum of its weights, in an order that follows from their values.

        A row that is given twice and a row of weight 2 are then the same to the last bit, no copy of a training row
        validates, and rows of weight 0 are no rows. If a distinct row stands for more than MAX_COPIES on average, they
        are copied again. Weights of more than MAX_COPIES on average are no counts, and are scaled to 1 on average.
        """
        kept = self.weights > 0
        table, target = self.frame[kept].reset_index(drop=True), self.target[kept]
        weights = self.weights[kept]
        if weights.mean() > MAX_COPIES:
            weights = weights / weights.mean()
        keys = _row_keys(table, target)
        order = np.lexsort(keys)
        ordered = keys[:, order]
        starts = np.concatenate([[True], (ordered[:, 1:] != ordered[:, :-1]).any(0)])
        weights = np.bincount(np.cumsum(starts) - 1, weights[order])
        copies = np.ones(len(weights), dtype=np.int64)
        if weights.mean() > MAX_COPIES:
            copies = np.maximum(1, weights.round()).astype(np.int64)
        rows = np.repeat(order[starts], copies)
        weights = np.repeat(weights / copies, copies)
        frame = table.iloc[rows].reset_index(drop=True)
        return replace(self, frame=frame, target=target[rows], weights=weights)

    def dataset(self, options: CsvOptions) -> Dataset:
        """The data set of these rows, of which `options.split` draws those that validate.

        Columns are described, and numbers filled and scaled, by the training rows alone. Raises DataError.
        """
        codes = self.target if self.task == "classification" else None
        rows = self._with_every_class(split_rows(len(self.frame), options.split, codes, test=False))
        columns, notes = infer_columns(self.frame.iloc[rows["train"]], [], options)
        x = encode_columns(self.frame, columns, options.path)
        splits: dict[str, Split] = {
            part: self._part(x, torch.from_numpy(index))
            for part, index in rows.items()
            if len(index)
        }
        spec = DataSpec(
            InputSpec("table", (len(columns),)),
            self.task,
            [] if self.task == "regression" else self.names,
            self.names if self.task == "regression" else [],
            columns,
        )
        filled = imputation_notes(
            columns,
            [split.tensors()[0].numpy() for split in splits.values()],
            options.preprocess.impute,
        )
        return Dataset(spec, splits, notes + filled)

    def _part(self, x: torch.Tensor, rows: torch.Tensor) -> TensorSplit:
        """Some rows (int64) of the inputs `x`; equal weights are as good as none."""
        weights = None
        if self.weights.min() < self.weights.max():
            weights = torch.from_numpy(self.weights)[rows]
        return TensorSplit(x[rows], torch.from_numpy(self.target)[rows], weights=weights)

    def _with_every_class(self, rows: dict[str, Array]) -> dict[str, Array]:
        """Validation rows of classes that would have no training row train instead."""
        if self.task != "classification":
            return rows
        unseen = ~np.isin(self.target[rows["val"]], self.target[rows["train"]])
        train = np.sort(np.concatenate([rows["train"], rows["val"][unseen]]))
        return {"train": train, "val": rows["val"][~unseen]}


def _row_keys(frame: pandas.DataFrame, target: Array) -> Array:
    """128 bits of each row's values (2, rows) uint64, equal where these are."""
    from pandas.util import hash_array, hash_pandas_object

    outputs = target.reshape(len(target), -1)
    columns = [
        hash_pandas_object(frame.iloc[:, i], index=False).to_numpy() for i in range(frame.shape[1])
    ]
    columns += [hash_array(np.ascontiguousarray(outputs[:, i])) for i in range(outputs.shape[1])]
    keys = np.zeros((2, len(frame)), dtype=np.uint64)
    for column in columns:
        # Odd multipliers of 64 bits (Steele & Vigna 2021): products wrap around.
        keys[0] = (keys[0] ^ column) * np.uint64(0xD1342543DE82EF95)
        keys[1] = (keys[1] + column) * np.uint64(0xAF251AF3B0F025B5)
        keys ^= keys >> np.uint64(29)
    return keys
