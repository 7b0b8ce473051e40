"""`nnzoo init` on recordings in every form, and columns of groups."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.config.load import load_config
from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.data.recordings import load_recordings
from tests.conftest import Result
from tests.data.recording_files.writing import (
    WRITERS,
    long_frame,
    some_recordings,
    write_ragged,
    write_ts,
    write_tsv,
)
from tests.data.test_recordings import same_data

NNZOO = Callable[..., Result]


def smooth_recordings(count: int = 30, steps: int = 30) -> list[Any]:
    """Recordings of one channel and one length, each a random walk."""
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(count, steps, 1)).cumsum(1).round(4)
    return [(walk, "abc"[i % 3]) for i, walk in enumerate(walks)]


def init(nnzoo: NNZOO, *words: str) -> tuple[Any, str]:
    """The options of section data that init writes, and its notes."""
    result = nnzoo("init", words[0], "made.yaml", *words[1:])
    assert result.code == 0, result.err
    return load_config("made").data, result.err


@pytest.mark.parametrize("form", WRITERS)
def test_each_form_is_found_and_read_alike(form: str, nnzoo: NNZOO, own_folder: Path) -> None:
    recordings = some_recordings(30)
    if form == "wide":
        recordings = smooth_recordings()
    options, _ = init(nnzoo, Path(WRITERS[form](own_folder, recordings)["path"]).name)
    assert isinstance(options, RecordingsOptions)
    reference = RecordingsOptions(name="recordings", **write_ts(own_folder, recordings))
    assert same_data(load_recordings(options), load_recordings(reference))
    assert nnzoo("train", "--config", "made", "-s", "train.epochs=1").code == 0


def test_the_archives_table_with_its_test_part(nnzoo: NNZOO, own_folder: Path) -> None:
    Path(write_tsv(own_folder, smooth_recordings())["path"]).rename("P_TRAIN.tsv")
    Path(write_tsv(own_folder, smooth_recordings(9))["path"]).rename("P_TEST.tsv")
    options, notes = init(nnzoo, "P_TRAIN.tsv")
    assert options.target == 0 and options.test_path.endswith("P_TEST.tsv")
    assert "read as recordings, a row each: 30 time steps" in notes
    options, _ = init(nnzoo, ".", "--force")
    assert options.path.endswith("P_TRAIN.tsv")


def test_a_table_of_features_stays_a_table(nnzoo: NNZOO, own_folder: Path) -> None:
    rng = np.random.default_rng(0)
    with open("t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"f{i}" for i in range(30)), "label"])
        writer.writerows(
            [*row, "ab"[i % 2]] for i, row in enumerate(rng.normal(size=(60, 30)).round(3))
        )
    assert init(nnzoo, "t.csv")[0].name == "csv"
    assert init(nnzoo, "t.csv", "--recordings", "--force")[0].name == "recordings"


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


def test_ids_that_count_within_each_person_are_taken_together(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    frame = long_frame(some_recordings(60))
    number = frame.rec.map(lambda name: int(name[1:]))
    frame["rec"], frame["subject"] = number // 10, number % 10
    frame.rename(columns={"rec": "trial"}).to_csv("l.csv", index=False)
    options, _ = init(nnzoo, "l.csv")
    assert options.id == ["trial", "subject"] and options.split.group == "subject"


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


def test_the_sales_of_shops_are_series_not_recordings(nnzoo: NNZOO, own_folder: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["store_id,date,type,sales"]
    for shop in range(6):
        lines += [
            f"{shop},2024-{day // 28 + 1:02}-{day % 28 + 1:02},{'ab'[shop % 2]},{rng.normal():.3f}"
            for day in range(60)
        ]
    Path("s.csv").write_text("\n".join(lines))
    options, _ = init(nnzoo, "s.csv")
    assert options.name == "series" and options.group == "store_id"


def test_rows_of_their_own_lengths_go_from_init_to_predictions(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    recordings = some_recordings(30, channels=1)
    options, notes = init(nnzoo, Path(write_ragged(own_folder, recordings)["path"]).name)
    assert options.name == "recordings" and "the first value of each row" in notes
    assert nnzoo("train", "--config", "made", "-s", "train.epochs=1").code == 0
    rows = nnzoo("predict", "checkpoints/made", "ragged.csv").out
    assert len(rows.splitlines()) == 31
    text = Path("ragged.csv").read_text()
    Path("new.csv").write_text("\n".join(line[2:] for line in text.splitlines()))
    assert nnzoo("predict", "checkpoints/made", "new.csv").out == rows
