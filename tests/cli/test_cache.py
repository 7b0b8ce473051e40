"""`nnzoo cache`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nnzoo = Callable[..., Any]


def test_cache_shows_what_is_kept_and_clears_it(
    nnzoo: Nnzoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("kept")
    monkeypatch.setenv("NNZOO_CACHE", str(folder))
    for name in ("a.npy", "native/b.so", "baselines/d.npz", "tuned/c.json", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345678")
    shown = nnzoo("cache", "--json").json
    kinds = ("images", "native", "baselines", "tuned")
    assert all(shown[kind] == {"files": 1, "bytes": 8} for kind in kinds)
    assert "1 file: decoded images of folders" in nnzoo("cache").out
    assert nnzoo("cache", "--clear").code == 0
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["notes.txt"]
