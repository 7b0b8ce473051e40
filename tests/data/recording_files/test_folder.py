"""Folders of recordings: labels of the parts, and files that are passed over."""

from __future__ import annotations

from pathlib import Path

from nnzoo.data.dataset import Dataset
from tests.data.recording_files.reading import folder, refused
from tests.data.recording_files.writing import some_recordings, write_folder
from tests.data.test_recordings import load


def test_a_label_in_the_test_part_that_training_never_saw() -> None:
    options = folder()
    Path("parts/train").parent.mkdir()
    Path("f").rename("parts/train")
    Path("parts/test/c").mkdir(parents=True)
    Path("parts/test/c/7.csv").write_text("x,y\n1,2\n3,4\n")
    assert refused(**options | {"path": "parts"}) == (
        "parts: test/c/7.csv has the label 'c' that no training recording has"
    )


def test_hidden_and_other_files_are_passed_over() -> None:
    recordings = some_recordings(12)
    path = Path(write_folder(Path(), recordings)["path"])
    (path / "a" / "notes.pdf").write_text("x")
    (path / "__MACOSX").mkdir()
    data: Dataset = load(path=str(path))
    assert any("left out: 1 file of other types (.pdf 1)" in note for note in data.notes)
    assert any("hidden or system files and folders" in note for note in data.notes)
