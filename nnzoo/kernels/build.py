"""Compile the C of this folder with the machine's own compiler, cache the library and load it.

A library file ends with the SHA-256 of all bytes before it, which the system's loader ignores: loading a truncated or
damaged one would end the process (SIGBUS, SIGSEGV) instead of raising an error.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nnzoo.cache import cache_dir, cpu_id
from nnzoo.kernels import openmp
from nnzoo.status import status

FOLDER = Path(__file__).parent
# Not -ffast-math: nan has to stay nan. -fno-math-errno: square roots of whole vectors. -fno-strict-aliasing: a buffer
# holds float32 at one time and pairs of bfloat16 at another.
FLAGS = (
    *("-O3", "-march=native", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-fopenmp"),
    *("-fno-math-errno", "-fno-strict-aliasing", "-Wall", "-Wextra"),
)
CFLAGS_VARIABLE = "NNZOO_CFLAGS"
"""The environment variable of more options for the compiler, such as `-march=x86-64-v3` for a cluster of processors that
share one cache and have no more than this in common."""
LONG_FUNCTIONS = (
    *("nnzoo_lanes", "nnzoo_has_bf16", "nnzoo_pack_rows", "nnzoo_sort_ids"),
    *("nnzoo_generate_read", "nnzoo_generate", "nnzoo_read_rows"),
    "nnzoo_linear_workspace",
    *("nnzoo_rnn_workspace", "nnzoo_conv_direct_workspace", "nnzoo_conv_winograd_workspace"),
)
"""The functions of the library that return a long; the others return nothing."""
COMPILE_SECONDS = 60
_CHECKSUM_LENGTH = 64  # hexadecimal digits


class BuildError(Exception):
    """Reason why there is no library, in one line."""


def private_folder() -> Path:
    """The folder for libraries in the cache, created if missing: owned by this user or root and not writable for others.

    Raises BuildError if there is none."""
    base = cache_dir()
    for name in ("native", f"native-{os.geteuid()}"):
        path = base / name
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = path.stat()
            if stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and _is_writable(info):
                path.chmod(0o700)  # created with an old umask; its files are checked one by one
                info = path.stat()
        except OSError as error:
            raise BuildError(f"cannot use {path}: {error.strerror or error}") from None
        if stat.S_ISDIR(info.st_mode) and _is_trusted(info):
            return path
    raise BuildError(
        f"others can write to {base / 'native'}; set NNZOO_CACHE to a folder of your own"
    )


def _is_writable(info: os.stat_result) -> bool:
    """Whether others than its owner may write to a file."""
    return bool(info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _is_trusted(info: os.stat_result) -> bool:
    """Whether only this user and root may have written a file."""
    return info.st_uid in (0, os.geteuid()) and not _is_writable(info)


def is_sound(path: Path) -> bool:
    """Whether a file is an intact library that this user or root has written."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or not _is_trusted(info):
            return False
        content = file.read()
    return content[-_CHECKSUM_LENGTH:] == _checksum(content[:-_CHECKSUM_LENGTH])


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def compile_library(compiler: str, scalar: str, path: Path, options: tuple[str, ...] = ()) -> None:
    """Compile the library for scalar_t "float" or "double" and write it to `path` atomically and durably.

    options: more options for compiling and linking. Raises BuildError with the compiler's first line."""
    with (
        status("compiling native kernels, once for this machine"),
        _build_errors(),
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        linked = Path(folder, "native.so")

        def run(*arguments: str) -> None:
            command = [compiler, *arguments, *options]
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)

        def compile_source(source: Path) -> str:
            target = f"{folder}/{source.stem}.o"
            run(*_flags(), f"-DNNZOO_SCALAR={scalar}", "-c", str(source), "-o", target)
            return target

        with ThreadPoolExecutor() as threads:  # half the time on two cores
            objects = list(threads.map(compile_source, sorted(FOLDER.glob("*.c"))))
        # Without -fopenmp, which would load a second OpenMP beside torch's.
        run("-shared", *objects, "-o", str(linked), "-lm")
        with linked.open("r+b") as file:
            checksum = _checksum(file.read())
            file.write(checksum)
            file.flush()
            os.fsync(file.fileno())
        linked.chmod(0o600)
        os.replace(linked, path)  # another process compiles the same content
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _flags() -> tuple[str, ...]:
    """Options for the compiler, those of the environment last."""
    return (*FLAGS, *os.environ.get(CFLAGS_VARIABLE, "").split())


@contextlib.contextmanager
def _build_errors() -> Iterator[None]:
    """Convert errors of compiling to BuildError."""
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


_loaded: dict[torch.dtype, tuple[Any, str]] = {}
"""The library of a type, or None and the reason why there is none."""


def library(dtype: torch.dtype = torch.float32) -> Any:
    """The C of this folder, compiled for float32 or float64; None if there is none, see `unavailable_reason`.

    Kept in the cache folder by source, compiler and processor: compiling takes three seconds.
    """
    if dtype not in _loaded:
        _loaded[dtype] = _load(dtype)
    return _loaded[dtype][0]


def available(device: torch.device | None = None) -> bool:
    """Whether there are native kernels on this machine, and for this device."""
    return (device is None or device.type == "cpu") and library() is not None


def unavailable_reason() -> str:
    """Why there are no native kernels on this machine, in one line; empty if there are."""
    library()
    return _loaded[torch.float32][1]


@cache
def lanes_of(dtype: torch.dtype) -> int:
    """Elements of a type per vector."""
    return int(library(dtype).nnzoo_lanes())


def supports_dtype(dtype: torch.dtype) -> bool:
    """Whether there are native matrix products of this type."""
    if dtype == torch.bfloat16:
        return available() and bool(library().nnzoo_has_bf16())
    if dtype not in (torch.float32, torch.float64):
        return False
    loaded = _loaded.get(dtype) or (library(dtype),)  # a call less, in every step
    return loaded[0] is not None


def compiler() -> str | None:
    """Path of the machine's C compiler."""
    return shutil.which("cc") or shutil.which("gcc")


def _load(dtype: torch.dtype) -> tuple[Any, str]:
    if platform.system() != "Linux":
        return None, "they need Linux"
    compiler_path = compiler()
    if compiler_path is None:
        return None, "there is no C compiler (cc or gcc)"
    if openmp.runtime() is None:
        return None, "torch's OpenMP (libgomp) was not found"
    scalar = "double" if dtype == torch.float64 else "float"
    try:
        path = private_folder() / f"{_cache_key(compiler_path, scalar)}.so"
        if not is_sound(path):
            compile_library(compiler_path, scalar, path)
        return load_library(path), ""
    except (OSError, BuildError) as error:
        return None, str(error)


def load_library(path: Path) -> Any:
    """Load a compiled library. Raises OSError."""
    loaded = ctypes.CDLL(str(path))
    for name in LONG_FUNCTIONS:
        getattr(loaded, name).restype = ctypes.c_long
    return loaded


def _cache_key(compiler_path: str, scalar: str) -> str:
    """Hash of everything that the compiled library depends on."""
    key = hashlib.sha256()
    for source in sorted(FOLDER.glob("*.[ch]")):
        key.update(source.read_bytes())
    compiled = os.stat(compiler_path).st_mtime
    key.update(f"{_flags()} {scalar} {compiler_path} {compiled} {cpu_id()}".encode())
    return key.hexdigest()[:32]
