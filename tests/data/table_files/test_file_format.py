"""Formats of files by their first bytes; compressed text and its bounds."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable

import pandas
import pytest

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.table_io import Table, read_chunks
from nnzoo.errors import DataError
from tests.data.table_files.reading import (
    ROWS,
    TABLE,
    check,
    read,
    refused,
    text_of,
    zipped,
)


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "d.csv.gz"),
        (bz2.compress, "d.csv.bz2"),
        (lzma.compress, "d.csv.xz"),
        (zipped, "d.zip"),
        (gzip.compress, "d.csv"),
        (zipped, "named.csv"),
        (lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]), "two.gz"),
        (lambda data: bz2.compress(data[:100]) + bz2.compress(data[100:]), "two.bz2"),
        (lambda data: zipped(data, **{"__MACOSX__._t.csv": b"x", ".DS_Store": b"y"}), "mac.zip"),
    ],
)
def test_packed_text_is_read(pack: Callable[[bytes], bytes], name: str) -> None:
    table = read(pack(TABLE.encode()), name)
    check(table)
    assert table.notes == []
    pieces = list(read_chunks(name))
    check(Table(pandas.concat([piece.frame for piece in pieces]), True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(b"a", **{"u.csv": b"b"}), "holds 2 files (t.csv, u.csv); unpack it and name one"),
        (zipped(TABLE.encode())[:-40], "damaged zip archive"),
        (gzip.compress(TABLE.encode())[:-20], "cannot be unpacked"),
        (bz2.compress(TABLE.encode())[:-20], "cannot be unpacked: it ends in the middle"),
        (lzma.compress(TABLE.encode())[:-20], "cannot be unpacked: it ends in the middle"),
        (gzip.compress(gzip.compress(b"x" * 99)), "is packed twice: unpack it first"),
        (gzip.compress(b"\0" * 257 + b"ustar" + b"\0" * 99), "is a tar archive: unpack it first"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0",
            "an old Excel file (.xls), which is not read: save it",
        ),
        (b"$FL2@(#) SPSS DATA FILE\0\2", "an SPSS file (.sav)"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
        (b"\x80\x04\x95\x10\0\0\0", "a Python pickle"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\0", "an image"),
        (b"ORC\x0a\x03\0\0", "an ORC file"),
        (zipped(b"x", **{"word__document.xml": b"<x/>"}), "a Word document"),
        (zipped(b"x", **{"content.xml": b"<x/>"}), "an OpenDocument file (.ods)"),
        (b"<!DOCTYPE html>\n<html><body>Sign in, please.</body></html>", "a web page (HTML)"),
        (b'<?xml version="1.0"?><rows><row a="1"/></rows>', "is XML"),
        (b"% 1. Title: iris\n%\n@RELATION iris\n\n@ATTRIBUTE a NUMERIC\n@DATA\n1\n", "ARFF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"1 1:0.5 3:2\n-1 2:0.5 4:1\n1 1:0.1 2:3\n1 3:1\n", "LIBSVM"),
        (b"\x01\0\0\x02\0\0\x03", "is not a text file (it holds zero bytes)"),
    ],
    ids=lambda value: "content" if isinstance(value, bytes) else None,
)
def test_other_kinds_of_files_are_refused_by_name(content: bytes, message: str) -> None:
    assert message in refused(content)


def test_names_of_columns_that_begin_as_other_files_do_are_names() -> None:
    for name in ("PAR1", "ORCHARD", "BZh9", "ARROW1", "RDX2", "GIF89a", "Rar!x"):
        check(read(f"{name},b,c\n" + text_of(ROWS)), names=[name, "b", "c"])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_packed_text_is_bounded_by_what_it_unpacks_to(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CSV_BYTES", 100_000)
    bomb = pack(b"1,2\n" * 500_000)
    assert refused(bomb) == (
        "d.csv unpacks to more than 100,000 bytes; keep fewer rows or columns, or save it as Parquet"
    )
    if len(bomb) < 10_000:  # in pieces a hundred times its own size is read
        with pytest.raises(DataError, match="unpacks to more than"):
            list(read_chunks("d.csv"))


def test_archives_of_many_files_are_refused_by_their_end() -> None:
    data = bytearray(zipped(TABLE.encode()))
    end = data.rfind(b"PK\x05\x06")
    data[end + 10 : end + 16] = struct.pack("<HI", 60_000, 9)
    assert "holds 60,000 files" in refused(bytes(data))
    data[end + 10 : end + 16] = struct.pack("<HI", 9, 1 << 30)
    assert "very many files or bytes" in refused(bytes(data))
