"""Folders of documents: which files are read, as what class and part, and by which names they are called."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from nnzoo.data.table_files.text_encoding import TextLines
from nnzoo.data.text_files.folder import (
    iter_lines,
    plan_folder,
    read_folder,
    read_lines,
    scan_texts,
)
from nnzoo.errors import DataError


def write(root: Path, files: dict[str, str | bytes]) -> str:
    """Files by their path below a folder in `root`, which holds others, too."""
    root = root / "texts"
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def labels(root: str, part: str = "train") -> list[tuple[str, str]]:
    """The files of a part, relative to the folder, with their classes."""
    return [(os.path.relpath(file, root), label) for file, label in plan_folder(root).parts[part]]


def test_files_are_in_the_natural_order_of_their_names(tmp_path: Path) -> None:
    names = ["b/10.txt", "b/9.txt", "a/x/2.txt", "a/x.TXT", "a/y.text", "b/1.md"]
    root = write(tmp_path, dict.fromkeys(names, "text"))
    assert labels(root) == [
        ("a/x.TXT", "a"),
        ("a/y.text", "a"),
        ("a/x/2.txt", "a"),
        ("b/9.txt", "b"),
        ("b/10.txt", "b"),
    ]
    assert len(list(scan_texts(root).walk())) == 5
    assert plan_folder(root).notes == ["left out: 1 file of other types (.md 1)"]


def test_a_class_is_its_folders_name_in_one_form(tmp_path: Path) -> None:
    root = write(tmp_path, {"caf\u00e9/1.txt": "a", "cafe\u0301/2.txt": "b", "bar/3.txt": "c"})
    assert {label for _, label in labels(root)} == {"caf\u00e9", "bar"}
    lines = write(tmp_path / "lines", {"cafe\u0301.txt": "a\n", "b.r.txt": "b\n"})
    assert {label for _, label in labels(lines)} == {"caf\u00e9", "b.r"}


def test_folders_around_all_others_are_passed_through(tmp_path: Path) -> None:
    root = write(tmp_path, {"data/set/pos/1.txt": "a", "data/set/neg/1.txt": "b"})
    plan = plan_folder(root)
    assert plan.notes == ["the documents are in data/set/"] and not plan.by_line
    assert labels(root) == [("data/set/neg/1.txt", "neg"), ("data/set/pos/1.txt", "pos")]
    documents = read_folder(root)["train"]
    assert documents.ids == ["data/set/neg/1.txt", "data/set/pos/1.txt"]
    assert documents.names == documents.ids and documents.form == "folder"


def test_documents_without_a_class_beside_classes_are_left_out(tmp_path: Path) -> None:
    """As in aclImdb, whose train/unsup would be a third class that no test document has."""
    files = ("train/pos/1.txt", "train/neg/1.txt", "train/unsup/1.txt", "train/unsup/2.txt")
    root = write(tmp_path, dict.fromkeys((*files, "test/pos/1.txt", "test/neg/1.txt"), "text"))
    plan = plan_folder(root)
    assert labels(root) == [("train/neg/1.txt", "neg"), ("train/pos/1.txt", "pos")]
    assert plan.notes == ["left out: 2 documents in folders named unsup, which is no class"]
    assert read_folder(root)["train"].notes == plan.notes


@pytest.mark.parametrize("name", ["unlabelled", "Unsup"])
def test_one_of_two_classes_may_have_any_name(name: str, tmp_path: Path) -> None:
    root = write(tmp_path, {f"{name}/1.txt": "a", "spam/2.txt": "b"})
    assert {label for _, label in labels(root)} == {name, "spam"} and plan_folder(root).notes == []


def test_files_beside_classes_and_parts_are_named(tmp_path: Path) -> None:
    names = ("pos/1.txt", "neg/1.txt", "readme.txt", ".hidden/x.txt", "Thumbs.db")
    plan = plan_folder(write(tmp_path / "a", dict.fromkeys(names, "text")))
    assert any("1 file beside the class folders (readme.txt)" in note for note in plan.notes)
    assert any("hidden or system" in note for note in plan.notes)
    names = ("train/pos.txt", "train/neg.txt", "test/pos.txt", "test/neg.txt", "about.txt")
    plan = plan_folder(write(tmp_path / "b", dict.fromkeys(names, "text")))
    assert plan.by_line and list(plan.parts) == ["train", "test"]
    assert any("1 file beside the parts" in note and "about.txt" in note for note in plan.notes)


def test_parts_come_in_one_order_whatever_their_names(tmp_path: Path) -> None:
    names = [f"{part}/{label}/1.txt" for part in ("dev", "Test_set", "training") for label in "ab"]
    plan = plan_folder(write(tmp_path, dict.fromkeys(names, "text")))
    assert list(plan.parts) == ["train", "val", "test"]
    assert [len(files) for files in plan.parts.values()] == [2, 2, 2]


def test_without_a_training_part_folders_are_classes(tmp_path: Path) -> None:
    root = write(tmp_path, {"test/1.txt": "a", "other/2.txt": "b"})
    assert [label for _, label in labels(root)] == ["other", "test"]


def test_blank_lines_are_counted_and_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    content = "\n one \r\n\t\n\u3000\ntwo\n\n\nthree"
    root = write(tmp_path, {"a.txt": content, "b.txt": "x\n"})
    lines = read_lines(f"{root}/a.txt")
    assert lines.texts == [" one ", "two", "three"]
    assert lines.numbers == [2, 5, 8] and lines.blank == 5
    documents = read_folder(root)["train"]
    assert documents.ids == ["a.txt:2", "a.txt:5", "a.txt:8", "b.txt:1"]
    assert documents.targets == ["a", "a", "a", "b"] and documents.form == "lines"
    assert documents.notes == ["5 blank lines left out"]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"", []),
        (b"\n", []),
        (codecs.BOM_UTF8, []),
        (codecs.BOM_UTF8 + b"a\n" + codecs.BOM_UTF8, ["a"]),
        (codecs.BOM_UTF8 + b"a\n" + codecs.BOM_UTF8 + b"b", ["a", "b"]),
        ("é\r\nb".encode("utf-16"), ["é", "b"]),
        (b'"a\nb"\n', ['"a', 'b"']),
        (b"a\rb", ["a", "b"]),
        ("a\u2028b\x0bc\x85d\n".encode(), ["a\u2028b\x0bc\x85d"]),
    ],
)
def test_lines_are_documents(content: bytes, texts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    assert read_lines(str(file)).texts == texts


def test_lines_in_a_stated_encoding(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.txt": "été\n".encode("cp1252"), "b.txt": b"x\n"})
    assert read_folder(root, "cp1252")["train"].texts == ["été", "x"]
    with pytest.raises(DataError, match=r"a.txt:1: not UTF-8 text \(byte 1\)"):
        read_folder(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\0c\n", r"a.txt:2: a zero character|a.txt is not a text file"),
        (b"%PDF-1.4\n", "a.txt is a PDF document"),
        (b"PAR1\0\0\0\0PAR1", "a.txt is not a text file"),
        (b"a\nb\n\xff\n", r"a.txt:3: not UTF-8 text \(byte 5\)"),
    ],
)
def test_lines_of_what_is_no_text(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_lines(str(file))


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none.txt: No such file"):
        list(iter_lines(str(tmp_path / "none.txt")))
    with pytest.raises(DataError, match=r"cannot read .*none: No such file"):
        plan_folder(str(tmp_path / "none"))


def test_a_reader_that_stops_early_closes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[TextLines] = []
    close = TextLines.close

    def note(lines: TextLines) -> None:
        closed.append(lines)
        close(lines)

    monkeypatch.setattr(TextLines, "close", note)
    (tmp_path / "a.txt").write_text("a\nb\nc\n")
    lines = iter_lines(str(tmp_path / "a.txt"))
    assert next(lines) == (1, "a\n") and closed == []
    lines.close()  # type: ignore[attr-defined]
    assert len(closed) == 1


def test_long_names_are_cut_in_messages_not_in_ids(tmp_path: Path) -> None:
    name = "x" * 200
    root = write(tmp_path, {f"a/{name}.txt": "text", "b/y.txt": "text"})
    documents = read_folder(root)["train"]
    assert documents.ids[0] == f"a/{name}.txt" and len(documents.names[0]) <= 121


def test_empty_documents_stay_and_empty_folders_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path, {"a/1.txt": "", "b/2.txt": " \n"})
    assert read_folder(root)["train"].texts == ["", " \n"]
    (tmp_path / "texts" / "c").mkdir()
    assert {label for _, label in labels(root)} == {"a", "b"}
