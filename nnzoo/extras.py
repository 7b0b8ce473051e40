"""Packages that only some commands need: the extras of nnzoo."""

from __future__ import annotations

from importlib.util import find_spec

from nnzoo.errors import UsageError


def require(extra: str, what: str, *packages: str) -> None:
    """Raise UsageError, with the command that installs them, where packages are missing."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(f"{what} needs {', '.join(missing)}: pip install 'nnzoo[{extra}]'")
