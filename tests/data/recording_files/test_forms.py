"""The description of recordings that `nnzoo check` prints before they are read in full."""

from __future__ import annotations

from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.data.recording_files.forms import description
from tests.data.recording_files.reading import ROWS, ts


def test_check_describes_the_recordings() -> None:
    options = RecordingsOptions(name="recordings", path="x.ts", max_length=2)
    assert description(options) == ["data.path: no file or folder x.ts yet"]
    ts("1,2,3:3,4,5:a", *ROWS)
    assert description(options) == [
        "5 recordings of 2 time steps, 2 channels",
        "note N21: x.ts: the header says otherwise than the rows, which count: @equalLength true and the rows have 2 "
        "to 3 time steps",
        "note N19: 1 of 5 recordings cut to the first 2 time steps, 1 left out (data.max_length)",
    ]
