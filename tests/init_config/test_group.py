"""Columns of persons are proposed as the group of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnzoo.data.recordings import load_recordings
from tests.data.recording_files.writing import (
    long_frame,
    some_recordings,
)
from tests.init_config.written import NNZOO, init


def test_the_person_of_each_recording_is_proposed_as_the_group(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    frame = long_frame(some_recordings(60))
    frame["subject"] = frame.rec.map(lambda name: f"p{int(name[1:]) % 10}")
    frame.to_csv("l.csv", index=False)
    options, _ = init(nnzoo, "l.csv")
    assert (options.id, options.time, options.target) == ("rec", "step", "label")
    assert options.split.group == "subject" and options.channels == "all"
    assert [c.name for c in load_recordings(options).spec.columns] == ["c0", "c1"]


def test_a_tables_column_of_persons_is_proposed_as_the_group(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    rng = np.random.default_rng(0)
    lines = ["patient_id,a,b,label"]
    for i in range(90):
        lines.append(f"{i % 18 + 100},{rng.normal():.4f},{rng.normal():.4f},{'xy'[i % 2]}")
    Path("t.csv").write_text("\n".join(lines))
    options, _ = init(nnzoo, "t.csv")
    assert options.name == "csv" and options.split.group == "patient_id"
    result = nnzoo("train", "--config", "made", "-s", "train.epochs=1")
    assert "column 'patient_id' keeps groups together, and is no input" in result.err
