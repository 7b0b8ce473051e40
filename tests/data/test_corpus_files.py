"""Files of running text: a folder in the order of names, encodings, and what is no text."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnzoo.config.text_options import CorpusOptions
from nnzoo.data import corpus_files
from nnzoo.data.corpus_files import description, read_corpus
from nnzoo.errors import DataError


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, text in {
        "b.txt": "two",
        "a.txt": "one",
        "sub/c.txt": "three",
        ".hidden.txt": "x",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "picture.png").write_bytes(b"\0")
    text, notes = read_corpus(str(tmp_path), "characters")
    assert text == "one\ntwo\nthree"
    assert notes == [f"3 text files of {tmp_path}, in the order of their names"]


def test_marks_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes("Ä\r\nb".encode(encoding))
        assert read_corpus(str(path), "characters") == (
            "Ä\nb",
            ["line ends of Windows were read as line feeds"],
        )


def test_what_is_no_text_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"abc\xff")
    with pytest.raises(DataError, match=r"byte 0xff at position 3.*data\.tokens: bytes"):
        read_corpus(str(path), "words")
    assert read_corpus(str(path), "bytes")[0].encode("utf-8", "surrogateescape") == b"abc\xff"
    path.write_bytes(bytes(1000))
    with pytest.raises(DataError, match="zero bytes"):
        read_corpus(str(path), "characters")
    with pytest.raises(DataError, match="there is no"):
        read_corpus(str(tmp_path / "none.txt"), "characters")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.txt file"):
        read_corpus(str(tmp_path / "empty"), "characters")
    monkeypatch.setattr(corpus_files, "MAX_BYTES", 10)
    with pytest.raises(DataError, match=r"1,000 bytes of text; at most 10"):
        read_corpus(str(path), "bytes")
    path.chmod(0)
    monkeypatch.setattr(corpus_files, "MAX_BYTES", 10_000)
    monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(OSError(13, "denied")))
    with pytest.raises(DataError, match="cannot be read: denied"):
        read_corpus(str(path), "bytes")


def test_check_describes_the_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abca")
    (line,) = description(CorpusOptions(name="corpus", path=str(tmp_path / "t.txt")))
    assert line == f"4 characters of 3 kinds in {tmp_path / 't.txt'}"
