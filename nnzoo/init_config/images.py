"""A first configuration for a folder of images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnzoo.config.formatting import quote_yaml
from nnzoo.init_config.config_text import ConfigText, comment_lines, join_sections
from nnzoo.text import Note, list_some, plural

SAMPLE_IMAGES = 20
# Input sizes, each with its number of stages of convolutions; larger images take the last.
STAGES = {28: 2, 32: 3, 48: 3, 64: 4, 96: 4, 128: 5}
# With fewer images a smaller size, so that a first network takes minutes: twice the size takes 4 times.
FEW_IMAGES, MAX_SIZE_OF_FEW = 1000, 64


def images_config(folder: Path, config_path: str) -> ConfigText:
    """The configuration of a folder of images; config_path: its path as the config names it.

    Also where it cannot train yet: comments say why. Raises DataError if there are no images.
    """
    from nnzoo.data.image_files.folder import describe_folder
    from nnzoo.data.image_files.tree import image_paths

    described = describe_folder(folder)
    notes: list[str] = []
    while described.suggestion is not None:
        inner = os.path.relpath(described.suggestion, folder)
        notes.append(Note("N47", f"path: {inner}, because {'; '.join(described.issues)}"))
        if others := _other_folders(Path(described.suggestion)):
            notes.append(
                Note("N17", f"left out: {list_some(others, 6, counted=True)} beside {inner}/")
            )
        config_path, folder = os.path.join(config_path, inner), Path(described.suggestion)
        described = describe_folder(folder)
    splits = described.parts.values()
    files = [file for classes in splits for images in classes.values() for file in images]
    files = files or list(image_paths(str(folder)))
    if not files:
        described.check()
    classes = plural(len(described.labels), "class", "classes")
    about = f"{folder.resolve().name}: {plural(len(files), 'image')}, {classes}."
    notes += described.lines()
    notes += [Note("N48", f"cannot train yet: {issue}") for issue in described.issues]
    train = sum(map(len, described.parts.get("train", {}).values())) or 1
    head = [f"  path: {quote_yaml(config_path)}"]
    return ConfigText(about, image_sections(head, train, files, notes), notes)


def _other_folders(folder: Path) -> list[str]:
    """The folders beside one."""
    paths = folder.parent.iterdir()
    names = [path.name for path in paths if path.is_dir() and not path.name.startswith(".")]
    return [f"{name}/" for name in sorted(names) if name != folder.name]


@dataclass(frozen=True)
class _Sample:
    """Properties of some of the images: the median of their shorter sides in pixels, whether all are gray,
    and the range of width / height."""

    side: int
    is_gray: bool
    ratios: tuple[float, float]


def _sample(files: Sequence[str]) -> _Sample:
    from PIL import Image

    from nnzoo.data.image_files.decode import FORMATS

    sides, is_gray, ratios = [], True, []
    for file in files[:: max(1, len(files) // SAMPLE_IMAGES)][:SAMPLE_IMAGES]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(file, formats=FORMATS) as image:
                    sides.append(min(image.size))
                    ratios.append(image.width / image.height)
                    is_gray = is_gray and (image.mode in ("L", "1") or image.mode.startswith("I"))
        except Exception:  # training names the broken ones
            continue
    if not sides:
        return _Sample(64, False, (1.0, 1.0))
    return _Sample(sorted(sides)[len(sides) // 2], is_gray, (min(ratios), max(ratios)))


def image_sections(head: list[str], train: int, files: Sequence[str], notes: list[str]) -> str:
    """The sections of a configuration of images. head: the lines of `data` that name them; train: the number of
    training images; files: all images, of which some are looked at; notes: lines above the sections."""
    sample = _sample(files)
    size = next((size for size in STAGES if sample.side <= size), max(STAGES))
    if train < FEW_IMAGES:
        size = min(size, MAX_SIZE_OF_FEW)
    lines = [*comment_lines(notes, indent=""), "data:", "  name: image_folder"]
    lines += head
    lines += [f"  size: {size}    # images are resized to this; larger shows more and takes longer"]
    low, high = sample.ratios
    if high > 1.02 or low < 0.98:
        lines += comment_lines(
            [
                f"widths are {low:.2g} to {high:.2g} times the heights: images are squeezed into a square;",
                "size: [height, width] gives them another shape",
            ]
        )
    if sample.is_gray:
        lines.append("  color: false    # all images that were sampled are gray")
    shift = max(1, size // 10)
    lines.append(
        f"  augment: {{shift: {shift}}}    # add flip: horizontal if left and right mean the same"
    )
    comments = {
        "train.epochs": f"for {plural(train, 'image')}; early stopping ends it where validation no longer improves"
    }
    return join_sections(lines, _recipe(size, train), comments)


def _recipe(size: int, train: int) -> dict[str, dict[str, Any]]:
    """The model and its training for images of a size (pixels) and a number of training images."""
    stages = STAGES[size]
    channels = [32 * 2**i for i in range(min(stages, 4))] + [256] * max(0, stages - 4)
    epochs = 60 if train < 100 else 30 if train < 4000 else 15 if train < 40_000 else 8
    return {
        "model": {
            "name": "cnn",
            "channels": channels,
            "norm": "batch",
            "residual": True,
            "head": {"pooling": "average", "dropout": 0.2},
        },
        "optim": {"name": "adamw", "lr": 2e-3, "schedule": "one_cycle", "clip": {"norm": 1.0}},
        "train": {
            "epochs": epochs,
            "batch_size": 32,
            "early_stopping": {"patience": max(4, epochs // 3)},
        },
    }
