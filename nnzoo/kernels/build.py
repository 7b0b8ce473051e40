"""Compile the C of this folder, and keep what came of it where nobody else can change it.

A library ends with the SHA-256 of all bytes before it, which the loader of the system passes over: one that is
cut or damaged would end the process (SIGBUS, SIGSEGV) instead of raising an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nnzoo.cache import cache_dir
from nnzoo.status import status

FOLDER = Path(__file__).parent
# Not fast-math: what is not a number has to stay so. Without errno roots are taken of whole vectors. Buffers hold
# float32 at one time and pairs of bfloat16 at another.
FLAGS = (
    "-O3", "-march=native", "-fPIC", "-fopenmp", "-std=gnu11", "-fno-math-errno",
    "-fno-strict-aliasing", "-Wall", "-Wextra",
)  # fmt: skip
COMPILE_SECONDS = 60
_SEAL = 64  # hexadecimal digits


class BuildError(Exception):
    """Why there is no library, in one line."""


def folder_of_mine() -> Path:
    """The folder for libraries, made where it is missing: in the cache, this user's (or root's) own, and for nobody
    else to write to. Raises BuildError where there is none such."""
    base = cache_dir()
    for name in ("native", f"native-{os.geteuid()}"):
        path = base / name
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = path.stat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and _is_open(found):
                path.chmod(0o700)  # made with an old umask; what lies in it is looked at below
                found = path.stat()
        except OSError as error:
            raise BuildError(f"cannot use {path}: {error.strerror or error}") from None
        if stat.S_ISDIR(found.st_mode) and _is_trusted(found):
            return path
    raise BuildError(
        f"others can write to {base / 'native'}; set NNZOO_CACHE to a folder of your own"
    )


def _is_open(found: os.stat_result) -> bool:
    """Whether others than its owner may write to it."""
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _is_trusted(found: os.stat_result) -> bool:
    """Whether nobody but this user and root may have written it."""
    return found.st_uid in (0, os.geteuid()) and not _is_open(found)


def is_sound(path: Path) -> bool:
    """Whether it is a library that this user or root has put there, and whole."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_trusted(found):
            return False
        content = file.read()
    return content[-_SEAL:] == _seal_of(content[:-_SEAL])


def _seal_of(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def compile_sealed(compiler: str, real: str, path: Path, extra: tuple[str, ...] = ()) -> None:
    """Compile the library for a type of numbers and put it at `path`, durably, in one step.

    extra: more options for compiling and linking. Raises BuildError, with the compiler's first line."""
    with (
        status("compiling native layers, once for this machine"),
        _build_errors(),
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        sources = sorted(FOLDER.glob("*.c"))
        made, linked = [f"{folder}/{each.stem}.o" for each in sources], Path(folder, "native.so")

        def run(*words: str) -> None:
            command = [compiler, *words, *extra]
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)

        with ThreadPoolExecutor() as threads:  # half the time on two cores
            list(threads.map(
                lambda each, to: run(*FLAGS, f"-DREAL={real}", "-c", str(each), "-o", to),
                sources, made,
            ))  # fmt: skip
        # Without -fopenmp, which would bring a second OpenMP beside torch's.
        run("-shared", *made, "-o", str(linked), "-lm")
        with linked.open("r+b") as file:
            seal = _seal_of(file.read())
            file.write(seal)
            file.flush()
            os.fsync(file.fileno())
        linked.chmod(0o600)
        os.replace(linked, path)  # whoever else compiles it makes the same
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _build_errors() -> Iterator[None]:
    """Raise what goes wrong as BuildError."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or b"").decode(errors="replace").splitlines()
        name = os.path.basename(error.cmd[0])
        first = next((line for line in lines if line.strip()), f"ended with {error.returncode}")
        raise BuildError(f"{name}: {first.strip()}") from None
    except subprocess.TimeoutExpired as error:
        name = os.path.basename(error.cmd[0])
        raise BuildError(f"{name}: not done after {COMPILE_SECONDS} s") from None
    except OSError as error:
        raise BuildError(f"{error.filename or 'compiling'}: {error.strerror or error}") from None
