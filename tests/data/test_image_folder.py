"""Folders of images as data sets: splits, broken and equal images, values, and notes."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.cache import cache_dir
from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.config.load import load_config
from nnzoo.config.preprocess_options import ScaleOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data import dataset as dataset_module
from nnzoo.data.dataset import TensorSplit
from nnzoo.data.image_files.decode import decode_image
from nnzoo.data.image_folder import load_folder
from nnzoo.data.preprocess import Preprocess
from nnzoo.errors import DataError
from tests.data.image_files.folders import (
    CLASSES,
    COLOURS,
    load,
    load_rows,
    make_folder,
    paint,
    pixels,
    refused,
    save_pixels,
    sizes,
    whole,
    write_colors,
    write_file,
)


def test_each_class_folder_is_a_class_and_each_image_a_row() -> None:
    make_folder(classes=("red", "blue", "green"))
    dataset = load(split=GroupSplit(val=0, test=0))
    assert (dataset.spec.labels, str(dataset.spec.input)) == (
        ["blue", "green", "red"],
        "image 3×4×4",
    )
    x, y = dataset.splits["train"].tensors()
    assert (x.dtype, y.tolist()) == (torch.uint8, [0] * 4 + [1] * 4 + [2] * 4)
    for label, rows in (("blue", x[:4]), ("green", x[4:8]), ("red", x[8:])):
        expected = torch.tensor([[*COLOURS[label][:2], i] for i in range(4)])
        assert torch.equal(rows[:, :, 0, 0].long(), expected)
        assert (rows == rows[:, :, :1, :1]).all()


def test_without_part_folders_the_rows_are_split() -> None:
    make_folder(count=10)
    dataset = load()
    assert sizes(dataset) == {"train": 14, "val": 2, "test": 4}
    assert torch.bincount(dataset.splits["test"].targets()).tolist() == [2, 2]


@pytest.mark.parametrize("val", [None, "val", "valid", "validation"])
def test_part_folders_are_the_parts_and_only_missing_ones_are_drawn(val: str | None) -> None:
    make_folder("pics/train", 10)
    make_folder("pics/test", 3)
    if val:
        make_folder(f"pics/{val}", 2)
    assert sizes(load()) == {"train": 20 if val else 18, "val": 4 if val else 2, "test": 6}


@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("TRAIN", "Validation", "TEST")])
def test_part_folders_may_have_capitals(names: tuple[str, str, str]) -> None:
    for name, count in zip(names, (10, 2, 3), strict=True):
        make_folder(f"pics/{name}", count)
    assert sizes(load()) == {"train": 20, "val": 4, "test": 6}


def test_hidden_files_and_folders_and_other_files_are_ignored() -> None:
    make_folder(count=2)
    for name in ("._0.png", ".thumbs/1.png", "deep/.cache/2.png"):
        paint(f"pics/red/{name}")
    paint("pics/.trash/0.png")
    paint("pics/loose.png")
    Path("pics/red/notes.txt").write_text("no image")
    assert sizes(load(split=GroupSplit(val=0, test=0))) == {"train": 4}


def test_images_in_folders_below_a_class_belong_to_it() -> None:
    make_folder(count=2)
    paint("pics/red/more/deep.JPG")
    assert whole()[1].tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda: None, "no folder pics"),
        (
            lambda: paint("pics/a.png"),
            "pics has no class folders; put each class's images into its own",
        ),
        (
            lambda: make_folder(classes=("red",)),
            "pics has 1 class folder(s); a classifier needs at least two (labels come from the names of "
            "folders, not from .txt, .csv or other files)",
        ),
        (
            lambda: (make_folder(), write_file("pics/b/1.HEIC")),
            "class folder without images that can be read: pics/b has .HEIC 1; such as pics/b/1.HEIC; "
            "convert them to JPEG or PNG",
        ),
        (
            lambda: (make_folder("pics/train"), make_folder("pics/test", classes=("green",))),
            "pics/test has the class 'green' that training never saw; add training images of it, move it "
            "elsewhere, or name the classes in data.classes",
        ),
        (lambda: make_folder("pics/test"), "pics has test/ but no train/"),
        (lambda: make_folder("pics/Test"), "pics has Test/ but no train/"),
    ],
)
def test_a_faulty_folder_is_refused_with_its_name(prepare: Any, message: str) -> None:
    prepare()
    assert refused() == message


def test_the_command_names_a_broken_image_and_ends_with_exit_code_3(nnzoo: Any) -> None:
    make_folder()
    whole_image = Path("pics/red/1.png").read_bytes()
    Path("pics/red/1.png").write_bytes(whole_image[:40])
    Path("c.yaml").write_text("data: {name: image_folder, path: pics, size: 8}\nmodel: mlp\n")
    result = nnzoo("train", "--config", "c.yaml")
    assert (result.code, result.out) == (3, "")
    text = "".join(result.err.split())
    assert "brokenimage" in text
    assert "pics/red/1.png" in text
    assert "repairorremoveit" in text
    assert {path.name for path in cache_dir().glob("*")} <= {
        "native"
    }  # nothing half-made stays behind


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_broken_image_is_named(content: bytes) -> None:
    make_folder()
    Path("pics/blue/2.png").write_bytes(content)
    assert refused().startswith("broken image pics/blue/2.png: ")


def test_broken_images_are_named_with_the_other_issues_of_a_folder() -> None:
    make_folder("pics/train")
    make_folder("pics/val")
    make_folder("pics/valid")
    Path("pics/train/blue/2.png").write_bytes(b"")
    first, *problems = refused().split("\n  ")
    assert (first, len(problems)) == ("pics: 2 problems", 2)
    assert problems[0].startswith("pics has val/ and valid/")
    assert problems[1].startswith("broken image pics/train/blue/2.png: ")
    assert refused(broken="skip").startswith("pics has val/ and valid/")


def test_a_jpeg_cut_short_is_named() -> None:
    rng = np.random.default_rng(0)
    Path("a.jpg").touch()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save("a.jpg")
    Path("a.jpg").write_bytes(Path("a.jpg").read_bytes()[:900])
    with pytest.raises(DataError, match=r"broken image a\.jpg: image file is truncated"):
        decode_image(Path("a.jpg"), 16, 16, True)


def test_floating_point_images_of_a_folder_have_one_scale_and_are_named() -> None:
    no_split = GroupSplit(val=0, test=0)
    for label, top in (("a", 0.25), ("b", 1.0)):
        Path("pics", label).mkdir(parents=True)
        for i in range(4):
            pixels = np.full((4, 4), top * (i + 1) / 4, np.float32)
            Image.fromarray(pixels).save(f"pics/{label}/{i}.tif")
    dataset = load(split=no_split)
    assert sorted(set(dataset.splits["train"].tensors()[0].flatten().tolist())) == [
        16,
        32,
        48,
        64,
        128,
        191,
        255,
    ]
    assert dataset.spec.bits == 0
    (note,) = [note for note in dataset.notes if "floating" in note]
    assert note == "8 images have floating-point values (a/0.tif): 0 is black and 1 white"
    again = load_folder(
        ImageFolderOptions(name="image_folder", path="pics", size=4, split=no_split), dataset.spec
    )
    assert again.fingerprint() == dataset.fingerprint()
    for i in range(4):
        Image.fromarray(np.full((4, 4), 60 * i, np.float32)).save(f"pics/b/{i}.tif")
    dataset = load(split=no_split)
    assert sorted(set(dataset.splits["train"].tensors()[0].flatten().tolist())) == [0, 60, 120, 180]
    assert "8 images have floating-point values (a/0.tif): up to 180, rounded" in dataset.notes
    assert any("4 images of these come out black" in note for note in dataset.notes)


def test_real_images_are_read(shared_data: Path) -> None:
    dataset = load(shared_data / "images", size=32)
    assert dataset.spec.labels == ["airplane", "cat", "ship"]
    assert sizes(dataset) == {"train": 540, "val": 60, "test": 150}


def test_pipes_and_devices_among_the_images_are_no_images() -> None:
    make_folder(count=3)
    os.mkfifo("pics/red/pipe.png")
    Path("pics/red/zero.png").symlink_to("/dev/zero")
    assert len(load(split=GroupSplit(val=0, test=0)).splits["train"]) == 6


def test_a_size_at_which_the_images_do_not_fit_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_folder()
    monkeypatch.setattr(dataset_module, "total_memory", lambda: 3_000_000_000)
    assert refused(size=10_000) == (
        "64 images of 10000×10000, float32, would take 76.8 GB, and this machine has 3.0 GB; "
        "set a smaller data.size"
    )
    assert not list(Path("cache").glob("*.npy"))


def rows_of(split: TensorSplit) -> torch.Tensor:
    assert split.rows is not None
    return split.rows


def in_memory(split: TensorSplit) -> TensorSplit:
    x, y = split.tensors()
    return TensorSplit(x, y)


def test_splits_of_a_folder_map_one_cache() -> None:
    """No split is a copy: what is mapped costs no memory until it is looked at."""
    make_folder(count=12)
    dataset = load("pics", split=GroupSplit(val=0.25, test=0.25))
    splits = [split for split in dataset.splits.values() if isinstance(split, TensorSplit)]
    assert len(splits) == 3
    assert len({split.x.data_ptr() for split in splits}) == 1
    assert sorted(row for split in splits for row in rows_of(split).tolist()) == list(range(24))
    for split in splits:
        copied = in_memory(split)
        for a, b in zip(
            split.batch(torch.tensor([3, 0])), copied.batch(torch.tensor([3, 0])), strict=True
        ):
            assert torch.equal(a, b)
        assert split.to(torch.device("cpu")) is split
        elsewhere = split.to(torch.device("meta"))
        assert isinstance(elsewhere, TensorSplit) and elsewhere.rows is None
    for options in (
        ScaleOptions(),
        ScaleOptions(scale="minmax"),
        ScaleOptions(scale="none"),
        ScaleOptions(pca=3),
    ):
        fitted = []
        for train in (splits[0], in_memory(splits[0])):
            preprocess = Preprocess(options, dataset.spec)
            preprocess.fit(train)
            fitted.append(preprocess.state_dict())
        for name, tensor in fitted[0].items():
            torch.testing.assert_close(tensor, fitted[1][name], rtol=1e-12, atol=1e-12)


def gray(top: int, dtype: Any, name: str = "tif", root: str = "d") -> None:
    """Two classes of two images each; the largest value of all is `top`."""
    for label, values in (("a", (0, top // 4)), ("b", (top // 2, top))):
        for value in values:
            save_pixels(f"{root}/{label}/{value}.{name}", np.full((4, 4), value, dtype))


@pytest.mark.parametrize(
    ("top", "dtype", "name", "shift"),
    [
        (200, np.int32, "tif", 0),
        (255, np.uint16, "png", 0),
        (255, np.int32, "tif", 0),
        (256, np.uint16, "png", 1),
        (1023, np.uint16, "tif", 2),
        (4095, np.uint16, "png", 4),
        (40_000, np.uint16, "png", 8),
        (65_535, np.int32, "tif", 8),
        (10**6, np.int32, "tif", 12),
    ],
)
def test_values_are_scaled_by_the_largest_of_the_folder(
    top: int, dtype: Any, name: str, shift: int
) -> None:
    gray(top, dtype, name)
    dataset = load_rows()
    assert sorted(pixels(dataset)) == sorted(
        value >> shift for value in (0, top // 4, top // 2, top)
    )
    assert (dataset.spec.bits != 16) == (shift != 8)
    scale = f"divided by {1 << shift}" if shift else "taken as they are"
    assert dataset.notes == [
        f"4 images have gray values of 16 or 32 bits (a/0.{name}, …); all are below "
        f"{256 << shift:,} and {scale}"
    ]
    again = load_rows(spec=dataset.spec)
    assert pixels(again) == pixels(dataset)
    assert again.fingerprint() == dataset.fingerprint()


def test_test_images_are_scaled_as_training_ones_and_cut_where_brighter() -> None:
    gray(1000, np.uint16, root="d/train")
    gray(3000, np.uint16, root="d/test")
    dataset = load_rows()
    assert dataset.spec.bits == 10
    assert pixels(dataset, "test") == [0, 750 >> 2, 255, 255]
    assert any("with larger values than training images have" in note for note in dataset.notes)
    # The same files in another place of the run: the cache of one is not taken for the other's.
    assert load_rows("d/test").spec.bits == 12
    assert pixels(load_rows("d/test")) == [0, 750 >> 4, 1500 >> 4, 3000 >> 4]
    assert pixels(load_rows(), "test") == [0, 750 >> 2, 255, 255]


def test_an_image_that_comes_out_black_is_said() -> None:
    gray(60_000, np.uint16)
    save_pixels("d/a/dark.tif", np.full((4, 4), 200, np.uint16))
    assert "1 image of these come out black (a/dark.tif)" in load_rows().notes


def deep_png(path: str, value: int) -> None:
    """A PNG of 16 bits a color, which Pillow does not write."""
    row = b"\0" + np.full((4, 3), value, ">u2").tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    Path(path).write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    )


def test_colors_of_sixteen_bits_are_said_and_refused_where_they_come_out_black() -> None:
    for label, value in (("a", 3000), ("b", 4095)):
        deep_png(f"d/{label}/0.png", value)
    dataset = load_rows()
    assert pixels(dataset) == [11, 15]
    assert dataset.notes == [
        "2 images have colors of 16 bits, of which the upper 8 are read (a/0.png, …); the largest "
        "value is 15 of 255"
    ]
    for label in "ab":
        deep_png(f"d/{label}/1.png", 255)
    with pytest.raises(
        Exception, match=r"2 of 4 images are broken:\n  d/a/1\.png: its colors have 16"
    ):
        load_rows()


def test_transparent_and_cmyk_images_are_said() -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        save_pixels(f"d/{label}/0.png", rng.integers(0, 255, (4, 4, 3), np.uint8))
        save_pixels(f"d/{label}/opaque.png", np.full((4, 4, 4), (9, 9, ord(label), 255), np.uint8))
    save_pixels("d/a/clear.png", np.full((4, 4, 4), (9, 9, 9, 100), np.uint8))
    Image.new("CMYK", (4, 4), (200, 9, 9, 9)).save("d/b/print.jpg")
    assert load_rows().notes == [
        "1 image is transparent: laid on white (a/clear.png)",
        "1 image is CMYK: converted to red, green and blue (b/print.jpg)",
    ]


def test_equal_images_are_counted_wherever_they_are() -> None:
    write_colors()
    for name in ("d/a/7.png", "d/a/8.png"):
        shutil.copy("d/a/0.png", name)
    assert load_rows().notes == [
        "2 images equal another, as they are decoded (a/0.png and a/7.png, …)"
    ]


def test_negative_values_are_no_colors() -> None:
    gray(1000, np.int32)
    save_pixels("d/a/ct.tif", np.full((4, 4), -1000, np.int32))
    with pytest.raises(Exception, match=r"a/ct\.tif: negative pixel values have no fixed range"):
        load_rows()


def test_predict_scales_as_training_did(nnzoo: Any) -> None:
    rng = np.random.default_rng(0)
    for label, top in (("dark", 60), ("bright", 250)):
        for i in range(12):
            save_pixels(f"d/{label}/{i}.tif", rng.integers(0, top, (8, 8)).astype(np.int32))
    Path("c.yaml").write_text(
        "data: {name: image_folder, path: d, size: 8, color: false, split: {val: 0, test: 0}}\n"
        "model: mlp\ntrain: {epochs: 30}\n"
    )
    assert nnzoo("train", "--config", "c").code == 0
    for label in ("dark", "bright"):
        lines = nnzoo("predict", "checkpoints/c", f"d/{label}").out.splitlines()[1:]
        assert [line.split(",")[1] for line in lines] == [label] * 12
    save_pixels("new.tif", np.full((8, 8), 60_000, np.int32))
    assert nnzoo("predict", "checkpoints/c", "new.tif").code == 0


def test_the_first_of_several_frames_is_taken_and_said(nnzoo: Any) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "lime")]
    for label, name in (("a", "x.gif"), ("a", "y.png"), ("b", "z.tif")):
        Path(f"d/{label}").mkdir(parents=True, exist_ok=True)
        frames[0].save(f"d/{label}/{name}", save_all=name != "y.png", append_images=frames[1:])
    dataset = load_rows()
    x = dataset.splits["train"].tensors()[0]
    assert (x[:, 0] > 200).all() and (x[:, 1] < 50).all()
    assert dataset.notes[0] == (
        "2 images have several frames or pages, the first is used (a/x.gif, b/z.tif)"
    )


def paint_noise(path: str, i: int = 0, size: int = 12, label: int = 0) -> None:
    pixels = np.random.default_rng(i + 100 * label).integers(0, 90, (size, size, 3))
    pixels[:, size // 3 : size // 2] += 60 * label
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def paint_tree(root: str, count: int = 10, classes: tuple[str, ...] = CLASSES) -> None:
    for k, label in enumerate(classes):
        for i in range(count):
            paint_noise(f"{root}/{label}/{i}.png", i, label=k)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_init_writes_what_it_saw_and_train_and_predict_say_the_same(nnzoo: Any) -> None:
    paint_tree("d/Training")
    paint_tree("d/Testing", 4)
    for i in range(5):
        write_file(f"d/Training/box/{i}.heic")
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
    write_file("d/bar/3.png")
    write_file("d/beam/5.png", Path("d/bar/0.png").read_bytes()[:120])
    write_file("d/box/7.png", b"<html>404</html>")
    write_file("d/box/8.png", b"\0\0\0\x18ftypheic")
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
def test_broken_gray_images_of_all_parts_are_named_at_once_or_skipped(
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
        write_file(f"d/{name}", Path(f"d/{name}").read_bytes()[:60])
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
    assert "27 images have gray values of 16 or 32 bits" in text
    assert "rows: 9 train · 9 val · 9 test" in text


def test_wholly_broken_folders_end_also_where_broken_images_are_skipped(nnzoo: Any) -> None:
    for label in ("a", "b"):
        for i in range(12):
            write_file(f"d/{label}/{i}.png", b"x")
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
        paint_noise(f"d/test/bar/{i}.png", 50 + i)
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


def test_a_class_that_a_split_has_no_image_of_is_said(nnzoo: Any) -> None:
    for label, count in (("bar", 20), ("box", 20), ("rare", 1)):
        for i in range(count):
            Path(f"d/{label}").mkdir(parents=True, exist_ok=True)
            shade = np.full((8, 8, 3), (len(label) * 20, i, 7), np.uint8)
            Image.fromarray(shade).save(f"d/{label}/{i}.png")
    assert nnzoo("init", "d").code == 0
    result = nnzoo("train", "d.yaml", "-s", "train.epochs=1", "-s", "model.channels=[4]")
    assert "too few images for all splits: test has none of 'rare' (1 in all)" in result.err
