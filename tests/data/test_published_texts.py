"""Published texts: found below a root, else downloaded, and where they belong where that fails."""

from __future__ import annotations

import csv
import io
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.text_options import ImdbOptions, TinyShakespeareOptions
from nnzoo.data.published_texts import load_imdb, load_tiny_shakespeare
from nnzoo.errors import DataError
from tests.text_files import running_text

REVIEWS = {"neg": "a dull film, it is", "pos": "a lovely film, it was"}


def imdb_archive(parts: tuple[str, ...] = ("train", "test")) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for part in parts:
            for label, text in [*REVIEWS.items(), ("unsup", "no label")]:
                for i in range(12):
                    content = f"{text} {part}, number {i}".encode()
                    entry = tarfile.TarInfo(f"aclImdb/{part}/{label}/{i}_7.txt")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo("aclImdb/README"))
    return packed.getvalue()


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> list[str]:
    asked: list[str] = []

    def urlopen(url: str, **_: Any) -> io.BytesIO:
        asked.append(url)
        if content is None:
            raise OSError("no route to host")
        return io.BytesIO(content)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_reviews_are_downloaded_once_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = serve(monkeypatch, imdb_archive())
    options = ImdbOptions(name="imdb", root=str(tmp_path / "new"), min_count=1)
    data = load_imdb(options)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 22,
        "val": 2,
        "test": 24,
    }
    assert data.spec.labels == ["neg", "pos"]
    with (tmp_path / "new" / "imdb-test.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[:3] == [
        ["review", "sentiment"],
        ["a dull film, it is test, number 0", "neg"],
        ["a lovely film, it was test, number 0", "pos"],
    ]
    serve(monkeypatch, None)
    assert load_imdb(options, data.spec).fingerprint() == data.fingerprint()
    assert len(asked) == 1 and "aclImdb" in asked[0]


def test_plays_are_downloaded_once_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = serve(monkeypatch, running_text().encode())
    options = TinyShakespeareOptions(name="tiny_shakespeare", root=str(tmp_path), window=8)
    data = load_tiny_shakespeare(options)
    assert load_tiny_shakespeare(options).fingerprint() == data.fingerprint()
    assert len(asked) == 1 and data.spec.task == "language_model"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no route to host"),
        (b"no archive", "could not be opened"),
        (imdb_archive(("train",)), "no test part"),
    ],
)
def test_a_failed_download_says_which_files_belong_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
) -> None:
    serve(monkeypatch, content)
    options = ImdbOptions(name="imdb", root=str(tmp_path))
    with pytest.raises(DataError) as caught:
        load_imdb(options)
    message = str(caught.value)
    assert f"its download failed ({reason}" in message or reason in message
    assert f"{tmp_path / 'imdb-train.csv'} and {tmp_path / 'imdb-test.csv'}" in message


def test_no_download_for_a_checkpoint_or_a_strangers_folder(tmp_path: Path) -> None:
    options = TinyShakespeareOptions(name="tiny_shakespeare", root=str(tmp_path / "none"))
    spec: Any = object()
    with pytest.raises(DataError, match="'nnzoo train' downloads it"):
        load_tiny_shakespeare(options, spec)
    with pytest.raises(DataError, match="a config file names no folder to write to"):
        load_tiny_shakespeare(options.without_download())


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, b"text")
    (tmp_path / "file").write_text("")
    options = TinyShakespeareOptions(name="tiny_shakespeare", root=str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"its download failed .*File exists"):
        load_tiny_shakespeare(options)
