"""Small tables and images with several targets, weights, and a column that names the part of each row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PARTS = ("train", "train", "train", "val", "test")


def write_targets(path: Path, rows: int = 90) -> None:
    """A table: two inputs, weight w, part, numbers y1 and y2, and tags, several per row."""
    draw = np.random.default_rng(4)
    lines = ["a,b,w,part,y1,y2,tags"]
    for i in range(rows):
        a, b = draw.normal(size=2)
        tags = [tag for tag, has in (("p", a > 0), ("q", b > 0.3), ("r", a + b > 1)) if has]
        numbers = f"{a + 2 * b:.4f},{100 * a * b:.3f}"
        lines.append(f"{a:.4f},{b:.4f},{1 + i % 3},{PARTS[i % 5]},{numbers},{'|'.join(tags)}")
    path.write_text("\n".join(lines) + "\n")


def write_target_images(folder: Path, count: int = 60) -> None:
    """Images of bright squares, and a table `labels.csv` of side and brightness, tags, weight and part."""
    folder.mkdir(parents=True)
    lines = ["file,w,part,side,light,tags"]
    draw = np.random.default_rng(5)
    for i in range(count):
        side, light = int(draw.integers(2, 9)), int(draw.integers(60, 250))
        pixels = np.zeros((10, 10), np.uint8)
        pixels[:side, :side] = light
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
        tags = [tag for tag, has in (("large", side > 4), ("bright", light > 150)) if has]
        lines.append(f"{i:02d}.png,{1 + i % 3},{PARTS[i % 5]},{side},{light},{';'.join(tags)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def target_data(kind: str) -> dict[str, Any]:
    """The options of data of one kind (labels, numbers, image_labels, image_numbers), which are written here."""
    split: dict[str, Any] = {"weight": "w", "split": {"column": "part"}}
    multilabel = {"target": "tags", "task": "multilabel"}
    if kind.startswith("image"):
        folder = Path("squares").resolve()
        if not folder.exists():
            write_target_images(folder)
        images: dict[str, Any] = {
            "name": "image_folder",
            "path": str(folder),
            "size": 6,
            "color": False,
        }
        images |= {"labels": str(folder / "labels.csv")} | split
        return images | (multilabel if kind == "image_labels" else {"target": ["side", "light"]})
    path = Path("targets.csv").resolve()
    if not path.exists():
        write_targets(path)
    table: dict[str, Any] = {"name": "csv", "path": str(path)} | split
    if kind == "labels":
        return table | multilabel | {"drop": ["y1", "y2"]}
    return table | {"target": ["y1", "y2"], "drop": ["tags"]}
