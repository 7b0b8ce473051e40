"""TIFF files of floating-point values that Pillow does not read: colors, 16 and 64 bits per value."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT, BITS, COMPRESSION, OFFSETS, CHANNELS, COUNTS, PLANES, PREDICTOR, SAMPLE_FORMAT = (
    256,
    257,
    258,
    259,
    273,
    277,
    279,
    284,
    317,
    339,
)
FLOATING_POINT = 3
UNCOMPRESSED, DEFLATE = 1, (8, 32946)


def read_float_tiff(
    file: str | Path, max_pixels: int, limit: int | None = None
) -> np.ndarray | None:
    """The first page (height, width, channels) in its own type; None if it is not a floating-point TIFF.

    Supports 1 or 3 channels, stored in strips, uncompressed or deflated. Raises ValueError for another layout,
    or more than `max_pixels`; MemoryError if decoding would take more than `limit` bytes.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with open(file, "rb") as stream:
        header = stream.read(8)
        if header[:4] not in (b"II*\0", b"MM\0*"):
            return None
        tags: Any = ImageFileDirectory_v2(header)
        stream.seek(tags.next)
        tags.load(stream)
        if set(tags.get(SAMPLE_FORMAT, ())) != {FLOATING_POINT}:
            return None
        shape = tags[HEIGHT], tags[WIDTH], tags.get(CHANNELS, 1)
        if shape[0] * shape[1] > max_pixels:
            raise ValueError(f"image too large; at most {max_pixels:,} pixels are read")
        bits, compression = set(tags[BITS]), tags.get(COMPRESSION, UNCOMPRESSED)
        known = bits <= {16, 32, 64} and len(bits) == 1 and OFFSETS in tags and shape[2] in (1, 3)
        interleaved = shape[2] == 1 or tags.get(PLANES, 1) == 1
        plain = compression == UNCOMPRESSED or compression in DEFLATE
        if not (known and interleaved and plain and tags.get(PREDICTOR, 1) == 1):
            raise ValueError(
                "floating-point values in a layout that is not read; save it with 8 bits a channel"
            )
        size = int(np.prod(shape)) * bits.pop() // 8
        if limit is not None and 4 * size > limit:  # content, its copy, scaled values
            raise MemoryError
        content = bytearray()
        for offset, count in zip(tags[OFFSETS], tags[COUNTS], strict=True):
            stream.seek(offset)
            strip = stream.read(min(count, 2 * size + 1024))
            rest = size - len(content)
            if not rest:  # which zlib would take for no limit at all
                break
            content += (
                zlib.decompressobj().decompress(strip, rest)
                if compression in DEFLATE
                else strip[:rest]
            )
        if len(content) < size:
            raise ValueError("image file is truncated")
    order = "<" if header[:2] == b"II" else ">"
    kind = f"{order}f{size // int(np.prod(shape))}"
    return np.frombuffer(bytes(content), kind).reshape(shape)
