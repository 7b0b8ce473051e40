"""Checks and changes of each recording, whatever file it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nnzoo.data.recording_files.recording import MAX_STEPS
from nnzoo.data.sequences import SequenceSplit
from tests.data.recording_files.reading import ROWS, folder, refused, table, ts
from tests.data.recording_files.writing import some_recordings, write_ts
from tests.data.test_recordings import load


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


def test_recordings_without_a_target_are_left_out() -> None:
    data = load(**ts(*ROWS, "1,2:3,4:?", "9,9:9,9:unknown"), missing=["unknown"])
    assert len(data.splits["train"]) == 4 and data.spec.labels == ["a", "b"]
    assert (
        "x.ts: 2 of 6 recordings have no target and are left out, first recording 5 (line 9)"
        in data.notes
    )


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


def test_cut_and_resampled_recordings_are_counted(tmp_path: Path) -> None:
    recordings = [(torch.arange(float(n))[:, None].numpy(), "ab"[n % 2]) for n in range(3, 13)]
    path = write_ts(tmp_path, recordings)["path"]
    start = load(path=path, max_length=5, split={"val": 0, "test": 0}).splits["train"].tensors()[0]
    assert start.max() == 4
    end = load(path=path, max_length=5, keep="end", split={"val": 0, "test": 0})
    assert end.splits["train"].tensors()[0].max() == 11
    assert end.cuts == [
        "7 of 10 recordings cut to the last 5 time steps, 28 left out (data.max_length)"
    ]
    same = load(path=path, length=4, split={"val": 0, "test": 0})
    assert same.spec.input.shape == (4, 1) and not same.spec.input.variable_length
    spans = same.splits["train"].tensors()[0][:, :, 0]
    assert torch.allclose(spans, spans[:, -1:] * torch.linspace(0, 1, 4).double())
    assert "9 of 10 recordings resampled to 4 time steps" in same.cuts[0]


def test_each_recording_scaled_by_its_own_statistics(tmp_path: Path) -> None:
    recordings = [(values * [10, 0] + 5, label) for values, label in some_recordings()]
    path = write_ts(tmp_path, recordings)["path"]
    data = load(path=path, preprocess={"per": "recording"})
    train = data.splits["train"]
    assert isinstance(train, SequenceSplit)
    for i in range(len(train)):
        values = train.batch(torch.tensor([i]))[0].values[0]
        assert torch.allclose(values.mean(0), torch.zeros(2).double(), atol=1e-12)
        assert values[:, 0].std(unbiased=False).item() == pytest.approx(1)
        assert (values[:, 1] == 0).all()


def test_missing_numbers_are_interpolated_and_counted(tmp_path: Path) -> None:
    (tmp_path / "g.ts").write_text(
        "@classLabel true a b\n@data\n?,1,?,3,?:1,2,3,4,5:a\n1,2:3,4:b\n5,6:7,8:a\n1,1:1,1:b\n"
    )
    data = load(path=str(tmp_path / "g.ts"), split={"val": 0, "test": 0})
    values = data.splits["train"].tensors()[0]
    assert [1.0, 1.0, 2.0, 3.0, 3.0] in [
        values[i : i + 5, 0].tolist() for i in range(len(values) - 4)
    ]
    assert any("3 missing numbers in 1 recording" in note for note in data.notes)
