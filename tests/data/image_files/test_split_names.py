"""Names of folders that mean a split."""

from __future__ import annotations

import pytest

from nnzoo.data.image_files.split_names import split_of_folder


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("TRAIN_SET", "train"),
        ("trainset", "train"),
        ("tr", "train"),
        ("learn", "train"),
        ("training-images", "train"),
        ("01_train", "train"),
        ("val", "val"),
        ("Validation", "val"),
        ("valid", "val"),
        ("dev", "val"),
        ("eval", "val"),
        ("EvalData", "val"),
        ("test", "test"),
        ("Testing", "test"),
        ("hold-out", "test"),
        ("HoldOut", "test"),
        ("testData", "test"),
        ("my test images", "test"),
        ("car", None),
        ("steam train", None),
        ("trainB", None),
        ("images", None),
        ("contest", None),
        ("valley", None),
        ("train_val", None),
        ("", None),
    ],
)
def test_names_of_parts_are_known_by_their_words(name: str, part: str | None) -> None:
    assert split_of_folder(name) == part
