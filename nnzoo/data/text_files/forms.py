"""Read documents in whatever form they come: a table, a folder of .txt files, files with a line per document."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np

from nnzoo.config.text_options import TextOptions
from nnzoo.data.columns.roles import no_columns, role_columns
from nnzoo.data.text_files.documents import Documents
from nnzoo.data.text_files.folder import read_folder
from nnzoo.data.text_files.table import read_texts
from nnzoo.errors import DataError
from nnzoo.text import list_some, note_line, plural, shorten


def read_documents(path: str, data: Any, key: str = "data.path") -> dict[str, Documents]:
    """The documents of a file, as its "train" part, or of each part of a folder.

    data: a config's `data` section. Raises DataError naming the file, the row or line.
    """
    if not os.path.isdir(path):
        return {"train": read_texts(path, data, key=key)}
    if key == "data.path":
        no_columns(role_columns(data), f"{path} is a folder; only tables have columns")
    for name in ("text", "target"):
        if getattr(data, name, None) is not None:
            raise DataError.at(
                f"data.{name}", f"{path} is a folder; only tables have columns", code="E44"
            )
    return read_folder(path, data.encoding)


def description(data: TextOptions) -> list[str]:
    """Lines on the documents that a config names, for `nnzoo check`; raises DataError where they cannot be read."""
    if not os.path.exists(data.path):
        return [f"data.path: no file or folder {data.path} yet"]
    parts = read_documents(data.path, data)
    if data.test_path is not None and os.path.exists(data.test_path):
        test = read_documents(data.test_path, data, "data.test_path")
        parts["test"] = test["train"]
    lines = []
    for part, one in parts.items():
        lengths = np.array([len(text) for text in one.texts])
        name = f"{part}: " if len(parts) > 1 else ""
        columns = "" if one.text is None else f", the text in '{shorten(one.text)}'"
        lines.append(
            f"{name}{plural(len(one), 'document')} of {lengths.min():,} to {lengths.max():,} characters, half of them "
            f"up to {int(np.median(lengths)):,}{columns}"
        )
        counts = Counter(one.targets or [])
        shown = [f"{shorten(label)} {count:,}" for label, count in counts.most_common(12)]
        lines.append(f"target '{shorten(one.target)}': {list_some(shown, 12)}")
        lines += [" ".join(note_line(note).split()) for note in one.notes]
    return lines
