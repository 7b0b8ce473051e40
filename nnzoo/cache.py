"""Where nnzoo keeps what can be made again: decoded pictures, and what was timed on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """NNZOO_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NNZOO_CACHE") or Path(base) / "nnzoo")
