"""Folders of documents: a .txt per document in a folder per class, or a file per class with a line per document."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nnzoo.data.image_files.split_names import parts_of, same_name
from nnzoo.data.recording_files.folder import Tree, scan_tables
from nnzoo.data.table_files.file_format import find_source
from nnzoo.data.table_files.text_encoding import TextLines, find_encoding
from nnzoo.data.text_files.documents import Documents, check_length, read_text_file
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, shorten

TEXTS = re.compile(r"(?i)\.(txt|text)$")
UNLABELLED = frozenset({"unsup", "unsupervised", "unlabelled", "unlabeled"})
"""Names of folders, beside those of classes, whose documents have none, as in aclImdb."""


@dataclass(frozen=True)
class TextPlan:
    """The files of each part, each with its class; by_line: whether a file is a class with a line per document, not
    a document; notes: on what is left out."""

    parts: dict[str, list[tuple[str, str]]]
    by_line: bool
    notes: list[str]


def scan_texts(root: str) -> Tree:
    """The .txt files in a folder and below it."""
    return scan_tables(root, names=TEXTS)


def plan_folder(root: str) -> TextPlan:
    """Find parts and classes in a folder; raises DataError where it has no classes."""
    tree = scan_texts(root)
    notes = tree.left_out_notes()
    top = tree
    while len(top.folders) == 1 and not top.tables:
        (top,) = top.folders.values()
    if not top.folders and len(top.tables) < 2:
        what = "one .txt file" if top.tables else "no .txt files"
        raise DataError.at(
            "data.path",
            f"{root} has {what}; expected a folder per class with a .txt per document, or a .txt per class with a "
            "line per document",
            code="E50",
        )
    if top is not tree:
        notes.append(Note("N16", f"the documents are in {os.path.relpath(top.path, root)}/"))
    parts = parts_of(list(top.folders))
    if "train" not in parts.values():
        files, by_line = _classes(top, root, notes)
        return TextPlan({"train": files}, by_line, notes)
    classes: dict[str, tuple[list[tuple[str, str]], bool]] = {}
    for name, folder in top.folders.items():
        if name not in parts:
            notes.append(
                Note("N17", f"left out: {folder.path}/, which is neither train, val nor test")
            )
        elif parts[name] in classes:
            raise DataError.at(
                "data.path", f"{root} has two folders for the {parts[name]} part", code="E50"
            )
        else:
            classes[parts[name]] = _classes(folder, root, notes)
    if top.tables:
        text = f"left out: {plural(len(top.tables), 'file')} beside the parts ({list_some(top.tables)})"
        notes.append(Note("N17", text))
    by_line = classes["train"][1]
    odd = [part for part, (_, lines) in classes.items() if lines != by_line]
    if odd:
        raise DataError.at(
            "data.path",
            f"{root}: the {odd[0]} part has another form than the training part",
            code="E50",
        )
    ordered = [part for part in ("train", "val", "test") if part in classes]
    return TextPlan({part: classes[part][0] for part in ordered}, by_line, notes)


def _classes(folder: Tree, root: str, notes: list[str]) -> tuple[list[tuple[str, str]], bool]:
    """The files in a folder's class folders, each with its class; or the files that are classes, and True."""
    if not folder.folders:
        return [(file, same_name(Path(file).stem)) for file in folder.tables], True
    if folder.tables:
        names = list_some([os.path.relpath(file, root) for file in folder.tables])
        count = plural(len(folder.tables), "file")
        notes.append(Note("N17", f"left out: {count} beside the class folders ({names})"))
    folders = dict(folder.folders)
    for name in [name for name in folders if same_name(name).casefold() in UNLABELLED]:
        if len(folders) > 2:  # else it may be a class
            count = plural(len(list(folders.pop(name).walk())), "document")
            notes.append(
                Note("N17", f"left out: {count} in folders named {name}, which is no class")
            )
    files = [(file, same_name(name)) for name, below in folders.items() for file in below.walk()]
    return files, False


def read_folder(root: str, encoding: str = "auto") -> dict[str, Documents]:
    """The documents of each part of a folder; raises DataError naming the file of what cannot be read."""
    plan = plan_folder(root)
    result = {
        part: _read_part(root, files, plan.by_line, encoding) for part, files in plan.parts.items()
    }
    result["train"].notes[:0] = plan.notes
    return result


def _read_part(root: str, files: list[tuple[str, str]], by_line: bool, encoding: str) -> Documents:
    documents = Documents(root, [], [], [], "lines" if by_line else "folder", targets=[])
    assert documents.targets is not None
    total = blank = 0
    for file, label in files:
        name = os.path.relpath(file, root)
        if by_line:
            of_file = read_lines(file, encoding)
            blank += of_file.blank
            ids = [f"{name}:{line}" for line in of_file.numbers]
            texts = of_file.texts
        else:
            ids, texts = [name], [read_text_file(file, encoding)]
        for id_, text in zip(ids, texts, strict=True):
            total = check_length(text, os.path.join(root, id_), total)
        documents.texts.extend(texts)
        documents.ids.extend(ids)
        documents.names.extend(shorten(id_, 120) for id_ in ids)
        documents.targets.extend([label] * len(texts))
    if blank:
        documents.notes.append(Note("N07", f"{plural(blank, 'blank line')} left out"))
    if not documents.texts:
        raise DataError.at("data.path", f"{root} has no texts: its files are empty", code="E37")
    return documents


@dataclass(frozen=True)
class Lines:
    """The lines of a file that are not blank, with their numbers, from 1; blank: how many others there are."""

    texts: list[str]
    numbers: list[int]
    blank: int


def read_lines(file: str, encoding: str = "auto") -> Lines:
    """A file with a document per line; raises DataError naming the line of what cannot be read."""
    texts, numbers, total = [], [], 0
    last = 0
    for number, line in iter_lines(file, encoding):
        last = number
        if line.strip():
            text = line.rstrip("\r\n")
            total = check_length(text, f"{file}:{number}", total)
            texts.append(text)
            numbers.append(number)
    return Lines(texts, numbers, last - len(texts))


def iter_lines(file: str, encoding: str = "auto") -> Iterator[tuple[int, str]]:
    """The lines of a file with their ends, and their numbers."""
    try:
        source = find_source(Path(file), bounded=False)
        if source.format != "text":
            raise DataError(f"{file} is not a text file", code="E32")
        codec, _ = find_encoding(source, encoding)
        lines = TextLines(source, codec)
        try:
            for line in lines:
                yield lines.number, line
        finally:
            lines.close()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}", code="E31") from None
