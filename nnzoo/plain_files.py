"""Files of a run folder, which may come from anyone: plain ones alone are read, and no more than is asked for.

A pipe in the place of a file would be waited for without end, and a device has no end.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from filelock import FileLock

from nnzoo.errors import CheckpointError

# Bytes of metrics.jsonl: some hundred thousand epochs.
MAX_METRICS = 1 << 26
# Characters of a whole number that a program could have meant; a longer one becomes a float.
_DIGITS = 19


def read_plain(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a plain file; raises OSError where it is missing or something else."""
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        return file.read(limit)


def parse_json(text: str | bytes) -> Any:
    """The value of JSON text, in which whole numbers beyond 64 bits are floats; raises ValueError."""
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_rows(data: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """The lines of a metrics.jsonl, and the numbers, from 1, of those that are none of its.

    A last line without an end is what a crash cut short: it is left out, and no fault.
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


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def file_lock(path: Path) -> FileLock:
    """The lock that a file stands for; raises CheckpointError where something else is in its place."""
    try:
        plain = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        plain = True  # to be made, or not to be seen: to lock it says why
    if not plain:
        raise CheckpointError(f"{path} is not a plain file; remove it")
    return FileLock(path)
