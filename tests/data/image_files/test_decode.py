"""One image file as pixels: formats, bits, orientation, memory, and hostile files."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.data.image_files import decode as decode_module
from nnzoo.data.image_files import decode_pool
from nnzoo.data.image_files.decode import DecodeInfo, LargeImage, decode_image, decode_in_thread
from nnzoo.errors import DataError
from tests.data.image_files.folders import load, load_rows, make_folder, paint, refused, save_pixels


def decode(image: Any, name: str = "p.png", color: bool = True, **save: Any) -> np.ndarray:
    image.save(name, **save)
    return decode_image(Path(name), image.height, image.width, color)


def test_size_is_height_then_width() -> None:
    make_folder()
    assert str(load(size=[3, 5]).spec.input) == "image 3×3×5"
    assert str(load(size=[3, 5], color=False).spec.input) == "image 1×3×5"


def test_a_gray_image_has_three_equal_channels_in_color() -> None:
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert (decode(Image.fromarray(array)) == array).all()


def test_color_becomes_gray_by_its_brightness() -> None:
    gray = decode(Image.new("RGB", (2, 2), (255, 0, 0)), color=False)
    assert gray.shape == (1, 2, 2)
    assert (gray == 76).all()


def test_transparent_pixels_lie_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    assert decode(image)[:, 0].T.tolist() == [[200, 0, 0], [255, 255, 255]]
    gray = Image.new("LA", (2, 1), (40, 255))
    gray.putpixel((1, 0), (40, 0))
    assert decode(gray, color=False).tolist() == [[[40, 255]]]


def test_palette_images_have_their_colors_and_transparency() -> None:
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
    ("format", "offset", "size"),
    [
        ("GIF", 6, struct.pack("<HH", 60_000, 60_000)),
        ("BMP", 18, struct.pack("<ii", 60_000, 60_000)),
        ("PNG", 16, struct.pack(">II", 60_000, 60_000)),
    ],
)
def test_a_size_that_is_only_claimed_is_refused_before_decoding(
    format: str, offset: int, size: bytes
) -> None:
    Image.new("RGB", (4, 4)).save("x", format)
    data = bytearray(Path("x").read_bytes())
    data[offset : offset + len(size)] = size
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


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    save_pixels("big.png", np.zeros((100, 100), np.uint16))
    with pytest.raises(LargeImage):
        decode_image("big.png", 4, 4, True, info=DecodeInfo(limit=1000))
    rng = np.random.default_rng(0)
    for i in range(12):
        size = 30 if i % 3 else 8
        save_pixels(f"d/{'ab'[i % 2]}/{i}.png", rng.integers(0, 256, (size, size, 3), np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_module, "LARGE", 1000)
        patch.setattr(decode_pool, "LARGE", 1000)
        assert decode_in_thread("big.png", 4, 4, True).shape == (3, 4, 4)
        patch.setattr(decode_pool, "IMAGES_PER_PROCESS", 1)
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        several = load_rows().splits["train"].tensors()[0].clone()
    monkeypatch.setenv("NNZOO_CACHE", "another")
    assert torch.equal(load_rows().splits["train"].tensors()[0], several)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("mode", "limit"), [("I;16", 450), ("I", 750)])
def test_a_gray_image_of_many_pixels_takes_little_more_than_itself(mode: str, limit: int) -> None:
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
