"""Your tables: rows as numbers, read as the training rows say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import CsvOptions
from nnzoo.data.columns.checks import imputation_notes, repeated_rows, target_copies
from nnzoo.data.columns.inputs import infer_columns
from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.target import (
    infer_target,
    looks_like_classes,
    target_labels,
    without_target_gaps,
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
from nnzoo.data.dataset import Dataset, TensorSplit, check_memory, split_rows
from nnzoo.data.table_files.table_io import ReadOptions, numbered, read_table, without_stray_rows
from nnzoo.data.timestamps.axis import time_note
from nnzoo.errors import DataError
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas


def load_csv(options: CsvOptions, spec: DataSpec | None = None) -> Dataset:
    """A table as float64 rows: number columns first (NaN for missing), then category codes.

    spec: what an earlier reading found; columns and labels are then taken from there.
    Raises DataError for whatever is wrong with the file.
    """
    reading = ReadOptions.of(options, keep_words=True)
    table = read_table(options.path, reading)
    frame, notes = table.frame, list(table.notes)
    target = column_name(frame, options.target, "data.target")
    verbatim = [column_name(frame, column, "data.categories") for column in options.categories]
    options = options.model_copy(update={"categories": verbatim})
    frames, files = {"train": frame}, {"train": options.path, "val": options.path}
    if options.test_path is None:
        files["test"] = options.path
    else:
        # Both files have a header or none has: a few test rows alone would not tell.
        alike = replace(reading, header=table.named)
        test = read_table(options.test_path, alike, "data.test_path")
        if target not in test.frame.columns:
            raise DataError.at(
                "data.test_path", f"{options.test_path}: no column '{target}', which is the target"
            )
        frames["test"], files["test"] = test.frame, options.test_path
        notes += [
            *(f"{options.test_path}: {note}" for note in test.notes),
            *_other_columns(frame, test.frame, options),
        ]
    task = spec.task if spec else options.task
    for part, each in list(frames.items()):
        each, strays = without_stray_rows(each, table.named)
        frames[part], gaps = without_target_gaps(each, target, task, options, files[part])
        notes += strays if part == "train" else [f"{files[part]}: {stray}" for stray in strays]
        notes += gaps
    frame = frames["train"]
    # Only for keeping the shares of classes in the split, which needs a look at all rows.
    stratify = (
        looks_like_classes(frame[target], options) if task == "auto" else task == "classification"
    )
    rows = split_rows(
        len(frame), options.split, _class_codes(frame[target], options) if stratify else None,
        test="test" not in frames,
    )  # fmt: skip
    parts = {part: frame.iloc[chosen] for part, chosen in rows.items() if len(chosen)}
    if "test" in frames:
        parts["test"] = frames["test"]
    column_notes: list[str] = []
    first = spec is None
    if spec is None:
        spec, column_notes = infer_spec(parts["train"], target, options)
        header = table.keeps_header(reading, [target, *spec.column_names])
        spec = replace(spec, header=header)
    width = sum(1 if each.categories is None else len(each.categories) for each in spec.columns)
    count = sum(map(len, parts.values()))
    check_memory(
        16 * count * width, f"{options.path}: {count:,} rows of {width:,} inputs, a category each",
        "data.drop", "leave out what has many values (data.drop)",
    )  # fmt: skip
    x = {part: encode_columns(each, spec.columns, files[part]) for part, each in parts.items()}
    y = {part: encode_target(each[target], spec, files[part]) for part, each in parts.items()}
    splits: dict[str, Any] = {part: TensorSplit(x[part], y[part]) for part in parts}
    if first:
        of_time = time_note(mark_missing(frame), [target])
        column_notes += [of_time] if of_time else []
        inputs = {part: each.numpy() for part, each in x.items()}
        train, classes = inputs.pop("train"), spec.is_classification
        column_notes += target_copies(spec.columns, train, y["train"].flatten().numpy(), classes)
        column_notes += repeated_rows(train, inputs)
        column_notes += imputation_notes(
            spec.columns, [train, *inputs.values()], options.preprocess.impute
        )
    return Dataset(spec, splits, column_notes[:1] + notes + column_notes[1:])


def _other_columns(
    frame: pandas.DataFrame, test: pandas.DataFrame, options: CsvOptions
) -> list[str]:
    """A line on columns of the test file that the training file lacks."""
    extra = [f"'{shorten(str(name))}'" for name in test.columns if name not in frame.columns]
    return [
        f"{options.test_path}: not used, the training file lacks them: {', '.join(extra[:6])}"
    ] * bool(extra)


def _class_codes(column: pandas.Series, options: CsvOptions) -> np.ndarray:
    """The class of each row, as a code."""
    import pandas

    merged = target_labels(column, str(column.name), options)
    return pandas.factorize(to_text(column).map(merged.of))[0]


def infer_spec(
    train: pandas.DataFrame, target: str, options: CsvOptions
) -> tuple[DataSpec, list[str]]:
    """Describe every column and the target by the training rows, with notes."""
    columns, notes = infer_columns(train, target, options)
    described, target_notes = infer_target(train[target], options, options.task)
    spec = DataSpec(
        InputSpec("table", (len(columns),)),
        described.task,
        described.labels,
        [] if described.labels else [target],
        columns,
        target=target,
        target_format=described.format,
        # The width shows later whether a file lacks the target.
        width=len(train.columns) if numbered(train) else None,
    )
    return spec, notes + target_notes


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
    # Of a missing value, -1, the last one is taken.
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
        )


def encode_target(column: pandas.Series, spec: DataSpec, source: str = "the table") -> Tensor:
    """Classes (rows,) int64 or numbers (rows, 1) float64; raises DataError naming `source`."""
    if spec.is_classification:
        import pandas

        index = LabelIndex(spec.labels)
        rows, texts = pandas.factorize(to_text(column))
        codes = np.array([index.code(text) for text in texts], dtype=np.int64)
        unknown = sorted(text for text, code in zip(texts, codes, strict=True) if code < 0)
        if unknown:
            row = column.index[int((to_text(column) == unknown[0]).to_numpy().argmax())]
            raise DataError.at(
                "data.target",
                f"{source}: the target '{spec.target}' has in data row {row + 1} the label "
                f"'{shorten(unknown[0])}' that no training row has",
            )
        return torch.from_numpy(codes[rows])
    numbers, _ = parse_numbers(column, spec.target_format)
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax())
        raise DataError.at(
            "data.target",
            f"{source}: the target '{spec.target}' should be a number, but data row "
            f"{column.index[row] + 1} has '{shorten(str(column.iloc[row]))}'",
        )
    refuse_huge(column, numbers, source)
    return torch.from_numpy(numbers[:, None])
