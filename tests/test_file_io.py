"""Atomic writes: each system call fails once, in every way, and the old or the new checkpoint is there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo import file_io
from nnzoo.errors import CheckpointError
from nnzoo.runs import checkpoint
from tests.zoo import same

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
CALLS = ("open", "write", "fsync", "close", "link", "replace", "unlink")


class Faulty:
    """`os` as nnzoo.file_io sees it: the calls are noted, and one of them fails.

    fail: its place in the order, from 0; error: its errno, or None for a write that takes half.
    """

    def __init__(self, fail: int = -1, error: int | None = None) -> None:
        self.calls: list[str] = []
        self.fail, self.error = fail, error

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and arguments[1] == file_io.READ_FLAGS:
                return real(*arguments, **options)  # a small file that is read
            self.calls.append(name)
            if len(self.calls) - 1 == self.fail:
                if self.error is None:
                    return real(arguments[0], arguments[1][: max(1, len(arguments[1]) // 2)])
                if name == "close":
                    real(*arguments)
                raise OSError(self.error, os.strerror(self.error))
            return real(*arguments, **options)

        return call


def positions(folder: Path) -> Any:
    """Content of a run's last checkpoint, without times."""
    content = checkpoint.load(folder / "last.pt")
    content["trainer"]["position"].pop("elapsed")
    return content


@pytest.fixture
def runs(nnzoo: Callable[..., Any]) -> tuple[Any, Any, tuple[Any, ...]]:
    """A run of two epochs and the same after three; the command that leads from one to the other."""
    Path("c.yaml").write_text("data: iris\nmodel: {name: mlp, hidden: [4]}\n")
    words = ("train", "-c", "c.yaml", "-s", "train.save_every=1 epoch", "-v", "0")
    for epochs, out in ((2, "before"), (3, "after")):
        assert nnzoo(*words, "-s", f"train.epochs={epochs}", "--out", out).code == 0
    return (
        positions(Path("before/c")),
        positions(Path("after/c")),
        (*words, "-s", "train.epochs=3", "--out", "out"),
    )


def begin_again() -> Path:
    shutil.rmtree("out", ignore_errors=True)
    shutil.copytree("before", "out")
    return Path("out/c")


def test_whatever_call_fails_the_old_or_the_new_checkpoint_is_there(
    nnzoo: Callable[..., Any], runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, command = runs
    begin_again()
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "os", faulty := Faulty())
        assert nnzoo(*command).code == 0
    calls = faulty.calls
    assert set(calls) == set(CALLS)
    records_failed = 0
    for place, name in enumerate(calls):
        for error in ERRORS:
            folder = begin_again()
            with monkeypatch.context() as patched:
                patched.setattr(file_io, "os", Faulty(place, error))
                result = nnzoo(*command)
            what = f"{name} {place}: {os.strerror(error)}"
            assert result.out == "", what
            if result.code == 0:  # what is written for a viewer is no reason to end
                assert result.err == "" and same(positions(folder), after), what
                records_failed += 1
                continue
            assert result.code == 5, what
            message = f"{os.strerror(error)}; free space or choose another folder with --out"
            assert message in result.err and result.err.count("\n") == 1, what
            left = positions(folder)
            epoch = left["trainer"]["position"]["epoch"]
            assert same(left, before | {"config": left["config"]} if epoch == 2 else after), what
            assert checkpoint.load(folder / "previous.pt"), what
            assert checkpoint.load(folder / "best.pt"), what
            # The same command then ends as if nothing had been.
            assert nnzoo(*command).code == 0, what
            assert same(positions(folder), after), what
            assert not list(folder.glob("*.tmp")), what
    assert 0 < records_failed <= len(calls) // 2


def test_a_write_that_takes_a_part_goes_on_with_the_rest(
    nnzoo: Callable[..., Any], runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, after, command = runs
    begin_again()
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "os", faulty := Faulty())
        nnzoo(*command)
    for place, name in enumerate(faulty.calls):
        if name == "write":
            folder = begin_again()
            with monkeypatch.context() as patched:
                patched.setattr(file_io, "os", Faulty(place, None))
                assert nnzoo(*command).code == 0
            assert same(positions(folder), after)
            rows = (folder / "metrics.jsonl").read_text().splitlines()
            assert len(rows) == 3


def test_a_file_system_without_links_or_folder_sync_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kept = tmp_path / "x.pt", tmp_path / "y.pt"
    file_io.write(path, b"one")
    calls = Faulty()
    monkeypatch.setattr(file_io, "os", calls)
    file_io.write(path, b"two", keep=kept)
    for name, error in (("link", errno.EPERM), ("fsync", errno.EINVAL)):
        place = len(calls.calls) - 1 - calls.calls[::-1].index(name)
        monkeypatch.setattr(file_io, "os", Faulty(place, error))
        file_io.write(path, name.encode(), keep=kept)
        assert path.read_bytes() == name.encode()
    assert kept.read_bytes() == b"link"
    assert {path.name for path in tmp_path.iterdir()} >= {"x.pt", "y.pt"}
    assert not list(tmp_path.glob("*.tmp"))


def test_everything_is_synced_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path, {"a": torch.arange(3)})
    monkeypatch.setattr(file_io, "os", faulty := Faulty())
    checkpoint.save(path, {"a": torch.arange(4)}, keep=tmp_path / "y.pt")
    assert faulty.calls == [
        "unlink",
        "open",
        "write",
        "fsync",
        "close",
        "unlink",
        "link",
        "replace",
        "replace",
        "open",
        "fsync",
        "close",
    ]


@pytest.mark.parametrize("name", ["last.pt.tmp", "metrics.jsonl", "previous.pt.tmp", "last.pt"])
def test_no_symbolic_link_leads_a_write_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Whoever made the folder may have put links in it."""
    outside, folder = tmp_path / "outside.txt", tmp_path / "run"
    folder.mkdir()
    outside.write_bytes(b"precious")
    (folder / name).symlink_to(outside)
    if name == "metrics.jsonl":
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl: Too many levels"):
            file_io.append(folder / name, b"x\n")
        with pytest.raises(CheckpointError, match=r"cannot write .*metrics"):
            file_io.sync(folder / name)
    file_io.write(folder / name.removesuffix(".tmp"), b"new", keep=folder / "previous.pt")
    file_io.write(folder / "last.pt", b"newer", keep=folder / "previous.pt")
    assert outside.read_bytes() == b"precious"
    assert not (folder / name.removesuffix(".tmp")).is_symlink()


def test_a_system_that_cannot_open_folders_does_without_their_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Faulty()
    windows.name = "nt"  # type: ignore[attr-defined]
    monkeypatch.setattr(file_io, "os", windows)
    file_io.write(tmp_path / "x.pt", b"new")
    assert windows.calls == ["unlink", "open", "write", "fsync", "close", "replace"]
    assert (tmp_path / "x.pt").read_bytes() == b"new"


def test_nothing_is_written_into_a_device() -> None:
    with pytest.raises(CheckpointError, match="not a plain file"):
        file_io.append(Path(os.devnull), b"x")
