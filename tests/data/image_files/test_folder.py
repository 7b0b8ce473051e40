"""Descriptions of a folder of images: parts, classes, and a line for all that is left out."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.data.image_files.folder import ImageFolder, describe_folder
from nnzoo.errors import DataError
from tests.data.image_files.folders import CLASSES, write_file


def write_tree(
    root: str, count: int = 3, classes: tuple[str, ...] = CLASSES, extension: str = "png"
) -> None:
    """Empty files: only decoding looks into them."""
    for label in classes:
        for i in range(count):
            write_file(f"{root}/{label}/{i}.{extension}")


def describe(root: str = "d", **options: Any) -> ImageFolder:
    return describe_folder(Path(root), **options)


def counts(folder: ImageFolder) -> dict[str, dict[str, int]]:
    return {
        part: {label: len(files) for label, files in classes.items()}
        for part, classes in folder.parts.items()
    }


THREE = dict.fromkeys(CLASSES, 3)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Training", None, "Testing"),
        ("train", "eval", None),
        ("tr", "dev", "holdout"),
        ("TRAIN_DATA", "Validation", "Test set"),
    ],
)
def test_parts_of_other_names_are_taken_and_said(
    train: str, val: str | None, test: str | None
) -> None:
    names = {"train": train} | ({"val": val} if val else {}) | ({"test": test} if test else {})
    for name in names.values():
        write_tree(f"d/{name}")
    folder = describe()
    assert folder.issues == []
    assert folder.labels == list(CLASSES)
    assert counts(folder) == dict.fromkeys(names, THREE)
    titles = {"train": "training", "val": "validation", "test": "test"}
    assert folder.notes == [
        f"{name}/ is taken for the {titles[part]} part"
        for part, name in names.items()
        if name.lower() != part
    ]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/images", "test/images"),
        ("flowers-train", "flowers-test"),
        ("train/Train", "Test"),
    ],
)
def test_parts_as_archives_hold_them_are_found(train: str, test: str) -> None:
    write_tree(f"d/{train}")
    write_tree(f"d/{test}")
    write_file("d/seg_pred/seg_pred/0.jpg")
    folder = describe()
    assert folder.issues == []
    assert counts(folder) == {"train": THREE, "test": THREE}
    assert f"{train}/ is taken for the training part" in folder.notes
    assert "left out: 1 image in d/seg_pred/, which is neither train, val nor test" in folder.notes


def test_a_single_class_is_no_folder_of_classes() -> None:
    write_tree("d/train/cat", classes=("2019", "2020"))
    write_tree("d/test/cat", classes=("2019", "2020"))
    (issue,) = describe().issues
    assert issue == (
        "d/train has 1 class folder(s); a classifier needs at least two (labels come from the names of "
        "folders, not from .txt, .csv or other files)"
    )


@pytest.mark.parametrize("names", [("val", "validation"), ("dev", "eval"), ("Val", "valid")])
def test_two_folders_of_one_part_are_an_error_that_names_both(names: tuple[str, str]) -> None:
    write_tree("d/train")
    for name in names:
        write_tree(f"d/{name}")
    (issue,) = describe().issues
    first, second = sorted(names)
    assert issue == (
        f"d has {first}/ and {second}/, which are both the validation part; rename or merge them"
    )


@pytest.mark.parametrize(
    "names", [("images", "masks"), ("siteA", "siteB"), ("2019", "2020", "2021"), ("fold1", "fold2")]
)
def test_folders_that_hold_folders_of_the_same_names_are_no_classes(names: tuple[str, ...]) -> None:
    for name in names:
        write_tree(f"d/{name}", classes=("bar", "beam"))
    folder = describe()
    (issue,) = folder.issues
    assert "hold no images but folders of the same names (bar, beam)" in issue
    assert f"give one of them, as d/{names[0]}" in issue
    assert folder.suggestion == f"d/{names[0]}"
    assert "data.classes" in issue


def test_some_of_the_same_names_are_enough() -> None:
    write_tree("d/a", classes=("cat", "dog"))
    write_tree("d/b", classes=("Dog", "cow"))
    assert "(dog)" in describe().issues[0]


@pytest.mark.parametrize(
    "names", [("images", "masks"), ("photos", "labels"), ("img", "ground_truth masks")]
)
def test_images_and_their_masks_are_no_classes(names: tuple[str, str]) -> None:
    write_tree("d", classes=names)
    (issue,) = describe().issues
    assert "look like images and their masks or labels, not classes" in issue


@pytest.mark.parametrize(
    "names",
    [("trainA", "trainB", "testA", "testB"), ("train_cats", "train_dogs", "val_cats", "val_dogs")],
)
def test_parts_in_the_names_of_classes_are_seen(names: tuple[str, ...]) -> None:
    write_tree("d", classes=names)
    assert "look like parts of each class" in describe().issues[0]


def test_named_classes_are_taken_at_their_word() -> None:
    for label in ("cat", "dog"):
        write_tree(f"d/{label}", classes=("2019", "2020"))
    write_tree("d", classes=("others",))
    assert "2019, 2020" in describe().issues[0]
    folder = describe(classes=["dog", "cat"])
    assert folder.issues == []
    assert counts(folder) == {"train": {"cat": 6, "dog": 6}}
    assert "left out: 3 images in d/others/, which is not among data.classes" in folder.notes
    assert "'cow' (data.classes)" not in str(folder.issues)
    write_tree("e/train", classes=("cat", "dog"))
    assert "no images of cow (data.classes)" in describe("e", classes=["cat", "cow"]).issues[0]


def test_a_class_may_have_the_name_of_a_part() -> None:
    write_tree("d", classes=("bus", "car", "train"))
    folder = describe()
    assert counts(folder) == {"train": {"bus": 3, "car": 3, "train": 3}}
    assert folder.notes == ["folder train/ is taken for a class: it holds images and no folders"]


def test_a_part_beside_what_look_like_classes_is_refused() -> None:
    write_tree("d", classes=("bus", "car"))
    write_tree("d/train", classes=("steam", "diesel"))
    (issue,) = describe().issues
    assert "'train' holds folders (diesel/ and steam/) as a part does" in issue
    assert "bus/ and car/ hold images as classes do" in issue


def test_parts_without_class_folders_are_refused() -> None:
    for part in ("train", "test"):
        write_file(f"d/{part}/0.png")
    write_file("d/train.csv")
    assert "test/ and train/ of d hold images but no class folders" in describe().issues[0]
    write_tree("e/test")
    write_file("e/train/0.png")
    assert describe("e").issues == ["e has test/ but train/ has no class folders"]


@pytest.mark.parametrize("depth", [1, 3])
def test_a_folder_around_the_folder_is_named(depth: int) -> None:
    inner = "/".join(["d", *["inside"] * depth])
    write_tree(inner)
    folder = describe()
    assert folder.suggestion == inner
    assert folder.issues == [f"d holds only the folder inside/, which holds folders; give {inner}"]


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("below", ["", "unlabelled/", "test/"])
def test_a_part_without_labels_is_left_out_and_said(part: str, below: str) -> None:
    write_tree("d/train")
    for i in range(10):
        write_file(f"d/{part}/{below}{i}.jpg")
    folder = describe()
    assert (folder.issues, list(folder.parts)) == ([], ["train"])
    assert folder.notes[0].startswith(
        f"left out: 10 images in d/{part}/, which has no class folders"
    )


def test_files_of_other_formats_are_counted_by_what_to_do() -> None:
    write_tree("d")
    for i in range(12):
        write_file(f"d/box/{i}.HEIC")
    for name in (
        "d/bar/a.avif",
        "d/bar/b.psd",
        "d/beam/c.mp4",
        "d/more.zip",
        "d/bar/notes.txt",
        "d/labels.csv",
        "d/bar/0",
    ):
        write_file(name)
    assert describe().notes == [
        "left out: 14 files in formats that are not read (.HEIC 12, .avif 1, .psd 1; such as "
        "d/bar/a.avif): convert them to JPEG or PNG",
        "left out: 1 file in formats that are not read (.mp4 1; such as d/beam/c.mp4): videos; save "
        "single frames as JPEG or PNG",
        "left out: 1 file in formats that are not read (.zip 1; such as d/more.zip): archives; unpack "
        "them",
        "left out: 3 files that are no images by the name (.csv 1, without extension 1, .txt 1; such "
        "as d/labels.csv)",
    ]


def test_a_class_of_nothing_but_other_formats_is_an_error() -> None:
    write_tree("d")
    write_tree("d", classes=("cone",), extension="heic")
    (issue,) = describe().issues
    assert issue == (
        "class folder without images that can be read: d/cone has .heic 3; such as d/cone/0.heic; "
        "convert them to JPEG or PNG"
    )


def test_system_files_hidden_files_and_links_are_left_out_and_said() -> None:
    write_tree("d")
    for name in ("d/__MACOSX/bar/._0.png", "d/Thumbs.db", "d/bar/.DS_Store", "d/bar/._0.png"):
        write_file(name)
    os.symlink("nowhere.png", "d/bar/broken.png")
    os.symlink("..", "d/bar/loop")
    folder = describe()
    assert counts(folder) == {"train": THREE}
    assert folder.notes == [
        "left out: 2 links to a folder or to nothing (d/bar/broken.png, d/bar/loop)",
        "left out: 4 hidden or system files and folders (Thumbs.db, __MACOSX, .DS_Store, …)",
    ]


def test_links_to_images_and_to_class_folders_are_followed() -> None:
    write_tree("there")
    Path("d/train").mkdir(parents=True)
    for label in CLASSES:
        os.symlink(f"../../there/{label}", f"d/train/{label}")
    write_file("d/test/bar/0.png")
    os.symlink("../../../there/bar/0.png", "d/test/bar/1.png")
    assert counts(describe()) == {"train": THREE, "test": {"bar": 2}}


def test_loose_images_empty_folders_and_other_folders_are_left_out_and_said() -> None:
    write_tree("d")
    write_file("d/loose.png")
    Path("d/empty").mkdir()
    write_file("d/docs/readme.md")
    assert describe().notes == [
        "left out: 2 folders without images (d/docs/, d/empty/)",
        "left out: 1 image beside the class folders (d/loose.png)",
    ]
    write_tree("e/train")
    write_tree("e/test", classes=("bar", "beam"))
    write_tree("e", classes=("more",))
    assert describe("e").notes == [
        "left out: 3 images in e/more/, which is neither train, val nor test",
        "e/test has no images of box",
    ]


def test_folders_below_a_class_belong_to_it_and_are_said() -> None:
    write_tree("d", classes=("cat", "dog"))
    write_file("d/cat/big/0.png")
    folder = describe()
    assert counts(folder) == {"train": {"cat": 4, "dog": 3}}
    assert folder.notes == ["class 'cat' has images in folders below it too: big"]


def test_folders_beside_the_one_that_is_read_with_the_same_classes_are_named() -> None:
    for name in ("fold1/cam_a/2019", "fold1/cam_a/2020", "fold1/cam_b/2019", "fold2/cam_a/2019"):
        write_tree(f"d/{name}", classes=("cat", "dog"))
    write_tree("d/fold3/cam_a/2019", classes=("house", "tree"))
    assert describe("d/fold1/cam_a/2019").notes == [
        "not used: 3 folders beside d/fold1/cam_a/2019 with the same classes (../2020/, "
        "../../cam_b/2019/, ../../../fold2/cam_a/2019/)"
    ]
    assert describe("d/fold3/cam_a/2019").notes == []


def test_all_issues_of_a_folder_are_in_one_message() -> None:
    write_tree("d/train")
    write_tree("d/train", classes=("cone",), extension="heic")
    write_tree("d/val")
    write_tree("d/valid")
    write_tree("d/test", classes=("disk",))
    with pytest.raises(DataError) as error:
        describe().check()
    first, *issues = str(error.value).split("\n  ")
    assert (first, len(issues)) == ("d: 3 problems", 3)
    assert issues[0].startswith("d has val/ and valid/")
    assert issues[1].startswith("class folder without images that can be read: d/train/cone")
    assert issues[2] == (
        "d/test has the class 'disk' that training never saw; add training images of it, move it "
        "elsewhere, or name the classes in data.classes"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: write_file("d"), "d is a file, not a folder; unpack an archive first"),
        (lambda: Path("d").mkdir(), "d has no images; .png, "),
        (
            lambda: write_file("d/a.heic"),
            "d has no images that can be read: .heic 1; such as d/a.heic; convert",
        ),
        (
            lambda: (write_file("d/a.png"), write_file("d/labels.csv")),
            "d has no class folders; put each class's images into its own, or name a table of their labels (data.labels): d/labels.csv",
        ),
    ],
)
def test_a_folder_without_classes_says_what_it_holds(make: Any, message: str) -> None:
    make()
    with pytest.raises(DataError) as error:
        describe().check()
    assert str(error.value).startswith(message)


def test_names_in_two_unicode_forms_are_one_class() -> None:
    composed, decomposed = (unicodedata.normalize(form, "flèche") for form in ("NFC", "NFD"))
    write_tree("d/train", classes=("arrow", composed))
    write_tree("d/test", classes=("arrow", decomposed))
    folder = describe()
    assert folder.issues == []
    assert counts(folder)["test"] == {"arrow": 3, composed: 3}
    write_tree("d/train", classes=(decomposed,))
    folder = describe()
    assert len(folder.labels) == 2
    assert any("are the same name" in note for note in folder.notes)
    # A run from before keeps the form that it was trained with.
    assert describe(labels=["arrow", decomposed]).labels == ["arrow", decomposed]


def test_names_that_differ_in_capitals_are_matched_or_said() -> None:
    write_tree("d/train", classes=("Cat", "dog"))
    write_tree("d/test", classes=("cat", "DOG"))
    folder = describe()
    assert counts(folder)["test"] == {"Cat": 3, "dog": 3}
    assert "d/test/cat is taken for class 'Cat'" in folder.notes
    write_tree("e", classes=("Cat", "cat"))
    assert describe("e").notes == ["classes 'Cat' and 'cat' differ in nothing but capitals"]


def _add(name: str) -> Any:
    return lambda: write_file(name)


def _rename(old: str, new: str) -> Any:
    def change() -> None:
        if Path(old).exists():
            os.rename(old, new)

    return change


def _link(target: str, link: str) -> Any:
    def change() -> None:
        if not Path(link).is_symlink():
            os.symlink(target, link)

    return change


def _wrap() -> None:
    """Put all of d into d/e."""
    if not Path("e").exists():
        os.rename("d", "e")
        Path("d").mkdir()
        os.rename("e", "d/e")


DIRT: list[Any] = [
    _add("d/train/bar/.hidden.png"),
    _add("d/Thumbs.db"),
    _add("d/__MACOSX/train/._x.png"),
    _add("d/train/bar/1.heic"),
    _add("d/val/box/2.mp4"),
    _add("d/labels.csv"),
    _add("d/train/loose.png"),
    _add("d/other/0.png"),
    _add("d/train/beam/below/9.png"),
    _add("d/eval/0.png"),
    _add("d/test.zip"),
    lambda: Path("d/train/empty").mkdir(exist_ok=True),
    lambda: shutil.rmtree("d/val/beam", ignore_errors=True),
    _rename("d/train", "d/learning_set"),
    _rename("d/val/bar", "d/val/BAR"),
    lambda: Path("d/dev").exists() or shutil.copytree("d/val", "d/dev", symlinks=True),
    lambda: write_tree("d/val", classes=("new",)),
    _link("nowhere", "d/val/link"),
    _rename("d/train/box", "d/train/Box"),
    _wrap,
]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_done_to_a_clean_folder_is_said(seed: int) -> None:
    """Each of some changes by itself, and several at once."""
    write_tree("d/train")
    write_tree("d/val")
    assert (describe().notes, describe().issues) == ([], [])
    rng = np.random.default_rng(seed)
    count = 1 if seed < len(DIRT) else int(rng.integers(2, 6))
    for i in [seed] if count == 1 else rng.permutation(len(DIRT))[:count]:
        try:
            DIRT[i]()
        except FileNotFoundError:  # an earlier change has moved it
            continue
    folder = describe()
    assert folder.notes or folder.issues
    if not folder.issues:
        assert folder.labels
        assert set(folder.parts["train"]) == set(folder.labels)


def test_the_one_folder_beside_a_part_that_has_its_classes_is_for_training() -> None:
    write_tree("d/fit", 3)
    write_tree("d/eval_set", 3)
    folder = describe()
    folder.check()
    assert counts(folder) == {"train": THREE, "val": THREE}
    assert "fit/ is taken for the training part" in folder.lines()


def test_a_folder_below_one_of_the_same_name_keeps_its_name_in_notes() -> None:
    write_tree("Train_Data/Train_Data", 3)
    write_tree("Train_Data/Test_Data", 3)
    assert describe("Train_Data").lines() == [
        "Train_Data/ is taken for the training part",
        "Test_Data/ is taken for the test part",
    ]
