"""Where nnzoo keeps what can be made again: decoded pictures, compiled layers, and what was timed on this
machine."""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import tempfile
from functools import cache
from pathlib import Path


def cache_dir() -> Path:
    """NNZOO_CACHE, else the user's cache folder."""
    if named := os.environ.get("NNZOO_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "nnzoo"
    try:
        return Path.home() / ".cache" / "nnzoo"
    except RuntimeError:  # a container's user that the system does not know, and no HOME
        return _without_home()


@cache
def _without_home() -> Path:
    """A folder among the temporary ones that is this user's alone."""
    folder = Path(tempfile.gettempdir()) / f"nnzoo-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = os.lstat(folder)
    private = facts.st_uid == os.getuid() and not facts.st_mode & 0o077
    if stat.S_ISDIR(facts.st_mode) and private:
        return folder
    return Path(tempfile.mkdtemp(prefix="nnzoo-"))  # somebody else's, or open to others


@cache
def cpu_id() -> str:
    """The processor's name and instructions: what was compiled or timed for one may not suit another."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    told = [found[name] for name in ("model name", "flags", "Features") if name in found]
    return " ".join(told) or platform.processor()
