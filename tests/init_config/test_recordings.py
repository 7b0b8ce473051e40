"""`nnzoo init` on recordings, up to predictions."""

from __future__ import annotations

from pathlib import Path

from tests.data.recording_files.writing import (
    long_frame,
    some_recordings,
    write_ragged,
)
from tests.init_config.written import NNZOO, init


def test_ids_that_count_within_each_person_are_taken_together(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    frame = long_frame(some_recordings(60))
    number = frame.rec.map(lambda name: int(name[1:]))
    frame["rec"], frame["subject"] = number // 10, number % 10
    frame.rename(columns={"rec": "trial"}).to_csv("l.csv", index=False)
    options, _ = init(nnzoo, "l.csv")
    assert options.id == ["trial", "subject"] and options.split.group == "subject"


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
