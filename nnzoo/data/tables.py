"""Tables from files: rows as tensors, encoded by what the training rows hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.checks import imputation_notes, target_copies
from nnzoo.data.columns.inputs import infer_columns, input_names
from nnzoo.data.columns.label_sets import unknown_note
from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.roles import role_columns, role_names, role_texts
from nnzoo.data.columns.targets import (
    encode_targets,
    infer_targets,
    resolve_task,
    stratification,
    target_names,
    unknown_labels,
    with_targets,
    without_gaps,
)
from nnzoo.data.columns.values import (
    MISSING,
    column_name,
    mark_missing,
    parse_numbers,
    refuse_huge,
    to_text,
)
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit, check_memory, row_weights
from nnzoo.data.divide import PartRows, divide
from nnzoo.data.duplicates import duplicate_notes, row_codes
from nnzoo.data.table_files.table_io import (
    ReadOptions,
    Table,
    numbered,
    read_table,
    without_stray_rows,
)
from nnzoo.data.timestamps.describe import time_note
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, quoted_name, reworded, shorten

if TYPE_CHECKING:
    import pandas


@dataclass
class _TableFiles:
    """The files of a table, read. frames: "train", whose rows are split, and "test" if it has a file
    of its own; paths: of each split; table: the first file; targets: the names of the target columns."""

    table: Table
    targets: list[str]
    frames: dict[str, pandas.DataFrame]
    paths: dict[str, str]
    notes: list[str]


def load_csv(options: CsvOptions, spec: DataSpec | None = None) -> Dataset:
    """Load a table as float64 rows: number columns first (NaN for missing), then category codes.

    spec: of a checkpoint, whose columns and labels are used; None to infer them from the training
    rows. Raises DataError for anything wrong with the file.
    """
    reading = ReadOptions.of(options, keep_words=True)
    files = _read_files(options, reading)
    verbatim = [
        column_name(files.table.frame, column, "data.categories") for column in options.categories
    ]
    options = options.model_copy(update={"categories": verbatim})
    _drop_strays(files)
    task = spec.task if spec else resolve_task(files.frames["train"], files.targets, options)
    _drop_gaps(files, options, task)
    parts, weights, duplicates = _split(files, options, spec, task)
    is_new = spec is None
    column_notes: list[str] = []
    if spec is None:
        spec, column_notes = infer_spec(parts["train"], files.targets, options, task)
        names = [*files.targets, *spec.column_names]
        spec = replace(spec, header=files.table.keeps_header(reading, names))
    _check_memory(parts, spec, options)
    splits: dict[str, Any] = {}
    cuts = []
    for part, frame in parts.items():
        path = files.paths[part]
        splits[part] = TensorSplit(
            encode_columns(frame, spec.columns, path),
            torch.from_numpy(encode_targets(frame, spec, path)),
            weights=row_weights(weights, part),
        )
        if unknown := unknown_labels(frame, spec):
            cuts.append(unknown_note(part, unknown))
    if is_new:
        order_note = time_note(mark_missing(files.frames["train"]), files.targets)
        column_notes += [order_note] if order_note else []
        column_notes += _value_notes(splits, spec, options, duplicates)
    notes = column_notes[:1] + files.notes + column_notes[1:] + cuts
    return Dataset(spec, splits, notes, cuts=cuts)


def _read_files(options: CsvOptions, reading: ReadOptions) -> _TableFiles:
    table = read_table(options.path, reading)
    targets = target_names(table.frame, options)
    paths = dict.fromkeys(("train", "val", "test"), options.path)
    files = _TableFiles(table, targets, {"train": table.frame}, paths, list(table.notes))
    path = options.test_path
    if path is None:
        return files
    # A few test rows alone may not show whether there is a header: it is as in the training file.
    test = read_table(path, replace(reading, header=table.named), "data.test_path")
    for target in targets:
        if target not in test.frame.columns:
            which = "the target" if len(targets) == 1 else "a target"
            raise DataError.at(
                "data.test_path", f"{path}: no column '{target}', which is {which}", code="E38"
            )
    files.frames["test"], paths["test"] = test.frame, path
    files.notes += [reworded(note, f"{path}: {note}") for note in test.notes]
    extra = [quoted_name(name) for name in test.frame.columns if name not in table.frame.columns]
    if extra:
        listed = list_some(extra, 6, counted=True)
        files.notes.append(Note("N09", f"{path}: not used, the training file lacks them: {listed}"))
    return files


def _drop_strays(files: _TableFiles) -> None:
    """Leave out rows that are no data."""
    for part, frame in list(files.frames.items()):
        files.frames[part], strays = without_stray_rows(frame, files.table.named)
        path = files.paths[part]
        files.notes += (
            strays if part == "train" else [reworded(stray, f"{path}: {stray}") for stray in strays]
        )


def _drop_gaps(files: _TableFiles, options: CsvOptions, task: str) -> None:
    """Leave out rows without a target."""
    for part, frame in list(files.frames.items()):
        path = files.paths[part]
        files.frames[part], gaps = without_gaps(frame, files.targets, task, options, path)
        files.notes += gaps


def _split(
    files: _TableFiles, options: CsvOptions, spec: DataSpec | None, task: str
) -> tuple[dict[str, pandas.DataFrame], dict[str, np.ndarray], list[str]]:
    """The rows of each split, those of classes in the fractions of the classes; the weights of those that have some;
    and notes on equal rows, for a new spec."""
    frame = files.frames["train"]
    codes = stratification(frame, files.targets, task, options)
    contents: dict[str, np.ndarray] = {}
    if spec is None or options.split.duplicates != "keep":
        inputs, _ = input_names(frame, files.targets, options)
        shared = [name for name in inputs if all(name in other for other in files.frames.values())]
        contents = row_codes(files.frames, shared)
    rows = {part: _part_rows(files, part, options, contents.get(part)) for part in files.frames}
    division = divide(rows, options, codes)
    files.notes += division.notes
    index = division.by_file()
    parts = {part: files.frames[file].iloc[chosen] for part, (file, chosen) in index.items()}
    if spec is not None:
        return parts, division.weights, []
    codes_of = {part: contents[file][chosen] for part, (file, chosen) in index.items()}
    labels = row_codes(parts, files.targets)
    return parts, division.weights, duplicate_notes(codes_of, labels)


def _part_rows(
    files: _TableFiles, part: str, options: CsvOptions, contents: np.ndarray | None
) -> PartRows:
    frame, is_train = files.frames[part], part == "train"
    columns = role_columns(options)
    if not is_train:  # its rows have their part; a position is that of the training file
        names = role_names(files.frames["train"], columns)
        columns = {role: name for role, name in names.items() if name in frame.columns}
    return PartRows(
        files.paths[part],
        [f"data row {row + 1}" for row in frame.index.tolist()],
        role_texts(frame, role_names(frame, columns)),
        contents,
    )


def _check_memory(parts: dict[str, pandas.DataFrame], spec: DataSpec, options: CsvOptions) -> None:
    """Raise DataError if the one-hot encoded rows would not fit into memory."""
    width = len(spec.columns) - len(spec.category_sizes) + sum(spec.category_sizes)
    count = sum(map(len, parts.values()))
    what = f"{options.path}: {count:,} rows of {width:,} inputs, a category each"
    hint = "leave out what has many values (data.drop)"
    check_memory(16 * count * width, what, "data.drop", hint)


def _value_notes(
    splits: dict[str, TensorSplit], spec: DataSpec, options: CsvOptions, duplicates: list[str]
) -> list[str]:
    """Lines on copies of the targets, equal rows and imputed values."""
    inputs = {part: split.tensors()[0].numpy() for part, split in splits.items()}
    train = inputs.pop("train")
    y = splits["train"].targets().numpy().reshape(len(train), -1)
    classes = spec.task in ("classification", "multilabel")
    y = y.astype(np.int64) if classes else y
    copies = [target_copies(spec.columns, train, one, classes) for one in y.T]
    if len(copies) > 1:
        copies = [
            [reworded(line, f"{quoted_name(name)}: {line}") for line in lines]
            for name, lines in zip(spec.labels or spec.targets, copies, strict=True)
        ]
    return [
        *chain(*copies),
        *duplicates,
        *imputation_notes(spec.columns, [train, *inputs.values()], options.preprocess.impute),
    ]


def infer_spec(
    train: pandas.DataFrame, targets: list[str], options: CsvOptions, task: str
) -> tuple[DataSpec, list[str]]:
    """Describe every column and the targets by the training rows, with notes."""
    columns, notes = infer_columns(train, targets, options)
    described, target_notes = infer_targets(train, targets, options, task)
    spec = DataSpec(
        InputSpec("table", (len(columns),)),
        described.task,
        columns=columns,
        # The width shows later whether a file lacks the target.
        width=len(train.columns) if numbered(train) else None,
    )
    return with_targets(spec, targets, described), notes + target_notes


def encode_columns(
    frame: pandas.DataFrame, columns: list[ColumnSpec], source: str = "the table"
) -> Tensor:
    """Rows as float64 (rows, columns) in the order of `columns`; raises DataError naming `source`.

    A missing number is NaN; a missing category, or one that no training row had, is -1.
    """
    arrays = []
    for column in columns:
        name = column.name
        if name not in frame.columns:
            raise DataError.at(
                "data.test_path",
                f"{source}: column '{name}' is missing; the network was trained with it",
                code="E54",
            )
        if column.categories is not None:
            arrays.append(category_codes(frame[name], column)[0])
        else:
            values, unread = parse_numbers(frame[name], column.format)
            _refuse_text(frame[name], unread, source)
            refuse_huge(frame[name], values, source)
            arrays.append(values)
    return torch.from_numpy(np.stack(arrays, 1))


def category_codes(column: pandas.Series, spec: ColumnSpec) -> tuple[np.ndarray, np.ndarray]:
    """The code of each row as float64, -1 for none; and where there is a text that no training row
    had."""
    import pandas

    index = LabelIndex(spec.categories or [])
    missing = {*MISSING, *spec.missing}
    rows, texts = pandas.factorize(to_text(column))
    codes = [index.code(text) for text in texts]
    unseen = [
        code < 0 and text.strip() not in missing for code, text in zip(codes, texts, strict=True)
    ]
    codes = [
        -1 if text.strip() in missing and text not in index.codes else code
        for code, text in zip(codes, texts, strict=True)
    ]
    # The index -1 of a missing value takes the last item.
    return np.array([*codes, -1], dtype=np.float64)[rows], np.array([*unseen, False], dtype=bool)[
        rows
    ]


def _refuse_text(column: pandas.Series, unread: np.ndarray, source: str) -> None:
    """Raise DataError naming the rows that hold no number."""
    rows = np.flatnonzero(unread)
    if len(rows):
        texts = list(dict.fromkeys(shorten(str(column.iloc[row]).strip()) for row in rows[:1000]))
        words = ", ".join(f'"{text}"' for text in texts[:5])
        more = f" and {len(rows) - 1:,} other rows have no number either" if len(rows) > 1 else ""
        raise DataError.at(
            "data.missing",
            f"{source}: column '{column.name}' holds numbers, but data row "
            f"{column.index[rows[0]] + 1} has '{texts[0]}'{more}; correct it, or count it as missing "
            f"(data.missing: [{words}])",
            code="E39",
        )
