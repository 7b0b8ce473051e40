"""A first configuration for a folder of images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.formatting import quote_yaml
from nnzoo.text import plural

if TYPE_CHECKING:
    from nnzoo.data.image_files.image_folder import ImageFolder

SAMPLED_PICTURES = 20
SIZES = (28, 32, 48, 64, 96)
MAX_SIZE = 128
# Of a few hundred pictures a first network is to be had in minutes: twice the size takes four times as long.
FEW_PICTURES, SIZE_OF_FEW = 1000, 64


def images_config(folder: Path, path: str) -> tuple[str, str, list[str]]:
    """(a sentence about the folder, the sections of a config, lines for the caller) for pictures.

    path: how the config names it. Also where it cannot train yet: why is said in comments. Raises
    DataError where there are no pictures.
    """
    from nnzoo.data.image_files.folder_tree import picture_files
    from nnzoo.data.image_files.image_folder import describe_folder

    described = describe_folder(folder)
    notes = []
    while described.suggestion is not None:
        inner = os.path.relpath(described.suggestion, folder)
        notes.append(f"path: {inner}, because {'; '.join(described.faults)}")
        path, folder = os.path.join(path, inner), Path(described.suggestion)
        described = describe_folder(folder)
    files = [file for part in described.parts.values() for each in part.values() for file in each]
    files = files or list(picture_files(str(folder)))
    if not files:
        described.check()
    about = f"{folder.resolve().name}: {plural(len(files), 'picture')}, {plural(len(described.labels), 'class', 'classes')}."
    notes += described.lines()
    notes += [f"this cannot train yet: {fault}" for fault in described.faults]
    return about, _sections(path, described, _sample(files), notes), notes


@dataclass(frozen=True)
class _Sample:
    """What some of the pictures are like: the median of their shorter sides, whether all are grey, and the
    range of width / height."""

    side: int
    grey: bool
    ratios: tuple[float, float]


def _sample(files: Sequence[str]) -> _Sample:
    from PIL import Image

    from nnzoo.data.image_files.decoding import FORMATS

    sides, grey, ratios = [], True, []
    for file in files[:: max(1, len(files) // SAMPLED_PICTURES)][:SAMPLED_PICTURES]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(file, formats=FORMATS) as image:
                    sides.append(min(image.size))
                    ratios.append(image.width / image.height)
                    grey = grey and (image.mode in ("L", "1") or image.mode.startswith("I"))
        except Exception:  # training will name the broken one
            continue
    if not sides:
        return _Sample(64, False, (1.0, 1.0))
    return _Sample(sorted(sides)[len(sides) // 2], grey, (min(ratios), max(ratios)))


def _sections(path: str, described: ImageFolder, sample: _Sample, notes: list[str]) -> str:
    train = sum(map(len, described.parts.get("train", {}).values())) or 1
    size = next((known for known in SIZES if sample.side <= known), MAX_SIZE)
    if train < FEW_PICTURES:
        size = min(size, SIZE_OF_FEW)
    stages = {28: 2, 32: 3, 48: 3, 64: 4, 96: 4, 128: 5}[size]
    channels = [32 * 2**i for i in range(min(stages, 4))] + [256] * max(0, stages - 4)
    epochs, patience = _epochs(train)
    low, high = sample.ratios
    squeezed = (
        "" if high <= 1.02 and low >= 0.98 else
        f"  # widths are {low:.2g} to {high:.2g} times the heights: pictures are squeezed into a square;\n"
        "  # size: [height, width] gives them another shape\n"
    )  # fmt: skip
    comments = "".join(f"# {_printable(note)}\n" for note in notes)
    return f"""{comments}data:
  name: image_folder
  path: {quote_yaml(path)}
  size: {size}    # pictures are resized to this; larger shows more and takes longer
{squeezed}{"  color: false    # all that were looked at are grey" + chr(10) if sample.grey else ""}  augment: {{shift: {max(1, size // 10)}}}    # flip: horizontal too, where left and right mean nothing
model:
  name: cnn
  channels: {channels}
  norm: batch
  residual: true
  head: {{pooling: average, dropout: 0.2}}
optim:
  name: adamw
  lr: 2e-3
  schedule: one_cycle
  clip: {{norm: 1.0}}
train:
  epochs: {epochs}    # for {plural(train, "picture")}; fewer where validation no longer gains
  batch_size: 32
  early_stopping: {{patience: {patience}}}
"""


def _epochs(pictures: int) -> tuple[int, int]:
    """Epochs and the patience of early stopping for a number of training pictures."""
    epochs = 60 if pictures < 100 else 30 if pictures < 4000 else 15 if pictures < 40_000 else 8
    return epochs, max(4, epochs // 3)


def _printable(text: str) -> str:
    return "".join(each for each in " ".join(text.split()) if each.isprintable())
