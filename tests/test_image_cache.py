"""Decoded images: the values of grey ones, frames, memory, and a cache that holds what was written."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.cache import cache_dir
from nnzoo.config.data_options import ImageFolderOptions, RowSplit
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.image_files import cache, decode_pool
from nnzoo.data.image_files import decode as decode_module
from nnzoo.data.image_files.decode import DecodeInfo, LargeImage, decode_image, decode_in_thread
from nnzoo.data.image_folder import load_folder
from nnzoo.status import listening


def save(path: str, pixels: Any, **options: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def load(path: str = "d", spec: DataSpec | None = None, **options: Any) -> Dataset:
    values: dict[str, Any] = {"size": 4, "split": RowSplit(val=0, test=0)}
    return load_folder(ImageFolderOptions(name="image_folder", path=path, **values | options), spec)


def pixels(dataset: Dataset, split: str = "train") -> list[int]:
    """The first pixel of each image."""
    x: torch.Tensor = dataset.splits[split].tensors()[0]
    return [int(value) for value in x[:, 0, 0, 0]]


def grey(top: int, dtype: Any, name: str = "tif", root: str = "d") -> None:
    """Two classes of two images each; the largest value of all is `top`."""
    for label, values in (("a", (0, top // 4)), ("b", (top // 2, top))):
        for value in values:
            save(f"{root}/{label}/{value}.{name}", np.full((4, 4), value, dtype))


# Grey values of more than 8 bits.


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
    grey(top, dtype, name)
    dataset = load()
    assert sorted(pixels(dataset)) == sorted(
        value >> shift for value in (0, top // 4, top // 2, top)
    )
    assert (dataset.spec.bits != 16) == (shift != 8)
    scale = f"divided by {1 << shift}" if shift else "taken as they are"
    assert dataset.notes == [
        f"4 images have grey values of 16 or 32 bits (a/0.{name}, …); all are below "
        f"{256 << shift:,} and {scale}"
    ]
    again = load(spec=dataset.spec)
    assert pixels(again) == pixels(dataset)
    assert again.fingerprint() == dataset.fingerprint()


def test_test_images_are_scaled_as_training_ones_and_cut_where_brighter() -> None:
    grey(1000, np.uint16, root="d/train")
    grey(3000, np.uint16, root="d/test")
    dataset = load()
    assert dataset.spec.bits == 10
    assert pixels(dataset, "test") == [0, 750 >> 2, 255, 255]
    assert any("with larger values than training images have" in note for note in dataset.notes)
    # The same files in another place of the run: the cache of one is not taken for the other's.
    assert load("d/test").spec.bits == 12
    assert pixels(load("d/test")) == [0, 750 >> 4, 1500 >> 4, 3000 >> 4]
    assert pixels(load(), "test") == [0, 750 >> 2, 255, 255]


def test_an_image_that_comes_out_black_is_said() -> None:
    grey(60_000, np.uint16)
    save("d/a/dark.tif", np.full((4, 4), 200, np.uint16))
    assert "1 image of these come out black (a/dark.tif)" in load().notes


def deep_png(path: str, value: int) -> None:
    """A PNG of 16 bits a colour, which Pillow does not write."""
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


def test_colours_of_sixteen_bits_are_said_and_refused_where_they_come_out_black() -> None:
    for label, value in (("a", 3000), ("b", 4095)):
        deep_png(f"d/{label}/0.png", value)
    dataset = load()
    assert pixels(dataset) == [11, 15]
    assert dataset.notes == [
        "2 images have colours of 16 bits, of which the upper 8 are read (a/0.png, …); the largest "
        "value is 15 of 255"
    ]
    for label in "ab":
        deep_png(f"d/{label}/1.png", 255)
    with pytest.raises(
        Exception, match=r"2 of 4 images are broken:\n  d/a/1\.png: its colours have 16"
    ):
        load()


def test_transparent_and_cmyk_images_are_said() -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        save(f"d/{label}/0.png", rng.integers(0, 255, (4, 4, 3), np.uint8))
        save(f"d/{label}/opaque.png", np.full((4, 4, 4), (9, 9, ord(label), 255), np.uint8))
    save("d/a/clear.png", np.full((4, 4, 4), (9, 9, 9, 100), np.uint8))
    Image.new("CMYK", (4, 4), (200, 9, 9, 9)).save("d/b/print.jpg")
    assert load().notes == [
        "1 image is transparent: laid on white (a/clear.png)",
        "1 image is CMYK: converted to red, green and blue (b/print.jpg)",
    ]


def test_equal_images_are_counted_wherever_they_are() -> None:
    colours()
    for name in ("d/a/7.png", "d/a/8.png"):
        shutil.copy("d/a/0.png", name)
    assert load().notes == ["2 images equal another, as they are decoded (a/0.png and a/7.png, …)"]


def test_negative_values_are_no_colours() -> None:
    grey(1000, np.int32)
    save("d/a/ct.tif", np.full((4, 4), -1000, np.int32))
    with pytest.raises(Exception, match=r"a/ct\.tif: negative pixel values have no fixed range"):
        load()


def test_predict_scales_as_training_did(nnzoo: Any) -> None:
    rng = np.random.default_rng(0)
    for label, top in (("dark", 60), ("bright", 250)):
        for i in range(12):
            save(f"d/{label}/{i}.tif", rng.integers(0, top, (8, 8)).astype(np.int32))
    Path("c.yaml").write_text(
        "data: {name: image_folder, path: d, size: 8, color: false, split: {val: 0, test: 0}}\n"
        "model: mlp\ntrain: {epochs: 30}\n"
    )
    assert nnzoo("train", "--config", "c").code == 0
    for label in ("dark", "bright"):
        lines = nnzoo("predict", "checkpoints/c", f"d/{label}").out.splitlines()[1:]
        assert [line.split(",")[1] for line in lines] == [label] * 12
    save("new.tif", np.full((8, 8), 60_000, np.int32))
    assert nnzoo("predict", "checkpoints/c", "new.tif").code == 0


# Frames, shapes, memory.


def test_the_first_of_several_frames_is_taken_and_said(nnzoo: Any) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    for label, name in (("a", "x.gif"), ("a", "y.png"), ("b", "z.tif")):
        Path(f"d/{label}").mkdir(parents=True, exist_ok=True)
        frames[0].save(f"d/{label}/{name}", save_all=name != "y.png", append_images=frames[1:])
    dataset = load()
    x = dataset.splits["train"].tensors()[0]
    assert (x[:, 0] > 200).all() and (x[:, 1] < 50).all()
    assert dataset.notes[0] == (
        "2 images have several frames or pages, the first is used (a/x.gif, b/z.tif)"
    )


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    save("big.png", np.zeros((100, 100), np.uint16))
    with pytest.raises(LargeImage):
        decode_image("big.png", 4, 4, True, info=DecodeInfo(limit=1000))
    rng = np.random.default_rng(0)
    for i in range(12):
        size = 30 if i % 3 else 8
        save(f"d/{'ab'[i % 2]}/{i}.png", rng.integers(0, 256, (size, size, 3), np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_module, "LARGE", 1000)
        patch.setattr(decode_pool, "LARGE", 1000)
        assert decode_in_thread("big.png", 4, 4, True).shape == (3, 4, 4)
        patch.setattr(decode_pool, "IMAGES_PER_PROCESS", 1)
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        several = load().splits["train"].tensors()[0].clone()
    monkeypatch.setenv("NNZOO_CACHE", "another")
    assert torch.equal(load().splits["train"].tensors()[0], several)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("mode", "limit"), [("I;16", 450), ("I", 750)])
def test_a_grey_image_of_many_pixels_takes_little_more_than_itself(mode: str, limit: int) -> None:
    """2,200 and 2,600 MB when it was copied as int64."""
    Image.new(mode, (8000, 8000), 100).save("big.tif", compression="tiff_deflate")
    code = (
        "import resource; from nnzoo.data.image_files.decode import decode_image\n"
        "import PIL.Image; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode_image('big.tif', 32, 32, False)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) < limit


# The cache.


def colours(root: str = "d", count: int = 6) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for i in range(count):
            save(f"{root}/{label}/{i}.png", rng.integers(0, 256, (4, 4, 3), np.uint8))


@pytest.mark.parametrize("damage", ["zeroed", "one byte", "cut", "no metadata", "metadata zeroed"])
def test_a_cache_that_does_not_hold_what_was_written_is_made_anew_and_said(damage: str) -> None:
    colours()
    before = load().splits["train"].tensors()[0].clone()
    (path,) = cache_dir().glob("*.npy")
    (metadata,) = cache_dir().glob("*.json")
    target = metadata if "metadata" in damage else path
    content = bytearray(target.read_bytes())
    target.unlink()  # a new file: the old one may still be mapped
    if damage == "zeroed":
        content[128:] = bytes(len(content) - 128)
    elif damage == "one byte":
        content[-1] ^= 1
    elif damage == "cut":
        content = content[:-40]
    elif damage == "metadata zeroed":
        content = bytearray(len(content))
    if damage != "no metadata":
        target.write_bytes(content)
    dataset = load()
    assert torch.equal(dataset.splits["train"].tensors()[0], before)
    assert dataset.notes == ["the image cache was damaged or incomplete: decoded anew"]
    assert load().notes == []


def test_an_image_replaced_by_one_of_equal_size_and_time_is_seen() -> None:
    for label in ("a", "b"):
        save(f"d/{label}/0.bmp", np.full((4, 4, 3), 10, np.uint8))
    assert pixels(load()) == [10, 10]
    stat = os.stat("d/b/0.bmp")
    time.sleep(0.02)  # of the clock that file systems use
    save("new.bmp", np.full((4, 4, 3), 200, np.uint8))
    os.replace("new.bmp", "d/b/0.bmp")
    os.utime("d/b/0.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert os.stat("d/b/0.bmp").st_size == stat.st_size
    assert pixels(load()) == [10, 200]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_kept() -> None:
    colours()
    cache_dir().mkdir()
    old = time.time() - 3600
    for name in ("left.1.tmp", "young.2.tmp", "used.3.tmp"):
        path = cache_dir() / name
        path.write_bytes(b"x")
        os.utime(path, None if "young" in name else (old, old))
    with (cache_dir() / "used.3.tmp").open("rb") as file:
        cache.fcntl.flock(file, cache.fcntl.LOCK_EX)  # type: ignore[union-attr]
        load()
    left = {path.name for path in cache_dir().glob("*.tmp")}
    assert left == {"young.2.tmp", "used.3.tmp"}


def test_skipped_images_leave_no_rows_and_the_cache_remembers_them() -> None:
    colours()
    whole = load().splits["train"].tensors()
    for name in ("a/0", "a/4", "b/5"):
        Path(f"d/{name}.png").write_bytes(b"no image")
    kept = [i for i in range(12) if i not in (0, 4, 11)]
    for _ in range(2):
        dataset = load(broken="skip")
        x, y = dataset.splits["train"].tensors()
        assert torch.equal(x, whole[0][kept])
        assert torch.equal(y, whole[1][kept])
        assert dataset.notes[0].startswith("left out: 3 broken images (data.broken: skip): a/0.png")
    with pytest.raises(Exception, match="3 of 12 images are broken"):
        load()


def test_decoding_reports_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listener:
        seen: ClassVar[list[tuple[str, int | None]]] = []
        counts: ClassVar[list[int]] = []

        @contextmanager
        def status(self, text: str, total: int | None, log: bool) -> Iterator[Any]:
            self.seen.append((text, total))
            yield self.counts.append

        def notice(self, text: str) -> None:
            raise AssertionError(text)

    colours()
    monkeypatch.setattr(decode_pool, "PROGRESS_INTERVAL", -1)
    listener = Listener()
    with listening(listener):
        load()
    assert ("decoding images", 12) in listener.seen
    assert listener.counts == list(range(1, 13))
    monkeypatch.setattr(decode_pool, "IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    listener.seen.clear()
    with listening(listener):
        load(size=5)
    assert ("decoding images", 12) in listener.seen


def test_what_the_cache_remembers_is_plain_json() -> None:
    colours()
    load()
    (metadata,) = cache_dir().glob("*.json")
    assert json.loads(metadata.read_text()).keys() == {"report", "kept", "files", "bits", "digests"}
