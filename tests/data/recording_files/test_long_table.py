"""Long tables: recordings told apart by an id, in the order of their times, with targets that may be in a second file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.data.recording_files.reading import folder, refused, table
from tests.data.recording_files.writing import long_frame, some_recordings
from tests.data.test_recordings import load


def long_text(rows: list[tuple[str, int]]) -> str:
    """A long table of recordings and times; the value is the row, the label follows from the id."""
    lines = [f"{rec},{time},{i},{'ab'[ord(rec) % 2]}" for i, (rec, time) in enumerate(rows)]
    return "\n".join(["rec,time,v,label", *lines]) + "\n"


PAIRS = [(rec, time) for rec in "pqrs" for time in range(3)]


def test_an_id_that_comes_back_is_the_same_recording_and_noted() -> None:
    rows = [*PAIRS, ("p", 3), ("p", 4)]
    data = load(**table(long_text(rows), id="rec", time="time"))
    assert any(
        "1 recording whose id comes back later in the file, put together ('p' in data row 13)"
        in note
        for note in data.notes
    )
    assert data.splits["train"].lengths is not None
    assert sorted(data.splits["train"].lengths.tolist()) == [3, 3, 3, 5]


def test_an_id_that_comes_back_with_the_same_times_is_refused() -> None:
    assert refused(**table(long_text([*PAIRS, ("p", 0), ("p", 1)]), id="rec", time="time")) == (
        "x.csv: recording 'p' comes back in data row 13 with times that it had before: if it is another "
        "recording, tell them apart by several columns (data.id: [subject, trial]); if not, remove the repeated "
        "rows"
    )


def test_a_time_that_runs_backwards_is_sorted_and_noted() -> None:
    rows = [("p", 2), ("p", 0), ("p", 1), *PAIRS[3:]]
    data = load(**table(long_text(rows), id="rec", time="time"))
    values = data.splits["train"].tensors()[0]
    assert [1, 2, 0] in values[:, :, 0].tolist()
    assert "1 recording sorted by 'time', which ran backwards ('p')" in data.notes
    backwards = folder(c="t,x,y\n1,1,2\n0,3,4\n", d="t,x,y\n0,1,2\n1,3,4\n")
    for i in range(4):
        path = Path(f"f/{'ab'[i % 2]}/{i}.csv")
        path.write_text(f"t,x,y\n0,{i},1\n1,1,{i}\n")
    data = load(**backwards, time="t")
    assert "f/b/c.csv: sorted by 't', which ran backwards" in data.notes
    assert [[3, 4], [1, 2]] in data.splits["train"].tensors()[0].tolist()


def test_a_target_that_changes_within_a_recording() -> None:
    assert refused(**table(long_text(PAIRS).replace("p,2,2,a", "p,2,2,b"), id="rec")) == (
        "x.csv: 'label' is not the same in all of recording 'p': 'a' from data row 1, 'b' in data row 3"
    )


def test_ids_and_times_that_are_missing() -> None:
    text = long_text(PAIRS)
    assert (
        refused(**table(text.replace("q,1,", ",1,"), id="rec")) == "x.csv: data row 5 has no 'rec'"
    )
    assert "'time' has no time that can be read in data row 5 (recording 'q')" in (
        refused(**table(text.replace("q,1,", "q,,"), id="rec", time="time"))
    )
    assert "no column 'recording'" in refused(**table(text, id="recording"))


def test_targets_in_a_second_file() -> None:
    frame = long_frame(some_recordings(12)).drop(columns="label")
    frame.to_csv("x.csv", index=False)
    Path("y.csv").write_text("rec,label\n" + "".join(f"r{i},{'ab'[i % 2]}\n" for i in range(11)))
    options: dict[str, Any] = {"path": "x.csv", "id": "rec", "targets": "y.csv"}
    assert refused(**options) == "y.csv has no target of 1 recording of x.csv: recording 'r11'"
    with Path("y.csv").open("a") as file:
        file.write("r11,b\nr99,a\nr0,b\n")
    assert "recording 'r0' has two targets, 'a' and 'b' (data row 14)" in refused(**options)
