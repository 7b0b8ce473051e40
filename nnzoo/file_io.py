"""Durable writes and bounded reads of plain files, which may come from anyone.

After a crash at any instant a file holds its old content or its new one, whole. Each `os` call below may
fail (no space, no permission, a bad disk); then there is one CheckpointError, and the file at the path is
as it was. No write follows a symbolic link, and no call waits for a pipe or reads a device without end.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from filelock import FileLock

from nnzoo.errors import CheckpointError

_P = ParamSpec("_P")
# Windows needs O_BINARY to leave line ends alone; O_NONBLOCK makes a pipe an error instead of a wait.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE_FLAGS = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | READ_FLAGS
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
# The file that a group of runs writes about itself.
SUMMARY = "summary.json"
# Bytes of metrics.jsonl: some hundred thousand epochs.
MAX_METRICS = 1 << 26
# Longer whole numbers, which no program could have meant, become floats.
_MAX_DIGITS = 19


def as_checkpoint_error(function: Callable[_P, None]) -> Callable[_P, None]:
    """Decorate a function whose first argument is a path: its OSErrors become CheckpointErrors."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except OSError as error:
            raise CheckpointError(
                f"cannot write {args[0]}: {error.strerror or error}; free space or choose another "
                "folder with --out, then run the same command again",
                code="E73",
            ) from None

    return wrapped


@as_checkpoint_error
def write(
    path: Path, data: bytes | memoryview, keep: Path | None = None, sync: bool = True
) -> None:
    """Replace the content of a file atomically; once this returns the data survive a power failure.

    keep: a second name for the old content; sync: False does not wait for the disk, so that a power failure
    may leave anything in the file. Raises CheckpointError; `path` is then untouched, or whole and new.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        _write_all(temporary, os.O_EXCL, data, sync)
        if keep is not None and path.exists():
            _keep(path, keep)
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@as_checkpoint_error
def append(path: Path, data: bytes) -> None:
    """Add to the end of a file; durable after `sync`."""
    _write_all(path, os.O_APPEND, data, sync=False)


@as_checkpoint_error
def sync(path: Path) -> None:
    """Make appended data durable."""
    descriptor = os.open(path, _WRITE_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@as_checkpoint_error
def remove(path: Path) -> None:
    """Delete a file if it exists."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write_all(path: Path, flag: int, data: bytes | memoryview, sync: bool) -> None:
    descriptor = os.open(path, os.O_CREAT | flag | _WRITE_FLAGS, 0o666)
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
    """Give a file another name, so that it outlives its replacement."""
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


def read_plain(path: Path, limit: int, start: int = 0, follow_links: bool = True) -> bytes:
    """At most `limit` bytes of a plain file from `start` on; raises OSError if it is missing or something else.

    follow_links: False where the file may be anyone's, whose link could name a file of the reader's.
    """
    no_links = 0 if follow_links else getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, READ_FLAGS | no_links)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        if start:
            file.seek(start)
        return file.read(limit)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; whole numbers beyond 64 bits become floats. Raises ValueError."""
    try:
        return json.loads(text, parse_int=_parse_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_rows(data: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """Parse a metrics.jsonl: its rows, and the line numbers (from 1) that cannot be read.

    A last line without a line end was cut short by a crash: it is dropped without being counted.
    """
    rows: list[dict[str, Any]] = []
    bad = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            row = parse_json(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and type(row.get("epoch")) is int:
            rows.append(row)
        elif line.strip() or number <= data.count(b"\n"):
            bad.append(number)
    if bad and not data.endswith(b"\n") and bad[-1] > data.count(b"\n"):
        bad.pop()
    return rows, bad


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def file_lock(path: Path) -> FileLock:
    """The lock of a file; raises CheckpointError if the path holds something other than a plain file."""
    try:
        plain = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        plain = True  # missing, or not readable: acquiring the lock reports why
    if not plain:
        raise CheckpointError(f"{path} is not a plain file; remove it", code="E68")
    return FileLock(path)
