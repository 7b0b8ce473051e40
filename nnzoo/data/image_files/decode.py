"""One image file as uint8 pixels: upright, without transparency, resized, of 8 bits per channel.

Nothing here imports torch: `decode_pool` decodes in processes that have to start fast.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnzoo.data.image_files.float_tiff import read_float_tiff
from nnzoo.errors import DataError

# Pillow knows many more; each is another parser of what strangers send, and one runs Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 100_000_000
# An image that takes more memory than this while it is decoded is decoded alone.
LARGE = 1 << 28
# Bits of gray images with more than 8 per pixel, unless the training images have smaller values.
BITS = 16
# In place of bits: floating-point values from 0 to 1. A little more is an overshoot of resampling.
UNIT_RANGE = 0
MAX_OF_UNIT_RANGE = 2.0
STRIP = 1 << 22  # pixels

# Signatures of files in other formats: (offset, bytes, name).
_SIGNATURES = (
    (4, b"ftyphei", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"),
    (4, b"ftypavi", "an AVIF image"),
    (4, b"ftyp", "a video"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "XML"),
    (0, b"<!doctype html", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"version https://git-lfs", "a pointer of Git LFS in place of the image"),
)


class BrokenImageError(DataError):
    """An image that cannot be decoded; `reason`: why, without the name of the file."""

    code = "E48"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class LargeImage(Exception):
    """An image that would take more memory than `DecodeInfo.limit`."""


@dataclass
class DecodeInfo:
    """Properties of an image that show when it is decoded.

    limit: bytes that decoding may take; animated: it has more than one frame or page; largest: its
    largest value, where its pixels are integers of more than 8 bits, or (a float) floating-point;
    deep: the largest of the upper 8 bits, where its colors have 16, of which Pillow reads no more;
    converted: another reason why its values change, "transparent" or a mode such as CMYK.
    """

    limit: int | None = None
    animated: bool = False
    largest: float | None = None
    deep: int | None = None
    converted: str | None = None


def decode_image(
    file: str | Path,
    height: int,
    width: int,
    color: bool,
    bits: int = BITS,
    info: DecodeInfo | None = None,
) -> np.ndarray:
    """One image as uint8 (channels, height, width), upright and resized.

    Transparent pixels are blended with white; only the first of several frames or pages is read. Gray
    values of `bits` bits, and floating-point values (`float_bits`), become 8 bits. Raises
    BrokenImageError, a DataError naming the file.
    """
    from PIL import Image

    info = info or DecodeInfo()
    try:
        upright = _open_upright(file, max(height, width), bits, info)
        upright = upright.convert("RGB" if color else "L")
        if upright.size != (width, height):
            upright = upright.resize((width, height), Image.Resampling.BILINEAR)
        array = np.asarray(upright)
    except LargeImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = f"image too large; at most {MAX_PIXELS:,} pixels are read"
        raise BrokenImageError(f"{file}: {reason}", reason) from None
    except Exception as error:
        reason = _reason(file, error)
        raise BrokenImageError(
            f"broken image {file}: {reason}; repair or remove it", reason
        ) from None
    return array.transpose(2, 0, 1) if color else array[None]


def _open_upright(file: str | Path, side: int, bits: int, info: DecodeInfo) -> Any:
    """Open an image, upright, without transparency, and of 8 bits per channel; side: the larger side
    that is needed."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        try:
            pixels = read_float_tiff(file, MAX_PIXELS, info.limit)
        except MemoryError:
            raise LargeImage from None
        if pixels is None:
            raise
        return Image.fromarray(
            _from_floats(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels, bits, info)
        )
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        info.animated = image.format != "MPO" and bool(getattr(image, "is_animated", False))
        # A JPEG can be decoded at a half, quarter or eighth of its size, which is far faster;
        # twice the needed size is left for the resampling.
        image.draft(None, (2 * side, 2 * side))
        if info.limit is not None and working_memory(image) > info.limit:
            raise LargeImage
        is_deep = image.mode != "F" and any(
            ";16" in str(tile) or "65535" in str(tile) for tile in image.tile
        )
        upright = _opaque_uint8(ImageOps.exif_transpose(image), bits, info)
        if is_deep and info.largest is None:
            info.deep = max(int(top) for _, top in _ranges(upright))
            if info.deep <= 1:
                raise ValueError(
                    "its colors have 16 bits and small values, and come out black; save "
                    "it with 8 bits a color"
                )
        return upright


def _ranges(image: Any) -> list[tuple[int, int]]:
    """The smallest and largest value of each channel."""
    extrema = image.getextrema()
    return list(extrema) if isinstance(extrema[0], tuple) else [extrema]


def working_memory(image: Any) -> int:
    """Estimate the peak memory (bytes) of decoding an opened image."""
    pixel = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    copies = 5 if "A" in image.mode or "transparency" in image.info else 3
    return image.width * image.height * max(pixel * copies, 4 * copies if copies == 5 else 0)


def _reason(file: str | Path, error: Exception) -> str:
    """The reason why an image cannot be decoded, with the actual type of the file where it is known."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        with open(file, "rb") as content:
            start = content.read(64)
        kinds = [
            name
            for offset, signature, name in _SIGNATURES
            if start.lstrip()[offset:].lower().startswith(signature.lower())
        ]
        kind = kinds[0] if kinds else "" if start else "empty"
        return "cannot identify image file" + (f" (it is {kind})" if kind else "")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _opaque_uint8(image: Any, bits: int, info: DecodeInfo) -> Any:
    """Convert an image to 8 bits per channel without transparency, on white."""
    from PIL import Image

    if image.mode.startswith("I"):
        return _to_uint8(image, bits, info)
    if image.mode == "F":
        return Image.fromarray(_from_floats(np.asarray(image), bits, info))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getextrema()[3][0] < 255:
            info.converted = "transparent"
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode not in ("1", "L", "P", "RGB"):
        info.converted = image.mode
    return image


def _from_floats(pixels: np.ndarray, bits: int, info: DecodeInfo) -> np.ndarray:
    """Floating-point pixels as uint8 of the same shape."""
    if not np.isfinite(pixels).all():
        raise ValueError("some pixel values are no finite numbers")
    info.largest = float(pixels.max())
    if pixels.min() < -0.05 * info.largest:
        raise ValueError("negative pixel values have no fixed range; save it with 8 bits a pixel")
    bits = float_bits(info.largest, bits)
    scaled = pixels * 255.0 if bits == UNIT_RANGE else pixels / float(1 << bits - 8)
    return scaled.round().clip(0, 255).astype(np.uint8)


def float_bits(largest: float, bits: int) -> int:
    """The bits of floating-point values: `bits`, or, if that is BITS (no training image may have had more
    than 8), by the largest value of the image."""
    if bits != BITS:
        return bits
    return UNIT_RANGE if largest <= MAX_OF_UNIT_RANGE else 8 if largest <= 255 else BITS


def as_eight_bits(value: float, bits: int) -> float:
    """A pixel value on the scale from 0 to 255."""
    if isinstance(value, float):
        bits = float_bits(value, bits)
    return value * 255 if bits == UNIT_RANGE else value / (1 << bits - 8)


def _to_uint8(image: Any, bits: int, info: DecodeInfo) -> Any:
    """Convert integer pixels of `bits` bits to uint8 (Pillow would clip at 255).

    Works in strips to avoid a second copy of the image.
    """
    from PIL import Image

    shift = max(0, bits - 8)
    pixels = np.empty((image.height, image.width), np.uint8)
    height = max(1, STRIP // image.width)
    for top in range(0, image.height, height):
        strip = np.asarray(image.crop((0, top, image.width, min(top + height, image.height))))
        if strip.min() < 0:
            raise ValueError(
                "negative pixel values have no fixed range; save it with 8 bits a pixel"
            )
        info.largest = max(info.largest or 0, int(strip.max()))
        pixels[top : top + height] = (strip >> shift).clip(0, 255)
    return Image.fromarray(pixels)


_LARGE_LOCK = threading.Lock()


def decode_in_thread(
    file: str | Path,
    height: int,
    width: int,
    color: bool,
    bits: int = BITS,
    info: DecodeInfo | None = None,
) -> np.ndarray:
    """`decode_image` for threads: large images are decoded one at a time."""
    info = info or DecodeInfo()
    info.limit = LARGE
    try:
        return decode_image(file, height, width, color, bits, info)
    except LargeImage:
        info.limit = None
        with _LARGE_LOCK:
            return decode_image(file, height, width, color, bits, info)
