"""Columns of persons are proposed as the group of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest

from nnzoo.data.recordings import load_recordings
from nnzoo.init_config.group import find_part, part_line, split_lines
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


@pytest.mark.parametrize(
    ("name", "words"), [("split", "train train val test"), ("is_test", "0 0 0 1")]
)
def test_a_column_that_says_the_parts_is_proposed_for_the_split(
    name: str, words: str, nnzoo: NNZOO, own_folder: Path
) -> None:
    rng = np.random.default_rng(0)
    lines = [f"patient_id,a,label,{name}"]
    for i in range(96):
        label, word = "xy"[i % 2], words.split()[i // 24]
        lines.append(f"{i % 16 + 100},{rng.normal():.4f},{label},{word}")
    Path("t.csv").write_text("\n".join(lines))
    options, _ = init(nnzoo, "t.csv")
    assert (options.target, options.split.column) == ("label", name)
    assert options.split.group == "patient_id"
    result = nnzoo("check", "made")
    assert result.code == 0


def test_a_column_of_parts_is_proposed_for_texts_too(nnzoo: NNZOO, own_folder: Path) -> None:
    lines = ["text,label,subset"]
    for i in range(60):
        text = f"this is the text number {['one', 'two', 'three', 'four'][i % 4]} of {i} others"
        lines.append(f"{text},{'xy'[i % 2]},{('train', 'dev', 'test')[i // 20]}")
    Path("t.csv").write_text("\n".join(lines))
    options, _ = init(nnzoo, "t.csv")
    assert (options.name, options.target, options.split.column) == ("text", "label", "subset")


def test_other_columns_say_no_part() -> None:
    frame = pandas.DataFrame(
        {
            "set": ["a", "b"],
            "train": ["x", "y"],
            "split": ["val", "test"],
            "part": ["train", "train"],
        }
    )
    assert find_part(frame, list(frame)) is None
    assert split_lines("split", "who", "no") == [
        '  # split: {group: "who"} keeps the rows of each together, but: no',
        "  split:",
        part_line("split"),
    ]
