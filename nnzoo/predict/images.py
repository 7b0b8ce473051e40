"""Predictions for picture files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.image_files.decoding import UNIT_RANGE, DecodeFacts, as_eight_bits, decode_in_turn
from nnzoo.data.image_files.folder_tree import scan
from nnzoo.data.preprocess import Scale
from nnzoo.errors import CheckpointError, DataError
from nnzoo.models.network import Network
from nnzoo.text import list_some, plural

if TYPE_CHECKING:
    pass
from nnzoo.predict.predictions import Predictions, answer, reads, rows_at_once

# A picture of a phone is decoded in 0.1 s, most of it without Python's lock.
DECODERS = min(8, os.cpu_count() or 1)


def read_picture(network: Network, file: str | Path, facts: DecodeFacts | None = None) -> Tensor:
    """A picture file as the network reads it: uint8 (channels, height, width); facts: filled by
    decoding. Raises DataError."""
    if network.data_spec.input.kind != "image":
        raise DataError(f"{file}: this network reads {reads(network)}")
    channels, height, width = network.data_spec.input.shape
    if channels not in (1, 3):
        raise DataError(f"pictures have 1 or 3 channels; this network reads {channels}")
    image = decode_in_turn(file, height, width, channels == 3, _bits(network), facts)
    top = levels(network)
    if top != 255:
        image = np.round(image * (top / 255)).astype(np.uint8)
    return torch.tensor(image)  # a copy: Pillow's own may not be written to


def predict_pictures(network: Network, paths: list[str]) -> Iterator[Predictions]:
    """A picture that cannot be read is an error of its `Predictions`; all others are answered."""

    def decode(file: str) -> Tensor | str:
        facts = DecodeFacts()
        try:
            image = read_picture(network, file, facts)
        except DataError as error:
            return str(error)
        if facts.animated:
            animated.append(file)
        if isinstance(facts.largest, float):
            floats.append(file)
        if facts.largest and as_eight_bits(facts.largest, _bits(network)) < 1:
            dark.append(file)
        return image

    animated: list[str] = []
    dark: list[str] = []
    floats: list[str] = []
    folders = {path: scan(path) for path in paths if os.path.isdir(path)}
    files = chain.from_iterable(
        folders[path].walk() if path in folders else [path] for path in paths
    )
    brightness = _Brightness(network)
    with ThreadPoolExecutor(DECODERS) as pool:
        while batch := list(islice(files, rows_at_once(network))):
            # Pillow warns of odd metadata and of sizes that are refused.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = list(pool.map(decode, batch))
            images = [image for image in found if isinstance(image, Tensor)]
            raw = torch.stack(images) if images else torch.zeros(0, dtype=torch.uint8)
            brightness.add(raw)
            read = [f for f, image in zip(batch, found, strict=True) if isinstance(image, Tensor)]
            answers = answer(network, raw, {"file": read})
            answers.errors += [reason for reason in found if isinstance(reason, str)]
            yield answers
    notes = [note for folder in folders.values() for note in folder.all_left_out().notes()]
    if animated:
        count = plural(len(animated), "picture has", "pictures have")
        notes.append(
            f"{count} several frames or pages, the first is used ({list_some(sorted(animated))})"
        )
    if floats:
        count = plural(len(floats), "picture has", "pictures have")
        notes.append(f"{count} floating-point values ({list_some(sorted(floats), 1)}), read as in training "
                     "or by their largest value")  # fmt: skip
    if dark:
        notes.append(f"{plural(len(dark), 'picture')} with values far below those of training come out "
                     f"black ({list_some(sorted(dark))})")  # fmt: skip
    yield answers.only(notes + brightness.notes())


def _bits(network: Network) -> int:
    """The bits of grey pictures with more than 8, as training pictures were decoded."""
    bits = network.data_spec.bits
    if bits != UNIT_RANGE and not 8 <= bits <= 32:
        raise CheckpointError(f"the checkpoint has grey values of {bits} bits")
    return bits


def levels(network: Network) -> int:
    """What a white pixel of the network's images is; black is 0."""
    top = network.data_spec.max_pixel_value
    if not 1 <= top <= 255:
        raise CheckpointError(f"the checkpoint has images of {top} levels")
    return top


class _Brightness:
    """Whether pictures are as bright as those of training.

    They are not where their mean lies over two spreads of the training pixels away, or on the other
    side of mid-grey where training's lies clearly off it: digits of dark ink on light paper, for a
    network that learned light ones on dark, lie one spread away.
    """

    def __init__(self, network: Network) -> None:
        scale = network.preprocess.get_submodule("scale")
        assert isinstance(scale, Scale)
        self.levels = levels(network)
        self.known = scale.how == "standardize"
        self.mean, self.spread = float(scale.shift.mean()), float(scale.spread.mean())
        self.total, self.count = 0, 0

    def add(self, images: Tensor) -> None:
        self.total += int(images.sum(dtype=torch.int64))
        self.count += images.numel()

    def notes(self) -> list[str]:
        if not self.known or not self.count:
            return []
        mean, middle = self.total / self.count, self.levels / 2
        off = self.mean - middle
        inverted = abs(off) > self.spread / 2 and off * (mean - middle) < 0
        if abs(mean - self.mean) <= 2 * self.spread and not inverted:
            return []
        return [
            f"the pictures are much {'brighter' if mean > self.mean else 'darker'} than those of "
            f"training (mean {mean / self.levels:.2f} against {self.mean / self.levels:.2f}; black is "
            "0, white 1): are they inverted, ink dark on light against light on dark?"
        ]
