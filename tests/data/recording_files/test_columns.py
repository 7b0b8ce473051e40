"""Columns of recordings: numbers, and which of them are channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.data.recording_files.reading import ROWS, folder, refused, table, ts
from tests.data.recording_files.writing import some_recordings, write_folder, write_ts
from tests.data.test_recordings import load


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


def test_channels_are_chosen_by_name_or_position() -> None:
    recordings = some_recordings(12, channels=3)
    whole = load(**write_ts(Path(), recordings), channels=[2, 0])
    assert whole.spec.column_names == ["2", "0"]
    chosen = load(**write_folder(Path(), recordings), channels=["c2", "c0"])
    assert np.array_equal(
        whole.splits["train"].tensors()[0].numpy(), chosen.splits["train"].tensors()[0].numpy()
    )
    assert "no channel '5'; it has 0, 1, 2" in refused(**write_ts(Path(), recordings), channels=[5])
