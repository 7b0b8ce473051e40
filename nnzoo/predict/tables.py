"""Predictions for rows of tables, and for sequences (one table per sequence)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.values import column_name, to_text
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.data.table_files.csv_layout import Layout
from nnzoo.data.table_files.table_io import (
    ReadOptions,
    numbered,
    read_chunks,
    read_table,
    without_stray_rows,
)
from nnzoo.data.tables import category_codes, encode_columns
from nnzoo.errors import DataError, UsageError
from nnzoo.models.network import Network
from nnzoo.predict.plain_csv import PlainReader, PlainRows, open_plain
from nnzoo.predict.predictions import Predictions, batch_size, predict_raw
from nnzoo.text import Note, list_some, reworded, shorten

if TYPE_CHECKING:
    import pandas

RESERVED = ("file", "row", "prediction", "probability", "std")
# Columns, and values of one, that a note names.
SHOWN = 3


def predict_tables(
    network: Network, paths: list[str], keep: Sequence[str] = ()
) -> Iterator[Predictions]:
    """Predict the rows of files. keep: columns that are carried along."""
    values = NewValues()
    notes: list[str] = []
    open_blocks = None if keep else partial(_open_blocks, network)
    for path in paths:
        for table in read_chunks(path, read_options(network), "INPUT", open_blocks):
            frame = table.frame
            stray_notes: list[str] = []
            if table.values is None and len(frame) and frame.index[0] == 0:
                # Rows at the end stay: they may be asked for, and their words are noted as new values.
                frame, stray_notes = without_stray_rows(frame, table.named, below=False)
            if table.values is None:
                predictions = predict_rows(network, frame, path, values, keep)
            else:
                values.add_plain(table.values)
                rows = frame.index
                index: dict[str, list[Any]] = {"row": list(range(rows[0] + 1, rows[-1] + 2))}
                predictions = predict_raw(network, torch.from_numpy(table.values.raw), index)
            of_table = [*table.notes, *stray_notes]
            notes += [
                reworded(note, f"{path}: {note}") if len(paths) > 1 else note for note in of_table
            ]
            if len(paths) > 1:
                predictions.index = {"file": [path] * len(predictions)} | predictions.index
            yield predictions
    yield predictions.empty_with_notes(notes + values.notes())


def _open_blocks(network: Network, layout: Layout) -> PlainReader | None:
    """Return what reads the plain rows of a file; None where there is no native code for them."""
    import pandas

    frame = _number_as_in_training(network, pandas.DataFrame(columns=layout.names))
    return open_plain(layout, list(frame.columns), network.data_spec.columns)


def read_options(network: Network) -> ReadOptions:
    """Return how files of new data are read: as the training file was, if there is one.

    They have a header if it had one; "auto" delimiter, encoding and skip_rows are detected anew.
    """
    data, spec = network.config.data, network.data_spec
    options = ReadOptions.of(data, keep_words=spec.input.kind == "table")
    if options.header != "auto" or not hasattr(data, "header"):
        return options
    by_position = all(map(str.isdecimal, _names_in_file(network)))
    return replace(options, header=not by_position if spec.header is None else spec.header)


def _names_in_file(network: Network) -> list[str]:
    """Return the columns that the network reads, and those of the targets if they are in the same file."""
    spec = network.data_spec
    return [*spec.column_names, *spec.target_names]


def predict_rows(
    network: Network,
    frame: pandas.DataFrame,
    source: str,
    values: NewValues,
    keep: Sequence[str] = (),
) -> Predictions:
    """Predict the rows of a table and count its new values in `values`."""
    columns = network.data_spec.columns
    index: dict[str, list[Any]] = {"row": [int(i) + 1 for i in frame.index]}
    for column in keep:
        name = column_name(
            frame, int(column) if column.lstrip("-").isdecimal() else column, "--keep"
        )
        if name in RESERVED or name.startswith("p_"):
            raise UsageError(
                f"--keep: '{name}' is the name of a column of the predictions", code="E01"
            )
        index[name] = [None if value is None else str(value) for value in to_text(frame[name])]
    frame = _number_as_in_training(network, frame)
    raw = encode_columns(frame, columns, source)
    values.add(frame, columns, raw)
    return predict_raw(network, raw, index)


def _number_as_in_training(network: Network, frame: pandas.DataFrame) -> pandas.DataFrame:
    """Number columns without names as in the training file: if it lacks as many as there are targets, those are
    missing, and the columns after them move up."""
    spec, names = network.data_spec, _names_in_file(network)
    by_position = numbered(frame) and all(map(str.isdecimal, names)) and spec.header is None
    if not spec.target_names or not by_position:
        return frame
    width = max(map(int, names)) + 1 if spec.width is None else spec.width
    inputs = [name for name in map(str, range(width)) if name not in spec.target_names]
    return frame.set_axis(inputs, axis=1) if len(frame.columns) == len(inputs) else frame


def predict_sequences(network: Network, paths: list[str]) -> Iterator[Predictions]:
    """Predict files with one sequence each."""
    files = iter(paths)
    while batch := list(islice(files, batch_size(network))):
        sequences = [
            read_sequence(network, read_table(path, key="INPUT").frame, path) for path in batch
        ]
        yield predict_raw(network, torch.stack(sequences), {"file": batch})


def read_sequence(network: Network, frame: pandas.DataFrame, source: str) -> Tensor:
    """Return one sequence, (time, features) float64; raises DataError for missing values."""
    steps, features = network.data_spec.input.shape
    names = network.data_spec.column_names or [str(i) for i in range(features)]
    if numbered(frame) and len(frame.columns) == len(names):
        frame = frame.set_axis(names, axis=1)
    raw = encode_columns(frame, [ColumnSpec(name) for name in names], source)
    if len(raw) != steps:
        raise DataError(
            f"{source} has {len(raw):,} time steps; this network reads {steps:,}", code="E54"
        )
    if raw.isnan().any():
        row, column = raw.isnan().nonzero()[0].tolist()
        raise DataError(
            f"{source}: '{shorten(names[column])}' is missing in data row {row + 1}", code="E54"
        )
    return raw


class NewValues:
    """Counts of values that training did not have, over all files, by column: unseen categories,
    other spellings, words that count as missing, and missing values that are filled."""

    def __init__(self) -> None:
        self.new_categories: dict[str, Counter[str]] = {}
        self.spellings: dict[str, Counter[str]] = {}
        self.words: dict[str, Counter[str]] = {}
        self.filled: Counter[str] = Counter()

    def add(self, frame: pandas.DataFrame, columns: list[ColumnSpec], raw: Tensor) -> None:
        """Count the values of a frame. raw: its rows (rows, columns) as the network reads them."""
        for i, column in enumerate(columns):
            name, values = column.name, frame[column.name]
            if column.categories is not None:
                self._count(self.new_categories, name, values[category_codes(values, column)[1]])
                index = LabelIndex(column.categories)
                texts = to_text(values)
                unique = texts.dropna().unique()
                respelled = [t for t in unique if t not in index.codes and index.code(t) >= 0]
                self._count(self.spellings, name, texts[texts.isin(respelled)])
                continue
            missing = raw[:, i].isnan().numpy()
            if missing.any():
                self.filled[name] += int(missing.sum())
                self._count(self.words, name, values[missing & values.notna().to_numpy()])

    def add_plain(self, rows: PlainRows) -> None:
        """Count the values of rows that were read natively, as `add` counts those of a frame."""
        for name, count in rows.missing.items():
            self.filled[name] += count
        for counts, of_rows in (
            (self.new_categories, rows.new_categories),
            (self.spellings, rows.spellings),
            (self.words, rows.words),
        ):
            for name, texts in of_rows.items():
                counts.setdefault(name, Counter()).update(texts)

    @staticmethod
    def _count(counts: dict[str, Counter[str]], name: str, values: pandas.Series) -> None:
        if len(values):
            counts.setdefault(name, Counter()).update(to_text(values))

    def notes(self) -> list[str]:
        """Return a line for each sort of new values."""
        sorts = (
            ("values that training never saw count as missing", self.new_categories),
            ("typed differently than in training, and read alike", self.spellings),
            ("words that count as missing", self.words),
        )
        notes: list[str] = [
            Note("N40", f"{text}: {_list_columns(counts)}") for text, counts in sorts if counts
        ]
        if self.filled:
            filled = {name: Counter({"": rows}) for name, rows in self.filled.items()}
            notes.append(
                Note("N06", f"missing values filled as in training: {_list_columns(filled)}")
            )
        return notes


def _list_columns(counts: dict[str, Counter[str]]) -> str:
    """List columns with their number of values and, if not empty, the first values."""
    columns = []
    for name, values in list(counts.items())[:SHOWN]:
        shown = list_some([shorten(value) for value in values], SHOWN)
        columns.append(
            f"{values.total():,} of '{shorten(name)}'" + (f" ({shown})" if shown else "")
        )
    more = f", and in {len(counts) - SHOWN} more columns" * (len(counts) > SHOWN)
    return f"{', '.join(columns)}{more}"
