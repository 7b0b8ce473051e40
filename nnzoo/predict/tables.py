"""Predictions for rows of tables, and for sequences, each a table of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nnzoo.data.columns.values import column_name, to_text
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.data.table_files.table_io import (
    ReadOptions,
    numbered,
    read_pieces,
    read_table,
    without_stray_rows,
)
from nnzoo.data.tables import encode_columns
from nnzoo.errors import DataError, UsageError
from nnzoo.models.network import Network
from nnzoo.predict.new_values import NewValues
from nnzoo.predict.predictions import Predictions, answer, rows_at_once
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

RESERVED = ("file", "row", "prediction", "probability")


def predict_tables(
    network: Network, paths: list[str], keep: Sequence[str] = ()
) -> Iterator[Predictions]:
    """Predictions for the rows of some files; keep: columns that are carried along."""
    seen = NewValues()
    notes: list[str] = []
    for path in paths:
        for table in read_pieces(path, reading_of(network), "INPUT"):
            frame = table.frame
            strays: list[str] = []
            if len(frame) and frame.index[0] == 0:
                # A row at the end may be asked for; its words are told as values never seen.
                frame, strays = without_stray_rows(frame, table.named, below=False)
            answers = answer_rows(network, frame, path, seen, keep)
            of_table = [*table.notes, *strays]
            notes += [f"{path}: {note}" if len(paths) > 1 else note for note in of_table]
            if len(paths) > 1:
                answers.places = {"file": [path] * len(answers)} | answers.places
            yield answers
    yield answers.only(notes + seen.notes())


def reading_of(network: Network) -> ReadOptions:
    """How files of new data are read: as the training file was, where there is one.

    They name their columns if it did; "auto" delimiter, encoding and skip_rows are found anew.
    """
    options = ReadOptions.of(
        network.config.data, keep_words=network.data_spec.input.kind == "table"
    )
    if options.header != "auto" or not hasattr(network.config.data, "header"):
        return options
    named = network.data_spec.header
    if named is None:
        named = not all(map(str.isdecimal, _names(network)))
    return replace(options, header=named)


def _names(network: Network) -> list[str]:
    """The columns that the network reads, and the target's where it is in the same file."""
    spec = network.data_spec
    return [*spec.column_names, *([] if spec.target is None else [spec.target])]


def answer_rows(
    network: Network, frame: pandas.DataFrame, source: str, seen: NewValues,
    keep: Sequence[str] = (),
) -> Predictions:  # fmt: skip
    """Predictions for the rows of a table, whose values are added to `seen`."""
    columns = network.data_spec.columns
    index: dict[str, list[Any]] = {"row": [int(i) + 1 for i in frame.index]}
    for column in keep:
        name = column_name(
            frame, int(column) if column.lstrip("-").isdecimal() else column, "--keep"
        )
        if name in RESERVED or name.startswith("p_"):
            raise UsageError(f"--keep: '{name}' is the name of a column of the predictions")
        index[name] = [None if value is None else str(value) for value in to_text(frame[name])]
    frame = _with_target(network, frame)
    raw = encode_columns(frame, columns, source)
    seen.add(frame, columns, raw)
    return answer(network, raw, index)


def _with_target(network: Network, frame: pandas.DataFrame) -> pandas.DataFrame:
    """Columns that go by their positions, numbered as in the training file: where one is lacking it
    is the target, and what stands behind it moves up."""
    spec, names = network.data_spec, _names(network)
    by_position = numbered(frame) and all(map(str.isdecimal, names)) and spec.header is None
    if spec.target is None or not by_position:
        return frame
    width = max(map(int, names)) + 1 if spec.width is None else spec.width
    if len(frame.columns) != width - 1:
        return frame
    target = int(spec.target)
    return frame.set_axis([str(i + (i >= target)) for i in range(width - 1)], axis=1)


def predict_sequences(network: Network, paths: list[str]) -> Iterator[Predictions]:
    files = iter(paths)
    while batch := list(islice(files, rows_at_once(network))):
        found = [
            read_sequence(network, read_table(path, key="INPUT").frame, path) for path in batch
        ]
        yield answer(network, torch.stack(found), {"file": batch})


def read_sequence(network: Network, frame: pandas.DataFrame, source: str) -> Tensor:
    """One sequence, (time, features) float64."""
    steps, features = network.data_spec.input.shape
    names = network.data_spec.column_names
    names = names or [str(i) for i in range(features)]
    if numbered(frame) and len(frame.columns) == len(names):
        frame = frame.set_axis(names, axis=1)
    raw = encode_columns(frame, [ColumnSpec(name) for name in names], source)
    if len(raw) != steps:
        raise DataError(f"{source} has {len(raw):,} time steps; this network reads {steps:,}")
    if raw.isnan().any():
        row, column = raw.isnan().nonzero()[0].tolist()
        raise DataError(f"{source}: '{shorten(names[column])}' is missing in data row {row + 1}")
    return raw
