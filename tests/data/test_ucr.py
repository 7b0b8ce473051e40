"""Problems of the UCR/UEA archive: below a root, in an installed aeon, or downloaded."""

from __future__ import annotations

import io
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.recording_options import UcrOptions
from nnzoo.data import ucr
from nnzoo.data.dataset import Dataset
from nnzoo.data.recordings import load_ucr
from nnzoo.errors import DataError
from tests.data.recording_files.writing import some_recordings, write_ts
from tests.data.test_recordings import load, same_data


def texts(tmp_path: Path) -> dict[str, str]:
    """The two files of a problem, by name."""
    parts = {"TRAIN": some_recordings(20), "TEST": some_recordings(6, seed=1)}
    return {
        f"P_{part}.ts": Path(write_ts(tmp_path, recordings)["path"]).read_text()
        for part, recordings in parts.items()
    }


def put(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def read(root: Path | None = None) -> Dataset:
    return load_ucr(UcrOptions(name="ucr", problem="P", root=None if root is None else str(root)))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def test_files_below_the_root_or_nnzoo_data(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = texts(tmp_path)
    put(tmp_path / "one" / "P", files)
    put(tmp_path / "two", files)
    data = read(tmp_path / "one")
    assert {part: len(split) for part, split in data.splits.items()} == {
        "train": 18,
        "val": 2,
        "test": 6,
    }
    monkeypatch.setenv("NNZOO_DATA", str(tmp_path / "two"))
    assert same_data(read(), data)
    paths: dict[str, Any] = {
        key: str(tmp_path / "two" / f"P_{part}.ts")
        for key, part in (("path", "TRAIN"), ("test_path", "TEST"))
    }
    assert same_data(load(**paths), data)


def test_files_inside_an_installed_aeon(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "aeon" / "datasets" / "data" / "P", texts(tmp_path))
    (tmp_path / "aeon" / "__init__.py").write_text("raise ImportError('it is not imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(read(tmp_path / "nothing").splits["test"]) == 6
    assert "aeon" not in sys.modules


def test_a_failed_download_says_which_files_belong_where(tmp_path: Path, no_network: None) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert (
        "its download from https://timeseriesclassification.com/aeon-toolkit/P.zip failed"
        in message
    )
    assert "no route to host" in message
    assert f"{tmp_path / 'P' / 'P_TRAIN.ts'} and P_TEST.ts" in message
    options = UcrOptions(name="ucr", problem="P", root=str(tmp_path))
    with pytest.raises(DataError, match="'nnzoo train' downloads it"):
        ucr.find_problem(options, may_download=False)
    with pytest.raises(DataError, match="a config file names no folder to write to"):
        ucr.find_problem(options.without_download(), may_download=True)


def test_a_download_is_kept_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in texts(tmp_path).items():
            archive.writestr(f"P/{name}", text)
        archive.writestr("../evil.txt", "x")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(packed.getvalue()))
    read(tmp_path / "root")
    assert sorted(p.name for p in (tmp_path / "root").rglob("*")) == [
        "P",
        "P_TEST.ts",
        "P_TRAIN.ts",
    ]
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>"))
    with pytest.raises(DataError, match=r"failed .File is not a zip file"):
        read(tmp_path / "other")
