"""Class folders that look like parts of a data set, or like images and their masks."""

from __future__ import annotations

import pytest

from nnzoo.data.image_files.class_names import check_class_names
from nnzoo.data.image_files.tree import scan
from tests.data.image_files.folders import write_file


def checked(*paths: str) -> tuple[str | None, str | None]:
    for path in paths:
        write_file(f"d/{path}")
    return check_class_names("d", scan("d").full)


def test_ordinary_names_have_no_issue() -> None:
    assert checked("cat/0.png", "dog/0.png") == (None, None)
    assert checked("test/0.png") == (None, None), "a part alone may be a class"


def test_parts_in_the_names_of_classes_are_an_issue() -> None:
    issue, better = checked(
        "cat_train/0.png", "cat_test/0.png", "dog_train/0.png", "dog_test/0.png"
    )
    assert issue is not None and better is None
    assert issue.startswith(
        "d: cat_train/, dog_train/, cat_test/, dog_test/ look like parts of each"
    )
    assert issue.endswith("if they are classes, name them in data.classes")


@pytest.mark.parametrize("names", [("images", "masks"), ("photo", "label")])
def test_images_and_masks_are_no_classes(names: tuple[str, str]) -> None:
    issue, better = checked(*(f"{name}/0.png" for name in names))
    assert issue is not None and "look like images and their masks or labels" in issue
    assert better is None


def test_folders_of_the_same_folders_lead_to_one_of_them() -> None:
    issue, better = checked(
        *(f"{outer}/{label}/0.png" for outer in ("images", "depth") for label in ("cat", "dog"))
    )
    assert issue is not None and "hold no images but folders of the same names (cat, dog)" in issue
    assert better is not None and str(better).endswith("images")
