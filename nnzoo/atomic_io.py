"""Files written so that a crash at any instant leaves the old one or the new one.

Each `os` call below may fail (no space, no permission, a bad disk); then there is one
CheckpointError, and what lay at the path before still does. No call follows a symbolic link out of
the folder: it may have come from someone else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from nnzoo.errors import CheckpointError

_P = ParamSpec("_P")
# Windows has no such flag, and needs one to leave line ends alone.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# A pipe in the place of a file: it is an error, and not waited for.
_FLAGS |= getattr(os, "O_NONBLOCK", 0)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def _one_message(function: Callable[_P, None]) -> Callable[_P, None]:
    """Turn the errors of the system into one that says what to do; the path comes first."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except OSError as error:
            raise CheckpointError(
                f"cannot write {args[0]}: {error.strerror or error}; free space or choose another "
                "folder with --out, then run the same command again"
            ) from None

    return wrapped


@_one_message
def write(path: Path, data: bytes | memoryview, keep: Path | None = None) -> None:
    """Put `data` in place of what `path` holds, durably: when this returns, power may fail.

    keep: the name under which what `path` held lives on. Raises CheckpointError; `path` is then
    untouched, or whole and new.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        _write_all(temporary, os.O_EXCL, data, sync=True)
        if keep is not None and path.exists():
            _keep(path, keep)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@_one_message
def append(path: Path, data: bytes) -> None:
    """Add to the end of a file; durable after `sync`."""
    _write_all(path, os.O_APPEND, data, sync=False)


@_one_message
def sync(path: Path) -> None:
    """Make what was appended durable."""
    descriptor = os.open(path, os.O_WRONLY | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@_one_message
def remove(path: Path) -> None:
    """Let a file be gone, whether it was there or not."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write_all(path: Path, flag: int, data: bytes | memoryview, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag | _FLAGS, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]  # a full disk writes a part first
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep(path: Path, keep: Path) -> None:
    """Give a file a second name, so that it outlives its replacement."""
    if keep.exists() and keep.samefile(path):
        return  # from a save that failed below; renaming a file to itself would do nothing
    linked = keep.with_name(f"{keep.name}.tmp")
    with suppress(FileNotFoundError):
        os.unlink(linked)
    try:
        try:
            os.link(path, linked)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without links.
            _write_all(linked, os.O_EXCL, path.read_bytes(), sync=True)
        os.replace(linked, keep)
    except BaseException:
        with suppress(OSError):
            os.unlink(linked)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system can."""
    if os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)
