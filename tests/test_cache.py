"""The cache directory of each user, and the name of the processor."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnzoo import cache


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_directory_is_the_one_named_else_that_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NNZOO_CACHE", "named")
    monkeypatch.setenv("XDG_CACHE_HOME", "base")
    assert cache.cache_dir() == Path("named")
    monkeypatch.setenv("NNZOO_CACHE", "")  # set to nothing is not set
    assert cache.cache_dir() == Path("base/nnzoo")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.cache_dir() == Path("/home/someone/.cache/nnzoo")


@pytest.fixture
def homeless(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a home, and the folder that holds temporary files."""
    for name in ("NNZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(own_folder))
    cache._private_tmp_dir.cache_clear()
    return own_folder / f"nnzoo-{os.getuid()}"


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    cache._private_tmp_dir.cache_clear()


def test_without_a_home_it_is_a_temporary_folder_that_nobody_else_reads(homeless: Path) -> None:
    assert cache.cache_dir() == homeless
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700
    cache._private_tmp_dir.cache_clear()
    assert cache.cache_dir() == homeless, "it is used again"


@pytest.mark.parametrize("kind", ["open to others", "link", "file"])
def test_a_temporary_folder_that_others_may_have_made_is_not_used(
    homeless: Path, own_folder: Path, kind: str
) -> None:
    if kind == "open to others":
        homeless.mkdir()
        homeless.chmod(0o755)
    elif kind == "link":
        (own_folder / "mine").mkdir(mode=0o700)
        homeless.symlink_to(own_folder / "mine")
    else:
        homeless.touch(mode=0o600)
    used = cache.cache_dir()
    assert used not in (homeless, own_folder / "mine") and used.is_dir()
    assert stat.S_IMODE(used.stat().st_mode) == 0o700
    assert cache.cache_dir() == used, "one for all of a process"


def test_the_processor_is_named_by_model_and_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.cpu_id.cache_clear()
    text = "processor: 0\nmodel name\t: Some CPU\nflags\t: fpu avx2\n\nmodel name\t: Another\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert cache.cpu_id() == "Some CPU fpu avx2"
    monkeypatch.undo()
    cache.cpu_id.cache_clear()
    assert cache.cpu_id() == cache.cpu_id() != ""
