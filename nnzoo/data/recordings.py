"""Recordings as a data set: many sequences of their own length, each with a class or a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.recording_options import RecordingsOptions, UcrOptions
from nnzoo.data.columns.labels import clean_label
from nnzoo.data.columns.target import NamedTargets, infer_target
from nnzoo.data.columns.values import is_missing_word
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec, TaskName
from nnzoo.data.dataset import Dataset, Split, TensorSplit, row_weights
from nnzoo.data.divide import Division, PartRows, divide
from nnzoo.data.duplicates import content_codes, duplicate_notes
from nnzoo.data.recording_files.forms import read_recordings
from nnzoo.data.recording_files.recording import Recordings
from nnzoo.data.sequences import SequenceSplit
from nnzoo.data.ucr import find_problem
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, quoted_name, reworded


def load_recordings(options: RecordingsOptions, spec: DataSpec | None = None) -> Dataset:
    """Read recordings in any form; those of `test_path`, or of the folders val/ and test/, are those splits.

    spec: of a checkpoint, whose labels and channels are used. Raises DataError naming the recording.
    """
    parts = read_recordings(options.path, options)
    if options.test_path is not None:
        header = parts["train"].header
        same: dict[str, Any] = {"target": parts["train"].target} if header is not None else {}
        same |= {"header": header} if header is not None else {}
        read = read_recordings(
            options.test_path, options.model_copy(update=same), key="data.test_path"
        )
        if len(read) > 1 or "test" in parts:
            raise DataError.at(
                "data.test_path", "the test recordings have a folder of their own here", code="E43"
            )
        parts["test"] = read["train"]
    return _dataset(parts, options, options.task, spec)


def load_ucr(options: UcrOptions, spec: DataSpec | None = None) -> Dataset:
    """A problem of the UCR/UEA archive; its test part is the test split. With a spec nothing is downloaded."""
    paths = find_problem(options, may_download=spec is None)
    parts = {part: read_recordings(str(path), options)["train"] for part, path in paths.items()}
    return _dataset(parts, options, "auto", spec)


def _dataset(
    parts: dict[str, Recordings],
    options: RecordingsOptions | UcrOptions,
    task: str,
    spec: DataSpec | None,
) -> Dataset:
    """The data set of the recordings of each part that has a file or folder of its own."""
    notes: list[str] = []
    parts = _aligned(parts, notes)
    parts = {
        part: _with_target(one, getattr(options, "missing", ()), notes)
        for part, one in parts.items()
    }
    table = _target_options(options, parts["train"], task)
    known = spec or _infer_spec(parts["train"], table, notes)
    y = {part: encode_targets(one, known) for part, one in parts.items()}
    order = {part: one.order() for part, one in parts.items()}
    parts = {part: one.select(order[part]) for part, one in parts.items()}
    y = {part: codes[torch.from_numpy(order[part])] for part, codes in y.items()}
    division, rows = _divided(parts, y, options, known)
    lengths = np.unique(np.concatenate([one.lengths for one in parts.values()]))
    if spec is None:
        variable = len(lengths) > 1
        train = parts["train"]
        longest = int(train.lengths[rows["train"][1]].max())
        shape = (longest, len(train.channels))
        known = replace(known, input=InputSpec("series", shape, variable))
    else:
        for one in parts.values():
            check_shape(one, spec)
    chosen = {part: parts[file].select(index) for part, (file, index) in rows.items()}
    targets = {part: y[file][torch.from_numpy(index)] for part, (file, index) in rows.items()}
    splits = {
        part: make_split(one, targets[part], known, row_weights(division.weights, part))
        for part, one in chosen.items()
    }
    names = {part: one.names for part, one in chosen.items()}
    notes += division.notes
    of_files, cuts = _notes_by_part(parts)
    all_notes = [_about(parts, known), *of_files, *cuts, *notes]
    return Dataset(known, splits, all_notes, cuts=cuts, row_names=names)


def _notes_by_part(parts: dict[str, Recordings]) -> tuple[list[str], list[str]]:
    """The notes on the files, and those on what was cut, with the part where there are several."""
    if len(parts) == 1:
        (one,) = parts.values()
        return list(one.notes), list(one.cuts)
    of_files = [
        note if note.startswith(one.source) else reworded(note, f"{one.source}: {note}")
        for one in parts.values()
        for note in one.notes
    ]
    cuts = [reworded(cut, f"{part}: {cut}") for part, one in parts.items() for cut in one.cuts]
    return of_files, cuts


def _divided(
    parts: dict[str, Recordings],
    y: dict[str, Tensor],
    options: RecordingsOptions | UcrOptions,
    spec: DataSpec,
) -> tuple[Division, dict[str, tuple[str, np.ndarray]]]:
    """The division of the recordings, with a note on equal ones; and the part and rows (int64) of each split."""
    contents = content_codes({part: one.hashes() for part, one in parts.items()})
    divided = {
        part: PartRows(one.source, one.names, one.roles, contents[part])
        for part, one in parts.items()
    }
    division = divide(divided, options, y["train"].numpy() if spec.is_classification else None)
    rows = division.by_file()
    codes = {part: contents[file][index] for part, (file, index) in rows.items()}
    targets = {part: y[file].numpy()[index] for part, (file, index) in rows.items()}
    division.notes.extend(duplicate_notes(codes, targets, ("recording", "in all values")))
    return division, rows


def _about(parts: dict[str, Recordings], spec: DataSpec) -> str:
    lengths = np.concatenate([one.lengths for one in parts.values()])
    low, high = int(lengths.min()), int(lengths.max())
    steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    channels = plural(len(spec.columns), "channel")
    return f"recordings: {plural(len(lengths), 'recording')} of {steps} time steps, {channels}"


def _aligned(parts: dict[str, Recordings], notes: list[str]) -> dict[str, Recordings]:
    """The parts with the channels of the training part, in its order; raises DataError where one lacks some."""
    train = parts["train"]
    return {
        part: one if one is train else align(one, train.channels) for part, one in parts.items()
    }


def align(recordings: Recordings, channels: list[str]) -> Recordings:
    """Recordings with the channels that a network reads, by name, by position where either has no names.

    Raises DataError for other channels.
    """
    if recordings.channels == channels:
        return recordings
    if recordings.named and set(channels) <= set(recordings.channels):
        others = [quoted_name(name) for name in recordings.channels if name not in channels]
        note = Note(
            "N09", f"not used, training has no such channels: {list_some(others, 6, counted=True)}"
        )
        chosen = recordings.with_channels(channels)
        return replace(chosen, notes=[*chosen.notes, note]) if others else chosen
    unnamed = not recordings.named or all(map(str.isdecimal, channels))
    if len(channels) == len(recordings.channels) and unnamed:
        return replace(recordings, channels=list(channels))
    shown = [
        f"{plural(len(names), 'channel')} ({list_some([quoted_name(n) for n in names], 6)})"
        for names in (recordings.channels, channels)
    ]
    raise DataError.at(
        "data.path",
        f"{recordings.source} has {shown[0]}; training has {shown[1]} (data.channels)",
        code="E46",
    )


def check_shape(recordings: Recordings, spec: DataSpec) -> None:
    """Raise DataError naming a recording that a network of one length cannot read."""
    steps = spec.input.shape[0]
    wrong = np.flatnonzero(recordings.lengths != steps)
    if not spec.input.variable_length and len(wrong):
        name, length = recordings.names[wrong[0]], int(recordings.lengths[wrong[0]])
        more = f" ({len(wrong):,} of {len(recordings):,} recordings have another number)" * (
            len(wrong) > 1
        )
        raise DataError.at(
            "data.path",
            f"expected {plural(steps, 'time step')}, {name} of {recordings.source} has {length:,}{more}; train "
            f"with data.length: {steps}, which resamples every recording to that",
            code="E46",
        )


# Texts in place of a target in the formats of the archive.
_NO_TARGET = ("", "?", "nan", "NaN")


def _with_target(recordings: Recordings, words: Sequence[str], notes: list[str]) -> Recordings:
    """The recordings that have a target; words: further ones for a missing value. Raises DataError if none has
    one."""
    missing = {*_NO_TARGET, *words}
    texts = [None if text is None else clean_label(text) for text in recordings.targets or []]
    rows = [i for i, text in enumerate(texts) if text is not None and text not in missing]
    if not rows:
        raise DataError.at(
            "data.target", f"{recordings.source} has no target; nothing can be learned", code="E40"
        )
    if len(rows) < len(texts):
        first = next(i for i, text in enumerate(texts) if text is None or text in missing)
        notes.append(
            Note(
                "N07",
                f"{recordings.source}: {len(texts) - len(rows):,} of {plural(len(texts), 'recording')} have no "
                f"target and are left out, first {recordings.names[first]}",
            )
        )
    return recordings.select(np.array(rows, dtype=np.int64))


def _target_options(options: Any, train: Recordings, task: str) -> CsvOptions:
    """The options by which a target is read, as those of a table."""
    keys = ("decimal", "thousands", "missing")
    values = {key: getattr(options, key) for key in keys if hasattr(options, key)}
    return CsvOptions(
        name="csv",
        path=train.source,
        task=(train.task or "auto") if task == "auto" else task,  # type: ignore[arg-type]
        **values,
    )


def _infer_spec(train: Recordings, options: CsvOptions, notes: list[str]) -> DataSpec:
    """The labels, or the form of the numbers, of the training recordings."""
    import pandas

    column = pandas.Series(train.targets, name=train.target, dtype=object)
    if options.task != "classification":
        present = ~column.map(lambda text: is_missing_word(text, tuple(options.missing)))
        column = column[present] if present.any() else column
    target, more = infer_target(column, options, options.task)
    notes += more
    names = [ColumnSpec(name) for name in train.channels]
    task: TaskName = target.task
    return DataSpec(
        InputSpec("series", (1, len(names))),
        task,
        target.labels,
        [] if target.labels else [train.target],
        names,
        target=train.target,
        target_format=target.format,
        header=train.header,
        width=train.width,
        extra={"form": train.form},
    )


def encode_targets(recordings: Recordings, spec: DataSpec) -> Tensor:
    """Classes (recordings,) int64 or numbers (recordings, 1) float64; raises DataError naming the recording."""
    texts = [text or "" for text in recordings.targets or []]
    names = NamedTargets(recordings.source, texts, recordings.names, "recording")
    return torch.from_numpy(names.encode(spec.labels, spec.target_format))


def make_split(recordings: Recordings, y: Tensor, spec: DataSpec, weights: Tensor | None) -> Split:
    """Recordings of one length as a tensor, of different ones as sequences."""
    values = torch.from_numpy(recordings.values)
    if spec.input.variable_length:
        return SequenceSplit(values, torch.from_numpy(recordings.offsets), y, weights)
    return TensorSplit(values.view(len(recordings), -1, values.shape[1]), y, weights=weights)
