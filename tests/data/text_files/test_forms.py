"""Files and folders of documents that cannot be read: one message each, naming the file and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.text_options import TextOptions
from nnzoo.data.text_files import documents, folder
from nnzoo.data.text_files.documents import Documents, read_text_file
from nnzoo.data.text_files.forms import description, read_documents
from nnzoo.errors import DataError
from tests.data.text_files.writing import WRITERS, some_documents, write_folder, write_lines


def read(path: Path | str, **options: Any) -> dict[str, Documents]:
    return read_documents(str(path), TextOptions(name="text", path=str(path), **options))


def test_encodings_of_text_files(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        (tmp_path / "a.txt").write_text("one été\r\ntwo, three\n", encoding=encoding, newline="")
        assert read_text_file(str(tmp_path / "a.txt")) == "one été\ntwo, three\n"
    (tmp_path / "a.txt").write_bytes("été".encode("cp1252"))
    assert read_text_file(str(tmp_path / "a.txt"), "cp1252") == "été"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\xe9t\xe9 a",
            r"a.txt: not UTF-8 text \(byte 1\); save it as UTF-8, or name its encoding",
        ),
        (b"\0" * 1000, "a.txt is not a text file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a.txt is not a text file"),
        ("a\nb\0".encode("utf-16"), "a.txt:2: a zero character"),
        (b"x" * 101, "a.txt has 101 characters; a text may have 100"),
        (b"x" * 500, "a.txt has more than 400 bytes"),
    ],
)
def test_text_files_that_are_none(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 100)
    if content[:1] == b"\0":
        content = content[:300]
    for name in ("neg", "pos"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_lines_name_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = write_lines(tmp_path, some_documents(8))
    file = Path(options["path"]) / "neg.txt"
    file.write_text("\n" + file.read_text() + "\n\n")
    parts = read(**options)
    assert parts["train"].ids[0] == "neg.txt:2" and "3 blank lines left out" in parts["train"].notes
    file.write_bytes(file.read_bytes() + b"caf\xe9\n")
    with pytest.raises(DataError, match=r"neg.txt:8: not UTF-8 text"):
        read(**options)
    file.write_text("x" * 500)
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 100)
    with pytest.raises(DataError, match=r"neg.txt:1 has 500 characters"):
        read(**options)
    monkeypatch.setattr(documents, "MAX_TOTAL", 10)
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 1000)
    with pytest.raises(DataError, match="more than 10 characters up to here"):
        read(**options)


def test_a_table_with_an_endless_line_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 100)
    monkeypatch.setattr(documents, "BLOCK_BYTES", 16)
    file = tmp_path / "x.csv"
    file.write_text("text,label\n" + "a b,x\n" * 20 + "c " * 70 + ",y\n")
    with pytest.raises(DataError, match=r"x.csv:22: a line of more than 100 bytes"):
        read(file)
    file.write_text("text,label\n" + "a b,x\n" * 40)
    assert len(read(file)["train"]) == 40


def test_folders_without_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no .txt files; expected a folder per class"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("one")
    with pytest.raises(DataError, match=r"has one .txt file"):
        read(tmp_path)
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="its files are empty"):
        read(tmp_path)
    with pytest.raises(DataError, match="only tables have columns"):
        read(tmp_path, text="x")
    with pytest.raises(DataError, match="only tables"):
        read(tmp_path, split={"group": "x"})


def test_parts_of_two_forms_and_double_parts(tmp_path: Path) -> None:
    write_folder(tmp_path, some_documents(8))
    (tmp_path / "folder").rename(tmp_path / "train")
    write_lines(tmp_path, some_documents(8))
    (tmp_path / "lines").rename(tmp_path / "test")
    with pytest.raises(DataError, match="the test part has another form"):
        read(tmp_path)
    write_folder(tmp_path, some_documents(8))
    (tmp_path / "folder").rename(tmp_path / "training")
    with pytest.raises(DataError, match="two folders for the train part"):
        folder.plan_folder(str(tmp_path))


@pytest.mark.parametrize("form", WRITERS)
def test_check_describes_documents(form: str, tmp_path: Path) -> None:
    options = WRITERS[form](tmp_path, some_documents())
    lines = description(TextOptions(name="text", **options))
    assert lines[0].startswith("60 documents of ")
    assert lines[1].endswith(": neg 30, pos 30")
    options["path"] += "x"
    assert "yet" in description(TextOptions(name="text", **options))[0]
