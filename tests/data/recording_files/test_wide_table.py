"""Tables with a recording per row: which columns are time steps, of which channel."""

from __future__ import annotations

from tests.data.recording_files.reading import refused, table
from tests.data.test_recordings import load


def test_channels_are_seen_by_the_names_of_columns() -> None:
    rows = "".join(f"r{i},{i},5,{i + 1},6,{'ab'[i % 2]}\n" for i in range(6))
    data = load(**table(f"note,x_0,y_0,x_1,y_1,label\n{rows}"))
    assert data.spec.column_names == ["x", "y"]
    assert [[3, 5], [4, 6]] in data.splits["train"].tensors()[0].tolist()
    assert "no time steps, and left out: 'note'" in data.notes
    assert "target: column 'label' (data.target)" in data.notes


def test_columns_without_numbers_in_their_names_are_steps_of_one_channel() -> None:
    rows = "".join(f"{i},{i + 1},{i + 2},{'ab'[i % 2]}\n" for i in range(6))
    data = load(**table(f"early,noon,late,kind\n{rows}"))
    assert data.spec.input.shape == (3, 1) and data.spec.labels == ["a", "b"]


def test_a_target_alone_is_refused() -> None:
    assert refused(**table("label\na\nb\n")) == "x.csv has no columns of time steps"
