"""Small files of recordings in the current folder, and what reading them refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nnzoo.errors import DataError
from tests.data.test_recordings import load

NO_SPLIT: dict[str, Any] = {"split": {"val": 0, "test": 0}}

HEADER = "@dimensions 2\n@equalLength true\n@classLabel true a b\n@data\n"

ROWS = ["1,2:3,4:a", "5,6:7,8:b", "1,1:2,2:a", "3,3:4,5:b"]


def refused(**options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ts(*rows: str, header: str = HEADER) -> dict[str, Any]:
    Path("x.ts").write_text(header + "\n".join(rows) + "\n")
    return {"path": "x.ts", **NO_SPLIT}


def table(text: str, **options: Any) -> dict[str, Any]:
    Path("x.csv").write_text(text)
    return {"path": "x.csv", **NO_SPLIT, **options}


def folder(**files: str) -> dict[str, Any]:
    for i in range(4):
        Path(f"f/{'ab'[i % 2]}").mkdir(parents=True, exist_ok=True)
        Path(f"f/{'ab'[i % 2]}/{i}.csv").write_text(f"x,y\n1,{i}\n2,3\n4,{i}\n")
    for name, text in files.items():
        Path(f"f/b/{name}.csv").write_text(text)
    return {"path": "f", **NO_SPLIT}
