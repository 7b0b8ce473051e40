"""Recordings with errors: each is one message that names the file and the row or recording, or a note."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.data.dataset import Dataset
from nnzoo.data.recording_files.forms import description
from nnzoo.data.recording_files.recording import MAX_STEPS
from nnzoo.errors import DataError
from tests.data.recording_files.writing import long_frame, some_recordings, write_folder, write_ts
from tests.data.test_recordings import load, same_data

NO_SPLIT: dict[str, Any] = {"split": {"val": 0, "test": 0}}
HEADER = "@dimensions 2\n@equalLength true\n@classLabel true a b\n@data\n"


@pytest.fixture(autouse=True)
def _here(own_folder: Path) -> None:
    """Paths of messages are short."""


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


ROWS = ["1,2:3,4:a", "5,6:7,8:b", "1,1:2,2:a", "3,3:4,5:b"]


def test_recordings_of_different_channels() -> None:
    assert refused(**ts(*ROWS, "1,2:3,4:5,6:a")) == (
        "x.ts: recording 5 (line 9) has 3 channels, recording 1 (line 5) has 2; all recordings need the same "
        "channels"
    )
    assert refused(**ts(*ROWS, "1,2:3,4,5:a")) == (
        "x.ts:9: channel 1 has 3 time steps, channel 0 has 2"
    )
    assert refused(**folder(c="x,z\n1,2\n3,4\n")) == (
        "f/b/c.csv has the columns 'x', 'z'; f/a/0.csv has 'x', 'y'. All recordings need the same channels "
        "(data.channels)"
    )


def test_an_empty_recording() -> None:
    assert refused(**ts(*ROWS, ":1,2:a")) == "x.ts:9: channel 0 is empty"
    assert refused(**ts(*ROWS, "?,?:?,?:a")) == (
        "x.ts: recording 5 (line 9) is empty; leave it out"
    )
    assert "x.csv: data row 2 is empty" in refused(
        **table("t0,t1,label\n1,2,a\n,,b\n3,4,a\n5,6,b\n")
    )
    assert "f/b/c.csv" in refused(**folder(c=""))
    assert "f/b/c.csv has a header but no rows" in refused(**folder(c="x,y\n"))
    assert "b/c.csv has no number in channel 1" in refused(**folder(c="x,y\n1,\n3,\n"))


def test_a_value_that_is_no_number() -> None:
    assert refused(**ts(*ROWS, "1,2:3,oops:a")) == (
        "x.ts:9: channel 1, time step 2: 'oops' is no number"
    )
    assert "f/b/c.csv: column 'y' should hold numbers, but data row 2 has 'oops'" in (
        refused(**folder(c="x,y\n1,2\n3,oops\n"))
    )
    assert "x.csv: column 't1' should hold numbers, but data row 3 has 'oops'" in (
        refused(**table("t0,t1,label\n1,2,a\n3,4,b\n5,oops,a\n7,8,b\n"))
    )
    long = "id,v,label\n" + "".join(f"{i // 3},{i},{'ab'[i // 3 % 2]}\n" for i in range(30))
    assert "x.csv: column 'v' should hold numbers, but data row 5 has 'oops'" in (
        refused(**table(long.replace(",4,", ",oops,"), id="id"))
    )
    assert "beyond ±1e30" in refused(**ts(*ROWS, "1,2:3,1e31:a"))


def test_a_label_in_the_test_part_that_training_never_saw() -> None:
    options = folder()
    Path("parts/train").parent.mkdir()
    Path("f").rename("parts/train")
    Path("parts/test/c").mkdir(parents=True)
    Path("parts/test/c/7.csv").write_text("x,y\n1,2\n3,4\n")
    assert refused(**options | {"path": "parts"}) == (
        "parts: test/c/7.csv has the label 'c' that no training recording has"
    )


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


def test_headers_of_ts_that_say_otherwise_than_the_rows() -> None:
    header = (
        "@univariate true\n@dimensions 5\n@equalLength true\n@seriesLength 9\n@missing false\n"
        "@classLabel true a c\n@strange 3\n@data\n"
    )
    data = load(**ts(*ROWS, "1,?,3:4,5,6:a", header=header))
    (note,) = [note for note in data.notes if "header says otherwise" in note]
    assert note == (
        "x.ts: the header says otherwise than the rows, which count: @dimensions 5 and the rows have 2; "
        "@univariate true and the rows have 2 channels; @equalLength true and the rows have 2 to 3 time steps; "
        "@missing false and there are missing numbers; @classLabel does not list b"
    )
    assert any("header lines not used: @strange" in note for note in data.notes)
    lacking = load(**ts(*ROWS, header="@dimensions 2\n@classLabel false\n@data\n"))
    assert lacking.spec.labels == ["a", "b"]
    assert any("taken for the label" in note for note in lacking.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:a\n", "x.ts:1: a row before the line @data"),
        ("@classLabel true a\n", "x.ts has no line @data"),
        ("@classLabel true a\n@data\n", "x.ts has no recordings"),
        ("@data\n1,2:3,4\n", "x.ts has no target; nothing can be learned"),
        (
            "@classLabel true a\n@data\n1,2:3,4\n",
            "x.ts:3: '3,4' is no label; does the row lack its last value?",
        ),
    ],
)
def test_ts_files_that_cannot_be_read(text: str, message: str) -> None:
    Path("x.ts").write_text(text)
    assert refused(path="x.ts") == message


def test_millions_of_steps_in_a_recording_are_refused_or_cut() -> None:
    line = ",".join(["1.5"] * (2 * MAX_STEPS))
    Path("x.ts").write_text(f"@classLabel true a b\n@data\n1,2:a\n3,4:b\n1,3:b\n{line}:a\n")
    assert refused(path="x.ts") == (
        "x.ts: recording 4 (line 6) has 2,000,000 time steps; at most 1,000,000 are read. Cut recordings "
        "(data.max_length), or resample them (data.length)"
    )
    data = load(path="x.ts", max_length=10, split={"val": 0, "test": 0})
    assert data.spec.input.shape == (10, 1)
    assert "1 of 4 recordings cut to the first 10 time steps, 1,999,990 left out" in data.cuts[0]


def test_time_stamps_in_ts_are_left_out() -> None:
    rows = [
        "(0,1),(1,2):(0,3),(1,4):a",
        "(2024-01-01 10:00:00,5),(2024-01-01 10:00:01,6):(0,7),(1,8):b",
    ]
    data = load(**ts(*rows, *ROWS[2:]))
    assert any("time stamps are left out" in note for note in data.notes)
    assert [[5, 7], [6, 8]] in data.splits["train"].tensors()[0].tolist()


def test_hidden_and_other_files_are_passed_over() -> None:
    recordings = some_recordings(12)
    path = Path(write_folder(Path(), recordings)["path"])
    (path / "a" / "notes.pdf").write_text("x")
    (path / "__MACOSX").mkdir()
    data: Dataset = load(path=str(path))
    assert any("left out: 1 file of other types (.pdf 1)" in note for note in data.notes)
    assert any("hidden or system files and folders" in note for note in data.notes)


def test_targets_in_a_second_file() -> None:
    frame = long_frame(some_recordings(12)).drop(columns="label")
    frame.to_csv("x.csv", index=False)
    Path("y.csv").write_text("rec,label\n" + "".join(f"r{i},{'ab'[i % 2]}\n" for i in range(11)))
    options: dict[str, Any] = {"path": "x.csv", "id": "rec", "targets": "y.csv"}
    assert refused(**options) == "y.csv has no target of 1 recording of x.csv: recording 'r11'"
    with Path("y.csv").open("a") as file:
        file.write("r11,b\nr99,a\nr0,b\n")
    assert "recording 'r0' has two targets, 'a' and 'b' (data row 14)" in refused(**options)


def test_channels_are_chosen_by_name_or_position() -> None:
    recordings = some_recordings(12, channels=3)
    whole = load(**write_ts(Path(), recordings), channels=[2, 0])
    assert whole.spec.column_names == ["2", "0"]
    chosen = load(**write_folder(Path(), recordings), channels=["c2", "c0"])
    assert np.array_equal(
        whole.splits["train"].tensors()[0].numpy(), chosen.splits["train"].tensors()[0].numpy()
    )
    assert "no channel '5'; it has 0, 1, 2" in refused(**write_ts(Path(), recordings), channels=[5])


def test_check_describes_the_recordings() -> None:
    options = RecordingsOptions(name="recordings", path="x.ts", max_length=2)
    assert description(options) == ["data.path: no file or folder x.ts yet"]
    ts("1,2,3:3,4,5:a", *ROWS)
    assert description(options) == [
        "5 recordings of 2 time steps, 2 channels",
        "note: x.ts: the header says otherwise than the rows, which count: @equalLength true and the rows have 2 "
        "to 3 time steps",
        "note: 1 of 5 recordings cut to the first 2 time steps, 1 left out (data.max_length)",
    ]


def test_recordings_without_a_target_are_left_out() -> None:
    data = load(**ts(*ROWS, "1,2:3,4:?", "9,9:9,9:unknown"), missing=["unknown"])
    assert len(data.splits["train"]) == 4 and data.spec.labels == ["a", "b"]
    assert (
        "x.ts: 2 of 6 recordings have no target and are left out, first recording 5 (line 9)"
        in data.notes
    )


def test_windows_text_and_packed_files() -> None:
    plain = load(**ts(*ROWS))
    text = Path("x.ts").read_text()
    Path("w.ts").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with gzip.open("x.ts.gz", "wt") as file:
        file.write(text)
    for name in ("w.ts", "x.ts.gz"):
        assert same_data(load(path=name, split={"val": 0, "test": 0}), plain)
