"""Where nnzoo keeps what can be made again: decoded pictures, compiled layers, and what was timed on this
machine."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from pathlib import Path


def cache_folder() -> Path:
    """NNZOO_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NNZOO_CACHE") or Path(base) / "nnzoo")


@cache
def processor() -> str:
    """The processor's name and instructions: what was compiled or timed for one may not suit another."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    told = [found[name] for name in ("model name", "flags", "Features") if name in found]
    return " ".join(told) or platform.processor()
