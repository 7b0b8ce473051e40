"""What a folder of images is taken for: parts, classes, and a line for whatever is left out."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nnzoo.config.load import load_config
from nnzoo.data.image_files.folder import ImageFolder, describe_folder
from nnzoo.data.image_files.split_names import part_of
from nnzoo.data.image_files.tree import image_paths
from nnzoo.errors import DataError

CLASSES = ("bar", "beam", "box")


def write(path: str, content: bytes = b"") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)


def tree(
    root: str, count: int = 3, classes: tuple[str, ...] = CLASSES, extension: str = "png"
) -> None:
    """Empty files: only decoding looks into them."""
    for label in classes:
        for i in range(count):
            write(f"{root}/{label}/{i}.{extension}")


def describe(root: str = "d", **options: Any) -> ImageFolder:
    return describe_folder(Path(root), **options)


def counts(folder: ImageFolder) -> dict[str, dict[str, int]]:
    return {
        part: {label: len(files) for label, files in classes.items()}
        for part, classes in folder.parts.items()
    }


THREE = dict.fromkeys(CLASSES, 3)


# Parts.


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
    assert part_of(name) == part


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
        tree(f"d/{name}")
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
    tree(f"d/{train}")
    tree(f"d/{test}")
    write("d/seg_pred/seg_pred/0.jpg")
    folder = describe()
    assert folder.issues == []
    assert counts(folder) == {"train": THREE, "test": THREE}
    assert f"{train}/ is taken for the training part" in folder.notes
    assert "left out: 1 image in d/seg_pred/, which is neither train, val nor test" in folder.notes


def test_a_single_class_is_no_folder_of_classes() -> None:
    tree("d/train/cat", classes=("2019", "2020"))
    tree("d/test/cat", classes=("2019", "2020"))
    (issue,) = describe().issues
    assert issue == (
        "d/train has 1 class folder(s); a classifier needs at least two (labels come from the names of "
        "folders, not from .txt, .csv or other files)"
    )


@pytest.mark.parametrize("names", [("val", "validation"), ("dev", "eval"), ("Val", "valid")])
def test_two_folders_of_one_part_are_an_error_that_names_both(names: tuple[str, str]) -> None:
    tree("d/train")
    for name in names:
        tree(f"d/{name}")
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
        tree(f"d/{name}", classes=("bar", "beam"))
    folder = describe()
    (issue,) = folder.issues
    assert "hold no images but folders of the same names (bar, beam)" in issue
    assert f"give one of them, as d/{names[0]}" in issue
    assert folder.suggestion == f"d/{names[0]}"
    assert "data.classes" in issue


def test_some_of_the_same_names_are_enough() -> None:
    tree("d/a", classes=("cat", "dog"))
    tree("d/b", classes=("Dog", "cow"))
    assert "(dog)" in describe().issues[0]


@pytest.mark.parametrize(
    "names", [("images", "masks"), ("photos", "labels"), ("img", "ground_truth masks")]
)
def test_images_and_their_masks_are_no_classes(names: tuple[str, str]) -> None:
    tree("d", classes=names)
    (issue,) = describe().issues
    assert "look like images and their masks or labels, not classes" in issue


@pytest.mark.parametrize(
    "names",
    [("trainA", "trainB", "testA", "testB"), ("train_cats", "train_dogs", "val_cats", "val_dogs")],
)
def test_parts_in_the_names_of_classes_are_seen(names: tuple[str, ...]) -> None:
    tree("d", classes=names)
    assert "look like parts of each class" in describe().issues[0]


def test_named_classes_are_taken_at_their_word() -> None:
    for label in ("cat", "dog"):
        tree(f"d/{label}", classes=("2019", "2020"))
    tree("d", classes=("others",))
    assert "2019, 2020" in describe().issues[0]
    folder = describe(classes=["dog", "cat"])
    assert folder.issues == []
    assert counts(folder) == {"train": {"cat": 6, "dog": 6}}
    assert "left out: 3 images in d/others/, which is not among data.classes" in folder.notes
    assert "'cow' (data.classes)" not in str(folder.issues)
    tree("e/train", classes=("cat", "dog"))
    assert "no images of cow (data.classes)" in describe("e", classes=["cat", "cow"]).issues[0]


def test_a_class_may_have_the_name_of_a_part() -> None:
    tree("d", classes=("bus", "car", "train"))
    folder = describe()
    assert counts(folder) == {"train": {"bus": 3, "car": 3, "train": 3}}
    assert folder.notes == ["folder train/ is taken for a class: it holds images and no folders"]


def test_a_part_beside_what_look_like_classes_is_refused() -> None:
    tree("d", classes=("bus", "car"))
    tree("d/train", classes=("steam", "diesel"))
    (issue,) = describe().issues
    assert "'train' holds folders (diesel/ and steam/) as a part does" in issue
    assert "bus/ and car/ hold images as classes do" in issue


def test_parts_without_class_folders_are_refused() -> None:
    for part in ("train", "test"):
        write(f"d/{part}/0.png")
    write("d/train.csv")
    assert "test/ and train/ of d hold images but no class folders" in describe().issues[0]
    tree("e/test")
    write("e/train/0.png")
    assert describe("e").issues == ["e has test/ but train/ has no class folders"]


@pytest.mark.parametrize("depth", [1, 3])
def test_a_folder_around_the_folder_is_named(depth: int) -> None:
    inner = "/".join(["d", *["inside"] * depth])
    tree(inner)
    folder = describe()
    assert folder.suggestion == inner
    assert folder.issues == [f"d holds only the folder inside/, which holds folders; give {inner}"]


# What is left out.


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("below", ["", "unlabelled/", "test/"])
def test_a_part_without_labels_is_left_out_and_said(part: str, below: str) -> None:
    tree("d/train")
    for i in range(10):
        write(f"d/{part}/{below}{i}.jpg")
    folder = describe()
    assert (folder.issues, list(folder.parts)) == ([], ["train"])
    assert folder.notes[0].startswith(
        f"left out: 10 images in d/{part}/, which has no class folders"
    )


def test_files_of_other_formats_are_counted_by_what_to_do() -> None:
    tree("d")
    for i in range(12):
        write(f"d/box/{i}.HEIC")
    for name in (
        "d/bar/a.avif",
        "d/bar/b.psd",
        "d/beam/c.mp4",
        "d/more.zip",
        "d/bar/notes.txt",
        "d/labels.csv",
        "d/bar/0",
    ):
        write(name)
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
    tree("d")
    tree("d", classes=("cone",), extension="heic")
    (issue,) = describe().issues
    assert issue == (
        "class folder without images that can be read: d/cone has .heic 3; such as d/cone/0.heic; "
        "convert them to JPEG or PNG"
    )


def test_system_files_hidden_files_and_links_are_left_out_and_said() -> None:
    tree("d")
    for name in ("d/__MACOSX/bar/._0.png", "d/Thumbs.db", "d/bar/.DS_Store", "d/bar/._0.png"):
        write(name)
    os.symlink("nowhere.png", "d/bar/broken.png")
    os.symlink("..", "d/bar/loop")
    folder = describe()
    assert counts(folder) == {"train": THREE}
    assert folder.notes == [
        "left out: 2 links to a folder or to nothing (d/bar/broken.png, d/bar/loop)",
        "left out: 4 hidden or system files and folders (Thumbs.db, __MACOSX, .DS_Store, …)",
    ]


def test_links_to_images_and_to_class_folders_are_followed() -> None:
    tree("there")
    Path("d/train").mkdir(parents=True)
    for label in CLASSES:
        os.symlink(f"../../there/{label}", f"d/train/{label}")
    write("d/test/bar/0.png")
    os.symlink("../../../there/bar/0.png", "d/test/bar/1.png")
    assert counts(describe()) == {"train": THREE, "test": {"bar": 2}}


def test_loose_images_empty_folders_and_other_folders_are_left_out_and_said() -> None:
    tree("d")
    write("d/loose.png")
    Path("d/empty").mkdir()
    write("d/docs/readme.md")
    assert describe().notes == [
        "left out: 2 folders without images (d/docs/, d/empty/)",
        "left out: 1 image beside the class folders (d/loose.png)",
    ]
    tree("e/train")
    tree("e/test", classes=("bar", "beam"))
    tree("e", classes=("more",))
    assert describe("e").notes == [
        "left out: 3 images in e/more/, which is neither train, val nor test",
        "e/test has no images of box",
    ]


def test_folders_below_a_class_belong_to_it_and_are_said() -> None:
    tree("d", classes=("cat", "dog"))
    write("d/cat/big/0.png")
    folder = describe()
    assert counts(folder) == {"train": {"cat": 4, "dog": 3}}
    assert folder.notes == ["class 'cat' has images in folders below it too: big"]


def test_folders_beside_the_one_that_is_read_with_the_same_classes_are_named() -> None:
    for name in ("fold1/cam_a/2019", "fold1/cam_a/2020", "fold1/cam_b/2019", "fold2/cam_a/2019"):
        tree(f"d/{name}", classes=("cat", "dog"))
    tree("d/fold3/cam_a/2019", classes=("house", "tree"))
    assert describe("d/fold1/cam_a/2019").notes == [
        "not used: 3 folders beside d/fold1/cam_a/2019 with the same classes (../2020/, "
        "../../cam_b/2019/, ../../../fold2/cam_a/2019/)"
    ]
    assert describe("d/fold3/cam_a/2019").notes == []


def test_all_faults_of_a_folder_are_in_one_message() -> None:
    tree("d/train")
    tree("d/train", classes=("cone",), extension="heic")
    tree("d/val")
    tree("d/valid")
    tree("d/test", classes=("disk",))
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
        (lambda: write("d"), "d is a file, not a folder; unpack an archive first"),
        (lambda: Path("d").mkdir(), "d has no images; .png, "),
        (
            lambda: write("d/a.heic"),
            "d has no images that can be read: .heic 1; such as d/a.heic; convert",
        ),
        (
            lambda: (write("d/a.png"), write("d/labels.csv")),
            "d has no class folders; put each class's images into its own (d/labels.csv with labels is not",
        ),
    ],
)
def test_a_folder_without_classes_says_what_it_holds(make: Any, message: str) -> None:
    make()
    with pytest.raises(DataError) as error:
        describe().check()
    assert str(error.value).startswith(message)


# Names of classes.


def test_names_in_two_unicode_forms_are_one_class() -> None:
    composed, decomposed = (unicodedata.normalize(form, "flèche") for form in ("NFC", "NFD"))
    tree("d/train", classes=("arrow", composed))
    tree("d/test", classes=("arrow", decomposed))
    folder = describe()
    assert folder.issues == []
    assert counts(folder)["test"] == {"arrow": 3, composed: 3}
    tree("d/train", classes=(decomposed,))
    folder = describe()
    assert len(folder.labels) == 2
    assert any("are the same name" in note for note in folder.notes)
    # A run from before keeps the form that it was trained with.
    assert describe(labels=["arrow", decomposed]).labels == ["arrow", decomposed]


def test_names_that_differ_in_capitals_are_matched_or_said() -> None:
    tree("d/train", classes=("Cat", "dog"))
    tree("d/test", classes=("cat", "DOG"))
    folder = describe()
    assert counts(folder)["test"] == {"Cat": 3, "dog": 3}
    assert "d/test/cat is taken for class 'Cat'" in folder.notes
    tree("e", classes=("Cat", "cat"))
    assert describe("e").notes == ["classes 'Cat' and 'cat' differ in nothing but capitals"]


# Whole commands.


def paint(path: str, i: int = 0, size: int = 12, label: int = 0) -> None:
    pixels = np.random.default_rng(i + 100 * label).integers(0, 90, (size, size, 3))
    pixels[:, size // 3 : size // 2] += 60 * label
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def paint_tree(root: str, count: int = 10, classes: tuple[str, ...] = CLASSES) -> None:
    for k, label in enumerate(classes):
        for i in range(count):
            paint(f"{root}/{label}/{i}.png", i, label=k)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_init_writes_what_it_saw_and_train_and_predict_say_the_same(nnzoo: Any) -> None:
    paint_tree("d/Training")
    paint_tree("d/Testing", 4)
    for i in range(5):
        write(f"d/Training/box/{i}.heic")
    assert nnzoo("init", "d").code == 0
    text = Path("d.yaml").read_text()
    assert "# Training/ is taken for the training part\n" in text
    assert ".heic 5" in text
    assert "add flip: horizontal if left and right mean the same" in text
    data = load_config("d").data
    assert data.augment.flip == "none"  # type: ignore[attr-defined]
    result = nnzoo("train", "--config", "d", "-s", "train.epochs=1", "-s", "model.channels=[4]")
    assert result.code == 0
    assert "Testing/ is taken for the test part" in result.err
    assert (
        "left out: 5 files in formats that are not read (.heic 5; such as Training/box/0.heic)"
        in flat(result.err)
    )
    result = nnzoo("predict", "checkpoints/d", "d/Training/box")
    assert (result.code, len(result.out.splitlines())) == (0, 11)
    assert "note: left out: 5 files in formats that are not read (.heic 5" in result.err
    assert (
        "is in a format that is not read (convert"
        in nnzoo("predict", "checkpoints/d", "d/Training/box/0.heic").err
    )


def test_init_says_what_size_does_to_images_of_another_shape(nnzoo: Any) -> None:
    for label in CLASSES:
        for i, size in enumerate(((300, 400), (400, 300))):
            Path(f"d/{label}").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, (i, 0, 0)).save(f"d/{label}/{i}.png")
    assert nnzoo("init", "d").code == 0
    text = Path("d.yaml").read_text()
    assert (
        "# widths are 0.75 to 1.3 times the heights: images are squeezed into a square;\n" in text
    )
    config = load_config("d")
    assert (config.data.size, config.model.residual) == (64, True)  # type: ignore[attr-defined]
    assert config.train.early_stopping is not None


@pytest.mark.parametrize("inner", ["d/inside", "images"])
def test_init_gives_the_folder_that_can_train(nnzoo: Any, inner: str) -> None:
    root = Path(inner).parts[0]
    if inner == "images":
        root = "e"
        paint_tree("e/images")
        paint_tree("e/masks")
    else:
        paint_tree(inner)
    assert nnzoo("init", root).code == 0
    path = load_config(root).data.path  # type: ignore[attr-defined]
    assert path == str(Path(root, Path(inner).name).resolve())
    assert "# path: " in Path(f"{root}.yaml").read_text()
    result = nnzoo("train", "--config", root, "-s", "train.epochs=1", "-s", "model.channels=[4]")
    assert result.code == 0


def test_all_broken_images_are_named_at_once_or_skipped(nnzoo: Any) -> None:
    paint_tree("d", 12)
    write("d/bar/3.png")
    write("d/beam/5.png", Path("d/bar/0.png").read_bytes()[:120])
    write("d/box/7.png", b"<html>404</html>")
    write("d/box/8.png", b"\0\0\0\x18ftypheic")
    Path("c.yaml").write_text(
        "data: {name: image_folder, path: d, size: 8}\nmodel: {name: cnn, channels: [4]}\ntrain: {epochs: 1}\n"
    )
    result = nnzoo("train", "--config", "c")
    assert result.code == 3
    message = result.err
    for text in (
        "4 of 36 images are broken:",
        "bar/3.png: cannot identify image file (it is empty)",
        "beam/5.png: ",
        "box/7.png: cannot identify image file (it is a web page)",
        "box/8.png: cannot identify image file (it is a HEIC image)",
        "data.broken: skip",
    ):
        assert text in message
    result = nnzoo("train", "--config", "c", "-s", "data.broken=skip")
    assert result.code == 0
    assert "left out: 4 broken images (data.broken: skip): bar/3.png: " in flat(result.err)
    assert "rows: 23 train · 3 val · 6 test" in flat(result.err)


@pytest.mark.parametrize(
    ("suffix", "dtype", "top"),
    [("png", "uint16", 4000), ("tif", "uint16", 60000), ("tif", "int32", 4000)],
)
def test_broken_grey_images_of_all_parts_are_named_at_once_or_skipped(
    suffix: str, dtype: str, top: int, nnzoo: Any
) -> None:
    generator = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for label in ("bar", "box"):
            for i in range(5):
                path = Path(f"d/{part}/{label}/{i}.{suffix}")
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = generator.integers(0, top, (10, 10)).astype(dtype)
                Image.fromarray(pixels).save(path)
    broken = [f"train/bar/3.{suffix}", f"val/bar/2.{suffix}", f"test/box/4.{suffix}"]
    for name in broken:
        write(f"d/{name}", Path(f"d/{name}").read_bytes()[:60])
    Path("c.yaml").write_text(
        "data: {name: image_folder, path: d, size: 8, color: false}\nmodel: mlp\ntrain: {epochs: 1}\n"
    )
    result = nnzoo("train", "--config", "c")
    assert (result.code, "3 of 30 images are broken:" in result.err) == (3, True)
    assert all(f"{name}: " in result.err for name in broken)
    result = nnzoo("train", "--config", "c", "-s", "data.broken=skip")
    assert result.code == 0
    text = flat(result.err)
    assert "left out: 3 broken images (data.broken: skip): " in text
    assert "27 images have grey values of 16 or 32 bits" in text
    assert "rows: 9 train · 9 val · 9 test" in text


def test_wholly_broken_folders_end_also_where_broken_images_are_skipped(nnzoo: Any) -> None:
    for label in ("a", "b"):
        for i in range(12):
            write(f"d/{label}/{i}.png", b"x")
    Path("c.yaml").write_text(
        "data: {name: image_folder, path: d, size: 8, broken: skip}\nmodel: mlp\n"
    )
    result = nnzoo("train", "--config", "c")
    assert result.code == 3
    assert "24 of 24 images are broken:" in result.err
    assert "and 14 more" in result.err


def test_equal_images_in_two_splits_and_in_two_classes_are_said(nnzoo: Any) -> None:
    paint_tree("d/train")
    paint_tree("d/test", 4)
    for i in range(3):
        paint(f"d/test/bar/{i}.png", 50 + i)
    shutil.copy("d/train/bar/0.png", "d/train/box/copy.png")
    Path("c.yaml").write_text(
        "data: {name: image_folder, path: d, size: 12, split: {val: 0}}\nmodel: {name: cnn, channels: [4]}\n"
        "train: {epochs: 1}\n"
    )
    message = flat(nnzoo("train", "--config", "c").err)
    assert (
        "9 of 12 test images equal a training image, as they are decoded (test/bar/3.png and "
        "train/bar/3.png, …)"
    ) in message
    assert "1 image equal one of another class" in message


def test_predict_reads_a_folder_in_the_order_of_its_names() -> None:
    for name in ("b.png", "a/2.png", "a/1.png", "c/x/0.jpg"):
        write(f"d/{name}")
    assert list(image_paths("d")) == ["d/a/1.png", "d/a/2.png", "d/b.png", "d/c/x/0.jpg"]


def _add(name: str) -> Any:
    return lambda: write(name)


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
    lambda: (
        Path("d/val/beam/0.png").unlink(missing_ok=True)
        or shutil.rmtree("d/val/beam", ignore_errors=True)
    ),
    lambda: Path("d/train").exists() and os.rename("d/train", "d/learning_set"),
    lambda: Path("d/val/bar").exists() and os.rename("d/val/bar", "d/val/BAR"),
    lambda: Path("d/dev").exists() or shutil.copytree("d/val", "d/dev", symlinks=True),
    lambda: Path("d/val/new").exists() or tree("d/val", classes=("new",)),
    lambda: Path("d/val/link").is_symlink() or os.symlink("nowhere", "d/val/link"),
    lambda: Path("d/train/box").exists() and os.rename("d/train/box", "d/train/Box"),
    lambda: Path("e").exists() or (os.rename("d", "e"), Path("d").mkdir(), os.rename("e", "d/e")),
]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_done_to_a_clean_folder_is_said(seed: int) -> None:
    """Each of some changes by itself, and several at once."""
    tree("d/train")
    tree("d/val")
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
    tree("d/fit", 3)
    tree("d/eval_set", 3)
    folder = describe()
    folder.check()
    assert counts(folder) == {"train": THREE, "val": THREE}
    assert "fit/ is taken for the training part" in folder.lines()


def test_a_folder_below_one_of_the_same_name_keeps_its_name_in_notes() -> None:
    tree("Train_Data/Train_Data", 3)
    tree("Train_Data/Test_Data", 3)
    assert describe("Train_Data").lines() == [
        "Train_Data/ is taken for the training part",
        "Test_Data/ is taken for the test part",
    ]


def test_a_class_that_a_split_has_no_image_of_is_said(nnzoo: Any) -> None:
    for label, count in (("bar", 20), ("box", 20), ("rare", 1)):
        for i in range(count):
            Path(f"d/{label}").mkdir(parents=True, exist_ok=True)
            shade = np.full((8, 8, 3), (len(label) * 20, i, 7), np.uint8)
            Image.fromarray(shade).save(f"d/{label}/{i}.png")
    assert nnzoo("init", "d").code == 0
    result = nnzoo("train", "d.yaml", "-s", "train.epochs=1", "-s", "model.channels=[4]")
    assert "too few images for all splits: test has none of 'rare' (1 in all)" in result.err
