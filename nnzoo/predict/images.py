"""Predictions for image files and folders of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.image_files.decode import UNIT_RANGE, DecodeInfo, as_eight_bits, decode_in_thread
from nnzoo.data.image_files.tree import scan
from nnzoo.data.preprocess import Scale
from nnzoo.errors import CheckpointError, DataError
from nnzoo.models.network import Network
from nnzoo.predict.predictions import (
    Predictions,
    batch_size,
    describe_expected_input,
    predict_raw,
)
from nnzoo.text import Note, list_some, plural

# Decoding a photo takes 0.1 s, most of it without Python's lock.
DECODERS = min(8, os.cpu_count() or 1)


def read_image(network: Network, file: str | Path, info: DecodeInfo | None = None) -> Tensor:
    """Decode an image file to uint8 (channels, height, width) as the network reads it.

    info: filled by decoding. Raises DataError.
    """
    if network.data_spec.input.kind != "image":
        raise DataError(
            f"{file}: this network reads {describe_expected_input(network)}", code="E54"
        )
    channels, height, width = network.data_spec.input.shape
    if channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels; this network reads {channels}", code="E54")
    image = decode_in_thread(file, height, width, channels == 3, _gray_bits(network), info)
    max_value = max_pixel_value(network)
    if max_value != 255:
        image = np.round(image * (max_value / 255)).astype(np.uint8)
    return torch.tensor(image)  # a copy: Pillow's memory is read-only


def predict_images(network: Network, paths: list[str]) -> Iterator[Predictions]:
    """Predict image files and the images in folders; one that cannot be read is among the `errors`."""
    decoder = _Decoder(network)
    folders = {path: scan(path) for path in paths if os.path.isdir(path)}
    files = chain.from_iterable(
        folders[path].walk() if path in folders else [path] for path in paths
    )
    brightness = _Brightness(network)
    with ThreadPoolExecutor(DECODERS) as pool:
        while batch := list(islice(files, batch_size(network))):
            # Pillow warns of odd metadata and of sizes that are refused.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                decoded = list(pool.map(decoder.decode, batch))
            images = [x for x in decoded if isinstance(x, Tensor)]
            raw = torch.stack(images) if images else torch.zeros(0, dtype=torch.uint8)
            brightness.update(raw)
            files_read = [f for f, x in zip(batch, decoded, strict=True) if isinstance(x, Tensor)]
            predictions = predict_raw(network, raw, {"file": files_read})
            predictions.errors += [x for x in decoded if isinstance(x, str)]
            yield predictions
    notes = [note for folder in folders.values() for note in folder.all_left_out().notes()]
    yield predictions.empty_with_notes(notes + decoder.notes() + brightness.notes())


class _Decoder:
    """Decodes files for a network, in several threads, and collects those with something to note."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.animated: list[str] = []
        self.floats: list[str] = []
        self.dark: list[str] = []

    def decode(self, file: str) -> Tensor | str:
        """Return the image, or why it cannot be read."""
        info = DecodeInfo()
        try:
            image = read_image(self.network, file, info)
        except DataError as error:
            return str(error)
        if info.animated:
            self.animated.append(file)
        if isinstance(info.largest, float):
            self.floats.append(file)
        if info.largest and as_eight_bits(info.largest, _gray_bits(self.network)) < 1:
            self.dark.append(file)
        return image

    def notes(self) -> list[str]:
        notes: list[str] = []
        if self.animated:
            count = plural(len(self.animated), "image has", "images have")
            files = list_some(sorted(self.animated))
            notes.append(
                Note("N18", f"{count} several frames or pages, the first is used ({files})")
            )
        if self.floats:
            count = plural(len(self.floats), "image has", "images have")
            files = list_some(sorted(self.floats), 1)
            text = f"{count} floating-point values ({files}), read as in training or by their largest value"
            notes.append(Note("N18", text))
        if self.dark:
            count, files = plural(len(self.dark), "image"), list_some(sorted(self.dark))
            text = f"{count} with values far below the training images' come out black ({files})"
            notes.append(Note("W49", text))
        return notes


def _gray_bits(network: Network) -> int:
    """Return the bit depth to which gray images of more than 8 bits are scaled, as in training."""
    bits = network.data_spec.bits
    if bits != UNIT_RANGE and not 8 <= bits <= 32:
        raise CheckpointError(f"the checkpoint has gray values of {bits} bits", code="E65")
    return bits


def max_pixel_value(network: Network) -> int:
    """Return the value of a white pixel of the network's images; black is 0."""
    value = network.data_spec.max_pixel_value
    if not 1 <= value <= 255:
        raise CheckpointError(f"the checkpoint has images of {value} levels", code="E65")
    return value


class _Brightness:
    """Compare the brightness of images with the training images'.

    It differs if the mean is more than two standard deviations of the training pixels away, or on the
    other side of mid-gray when the training mean is clearly off it: scans of dark ink on paper are one
    standard deviation away from MNIST's light digits on black.
    """

    def __init__(self, network: Network) -> None:
        scale = network.preprocess.get_submodule("scale")
        assert isinstance(scale, Scale)
        self.max_value = max_pixel_value(network)
        self.is_known = scale.method == "standardize"
        self.mean, self.std = float(scale.shift.mean()), float(scale.spread.mean())
        self.total, self.count = 0, 0

    def update(self, images: Tensor) -> None:
        self.total += int(images.sum(dtype=torch.int64))
        self.count += images.numel()

    def notes(self) -> list[str]:
        if not self.is_known or not self.count:
            return []
        mean, mid_gray = self.total / self.count, self.max_value / 2
        offset = self.mean - mid_gray
        is_inverted = abs(offset) > self.std / 2 and offset * (mean - mid_gray) < 0
        if abs(mean - self.mean) <= 2 * self.std and not is_inverted:
            return []
        return [
            Note(
                "W49",
                f"the images are much {'brighter' if mean > self.mean else 'darker'} than the "
                f"training images (mean {mean / self.max_value:.2f} against {self.mean / self.max_value:.2f}; black "
                "is 0, white 1): are they inverted, ink dark on light against light on dark?",
            )
        ]
