"""Predictions for recordings: files in any form, folders of them, data frames and arrays of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.values import to_text
from nnzoo.data.recording_files.arff import read_arff
from nnzoo.data.recording_files.columns import TableOptions, time_column
from nnzoo.data.recording_files.folder import SAMPLED, FileReader, scan_tables
from nnzoo.data.recording_files.forms import choose_channels, find_form
from nnzoo.data.recording_files.long_table import read_long
from nnzoo.data.recording_files.ragged import read_ragged
from nnzoo.data.recording_files.recording import Recordings, RecordingsBuilder, Shaping
from nnzoo.data.recording_files.ts import read_ts
from nnzoo.data.recording_files.wide_table import read_wide
from nnzoo.data.recordings import align, check_shape
from nnzoo.data.sequences import Inputs, pad
from nnzoo.data.table_files.table_io import Table, read_chunks
from nnzoo.errors import DataError
from nnzoo.models.network import Network
from nnzoo.predict.predictions import Predictions, batch_size, predict_raw
from nnzoo.text import reworded

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


def predict_recordings(network: Network, paths: list[str]) -> Iterator[Predictions]:
    """Predict the recordings of files and folders, a row each."""
    notes: list[str] = []
    for path in paths:
        recordings = _read(network, path)
        more = {"file": path} if len(paths) > 1 else {}
        for predictions in _predict(network, recordings, more):
            yield predictions
        of_file = [*recordings.notes, *recordings.cuts]
        notes += [reworded(note, f"{path}: {note}") if len(paths) > 1 else note for note in of_file]
    yield predictions.empty_with_notes(notes)


def predict_frame(network: Network, frame: pandas.DataFrame) -> Iterator[Predictions]:
    """Predict the recordings of a data frame, which is long, wide, or one recording."""
    recordings = _read_table(network, "the table", frame)
    yield from _predict(network, recordings, {})
    yield from _notes_of(network, recordings)


def predict_arrays(network: Network, x: Array | Tensor | Sequence[Any]) -> Iterator[Predictions]:
    """Predict recordings as arrays, each (time, channels), of any lengths; (time,) where there is one channel.

    Raises DataError naming a recording that the network cannot read.
    """
    channels = len(network.data_spec.columns)
    builder = RecordingsBuilder("the input", Shaping.of(network.config.data))
    for i, values in enumerate(_one_by_one(x, channels), 1):
        name = f"recording {i}"
        if values.ndim == 1 and channels == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[1] != channels:
            raise DataError(
                f"{name}: expected an array of shape (time, {channels}), got {tuple(values.shape)}",
                code="E54",
            )
        if np.isinf(values).any():
            raise DataError(f"{name} has infinite values", code="E54")
        builder.add(values, str(i), name)
    recordings = builder.build(network.data_spec.column_names)
    yield from _predict(network, recordings, {})
    yield from _notes_of(network, recordings)


def _notes_of(network: Network, recordings: Recordings) -> Iterator[Predictions]:
    """An empty batch with the notes on recordings, where there are any."""
    notes = [*recordings.notes, *recordings.cuts]
    if notes:
        empty = predict_raw(network, torch.zeros(0), {"recording": []})
        yield empty.empty_with_notes(notes)


def _one_by_one(x: Array | Tensor | Sequence[Any], channels: int) -> Iterable[Array]:
    """The recordings of an input: of a list, of an array of several (rows, time, channels), or a single one."""
    if isinstance(x, np.ndarray | Tensor):
        whole = _numbers(x, "the input")
        single = whole.ndim == 2 and (channels > 1 or whole.shape[1] == 1)
        return [whole] if single or whole.ndim < 2 else list(whole)
    items = [_numbers(item, f"recording {i}") for i, item in enumerate(x, 1)]
    rows = {item.shape for item in items}
    if rows == {()} or (rows == {(channels,)} and (channels > 1 or len(items) > 1)):
        return [np.stack(items)]  # a single recording as a list of its steps
    return items


def _numbers(x: Any, name: str) -> Array:
    try:
        values = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
        if values.dtype.kind not in "iuf":
            raise TypeError(f"got {values.dtype}")
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected numbers (time, channels): {error}", code="E54") from None


def _predict(
    network: Network, recordings: Recordings, more: dict[str, str]
) -> Iterator[Predictions]:
    """Predict recordings in batches; more: columns of the index that are the same for all."""
    spec = network.data_spec
    recordings = align(recordings, spec.column_names)
    check_shape(recordings, spec)
    size, offsets = batch_size(network), recordings.offsets
    for start in range(0, len(recordings), size):
        rows = range(start, min(start + size, len(recordings)))
        values = [
            torch.from_numpy(recordings.values[offsets[row] : offsets[row + 1]]) for row in rows
        ]
        raw: Inputs = pad(values) if spec.input.variable_length else torch.stack(values)
        index: dict[str, list[Any]] = {key: [value] * len(rows) for key, value in more.items()}
        index["recording"] = [recordings.ids[row] for row in rows]
        yield predict_raw(network, raw, index)


def _read(network: Network, path: str) -> Recordings:
    """The recordings of a file or folder, with or without targets; raises DataError."""
    data = network.config.data
    options, shaping = TableOptions.of(data, need_target=False, need_roles=False), Shaping.of(data)
    form = find_form(path, bool(options.id), "INPUT")
    if form in ("ts", "arff"):
        if form == "ts":
            recordings = read_ts(path, options.reading.encoding, shaping)
        else:
            same = network.data_spec.extra.get("form") == "arff"
            target = options.target if same else None
            recordings = read_arff(path, options.reading.encoding, shaping, target)
        return (
            recordings
            if options.channels is None
            else choose_channels(recordings, options.channels)
        )
    if form == "ragged":
        spec = network.data_spec
        known = spec.extra.get("form") == "ragged" and not spec.is_classification
        target = options.target if known else None
        return read_ragged(path, options.reading.encoding, shaping, target, spec.labels)
    if form == "folder":
        return _read_files(network, path)
    return _read_table(network, path)


def _read_files(network: Network, folder: str) -> Recordings:
    """The tables in a folder and below it, a recording each."""
    files = list(scan_tables(folder).walk())
    if not files:
        raise DataError(f"{folder} has no CSV or Parquet files", code="E37")
    reader = FileReader(folder, _options_of_files(network), Shaping.of(network.config.data))
    builder = RecordingsBuilder(folder, reader.shaping)
    for file in files:
        name = file.removeprefix(folder).lstrip("/")
        builder.add(reader.read(file, files[:SAMPLED]), name, name)
    built = builder.build(reader.channels if reader.named else None)
    return replace(built, notes=[*reader.notes, *built.notes])


def _options_of_files(network: Network) -> TableOptions:
    """The options by which files of one recording each are read: as in training, if they were files then."""
    options = TableOptions.of(network.config.data, need_target=False, need_roles=False)
    if network.data_spec.extra.get("form") == "folder":
        return options
    return replace(options, channels=None, time=None)


def _read_table(network: Network, path: str, frame: pandas.DataFrame | None = None) -> Recordings:
    """The recordings of a table: by its column of ids, one per row, or all of it one."""
    spec, data = network.data_spec, network.config.data
    options, shaping = TableOptions.of(data, need_target=False, need_roles=False), Shaping.of(data)
    form = spec.extra.get("form")
    if form in ("wide", "long") and options.reading.header == "auto" and spec.header is not None:
        options = replace(options, reading=replace(options.reading, header=spec.header))
    tables = None if frame is None else [Table(frame, named=True)]
    first = next(iter(tables or read_chunks(path, options.reading, "INPUT")))
    names = list(first.frame.columns)
    channels = spec.column_names
    if options.id and all(isinstance(one, int) or one in names for one in options.id):
        has_all = set(map(str, names)) >= set(channels)
        target = spec.target if spec.target in names else None
        options = replace(
            options, target=target, channels=channels if has_all else options.channels
        )
        return read_long(path, options, shaping, has_targets=target is None, tables=tables)
    by_name = first.named and set(channels) <= set(names) and form != "wide"
    time = time_column(first.frame, names, np.zeros(len(first.frame), dtype=np.int64))
    width = len(names) - (time is not None)
    if by_name or form == "folder" or (width == len(channels) and form != "wide"):
        return _single(network, path, first, tables)
    options = replace(options, target=_wide_target(network, path, first))
    return read_wide(path, options, shaping, tables)


def _single(
    network: Network, path: str, first: Table, tables: Iterable[Table] | None
) -> Recordings:
    """A table that is one recording."""
    spec = network.data_spec
    options = _options_of_files(network)
    known = [name for name in spec.column_names if name in first.frame.columns]
    if first.named and len(known) == len(spec.columns):
        options = replace(options, channels=known)
    reader = FileReader(path, options, Shaping.of(network.config.data))
    if tables is not None:
        reader.in_memory = first
    builder = RecordingsBuilder(path, reader.shaping)
    builder.add(reader.read(path, [path]), path, path)
    built = builder.build(reader.channels if reader.named else None)
    return replace(built, notes=[*reader.notes, *built.notes])


def _wide_target(network: Network, path: str, table: Table) -> str | None:
    """The column of a wide table that holds the target; None where it has none."""
    spec, frame = network.data_spec, table.frame
    names = list(frame.columns)
    if table.named:
        return spec.target if spec.target in names else None
    if spec.width is not None and len(names) in (spec.width, spec.width - 1):
        return spec.target if len(names) == spec.width else None
    if not spec.is_classification or len(names) < 2:
        return None
    steps = spec.input.shape[0]
    if not spec.input.variable_length and len(names) != steps + 1:
        return None
    index = LabelIndex(spec.labels)
    for name in (names[0], names[-1]):
        texts = to_text(frame[name]).dropna().unique()
        if len(texts) and all(index.code(text) >= 0 for text in texts):
            return name
    return None
