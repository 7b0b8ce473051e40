"""How the native library is made, kept and refused, and what it computes with fewer threads than asked for."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo import status
from nnzoo.kernels import build

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


LIBRARY = build.library()._name if build.available() else ""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that holds a copy of the library of float32, and nothing loaded yet.

    Libraries are compiled without optimization, which takes a fifth of the time.
    """
    monkeypatch.setenv("NNZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "FLAGS", ("-O0", *build.FLAGS[1:]))
    folder = tmp_path / "native"
    folder.mkdir(mode=0o700)
    compiler = build.compiler()
    assert compiler is not None
    path = folder / f"{build._cache_key(compiler, 'float')}.so"
    shutil.copy(LIBRARY, path)
    path.chmod(0o600)
    monkeypatch.setattr(build, "_loaded", {})
    return path


class Heard:
    """A listener that keeps what is reported."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @contextmanager
    def status(self, text: str, total: int | None, log: bool) -> Iterator[status.Advance]:
        self.texts.append(text)
        yield lambda count: None

    def notice(self, text: str) -> None:
        self.texts.append(text)


def remade(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Ask for the library; which files are compiled. None is, but its place is filled as if."""
    made: list[Path] = []

    def instead(compiler: str, real: str, to: Path) -> None:
        made.append(to)
        raise build.BuildError("not now")

    monkeypatch.setattr(build, "compile_library", instead)
    monkeypatch.setattr(build, "_loaded", {})
    build.available()
    return made


def test_the_first_compile_is_reported_and_what_is_kept_is_sealed_and_its_users_own(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fresh.read_bytes()
    fresh.unlink()
    fresh.parent.rmdir()
    synced: list[str] = []
    fsync = os.fsync

    def sync_noted(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", sync_noted)
    heard = Heard()
    with status.listening(heard):
        assert build.available()
    assert heard.texts == ["compiling native kernels, once for this machine"]
    assert fresh.read_bytes()[-64:] == whole[-64:] or build.is_sound(fresh)
    assert fresh.stat().st_mode & 0o777 == 0o600 and fresh.parent.stat().st_mode & 0o777 == 0o700
    assert [Path(item).suffix for item in synced] == [".so", ""]
    assert list(fresh.parent.iterdir()) == [fresh]
    # Loaded from the cache from then on.
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.setattr(build, "compile_library", None)
    assert build.available()


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "one bit", "a link", "a pipe", "others may write"]
)
def test_a_damaged_or_foreign_library_is_never_loaded(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    assert remade(fresh, monkeypatch) == [] and build.available()
    content = bytearray(fresh.read_bytes())
    fresh.unlink()
    if damage == "cut":
        fresh.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        fresh.write_bytes(b"")
    elif damage == "one bit":
        content[5000] ^= 1
        fresh.write_bytes(content)
    elif damage == "a link":
        other = fresh.with_suffix(".other")
        other.write_bytes(content)
        fresh.symlink_to(other)
    elif damage == "a pipe":
        os.mkfifo(fresh)
    else:
        fresh.write_bytes(content)
    if damage in ("cut", "empty", "one bit"):
        fresh.chmod(0o600)
    if damage == "others may write":
        fresh.chmod(0o622)
    assert remade(fresh, monkeypatch) == [fresh]


def test_a_cut_library_is_made_anew(fresh: Path) -> None:
    fresh.write_bytes(fresh.read_bytes()[:9000])
    assert build.available() and build.is_sound(fresh)


def foreign(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file be another user's."""
    if os.geteuid() == 0:
        os.chown(path, 4242, 4242)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)


def test_another_users_library_is_not_loaded(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign(fresh, monkeypatch)
    assert not build.is_sound(fresh)


def test_in_a_folder_of_others_a_user_has_a_folder_of_his_own(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(fresh.parent, monkeypatch)
    mine = build.private_folder()
    assert mine.name.startswith("native-") and mine.stat().st_mode & 0o777 == 0o700
    foreign(mine, monkeypatch)
    if os.geteuid() == 0:
        with pytest.raises(build.BuildError, match="set NNZOO_CACHE to a folder of your own"):
            build.private_folder()


def test_a_folder_that_a_group_could_write_to_is_closed(fresh: Path) -> None:
    fresh.parent.chmod(0o775)
    assert build.available() and fresh.parent.stat().st_mode & 0o777 == 0o700


def test_a_failed_compile_is_said_with_the_compilers_first_line(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "gcc"
    broken.write_text("#!/bin/sh\necho >&2\necho 'dense.c:1: no such instruction' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(broken))
    monkeypatch.setattr(build, "_loaded", {})
    assert not build.available()
    assert build.unavailable_reason() == "gcc: dense.c:1: no such instruction"
    broken.write_text("#!/bin/sh\nexit 3\n")
    monkeypatch.setattr(build, "_loaded", {})
    assert build.unavailable_reason() == "gcc: ended with 3"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(build, "_loaded", {})
    assert build.unavailable_reason() == "there is no C compiler (cc or gcc)"


def test_options_of_the_environment_make_a_library_of_their_own(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NNZOO_CFLAGS", "-DNNZOO_UNUSED  -no-such-option")
    compiler = build.compiler()
    assert compiler is not None
    with pytest.raises(build.BuildError, match="no-such-option"):
        build.compile_library(compiler, "float", tmp_path / "native.so")
    made = remade(fresh, monkeypatch)
    assert len(made) == 1 and made[0] != fresh


def test_a_run_says_once_that_native_layers_are_off(
    nnzoo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "_loaded", {torch.float32: (None, "gcc: no such instruction")})
    ran = nnzoo("train", "--config", "mlp", "--set", "train.epochs=1", "--out", str(tmp_path))
    assert (ran.out + ran.err).count("native layers are off (gcc: no such instruction)") == 1
    ran = nnzoo("eval", str(tmp_path / "mlp"))
    assert "native layers" not in ran.out + ran.err


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, native_folder: Path) -> Path:
    """A cache folder with what other tests have compiled."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "native").symlink_to(native_folder)
    return folder


@pytest.mark.parametrize("processor", ["native", "x86-64"])
@pytest.mark.parametrize("scalar", ["float", "double"])
def test_the_c_has_no_warnings_and_one_prefix(scalar: str, processor: str, tmp_path: Path) -> None:
    if platform.machine() != "x86_64" and processor != "native":
        pytest.skip("another processor")
    compiler, path = build.compiler(), tmp_path / "native.so"
    assert compiler is not None
    options = ("-Werror", "-O0", f"-march={processor}")
    build.compile_library(compiler, scalar, path, options)
    native = build.load_library(path)
    assert native.nnzoo_lanes() >= 2 and not hasattr(native, "nnzoo_gemm_rows")  # internal
