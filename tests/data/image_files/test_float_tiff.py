"""TIFFs of floating-point pixels: strips, ranges and refusals."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from nnzoo.data.image_files.decode import DecodeInfo, LargeImage, decode_image, decode_in_thread
from nnzoo.errors import DataError


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


def test_strips_behind_the_last_pixel_are_not_unpacked() -> None:
    """zlib takes a limit of 0 bytes for none."""
    pixels = np.ones((4, 4, 3), np.float32)
    first, bomb = zlib.compress(pixels.tobytes()), zlib.compress(bytes(200_000_000))[:1000]
    tags = ImageFileDirectory_v2()
    counts = {258: (32,) * 3, 279: (len(first), len(bomb)), 339: (3,) * 3}
    for tag, value in {256: 4, 257: 4, 259: 8, 262: 2, 277: 3, 278: 4, **counts}.items():
        tags[tag] = value
    tags[273] = (0, len(first))
    Path("p.tif").write_bytes(b"II*\0\x08\0\0\0" + tags.tobytes(8) + first + bomb)
    tracemalloc.start()
    try:
        assert (decode_image("p.tif", 4, 4, True) == 255).all()
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_a_small_file_of_many_floating_point_pixels_is_decoded_alone() -> None:
    float_tiff(np.zeros((500, 500), np.float64), deflate=True)
    assert Path("p.tif").stat().st_size < 10_000
    with pytest.raises(LargeImage):
        decode_image("p.tif", 4, 4, False, info=DecodeInfo(limit=1_000_000))
    assert decode_in_thread("p.tif", 4, 4, False).shape == (1, 4, 4)


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
