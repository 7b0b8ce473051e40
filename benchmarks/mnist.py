"""MNIST's raw IDX files, read and shortened without any of the tools that are compared."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def default_folder() -> Path:
    """The folder of nnzoo's data: NNZOO_DATA, or ./data."""
    return Path(os.environ.get("NNZOO_DATA") or "data")


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of bytes: two zeros, type 8, dimensions, their sizes, values."""
    content = path.read_bytes()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes")
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def write_idx(path: Path, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.write_bytes(head + values.astype(np.uint8).tobytes())


def read(root: Path, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images (rows, 28, 28) and labels (rows,), both uint8; part: train or t10k."""
    raw = root / "MNIST" / "raw"
    return read_idx(raw / f"{part}-images-idx3-ubyte"), read_idx(raw / f"{part}-labels-idx1-ubyte")


def shorten(root: Path, target: Path, rows: int) -> None:
    """Write the first rows of the training files, and all test files, where every tool reads them."""
    raw = target / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", rows), ("t10k", None)):
        images, labels = read(root, part)
        write_idx(raw / f"{part}-images-idx3-ubyte", images[:count])
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels[:count])
