"""Folders of small images for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.image_folder import load_folder
from nnzoo.errors import DataError

COLOURS = {"blue": (10, 20, 200), "green": (30, 180, 40), "red": (220, 15, 25)}


def paint(
    path: str | Path, color: tuple[int, ...] = (1, 2, 3), size: tuple[int, int] = (8, 6)
) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
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
    x, y = load(split=GroupSplit(val=0, test=0), **options).splits["train"].tensors()
    return x, y


def save_pixels(path: str, pixels: Any, **options: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def load_rows(path: str = "d", spec: DataSpec | None = None, **options: Any) -> Dataset:
    values: dict[str, Any] = {"size": 4, "split": GroupSplit(val=0, test=0)}
    return load_folder(ImageFolderOptions(name="image_folder", path=path, **values | options), spec)


def pixels(dataset: Dataset, split: str = "train") -> list[int]:
    """The first pixel of each image."""
    x: torch.Tensor = dataset.splits[split].tensors()[0]
    return [int(value) for value in x[:, 0, 0, 0]]


def write_colors(root: str = "d", count: int = 6) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for i in range(count):
            save_pixels(f"{root}/{label}/{i}.png", rng.integers(0, 256, (4, 4, 3), np.uint8))


CLASSES = ("bar", "beam", "box")


def write_file(path: str, content: bytes = b"") -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    return Path(path)
