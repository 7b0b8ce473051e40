"""Small images with a table of their targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.dataset import Dataset
from nnzoo.data.image_folder import load_folder
from nnzoo.errors import DataError

ALL = GroupSplit(val=0, test=0)
NAMES = ["a.png", "b.png", "sub/c.png", "sub/d.png"]


def write_image(name: str, value: int = 0, size: int = 6) -> None:
    """A gray image in the folder `pics`."""
    path = Path("pics") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size), value, np.uint8)).save(path)


def write_labels(
    lines: Sequence[str], names: Sequence[str] = NAMES, path: str = "labels.csv"
) -> None:
    """A table of these lines, and an image of each name, brighter one by one."""
    for i, name in enumerate(names):
        write_image(name, (20 * i + 20) % 256)
    Path(path).write_text("\n".join(lines) + "\n")


def load_images(**options: Any) -> Dataset:
    values: dict[str, Any] = {"path": "pics", "labels": "labels.csv", "size": 4, "color": False}
    return load_folder(
        ImageFolderOptions(name="image_folder", **(values | {"split": ALL} | options))
    )


def refused_images(**options: Any) -> str:
    with pytest.raises(DataError) as error:
        load_images(**options)
    return str(error.value)
