"""A small table, and what reading its text gives or refuses."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.data.table_files.table_io import ReadOptions, Table, read_table
from nnzoo.errors import NnzooError

ROWS = [
    ["168.60", "69.21", "Köln"],
    ["174.14", "70.82", "Zürich"],
    ["178.27", "70.98", "Graz"],
] * 20


NAMES = ["größe", "gewicht", "stadt"]


def text_of(rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


TABLE = text_of([NAMES, *ROWS])


def read(content: str | bytes, name: str = "d.csv", **options: Any) -> Table:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(name, ReadOptions(**options))


def refused(content: str | bytes | None = None, name: str = "d.csv", **options: Any) -> str:
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NnzooError) as error:
        read_table(name, ReadOptions(**options))
    assert "\n" not in str(error.value)
    return str(error.value)


def check(
    table: Table, rows: list[list[str]] | None = None, names: list[str] | None = None
) -> None:
    assert list(table.frame.columns) == (NAMES if names is None else names)
    assert table.frame.fillna("").to_numpy().tolist() == (ROWS if rows is None else rows)


def zipped(content: bytes, **others: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", content)
        for name, other in others.items():
            archive.writestr(name.replace("__", "/"), other)
    return data.getvalue()


def quick(content: Callable[[], str], seconds: float = 3.0) -> str:
    began = time.process_time()
    message = content()
    assert time.process_time() - began < seconds
    return message
