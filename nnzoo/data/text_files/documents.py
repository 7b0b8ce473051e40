"""Documents in memory, and single text files."""

from __future__ import annotations

import codecs
import os
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnzoo.data.columns.roles import RoleTexts, select_texts
from nnzoo.data.table_files.file_format import Source, find_source
from nnzoo.data.table_files.text_encoding import find_encoding
from nnzoo.errors import DataError

Array = np.ndarray[Any, Any]
TextForm = Literal["table", "folder", "lines"]
# Characters of one document, and bytes of its file.
MAX_CHARACTERS = 1 << 24
# Bytes that are read at once in the search for a line that is too long; far less than a text may have.
BLOCK_BYTES = 1 << 20
# Characters of all documents together.
MAX_TOTAL = 1 << 31


@dataclass(frozen=True)
class Documents:
    """Texts as they were read.

    ids: what the file calls each; names: the same for messages, as in "data row 3". targets: a text per document,
    None where there are none; roles: texts of columns by role. target, text: the names of the columns; form: of the file or
    folder. header, width: whether a table names its columns, and how many it has if not. notes: on what was
    guessed or left out.
    """

    source: str
    texts: list[str]
    ids: list[Any]
    names: list[str]
    form: TextForm
    targets: list[str] | None = None
    target: str = "class"
    text: str | None = None
    header: bool | None = None
    width: int | None = None
    notes: list[str] = field(default_factory=list)
    roles: RoleTexts = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Array) -> Documents:
        """Some documents (int64), in their order."""
        chosen = rows.tolist()
        return replace(
            self,
            texts=[self.texts[i] for i in chosen],
            ids=[self.ids[i] for i in chosen],
            names=[self.names[i] for i in chosen],
            targets=None if self.targets is None else [self.targets[i] for i in chosen],
            roles=select_texts(self.roles, chosen),
        )


def check_length(text: str, place: str, total: int = 0) -> int:
    """The characters of all texts so far; raises DataError, naming the place, for a text that is too long."""
    if len(text) > MAX_CHARACTERS:
        raise DataError.at(
            "data.path",
            f"{place} has {len(text):,} characters; a text may have {MAX_CHARACTERS:,}. Cut it into parts, or leave "
            "it out",
            code="E34",
        )
    total += len(text)
    if total > MAX_TOTAL:
        raise DataError.at(
            "data.path",
            f"{place}: more than {MAX_TOTAL:,} characters up to here; keep fewer texts",
            code="E34",
        )
    return total


def check_lines(path: str) -> None:
    """Raise DataError, before a file is read as a table, for a line that is longer than any text."""
    if not os.path.isfile(path) or os.path.getsize(path) <= MAX_CHARACTERS:
        return
    source = find_source(Path(path), bounded=False)
    if source.format != "text":
        return
    number, length = 1, 0
    with closing(source.open()) as file:
        while block := file.read(BLOCK_BYTES):
            first = block.find(b"\n")
            length += len(block) if first < 0 else first
            if length > MAX_CHARACTERS:
                raise DataError.at(
                    "data.path",
                    f"{path}:{number}: a line of more than {MAX_CHARACTERS:,} bytes; a text may have as many characters. "
                    "Cut it into parts, or leave it out",
                    code="E34",
                )
            if first >= 0:
                number += block.count(b"\n")
                length = len(block) - block.rfind(b"\n") - 1


def read_text_file(path: str, encoding: str = "auto") -> str:
    """A file as one text, with line feeds as line ends; raises DataError naming it and the place of what is no text."""
    try:
        with open(path, "rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", code="E31") from None
    if len(content) > 4 * MAX_CHARACTERS:
        raise DataError.at(
            "data.path",
            f"{path} has more than {4 * MAX_CHARACTERS:,} bytes; a document may have {MAX_CHARACTERS:,} characters. "
            "Cut it into parts, or leave it out",
            code="E34",
        )
    return decode_text(content, path, encoding)


def decode_text(content: bytes, path: str, encoding: str = "auto") -> str:
    """Bytes as text; path: of their file, for messages. Raises DataError."""
    marked = content[:1] in (b"\xff", b"\xfe") or content.startswith(codecs.BOM_UTF8)
    codec = "utf-8" if encoding == "auto" else encoding
    if marked or b"\0" in content:
        codec, _ = find_encoding(_in_memory(path, content), encoding)
    try:
        text = content.decode(codec)
    except UnicodeError as error:
        mark = len(codecs.BOM_UTF8) if codec == "utf-8-sig" else 0
        codec = codec.removesuffix("-sig")
        place = mark + getattr(error, "start", 0) + 1
        hint = "; save it as UTF-8, or name its encoding (data.encoding: cp1252)"
        raise DataError.at(
            "data.encoding",
            f"{path}: not {'UTF-8' if codec == 'utf-8' else codec} text (byte {place:,}){hint * (encoding == 'auto')}",
            code="E35",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}:{line}: a zero character; not text", code="E32")
    check_length(text, path)
    return text.replace("\r\n", "\n")


def _in_memory(path: str, content: bytes) -> Source:
    import io

    return Source(Path(path), "text", lambda: io.BytesIO(content))
