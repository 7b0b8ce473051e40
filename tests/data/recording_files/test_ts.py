"""The `.ts` format: headers against rows, time stamps, and files that cannot be read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.data.recording_files.reading import ROWS, refused, ts
from tests.data.test_recordings import load, same_data


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


def test_time_stamps_in_ts_are_left_out() -> None:
    rows = [
        "(0,1),(1,2):(0,3),(1,4):a",
        "(2024-01-01 10:00:00,5),(2024-01-01 10:00:01,6):(0,7),(1,8):b",
    ]
    data = load(**ts(*rows, *ROWS[2:]))
    assert any("time stamps are left out" in note for note in data.notes)
    assert [[5, 7], [6, 8]] in data.splits["train"].tensors()[0].tolist()


def test_windows_text_and_packed_files() -> None:
    plain = load(**ts(*ROWS))
    text = Path("x.ts").read_text()
    Path("w.ts").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with gzip.open("x.ts.gz", "wt") as file:
        file.write(text)
    for name in ("w.ts", "x.ts.gz"):
        assert same_data(load(path=name, split={"val": 0, "test": 0}), plain)
