"""The format of a file by its first bytes rather than its suffix; compressed text unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from nnzoo.data.table_files import limits
from nnzoo.errors import DataError, first_line
from nnzoo.text import shorten

FileFormat = Literal["text", "parquet", "arrow", "excel"]

_CSV = "save it as CSV or Parquet"
_PANDAS = "write it as CSV: pandas.{}(…).to_csv(…, index=False)"
_UNPACK = "unpack it first"
_IMAGE = ("an image", "images are read from a folder: data.name: image_folder")
# (first bytes, format, what to do); a longer one comes before its own beginning.
_PICKLE = f"a pickle can run code, so it is not read; {_PANDAS.format('read_pickle')}"
_REFUSED = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file (.xls)", "save it as .xlsx or CSV"),
    (b"$FL2", "an SPSS file (.sav)", _PANDAS.format("read_spss")),
    (b"$FL3", "an SPSS file (.zsav)", _PANDAS.format("read_spss")),
    (b"<stata_dta>", "a Stata file (.dta)", _PANDAS.format("read_stata")),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS file", _PANDAS.format("read_sas")),
    (b"HEADER RECORD*******LIB", "a SAS transport file", _PANDAS.format("read_sas")),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _PANDAS.format("read_hdf")),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", "write it as CSV: writematrix or writetable"),
    (b"\x93NUMPY", "a NumPy array (.npy)", "write it as CSV: numpy.savetxt(…, delimiter=',')"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"RDX", "an R file", "write it as CSV: write.csv(…, row.names = FALSE)"),
    (b"X\n\0\0\0", "an R file (.rds)", "write it as CSV: write.csv(…, row.names = FALSE)"),
    (b"FEA1", "a Feather file of version 1", "write it anew, as version 2 or as Parquet"),
    (b"ORC", "an ORC file", _PANDAS.format("read_orc")),
    (b"Obj\x01", "an Avro file", _CSV),
    (b"%PDF-1.", "a PDF document", "copy its table into a spreadsheet and save that as CSV"),
    (b"{\\rtf1\\", "an RTF document", "save its table as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard", _UNPACK),
    (b"\x04\x22\x4d\x18", "packed by LZ4", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x89PNG", *_IMAGE),
    (b"\xff\xd8\xff", *_IMAGE),
    (b"GIF8", *_IMAGE),
    (b"\x7fELF", "a program", "give a file of data"),
    *((b"\x80" + bytes([i]), "a Python pickle", _PICKLE) for i in range(2, 6)),
)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x19]")
_OFFICE = {
    "xl/workbook.bin": ("a binary Excel file (.xlsb)", "save it as .xlsx or CSV"),
    "word/document.xml": ("a Word document", "save its table as CSV"),
    "ppt/presentation.xml": ("a PowerPoint file", "save its table as CSV"),
    "content.xml": ("an OpenDocument file (.ods)", "save it as .xlsx or CSV"),
}


@dataclass(frozen=True)
class Source:
    """A file and how its bytes are read: `open` starts anew each time, and unpacks."""

    file: Path
    format: FileFormat
    open: Callable[[], BinaryIO]
    packed: bool = False


def find_source(file: Path, bounded: bool) -> Source:
    """Find the format of a file; bounded: whether all of it will be held at once.

    Raises DataError, naming the kind of file and what to do, for what cannot be read as a table.
    """
    with file.open("rb") as binary:
        head = binary.read(512)
    if file.suffix.lower() in (".parquet", ".pq") or _begins(head, b"PAR1"):
        return Source(file, "parquet", lambda: file.open("rb"))
    if _begins(head, b"ARROW1") or _is_arrow_stream(file, head):
        return Source(file, "arrow", lambda: file.open("rb"))
    if head.startswith(b"PK\x03\x04"):
        return _zipped(file, bounded)
    # Text of ordinary tables packs to a tenth; a bomb to a thousandth.
    limit = limits.MAX_CSV_BYTES
    if not bounded:
        limit = max(limit, 100 * file.stat().st_size)
    openers: dict[bytes, Callable[[], Any]] = {
        b"\x1f\x8b": lambda: gzip.GzipFile(file),
        b"BZh": lambda: io.BufferedReader(_Stream(file, bz2.BZ2Decompressor)),
        b"\xfd7zXZ": lambda: io.BufferedReader(_Stream(file, _xz)),
    }
    for magic, opener in openers.items():
        if _begins(head, magic):
            return _text_in(file, opener, limit)
    _refuse_format(file, head)
    return Source(file, "text", lambda: file.open("rb"))


def _is_arrow_stream(file: Path, head: bytes) -> bool:
    """Whether a file begins with a message of Arrow: a mark, its size, a schema."""
    size = int.from_bytes(head[4:8], "little")
    return head.startswith(b"\xff\xff\xff\xff") and not size % 8 and 0 < size < file.stat().st_size


def _begins(head: bytes, magic: bytes) -> bool:
    """Whether a file begins so; where a column could be named so, it also has to be binary."""
    name = len(magic) <= 6 and all(32 < byte < 127 for byte in magic)
    return head.startswith(magic) and not (name and not _CONTROL.search(head))


def _refuse_format(file: Path, head: bytes, inside: str = "") -> None:
    what = f"{file}{inside}"
    for magic, name, remedy in _REFUSED:
        if _begins(head, magic):
            raise DataError(f"{what} is {name}, which is not read: {remedy}", code="E32")
    if head[257:262] == b"ustar":
        raise DataError(f"{what} is a tar archive: {_UNPACK}", code="E32")
    if any(_begins(head, magic) for magic in (b"PAR1", b"ARROW1", b"PK\x03\x04", b"\x1f\x8b")):
        raise DataError(f"{what} is packed twice: {_UNPACK}", code="E32")


def _text_in(file: Path, opener: Callable[[], BinaryIO], limit: int, inside: str = "") -> Source:
    """A source of packed text, within a bound; raises DataError for what is no text."""

    def opened() -> BinaryIO:
        stream: Any = _Bounded(file, opener(), limit)
        return io.BufferedReader(stream)

    with opened() as binary:
        _refuse_format(file, binary.read(512), inside)
    return Source(file, "text", opened, packed=True)


def _zipped(file: Path, bounded: bool) -> Source:
    """The one file of text in a zip archive, or an Excel file, which is one, too."""
    try:
        _refuse_large_directory(file)
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        reason = first_line(error)
        raise DataError(f"{file} is a damaged zip archive: {reason}", code="E33") from None
    names = [info.filename for info in infos]
    if "xl/workbook.xml" in names:
        return Source(file, "excel", lambda: file.open("rb"))
    for part, (name, remedy) in _OFFICE.items():
        if part in names:
            raise DataError(f"{file} is {name}, which is not read: {remedy}", code="E32")
    members = [
        info
        for info in infos
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not info.filename.rsplit("/", 1)[-1].startswith(".")
    ]
    if not members:
        raise DataError(f"{file} is a zip archive without a file in it", code="E37")
    if all(info.filename.endswith(".npy") for info in members):
        raise DataError(
            f"{file} holds NumPy arrays (.npz), which are not read: write them as CSV: "
            "numpy.savetxt(…, delimiter=',')",
            code="E32",
        )
    if len(members) > 1:
        shown = ", ".join(shorten(info.filename) for info in members[:5])
        raise DataError(
            f"{file} holds {len(members):,} files ({shown}{', …' if len(members) > 5 else ''}); "
            "unpack it and name one",
            code="E32",
        )
    member = members[0]
    inside = f" ({shorten(member.filename)})"
    if member.flag_bits & 1:
        raise DataError(f"{file}{inside} is encrypted: {_UNPACK}", code="E33")

    def opener() -> BinaryIO:
        with zipfile.ZipFile(file) as archive:  # stays open as long as its member
            return archive.open(member)  # type: ignore[return-value]

    limit = limits.MAX_CSV_BYTES
    return _text_in(
        file, opener, limit if bounded else max(limit, 100 * file.stat().st_size), inside
    )


def _refuse_large_directory(file: Path) -> None:
    """Refuse an archive whose list of files would fill the memory before one is read."""
    size = file.stat().st_size
    with file.open("rb") as binary:
        binary.seek(max(0, size - (1 << 16) - 22))
        tail = binary.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise DataError(f"{file} is a damaged zip archive: it has no end", code="E33")
    entries, directory = struct.unpack("<HI", tail[end + 10 : end + 16])
    if tail.rfind(b"PK\x06\x07", 0, end) == end - 20 or directory > limits.MAX_ZIP_DIRECTORY:
        raise DataError(
            f"{file} is a zip archive of very many files or bytes: {_UNPACK}", code="E34"
        )
    if entries > limits.MAX_ZIP_FILES:
        raise DataError(f"{file} holds {entries:,} files: unpack it and name one", code="E32")


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=limits.MAX_XZ_MEMORY)


class _Stream(io.RawIOBase):
    """A file that a decompressor of the standard library unpacks in pieces."""

    def __init__(self, file: Path, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]):
        self.binary = file.open("rb")
        self.make = make
        self.decompressor = make()
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while True:
            if self.decompressor.eof:
                self.rest = self.decompressor.unused_data or self.binary.read(1 << 16)
                if not self.rest.strip(b"\0"):
                    return 0
                self.decompressor = self.make()
            elif self.decompressor.needs_input and not self.rest:
                self.rest = self.binary.read(1 << 16)
                if not self.rest:
                    raise EOFError("it ends in the middle")
            data = self.decompressor.decompress(self.rest, len(buffer))
            self.rest = b""
            if data:
                buffer[: len(data)] = data
                return len(data)

    def close(self) -> None:
        self.binary.close()
        super().close()


_UNPACK_ERRORS: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, lzma.LZMAError)
_UNPACK_ERRORS += (zipfile.BadZipFile, NotImplementedError, RuntimeError)


class _Bounded(io.RawIOBase):
    """A stream that may not give more than so many bytes; its errors are DataError."""

    def __init__(self, file: Path, binary: BinaryIO, limit: int) -> None:
        self.file = file
        self.binary = binary
        self.limit = limit
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        try:
            data = self.binary.read(len(buffer))
        except _UNPACK_ERRORS as error:
            raise DataError(
                f"{self.file} cannot be unpacked: {first_line(error)}", code="E33"
            ) from None
        self.count += len(data)
        if self.count > self.limit:
            raise DataError(
                f"{self.file} unpacks to more than {self.limit:,} bytes; keep fewer rows or "
                "columns, or save it as Parquet",
                code="E34",
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.binary.close()
        super().close()


# (beginning of the text, format, what to do).
_REFUSED_TEXTS = (
    (
        r"<!doctype\s+html|<html\b|<head\b|<body\b|<table\b|<div\b",
        "a web page (HTML)",
        "download the data itself, or save the page's table as CSV",
    ),
    (
        r"<\?xml|<[\w:]+(\s+[\w:]+=\"[^\"]*\")*\s*>\s*<",
        "XML",
        "write it as CSV: pandas.read_xml(…).to_csv(…, index=False)",
    ),
    (
        r"(%[^\n]*\n|\s)*@relation\b",
        "an ARFF file of Weka",
        "write it as CSV: in Weka, or pandas.DataFrame(scipy.io.arff.loadarff(…)[0]).to_csv(…)",
    ),
    (
        r"version https://git-lfs\.github\.com",
        "a pointer of Git LFS, not the data",
        "fetch that: git lfs pull",
    ),
    (r"%%MatrixMarket", "a Matrix Market file", "write it as CSV: scipy.io.mmread, numpy.savetxt"),
    (
        r"([-+]?[\d.]+(\s+\d+:[-+\d.eE]+)+\s*\n){3}",
        "in LIBSVM's format",
        "write it as CSV: sklearn.datasets.load_svmlight_file(…)[0].toarray(), numpy.savetxt",
    ),
)


def refuse_other_text(file: Path, lines: list[str]) -> None:
    """Raise DataError, naming the format and what to do, for text that is no table."""
    text = "".join(lines[:20])[:5000].lstrip()
    for pattern, name, remedy in _REFUSED_TEXTS:
        if re.match(pattern, text, re.IGNORECASE):
            raise DataError(f"{file} is {name}, which is not read: {remedy}", code="E32")
