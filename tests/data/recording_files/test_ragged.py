"""Tables whose rows end where a recording does."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnzoo.data.recording_files.ragged import ragged_delimiter
from tests.data.recording_files.reading import NO_SPLIT
from tests.data.test_recordings import load

ROWS = [["1"] * (3 + i % 5) for i in range(20)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_of_many_lengths_are_seen_by_their_delimiter(delimiter: str) -> None:
    assert ragged_delimiter([delimiter.join(row) for row in ROWS]) == delimiter
    labelled = [delimiter.join([*row, "ab"[i % 2]]) for i, row in enumerate(ROWS)]
    assert ragged_delimiter(labelled) == delimiter
    assert ragged_delimiter(labelled[:2]) is None
    assert ragged_delimiter([delimiter.join(["1", "x", *row]) for row in ROWS]) is None
    assert ragged_delimiter([delimiter.join(["1"] * 4)] * 20) is None


def test_the_label_may_be_first_or_last() -> None:
    for place in (0, -1):
        lines = []
        for i, row in enumerate(ROWS):
            cells, label = [f"{i}.5" for _ in row], "ab"[i % 2]
            lines.append(",".join([label, *cells] if place == 0 else [*cells, label]))
        Path("x.csv").write_text("\n".join(lines) + "\n")
        data = load(path="x.csv", **NO_SPLIT)
        assert data.spec.labels == ["a", "b"] and data.spec.input.variable_length
        lengths = data.splits["train"].lengths
        assert lengths is not None
        assert sorted(lengths.tolist()) == sorted(len(row) for row in ROWS)
