"""The `.arff` format: which attribute is the target, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.recording_files.reading import NO_SPLIT, refused
from tests.data.test_recordings import load

HEADER = "@relation P\n@attribute kind {a,b}\n@attribute t0 numeric\n@attribute t1 numeric\n"


def arff(*rows: str, header: str = HEADER) -> dict[str, Any]:
    Path("x.arff").write_text(f"{header}@data\n" + "\n".join(rows) + "\n")
    return {"path": "x.arff", **NO_SPLIT}


@pytest.mark.parametrize("target", [None, "kind", 0, -3])
def test_the_target_may_be_any_attribute(target: str | int | None) -> None:
    data = load(**arff("a,1,2", "b,3,4", "% a comment", "a,5,?", "b,7,8"), target=target)
    assert data.spec.labels == ["a", "b"]
    x, lengths = data.splits["train"].tensors()[0], data.splits["train"].lengths
    assert sorted(x.flatten().tolist()) == [1, 2, 3, 4, 5, 7, 8]
    assert lengths is not None and sorted(lengths.tolist()) == [1, 2, 2, 2]


def test_files_that_cannot_be_read() -> None:
    options = arff("a,1,2", "b,3,4", "a,1")
    assert refused(**options) == "x.arff:8: 2 values where the header has 3 attributes"
    arff("a,1,2", "b,3,oops")
    assert "'oops'" in refused(**options)
    assert refused(**options, target="size") == "x.arff: no attribute 'size'; it has kind, t0, t1"
    Path("x.arff").write_text(HEADER)
    assert refused(**options) == "x.arff has no line @data"
