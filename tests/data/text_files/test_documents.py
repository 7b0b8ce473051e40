"""Documents in memory and single files: what is read, where a wrong byte is, how much is too much."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.data.text_files import documents
from nnzoo.data.text_files.documents import (
    Documents,
    check_length,
    check_lines,
    decode_text,
    read_text_file,
)
from nnzoo.errors import DataError


def some(**more: Any) -> Documents:
    return Documents(
        "x.csv", ["a", "b", "c"], [1, 2, 3], ["row 1", "row 2", "row 3"], "table", **more
    )


def test_selected_documents_keep_what_belongs_to_them() -> None:
    whole = some(
        targets=["x", "y", "z"], roles={"group": ["g", "h", "g"]}, text="body", notes=["a note"]
    )
    part = whole.select(np.array([2, 0, 2]))
    assert len(whole) == 3 and len(part) == 3
    assert part.texts == ["c", "a", "c"] and part.ids == [3, 1, 3]
    assert part.names == ["row 3", "row 1", "row 3"]
    assert part.targets == ["z", "x", "z"] and part.roles == {"group": ["g", "g", "g"]}
    assert (part.source, part.text, part.form, part.notes) == ("x.csv", "body", "table", ["a note"])
    bare = some().select(np.array([1]))
    assert bare.targets is None and bare.roles == {} and bare.texts == ["b"]
    assert len(some().select(np.zeros(0, dtype=np.int64))) == 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (codecs.BOM_UTF8, ""),
        (codecs.BOM_UTF8 + b"a", "a"),
        (b"a\r\nb\rc\nd", "a\nb\rc\nd"),
        (b"\n\n \n", "\n\n \n"),
        ("é猫\U0001f642".encode(), "é猫\U0001f642"),
        (codecs.BOM_UTF16_LE + "é\r\n".encode("utf-16-le"), "é\n"),
        (codecs.BOM_UTF16_BE + "é".encode("utf-16-be"), "é"),
        (codecs.BOM_UTF32_LE + "é".encode("utf-32-le"), "é"),
        ("plain text".encode("utf-16-be"), "plain text"),
    ],
)
def test_text_by_the_marks_and_zero_bytes_of_a_file(content: bytes, text: str) -> None:
    assert decode_text(content, "a.txt") == text


@pytest.mark.parametrize(
    ("content", "encoding", "text"),
    [
        ("été".encode("cp1252"), "cp1252", "été"),
        (b"\xff\xfe\xe9", "latin-1", "ÿþé"),
        (codecs.BOM_UTF8 + b"a", "utf-8", "a"),
        (codecs.BOM_UTF8 + b"a", "utf-8-sig", "a"),
        ("猫".encode("gb18030"), "gb18030", "猫"),
        ("猫".encode("utf-16-be"), "utf-16-be", "猫"),
    ],
)
def test_text_in_a_stated_encoding(content: bytes, encoding: str, text: str) -> None:
    assert decode_text(content, "a.txt", encoding) == text


@pytest.mark.parametrize("before", [b"", b"abc", "é\n".encode(), b"x" * 100_000])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_the_first_wrong_byte_is_counted_as_in_the_file(mark: bytes, before: bytes) -> None:
    content = mark + before + b"\xff more"
    with pytest.raises(DataError) as raised:
        decode_text(content, "a.txt")
    place = content.index(b"\xff") + 1
    assert f"a.txt: not UTF-8 text (byte {place:,}); save it as UTF-8" in str(raised.value)
    assert raised.value.key == "data.encoding"


def test_a_stated_encoding_that_is_wrong_gives_no_hint_to_state_one() -> None:
    with pytest.raises(DataError) as raised:
        decode_text(b"ab\x81", "a.txt", "cp1252")
    assert "a.txt: not cp1252 text (byte 3)" in str(raised.value)
    assert "save it" not in str(raised.value)
    with pytest.raises(DataError, match=r"not utf-16 text \(byte 5\)"):
        decode_text(codecs.BOM_UTF16_LE + b"a\0b", "a.txt")


@pytest.mark.parametrize(("text", "line"), [("a\0", 1), ("a\n\nb\0", 3), ("a\r\n\0\0", 2)])
def test_a_zero_character_is_named_by_its_line(text: str, line: int) -> None:
    with pytest.raises(DataError, match=rf"a.txt:{line}: a zero character"):
        decode_text(codecs.BOM_UTF16_LE + text.encode("utf-16-le"), "a.txt")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    missing = tmp_path / "none.txt"
    with pytest.raises(DataError, match=r"cannot read .*none.txt: No such file"):
        read_text_file(str(missing))
    with pytest.raises(DataError, match="Is a directory"):
        read_text_file(str(tmp_path))


def test_the_longest_text_is_read_and_a_longer_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 10)
    file = tmp_path / "a.txt"
    file.write_text("\U0001f642" * 10, encoding="utf-8")  # four bytes each
    assert len(read_text_file(str(file))) == 10
    file.write_text("\U0001f642" * 10 + "x", encoding="utf-8")
    with pytest.raises(DataError, match=r"a.txt has more than 40 bytes; .* 10 characters"):
        read_text_file(str(file))
    file.write_text("x" * 11)
    with pytest.raises(DataError, match=r"a.txt has 11 characters; a text may have 10. Cut it"):
        read_text_file(str(file))


def test_characters_are_summed_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_TOTAL", 10)
    total = check_length("x" * 4, "row 1")
    total = check_length("x" * 6, "row 2", total)
    assert total == 10 and check_length("", "row 3", total) == 10
    with pytest.raises(DataError, match="row 4: more than 10 characters up to here; keep fewer"):
        check_length("x", "row 4", total)


@pytest.mark.parametrize("block", [1, 3, 7, 64])
@pytest.mark.parametrize("line", [1, 2, 5])
def test_the_line_that_is_too_long_is_found_in_blocks_of_any_size(
    block: int, line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 70)
    monkeypatch.setattr(documents, "BLOCK_BYTES", block)
    file = tmp_path / "x.csv"
    lines = ["y" * 70] * 6
    file.write_text("\n".join(lines))
    check_lines(str(file))
    lines[line - 1] += "y" * 70
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"x.csv:{line}: a line of more than 70 bytes"):
        check_lines(str(file))


def test_lines_of_what_is_no_text_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 8)
    check_lines(str(tmp_path / "none.csv"))
    check_lines(str(tmp_path))
    file = tmp_path / "x.parquet"
    file.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    check_lines(str(file))
    packed = tmp_path / "x.csv.gz"
    packed.write_bytes(gzip.compress(b"text,label\n" + bytes(range(32, 127)) * 9))
    with pytest.raises(DataError, match=r"x.csv.gz:(1|2): a line of more than 8 bytes"):
        check_lines(str(packed))
