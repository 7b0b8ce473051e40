"""A table that names images and their targets: which column has the files, and which image each row means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.data_options import CsvOptions, ImageFolderOptions, ReadingOptions
from nnzoo.data.columns.roles import role_columns, role_names
from nnzoo.data.columns.targets import (
    infer_targets,
    resolve_task,
    target_names,
    without_gaps,
)
from nnzoo.data.columns.values import column_name, to_text
from nnzoo.data.image_files.tree import EXTENSIONS, IgnoredFiles, relative_paths, scan
from nnzoo.data.table_files.table_io import ReadOptions, read_table, without_stray_rows
from nnzoo.data.text_files.table import target_by_name
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

# Rows in which a column of files is looked for, and the fraction of them that must name images.
SAMPLED, NAMED_FRACTION = 200, 0.5
# A file of labels of which more than this fraction is not in the folder is another folder's.
MAX_ABSENT = 0.5


class ImageIndex:
    """The images in a folder and below it, by the names that a table may have for them."""

    def __init__(self, folder: str, labels_folder: str) -> None:
        """labels_folder: of the table, to which names may be relative too. Raises DataError if there is no folder."""
        if not os.path.isdir(folder):
            raise DataError.at("data.path", f"no folder {folder}", code="E30")
        tree = scan(folder)
        self.left_out: IgnoredFiles = tree.all_left_out()
        self.folder, self.labels_folder = folder, labels_folder
        self.paths = [*tree.walk()]
        self._exact = {os.path.abspath(path): path for path in self.paths}
        self._loose: dict[str, list[str]] = {}
        self._folded: dict[str, list[str]] = {}
        for path in self.paths:
            stem = os.path.splitext(os.path.abspath(path))[0]
            names = {stem, os.path.basename(path), os.path.basename(stem)}
            for name in names:
                self._loose.setdefault(name, []).append(path)
            for name in {name.casefold() for name in (os.path.abspath(path), *names)}:
                self._folded.setdefault(name, []).append(path)

    def find(self, name: str) -> list[str]:
        """The images that a name may mean: one, none, or several of the same name in different folders."""
        parts, places = self._places(name)
        for place in places:
            if place in self._exact:
                return [self._exact[place]]
        for key in (*places, parts):
            if key in self._loose:
                return self._loose[key]
        for key in (*places, parts):
            if key.casefold() in self._folded:
                return self._folded[key.casefold()]
        return []

    def is_outside(self, name: str) -> bool:
        """Whether a name leads out of the folder."""
        parts, places = self._places(name)
        if not (os.path.isabs(parts) or ".." in parts.split("/")):
            return False
        root = os.path.join(os.path.abspath(self.folder), "")
        return not any(place.startswith(root) for place in places)

    def _places(self, name: str) -> tuple[str, list[str]]:
        """A name with slashes between its parts, and where the image would be by it."""
        parts = name.strip().replace("\\", "/")
        bases = (self.folder, self.labels_folder)
        return parts, [os.path.abspath(os.path.join(base, parts)) for base in bases]


@dataclass
class LabeledFiles:
    """The rows of a table whose images are there. frame: those rows; files: the image of each (paths); column: the one
    that names them; notes: lines on what was left out."""

    frame: pandas.DataFrame
    files: list[str]
    column: str
    notes: list[str] = field(default_factory=list)


def find_file_column(frame: pandas.DataFrame, index: ImageIndex) -> str | None:
    """The column whose first texts name images of the folder, most of them; None if none does."""
    best, most = None, NAMED_FRACTION
    for name in frame.columns:
        texts = to_text(frame[name]).dropna().unique()[:SAMPLED]
        fraction = sum(bool(index.find(text)) for text in texts) / len(texts) if len(texts) else 0.0
        looks_right = sum(text.strip().lower().endswith(EXTENSIONS) for text in texts)
        # Names without extension may be any ids, and must all be images.
        if fraction > most and (looks_right or fraction == 1):
            best, most = str(name), fraction
    return best


def read_labels_file(options: ImageFolderOptions) -> LabeledFiles:
    """Read the table of `data.labels` and find the image of each row.

    Raises DataError that names the row for files outside of the folder, images of two rows with different
    values, and names of several images; also if most rows have no image.
    """
    path = str(options.labels)
    index = ImageIndex(options.path, os.path.dirname(path))
    reading = ReadOptions.of(options, keep_words=True)
    table = read_table(path, reading, "data.labels")
    if reading.header == "auto" and table.named and _names_an_image(table.frame, index):
        table = read_table(path, replace(reading, header=False), "data.labels")
    frame, strays = without_stray_rows(table.frame, table.named)
    if options.file is not None:
        column = column_name(frame, options.file, "data.file")
    else:
        inferred = find_file_column(frame, index)
        if inferred is None:
            raise DataError.at(
                "data.labels",
                f"{path}: no column names images in {options.path}; name the column (data.file), and the folder that its "
                "names are relative to (data.path)",
                code="E49",
            )
        column = inferred
    chosen, files, absent = _find_images(frame, column, index, path)
    notes = [*table.notes, *strays]
    if absent:
        count = plural(len(absent), "row")
        shown = list_some([f"'{shorten(name)}'" for name in absent], 3)
        if len(absent) > MAX_ABSENT * len(frame):
            raise DataError.at(
                "data.file",
                f"{path}: {count} of {len(frame):,} name no image in {options.path}, such as {shown}; is it the right "
                "column (data.file), and the right folder (data.path)?",
                code="E49",
            )
        notes.append(Note("N17", f"left out: {count} of {path} whose image is not there ({shown})"))
    notes += _unnamed_notes(index, files, path)
    kept, repeated = _without_repetitions(frame.iloc[chosen], files, path)
    if repeated:
        text = (
            f"left out: {plural(len(repeated), 'row')} of {path} with an image of an earlier one, the same in all columns "
            f"({list_some(repeated, 3)})"
        )
        notes.append(Note("N07", text))
    rows = LabeledFiles(frame.iloc[chosen[kept]], [files[i] for i in kept.tolist()], column)
    rows.notes = [relative_paths(note, options.path) for note in notes]
    return rows


def _unnamed_notes(index: ImageIndex, files: list[str], path: str) -> list[str]:
    """Notes on the files of the folder that no row of the table (path) names."""
    notes = []
    named = {*files}
    unnamed = [file for file in index.paths if file not in named]
    if unnamed:
        count = plural(len(unnamed), "image")
        text = (
            f"left out: {count} that {os.path.basename(path)} does not name ({list_some(unnamed)})"
        )
        notes.append(Note("N17", text))
    left_out = index.left_out
    left_out.other = [
        file for file in left_out.other if os.path.abspath(file) != os.path.abspath(path)
    ]
    return notes + left_out.notes()


def target_options(options: ImageFolderOptions, labeled: LabeledFiles) -> CsvOptions:
    """The options by which the targets are read, as those of a table; raises DataError if the target is not
    named and several columns could be it."""
    target: Any = options.target
    if target is None:
        roles = role_names(labeled.frame, role_columns(options)).values()
        target = _find_target(labeled.frame, {labeled.column, *roles}, str(options.labels))
    keys = ("task", "label_separator", "split", "weight", *ReadingOptions.model_fields)
    return CsvOptions(
        name="csv",
        path=str(options.labels),
        target=target,
        **{key: getattr(options, key) for key in keys},
    )


def _find_target(frame: pandas.DataFrame, used: set[str], path: str) -> str:
    others = [str(name) for name in frame.columns if name not in used]
    named = others[0] if len(others) == 1 else target_by_name(others)
    if named is not None:
        return named
    shown = list_some([quoted_name(name) for name in others], 6, counted=True)
    message = (
        f"which of {plural(len(others), 'column')} is the target ({shown})? Name it (data.target)"
    )
    if not others:
        message = "has no column of targets beside the files"
    raise DataError.at("data.target", f"{path}: {message}", code="E38")


def rows_with_targets(
    labeled: LabeledFiles, targets: list[str], task: str, table: CsvOptions
) -> LabeledFiles:
    """The rows that have targets."""
    if labeled.column in targets:
        raise DataError.at(
            "data.target",
            f"'{shorten(labeled.column)}' is the column of the files (data.file)",
            code="E44",
        )
    frame, notes = without_gaps(labeled.frame, targets, task, table, table.path)
    kept = np.flatnonzero(labeled.frame.index.isin(frame.index))
    files = [labeled.files[i] for i in kept.tolist()]
    return LabeledFiles(frame, files, labeled.column, labeled.notes + notes)


def describe_labeled(options: ImageFolderOptions) -> list[str]:
    """Lines on the table and the images that a config names; raises DataError where it cannot train."""
    labeled = read_labels_file(options)
    table = target_options(options, labeled)
    targets = target_names(labeled.frame, table)
    task = resolve_task(labeled.frame, targets, table)
    kept = rows_with_targets(labeled, targets, task, table)
    described, notes = infer_targets(kept.frame, targets, table, task)
    what = list_some([quoted_name(name) for name in targets], 4, counted=True)
    role = f"{len(described.labels):,} classes" if described.labels else "numbers"
    if described.task == "multilabel":
        role = f"{len(described.labels):,} labels"
    lines = [f"images: {len(kept.files):,} in {quoted_name(kept.column)}; target: {what}, {role}"]
    return [*lines, *kept.notes, *notes]


def _names_an_image(frame: pandas.DataFrame, index: ImageIndex) -> bool:
    """Whether what was taken for a header is a row."""
    names = [str(name) for name in frame.columns]
    return any(name.strip().lower().endswith(EXTENSIONS) and index.find(name) for name in names)


def _find_images(
    frame: pandas.DataFrame, column: str, index: ImageIndex, path: str
) -> tuple[np.ndarray, list[str], list[str]]:
    """The rows (int64) whose image is there, their files, and the names of images that are not."""
    rows, files, absent = [], [], []
    for i, text in enumerate(to_text(frame[column])):
        where = f"{path}: {quoted_name(column)} in data row {frame.index[i] + 1}"
        if not isinstance(text, str) or not text.strip():
            raise DataError.at(
                "data.file", f"{where} is empty; it should name an image", code="E49"
            )
        if index.is_outside(text):
            raise DataError.at(
                "data.file",
                f"{where} leads out of the folder {index.folder}: '{shorten(text)}'",
                code="E49",
            )
        images = index.find(text)
        if len(images) > 1:
            raise DataError.at(
                "data.file",
                f"{where} is '{shorten(text)}', which {len(images)} images are called ({list_some(images)}); write their "
                "folder, or extension, too",
                code="E49",
            )
        if images:
            rows.append(i)
            files += images
        else:
            absent.append(text.strip())
    return np.array(rows, dtype=np.int64), files, absent


def _without_repetitions(
    frame: pandas.DataFrame, files: Sequence[str], path: str
) -> tuple[np.ndarray, list[str]]:
    """The first row of each image, and the images of further ones; raises DataError where these say something else."""
    first: dict[str, int] = {}
    repeated = []
    for i, file in enumerate(files):
        j = first.setdefault(file, i)
        if j == i:
            continue
        values = [[str(value) for value in frame.iloc[row].tolist()] for row in (j, i)]
        if values[0] != values[1]:
            raise DataError.at(
                "data.labels",
                f"{path}: data rows {frame.index[j] + 1} and {frame.index[i] + 1} name the same image, {file}, with "
                "different values; keep one of them (several labels of an image belong into one row, as in cat;dog)",
                code="E49",
            )
        repeated.append(file)
    return np.array([*first.values()], dtype=np.int64), repeated
