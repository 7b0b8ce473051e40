"""Running text of a file, or of the .txt files of a folder, as one string; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nnzoo.config.text_options import CorpusOptions
from nnzoo.data.tokenizer import Unit
from nnzoo.errors import DataError
from nnzoo.text import Note, plural

MAX_BYTES = 1 << 29
"""Of all files together; a character takes about ten times as much memory while it is read."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def read_corpus(path: str, unit: Unit) -> tuple[str, list[str]]:
    """The text, and notes on what was read; of bytes that are no UTF-8 each is a surrogate, as Python's
    surrogateescape has it.

    Raises DataError for files that are missing, empty, too large or no text.
    """
    root = Path(path)
    files = list(_text_files(root))
    size = sum(file.stat().st_size for file in files)
    if size > MAX_BYTES:
        raise DataError.at(
            "data.path",
            f"{path} has {size:,} bytes of text; at most {MAX_BYTES:,} are read",
            code="E34",
        )
    text = "\n".join(_read_file(file, unit) for file in files)
    notes: list[str] = []
    if root.is_dir():
        notes.append(
            Note("N16", f"{plural(len(files), 'text file')} of {path}, in the order of their names")
        )
    if unit != "bytes" and "\r\n" in text:
        text = text.replace("\r\n", "\n")
        notes.append(Note("N03", "line ends of Windows were read as line feeds"))
    return text, notes


def _text_files(root: Path) -> Iterator[Path]:
    if not root.exists():
        raise DataError.at("data.path", f"there is no {root}", code="E30")
    if not root.is_dir():
        yield root
        return
    files = sorted(
        file
        for file in root.rglob("*.txt")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts)
    )
    if not files:
        raise DataError.at("data.path", f"{root} holds no .txt file", code="E30")
    yield from files


def _read_file(file: Path, unit: Unit) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError.at(
            "data.path", f"{file} cannot be read: {error.strerror}", code="E31"
        ) from None
    if unit == "bytes":
        return data.decode("utf-8", "surrogateescape")
    encoding = next((codec for mark, codec in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError.at(
            "data.path",
            f"{file} is not UTF-8: byte {data[error.start]:#04x} at position {error.start:,}; convert it, or read it "
            "as it is with data.tokens: bytes",
            code="E35",
        ) from None
    if "\0" in text:
        raise DataError.at(
            "data.path",
            f"{file} is not a text file (it holds zero bytes); data.tokens: bytes reads any file",
            code="E32",
        )
    return text


def description(options: CorpusOptions) -> list[str]:
    """Lines about the text for `nnzoo check`."""
    text, notes = read_corpus(options.path, options.tokens)
    return [f"{len(text):,} characters of {len(set(text)):,} kinds in {options.path}", *notes]
