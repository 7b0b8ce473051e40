"""Images: your folders, the cache, and the published sets through torchvision."""

from __future__ import annotations

import bz2
import errno
import mmap
import os
import pickle
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from nnzoo.cache import cache_dir
from nnzoo.config.data_options import (
    EmnistOptions,
    ImageFolderOptions,
    RowSplit,
    ScaleOptions,
    TorchvisionOptions,
    ValSplit,
)
from nnzoo.data import dataset as dataset_module
from nnzoo.data import vision_datasets
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.image_files import cache, decode_pool
from nnzoo.data.image_files import decode as decode_module
from nnzoo.data.image_files.decode import decode_image
from nnzoo.data.image_folder import load_folder
from nnzoo.data.preprocess import Preprocess
from nnzoo.data.vision_datasets import import_torchvision, load_torchvision
from nnzoo.errors import DataError

COLOURS = {"blue": (10, 20, 200), "green": (30, 180, 40), "red": (220, 15, 25)}


def paint(
    path: str | Path, colour: tuple[int, ...] = (1, 2, 3), size: tuple[int, int] = (8, 6)
) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def make_folder(
    root: str = "pics", count: int = 4, classes: tuple[str, ...] = ("blue", "red")
) -> Path:
    for label in classes:
        for i in range(count):
            paint(f"{root}/{label}/{i}.png", (*COLOURS[label][:2], i))
    return Path(root)


def load(path: str | Path = "pics", **options: Any) -> Dataset:
    options.setdefault("size", 4)
    return load_folder(ImageFolderOptions(name="image_folder", path=str(path), **options))


def refused(path: str | Path = "pics", **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(path, **options)
    return str(error.value)


def sizes(dataset: Dataset) -> dict[str, int]:
    return {part: len(split) for part, split in dataset.splits.items()}


def whole(**options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load(split=RowSplit(val=0, test=0), **options).splits["train"].tensors()
    return x, y


# Folders.


def test_each_class_folder_is_a_class_and_each_image_a_row() -> None:
    make_folder(classes=("red", "blue", "green"))
    dataset = load(split=RowSplit(val=0, test=0))
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
    assert sizes(load(split=RowSplit(val=0, test=0))) == {"train": 4}


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
            lambda: (make_folder(), Path("pics/b").mkdir(), Path("pics/b/1.HEIC").touch()),
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
    assert not list(cache_dir().glob("*"))  # nothing half-made stays behind


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_broken_image_is_named(content: bytes) -> None:
    make_folder()
    Path("pics/blue/2.png").write_bytes(content)
    assert refused().startswith("broken image pics/blue/2.png: ")


def test_broken_images_are_named_with_the_other_faults_of_a_folder() -> None:
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


# Many images, in processes of their own.


def use_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_processes(monkeypatch)


def test_processes_decode_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    for i in range(20):  # each another colour
        paint(f"pics/red/{i}.jpg", (10 * i, 0, 255 - 10 * i))
    alone = whole()[0].clone()
    use_processes(monkeypatch)
    monkeypatch.setenv("NNZOO_CACHE", "another")
    assert torch.equal(whole()[0], alone)


def test_a_broken_image_is_named_by_a_process(two_processes: None) -> None:
    make_folder()
    Path("pics/red/7.png").write_bytes(b"no image")
    assert refused().startswith(f"broken image {Path('pics/red/7.png')}: cannot identify")
    assert not list(cache_dir().glob("*"))


def test_a_process_that_fails_is_told(two_processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    monkeypatch.setattr(decode_pool, "__name__", "nnzoo.data.nowhere")
    assert "decoding ended with 1: " in refused()


def test_processes_import_nothing_from_the_folder_they_start_in(two_processes: None) -> None:
    make_folder()
    Path("json.py").write_text("raise SystemExit('taken for the library')")
    assert len(whole()[0]) == 8


def test_pages_that_go_back_to_the_system_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    pixels = whole()[0].clone()
    monkeypatch.setattr(dataset_module.MappedFile, "RESIDENT", 0)
    split = load(split=RowSplit(val=0, test=0)).splits["train"]
    assert isinstance(split, TensorSplit) and split.pages is not None
    for row in range(len(split)):
        assert torch.equal(split.batch(torch.tensor([row]))[0][0], pixels[row])
        assert split.pages.touched == 0


def test_a_cache_larger_than_memory_is_only_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def __new__(cls, *arguments: Any, access: int) -> Any:
            if access == mmap.ACCESS_COPY:
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return super().__new__(cls, *arguments, access=access)

    make_folder()
    before = whole()[0].clone()
    monkeypatch.setattr(cache.mmap, "mmap", Refusing)
    assert torch.equal(whole()[0], before)


# The cache.


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images that were decoded, in turn."""
    seen: list[Path] = []

    def record(file: Path, *arguments: Any) -> np.ndarray:
        seen.append(file)
        return decode_image(file, *arguments)

    monkeypatch.setattr(decode_pool, "decode_image", record)
    return seen


def test_the_second_reading_comes_from_the_cache(decoded: list[Path]) -> None:
    make_folder()
    first = whole()
    assert len(decoded) == 8
    again = whole()
    assert len(decoded) == 8
    assert torch.equal(first[0], again[0])


@pytest.mark.parametrize("change", ["content", "new file", "size", "grey"])
def test_the_cache_is_made_anew_where_anything_changed(change: str, decoded: list[Path]) -> None:
    make_folder()
    first = whole()[0]
    if change == "content":
        paint("pics/red/0.png", (9, 9, 9))
        os.utime("pics/red/0.png", ns=(1, 1))
    elif change == "new file":
        paint("pics/red/new.png")
    second = whole(**{"size": {"size": 5}, "grey": {"color": False}}.get(change, {}))[0]
    assert len(decoded) == (17 if change == "new file" else 16)
    if change == "content":
        assert (second[4] == 9).all()
        assert torch.equal(second[:4], first[:4])


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY rubbish", b"rubbish"])
def test_a_damaged_cache_is_made_anew(content: bytes) -> None:
    make_folder()
    first = whole()[0].clone()
    (cache,) = cache_dir().glob("*.npy")
    cache.unlink()  # a new file: the old one may still be mapped
    cache.write_bytes(content)
    assert torch.equal(whole()[0], first)


def test_writing_into_the_rows_never_changes_the_cache() -> None:
    make_folder()
    before = whole()[0].clone()
    split = load(split=RowSplit(val=0, test=0)).splits["train"]
    assert isinstance(split, TensorSplit)
    split.x.fill_(7)
    assert torch.equal(whole()[0], before)


def test_a_cache_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    Path("file").touch()
    monkeypatch.setenv("NNZOO_CACHE", "file/below")
    assert refused() == (
        "cannot write the image cache file/below: Not a directory; NNZOO_CACHE names another folder"
    )


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only where space can be reserved")
def test_a_full_disk_is_told_before_anything_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    make_folder()
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert refused().endswith("No space left on device; NNZOO_CACHE names another folder")
    assert not list(cache_dir().glob("*"))


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNZOO_CACHE", "mine")
    assert cache_dir() == Path("mine")
    monkeypatch.delenv("NNZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/nnzoo")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "nnzoo"


# Images of every sort.


def decode(image: Any, name: str = "p.png", color: bool = True, **save: Any) -> np.ndarray:
    image.save(name, **save)
    return decode_image(Path(name), image.height, image.width, color)


def test_size_is_height_then_width() -> None:
    make_folder()
    assert str(load(size=[3, 5]).spec.input) == "image 3×3×5"
    assert str(load(size=[3, 5], color=False).spec.input) == "image 1×3×5"


def test_a_grey_image_has_three_equal_channels_in_colour() -> None:
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert (decode(Image.fromarray(array)) == array).all()


def test_colour_becomes_grey_by_its_brightness() -> None:
    grey = decode(Image.new("RGB", (2, 2), (255, 0, 0)), color=False)
    assert grey.shape == (1, 2, 2)
    assert (grey == 76).all()


def test_transparent_pixels_lie_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    assert decode(image)[:, 0].T.tolist() == [[200, 0, 0], [255, 255, 255]]
    grey = Image.new("LA", (2, 1), (40, 255))
    grey.putpixel((1, 0), (40, 0))
    assert decode(grey, color=False).tolist() == [[[40, 255]]]


def test_palette_images_have_their_colours_and_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decode(image)[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60]]
    half = decode(image, transparency=b"\x00\xff")
    assert half[:, 0].T.tolist() == [[255, 255, 255], [40, 50, 60]]
    assert decode(image, "p.gif")[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60]]


def test_black_and_white_and_cmyk_images_are_read() -> None:
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    assert decode(bits, color=False).tolist() == [[[0, 255]]]
    assert decode(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "p.jpg").min() == 255


@pytest.mark.parametrize("name", ["p.png", "p.tif"])
@pytest.mark.parametrize("color", [True, False])
def test_sixteen_bits_are_cut_to_eight_and_not_to_white(name: str, color: bool) -> None:
    array = np.array([[0, 255, 256, 0x8000, 0xFFFF]], dtype=np.uint16)
    got = decode(Image.fromarray(array), name, color)
    assert (got == [[0, 0, 1, 128, 255]]).all()


def float_tiff(pixels: np.ndarray, path: str = "p.tif", deflate: bool = False) -> None:
    """Write floating-point pixels (height, width[, channels]) as programs of science do."""
    content = pixels.tobytes()
    content = zlib.compress(content) if deflate else content
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    tags = ImageFileDirectory_v2()
    values = {
        256: width,
        257: height,
        258: (8 * pixels.itemsize,) * channels,
        259: 8 if deflate else 1,
        262: 2 if channels == 3 else 1,
        277: channels,
        278: height,
        279: len(content),
        339: (3,) * channels,
    }
    for tag, value in values.items():
        tags[tag] = value
    tags[273] = 0  # what follows the tags: Pillow adds where that is
    Path(path).write_bytes(b"II*\0\x08\0\0\0" + tags.tobytes(8) + content)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_floating_point_pixels_from_0_to_1_are_black_to_white(
    dtype: Any, deflate: bool, channels: int
) -> None:
    values = np.array([[0, 0.25, 0.5, 1.0]], dtype=dtype)
    pixels = values if channels == 1 else np.stack([values, values, values], 2)
    float_tiff(pixels, deflate=deflate)
    got = decode_image(Path("p.tif"), 1, 4, channels == 3)
    assert (got == [[0, 64, 128, 255]]).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 100, 255], [0, 1, 100, 255]),
        ([0, 256, 0x8000, 0xFFFF], [0, 1, 128, 255]),
        ([-0.01, 0, 1, 1.02], [0, 0, 255, 255]),
    ],
)
def test_floating_point_pixels_are_read_by_their_largest(
    values: list[float], expected: list[int]
) -> None:
    Image.fromarray(np.array([values], np.float32)).save("p.tif")
    assert decode_image(Path("p.tif"), 1, 4, False).tolist() == [[expected]]


def test_floating_point_images_of_a_folder_have_one_scale_and_are_named() -> None:
    no_split = RowSplit(val=0, test=0)
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


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([np.nan, 1], "some pixel values are no finite numbers"),
        ([np.inf, 1], "some pixel values are no finite numbers"),
        ([-1, 1], "negative pixel values have no fixed range"),
    ],
)
def test_pixels_without_a_range_are_refused(values: list[float], reason: str) -> None:
    Image.fromarray(np.array([values], np.float32)).save("p.tif")
    with pytest.raises(DataError, match=rf"broken image p\.tif: {reason}"):
        decode_image(Path("p.tif"), 1, 2, True)


def test_a_float_tiff_of_another_layout_or_cut_short_is_refused_with_the_reason() -> None:
    float_tiff(np.zeros((2, 2, 4), np.float32))
    with pytest.raises(DataError, match="floating-point values in a layout that is not read"):
        decode_image(Path("p.tif"), 2, 2, True)
    float_tiff(np.zeros((9, 9, 3), np.float64))
    Path("p.tif").write_bytes(Path("p.tif").read_bytes()[:-8])
    with pytest.raises(DataError, match="image file is truncated"):
        decode_image(Path("p.tif"), 2, 2, True)


@pytest.mark.parametrize("name", ["p.jpg", "p.png"])
def test_images_stand_upright_as_their_camera_says(name: str) -> None:
    image = Image.new("RGB", (32, 16))
    image.paste((255, 255, 255), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(name, exif=exif)
    got = decode_image(Path(name), 32, 16, False)[0]
    assert got.shape == (32, 16)
    assert got[:15].min() > 230
    assert got[17:].max() < 25


def test_a_large_jpeg_decoded_at_a_fraction_looks_like_the_whole_one_resized() -> None:
    rough = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    rough.resize((480, 360), Image.Resampling.BICUBIC).save("p.jpg", quality=95)
    with Image.open("p.jpg") as image:
        slow = np.asarray(image.convert("RGB").resize((80, 60), Image.Resampling.BILINEAR))
    fast = decode_image(Path("p.jpg"), 60, 80, True).transpose(1, 2, 0)
    assert np.abs(fast.astype(int) - slow.astype(int)).mean() < 4


@pytest.mark.parametrize("limit", ["nnzoo", "Pillow's warning", "Pillow's error"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    paint("pics/red/bomb.png", size=(100, 100))
    if limit == "nnzoo":
        monkeypatch.setattr(decode_module, "MAX_PIXELS", 9_999)
    else:
        pixels = 9_000 if limit == "Pillow's warning" else 4_000
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
        monkeypatch.setattr(decode_module, "MAX_PIXELS", 9_500)
    assert "image pics/red/bomb.png: image too large; at most 9," in refused()


def test_real_images_are_read(shared_data: Path) -> None:
    dataset = load(shared_data / "images", size=32)
    assert dataset.spec.labels == ["airplane", "cat", "ship"]
    assert sizes(dataset) == {"train": 540, "val": 60, "test": 150}


# Published sets.


def idx(path: str | Path, array: np.ndarray) -> None:
    """An IDX file of bytes, as LeCun wrote them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    Path(path).write_bytes(head + array.astype(np.uint8).tobytes())


def images(rows: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 256, (rows, *shape), np.uint8)


def published(name: str, **options: Any) -> Dataset:
    options.setdefault("split", ValSplit(val=0))
    cls: Any = EmnistOptions if name == "emnist" else TorchvisionOptions
    return load_torchvision(cls(name=name, **{"root": "root", **options}))


def test_torchvision_is_imported_beside_a_torch_it_was_not_built_for() -> None:
    # A process of its own: the first import is the one that fails.
    code = (
        "from nnzoo.data.vision_datasets import import_torchvision as load\n"
        "first, again = load('torchvision.datasets'), load('torchvision.datasets')\n"
        "assert first is again and first.MNIST\n"
        "import sys, torchvision; assert torchvision.datasets is first\n"
        "assert 'torch._dynamo' not in sys.modules\n"  # which takes a second
        "from torchvision import models, ops; from torchvision.transforms import v2\n"
        "assert models.resnet18 and ops.nms and v2.Compose\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_another_failure_of_the_import_is_not_hidden(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "faulty_module.py").write_text("raise RuntimeError('something else')")
    monkeypatch.syspath_prepend(own_folder)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision("faulty_module")


def test_mnist_is_the_original(shared_data: Path) -> None:
    dataset = published("mnist", root=str(shared_data))
    assert sizes(dataset) == {"train": 60_000, "test": 10_000}
    assert dataset.splits["train"].targets()[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.splits["test"].targets()[:5].tolist() == [7, 2, 1, 0, 4]
    assert (dataset.spec.labels, str(dataset.spec.input)) == (
        [str(i) for i in range(10)],
        "image 1×28×28",
    )
    x = dataset.splits["train"].tensors()[0]
    assert (x.dtype, int(x[0].long().sum())) == (torch.uint8, 27525)
    held = published("mnist", root=str(shared_data), split=ValSplit())
    assert sizes(held) == {"train": 54_000, "val": 6_000, "test": 10_000}


def test_the_root_comes_from_the_environment_where_none_is_given(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNZOO_DATA", str(shared_data))
    assert sizes(published("mnist", root=None))["test"] == 10_000


@pytest.mark.parametrize(
    ("name", "folder", "labels"),
    [
        ("mnist", "MNIST", ["0", "1"]),
        ("fashion_mnist", "FashionMNIST", ["T-shirt/top", "Trouser"]),
        ("kmnist", "KMNIST", ["o", "ki"]),
    ],
)
def test_sets_in_idx_files_keep_their_images_and_labels(
    name: str, folder: str, labels: list[str]
) -> None:
    for part, rows in (("train", 12), ("t10k", 7)):
        idx(f"root/{folder}/raw/{part}-images-idx3-ubyte", images(rows, 28, 28))
        idx(f"root/{folder}/raw/{part}-labels-idx1-ubyte", np.arange(rows) % 10)
    dataset = published(name)
    assert dataset.spec.labels[:2] == labels
    for part, rows in (("train", 12), ("test", 7)):
        x, y = dataset.splits[part].tensors()
        np.testing.assert_array_equal(x[:, 0], images(rows, 28, 28))
        assert y.tolist() == [i % 10 for i in range(rows)]


@pytest.mark.parametrize(
    ("subset", "first", "labels"),
    [("balanced", 0, ["0", "1"]), ("letters", 1, ["a", "b"]), ("digits", 0, ["0", "1"])],
)
def test_emnist_stands_upright_and_letters_count_from_zero(
    subset: str, first: int, labels: list[str]
) -> None:
    for part, rows in (("train", 12), ("test", 7)):
        start = f"root/EMNIST/raw/emnist-{subset}-{part}"
        idx(f"{start}-images-idx3-ubyte", images(rows, 28, 28))
        idx(f"{start}-labels-idx1-ubyte", np.arange(rows) % 10 + first)
    dataset = published("emnist", subset=subset)
    assert dataset.spec.labels[:2] == labels
    x, y = dataset.splits["test"].tensors()
    # The files hold every image mirrored along its diagonal.
    np.testing.assert_array_equal(x[:, 0], images(7, 28, 28).transpose(0, 2, 1))
    assert y.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_usps_keeps_its_images_and_labels() -> None:
    Path("root").mkdir()
    grey = images(4, 16, 16)
    lines = [
        f"{i + 1} "
        + " ".join(f"{j + 1}:{v / 255 * 2 - 1:.6f}" for j, v in enumerate(image.ravel()))
        for i, image in enumerate(grey)
    ]
    for name in ("usps.bz2", "usps.t.bz2"):
        Path("root", name).write_bytes(bz2.compress("\n".join(lines).encode()))
    dataset = published("usps")
    x, y = dataset.splits["train"].tensors()
    assert np.abs(x[:, 0].numpy().astype(int) - grey).max() <= 1
    assert (y.tolist(), dataset.spec.labels[0]) == ([0, 1, 2, 3], "0")


def test_svhn_keeps_its_images_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    monkeypatch.setattr(
        import_torchvision("torchvision.datasets").SVHN, "_check_integrity", lambda self: True
    )
    Path("root").mkdir()
    colour = images(5, 32, 32, 3)
    classes = np.array([[1], [2], [10], [9], [10]])  # 10 stands for zero
    for part in ("train", "test"):
        savemat(f"root/{part}_32x32.mat", {"X": colour.transpose(1, 2, 3, 0), "y": classes})
    x, y = published("svhn").splits["train"].tensors()
    np.testing.assert_array_equal(x, colour.transpose(0, 3, 1, 2))
    assert y.tolist() == [1, 2, 0, 9, 0]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_keeps_its_images_and_labels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_torchvision("torchvision.datasets.cifar")
    monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: os.path.isfile(path))
    cls = getattr(module, name.upper())
    folder = Path("root", cls.base_folder)
    folder.mkdir(parents=True)
    colour = images(6, 3, 32, 32)
    key = "labels" if name == "cifar10" else "fine_labels"
    batch = {"data": colour.reshape(6, -1), key: [3, 1, 4, 1, 5, 9]}
    for file, _ in cls.train_list + cls.test_list:
        (folder / file).write_bytes(pickle.dumps(batch))
    words = [f"word{i}" for i in range(10 if name == "cifar10" else 100)]
    (folder / cls.meta["filename"]).write_bytes(pickle.dumps({cls.meta["key"]: words}))
    dataset = published(name)
    x, y = dataset.splits["test"].tensors()
    np.testing.assert_array_equal(x, colour)
    assert (y.tolist(), dataset.spec.labels) == ([3, 1, 4, 1, 5, 9], words)
    assert len(dataset.splits["train"]) == 6 * len(cls.train_list)


@pytest.fixture
def no_internet(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The patience that each attempt to download was made with."""
    attempts: list[float | None] = []

    def fail(*arguments: Any, **options: Any) -> None:
        attempts.append(socket.getdefaulttimeout())
        raise urllib.error.URLError("no such host")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    return attempts


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "root/MNIST/raw/train-images-idx3-ubyte.gz and its three companions"),
        (
            "fashion_mnist",
            "root/FashionMNIST/raw/train-images-idx3-ubyte.gz and its three companions",
        ),
        ("kmnist", "root/KMNIST/raw/train-images-idx3-ubyte.gz and its three companions"),
        ("emnist", "root/EMNIST/raw/gzip.zip"),
        ("cifar10", "root/cifar-10-python.tar.gz"),
        ("cifar100", "root/cifar-100-python.tar.gz"),
        ("svhn", "root/train_32x32.mat and test_32x32.mat"),
        ("usps", "root/usps.bz2 and usps.t.bz2"),
    ],
)
def test_where_a_download_fails_the_place_for_the_files_is_told(
    name: str, place: str, no_internet: list[float | None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError) as error:
        published(name)
    message = str(error.value)
    assert message.startswith(f"'{name}' is not in root and its download failed (")
    assert "no such host" in message
    assert message.endswith(
        f"). Place the files by hand: {place}; or name their folder with data.root or NNZOO_DATA"
    )
    assert no_internet
    assert all(patience == vision_datasets.DOWNLOAD_TIMEOUT for patience in no_internet)
    assert socket.getdefaulttimeout() is None
    assert capsys.readouterr().out == ""


def test_the_command_ends_with_exit_code_3_where_a_download_fails(
    nnzoo: Any, no_internet: list[float | None]
) -> None:
    Path("c.yaml").write_text("data: {name: mnist, root: root}\nmodel: mlp\n")
    began = time.monotonic()
    result = nnzoo("train", "--config", "c.yaml")
    assert (result.code, result.out) == (3, "")
    assert "Placethefilesbyhand:" in "".join(result.err.split())
    assert time.monotonic() - began < 20


def test_a_compressed_file_placed_by_hand_is_unpacked_without_the_internet(
    no_internet: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip
    import hashlib

    cls = import_torchvision("torchvision.datasets").FashionMNIST
    resources = []
    for file, _ in cls.resources:
        part = np.arange(8) % 10 if "labels" in file else images(8, 28, 28)
        target = Path("root/FashionMNIST/raw") / file
        idx(target, part)
        target.write_bytes(gzip.compress(target.read_bytes()))
        resources.append((file, hashlib.md5(target.read_bytes()).hexdigest()))
    monkeypatch.setattr(cls, "resources", resources)
    assert sizes(published("fashion_mnist")) == {"train": 8, "test": 8}
    assert not no_internet


def test_files_that_cannot_be_read_are_told_apart_from_missing_ones(
    no_internet: list[float | None],
) -> None:
    for part in ("train", "t10k"):
        idx(f"root/MNIST/raw/{part}-images-idx3-ubyte", images(3, 28, 28))
        Path(f"root/MNIST/raw/{part}-labels-idx1-ubyte").write_bytes(b"\0\0")
    with pytest.raises(DataError, match="'mnist': the files in root cannot be read: "):
        published("mnist")
    assert not no_internet


# What strangers send.


def test_only_the_common_formats_are_opened() -> None:
    Path("a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    Image.new("RGB", (4, 4)).save("b.png", "TGA")
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match=f"broken image {name}: cannot identify"):
            decode_image(Path(name), 4, 4, True)
    for extension in (".png", ".jpg", ".bmp", ".gif", ".webp", ".tif", ".ppm"):
        Image.new("RGB", (4, 4)).save(f"c{extension}")
        assert decode_image(Path(f"c{extension}"), 4, 4, True).shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("format", "at", "size"),
    [
        ("GIF", 6, struct.pack("<HH", 60_000, 60_000)),
        ("BMP", 18, struct.pack("<ii", 60_000, 60_000)),
        ("PNG", 16, struct.pack(">II", 60_000, 60_000)),
    ],
)
def test_a_size_that_is_only_claimed_is_refused_before_decoding(
    format: str, at: int, size: bytes
) -> None:
    Image.new("RGB", (4, 4)).save("x", format)
    data = bytearray(Path("x").read_bytes())
    data[at : at + len(size)] = size
    if format == "PNG":
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    Path("x").write_bytes(data)
    with pytest.raises(DataError, match="x: image too large; at most 100,000,000 pixels"):
        decode_image(Path("x"), 4, 4, True)


def test_text_in_a_image_that_unpacks_to_gigabytes_is_refused() -> None:
    paint("x.png")
    data = Path("x.png").read_bytes()
    text = b"zTXtk\0\0" + zlib.compress(b"x" * 50_000_000)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    Path("x.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(DataError, match=r"broken image x\.png: Decompressed data too large"):
        decode_image(Path("x.png"), 4, 4, True)


def test_pipes_and_devices_among_the_images_are_no_images() -> None:
    make_folder(count=3)
    os.mkfifo("pics/red/pipe.png")
    Path("pics/red/zero.png").symlink_to("/dev/zero")
    assert len(load(split=RowSplit(val=0, test=0)).splits["train"]) == 6


def test_a_size_at_which_the_images_do_not_fit_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_folder()
    monkeypatch.setattr(dataset_module, "total_memory", lambda: 3_000_000_000)
    assert refused(size=10_000) == (
        "64 images of 10000×10000, float32, would take 76.8 GB, and this machine has 3.0 GB; "
        "set a smaller data.size"
    )
    assert not Path("cache").exists()


def test_nothing_is_downloaded_to_a_root_that_comes_out_of_a_checkpoint(
    no_internet: list[float | None],
) -> None:
    with pytest.raises(DataError) as error:
        load_torchvision(TorchvisionOptions(name="mnist", root="root"), {"labels": []})
    assert str(error.value) == "'mnist' is not in root; 'nnzoo train' downloads it"
    assert not no_internet
    assert not Path("root").exists()


def test_a_cache_goes_by_a_hash_and_nothing_in_it_is_run() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (Path("evil"),))

    make_folder("pics;..$x")
    first = load("pics;..$x").splits["train"].tensors()[0]
    (cached,) = Path("cache").glob("*.npy")
    assert re.fullmatch(r"[0-9a-f]{32}\.npy", cached.name)
    np.save(cached, np.array([Evil()], dtype=object), allow_pickle=True)
    assert torch.equal(load("pics;..$x").splits["train"].tensors()[0], first)
    assert not Path("evil").exists()


def test_splits_of_a_folder_share_the_mapped_cache() -> None:
    """No split is a copy: what is mapped costs no memory until it is looked at."""
    make_folder(count=12)
    dataset = load("pics", split=RowSplit(val=0.25, test=0.25))
    splits = list(dataset.splits.values())
    assert len(splits) == 3
    assert len({split.x.data_ptr() for split in splits}) == 1
    assert sorted(torch.cat([split.rows for split in splits]).tolist()) == list(range(24))
    for split in splits:
        copied = TensorSplit(*split.tensors())
        for a, b in zip(
            split.batch(torch.tensor([3, 0])), copied.batch(torch.tensor([3, 0])), strict=True
        ):
            assert torch.equal(a, b)
        assert split.to(torch.device("cpu")) is split
        assert split.to(torch.device("meta")).rows is None
    for options in (
        ScaleOptions(),
        ScaleOptions(scale="minmax"),
        ScaleOptions(scale="none"),
        ScaleOptions(pca=3),
    ):
        fitted = []
        for train in (splits[0], TensorSplit(*splits[0].tensors())):
            preprocess = Preprocess(options, dataset.spec)
            preprocess.fit(train)
            fitted.append(preprocess.state_dict())
        for name, tensor in fitted[0].items():
            torch.testing.assert_close(tensor, fitted[1][name], rtol=1e-12, atol=1e-12)
