"""The cache directory: decoded images, compiled layers and benchmark results, all of which can be regenerated."""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import tempfile
from functools import cache
from pathlib import Path


def cache_dir() -> Path:
    """The cache directory: NNZOO_CACHE, else nnzoo's in the user's cache directory."""
    if named := os.environ.get("NNZOO_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "nnzoo"
    try:
        return Path.home() / ".cache" / "nnzoo"
    except RuntimeError:  # a container's user that the system does not know, and no HOME
        return _private_tmp_dir()


@cache
def _private_tmp_dir() -> Path:
    """A temporary directory that only this user can read and write."""
    folder = Path(tempfile.gettempdir()) / f"nnzoo-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    info = os.lstat(folder)
    is_private = info.st_uid == os.getuid() and not info.st_mode & 0o077
    if stat.S_ISDIR(info.st_mode) and is_private:
        return folder
    return Path(tempfile.mkdtemp(prefix="nnzoo-"))  # somebody else's, or open to others


@cache
def cpu_id() -> str:
    """The processor's name and instruction sets, which compiled code and benchmark results depend on."""
    fields: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    names = ("model name", "flags", "Features")
    return " ".join(fields[name] for name in names if name in fields) or platform.processor()
