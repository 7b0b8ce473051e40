"""Images in class folders: decoded once into a cache, split, and everything left out is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit, check_memory, make_splits
from nnzoo.data.image_files.cache import (
    BrokenImagesError,
    DecodedImages,
    ImageFormat,
    cached_images,
)
from nnzoo.data.image_files.decode import BITS, UNIT_RANGE, as_eight_bits, float_bits
from nnzoo.data.image_files.folder import ImageFolder, Images, describe_folder
from nnzoo.data.image_files.split_names import PARTS
from nnzoo.data.image_files.tree import image_paths, relative_paths
from nnzoo.data.row_split import split_rows
from nnzoo.errors import DataError
from nnzoo.text import list_some, plural

# At most so many images of a folder with other issues are decoded, to name the broken ones with them.
MAX_CHECKED, MAX_NAMED = 20_000, 10


def load_folder(options: ImageFolderOptions, spec: DataSpec | None = None) -> Dataset:
    """Read a folder of class folders, or of parts (train, val, test) above them.

    Images are decoded once, resized, into a cache. spec: that of the run, whose labels and bits of
    gray images are kept. Raises DataError with all issues of the folder and all broken images.
    """
    folder = describe_folder(Path(options.path), spec.labels if spec else None, options.classes)
    if folder.issues:
        folder.issues += _broken_of(folder, options)
        folder.check()
    parts, bits = _decode_parts(folder, options, None if spec is None else spec.bits)
    train = parts["train"]
    if options.split.folds is not None and "val" in parts:
        raise DataError.at(
            "data.split.folds", "the validation rows have a folder of their own here"
        )
    fractions = {key: 0 if key in parts else getattr(options.split, key) for key in ("val", "test")}
    rows = split_rows(len(train.y), options.split.model_copy(update=fractions), train.y.numpy())
    splits = make_splits(train.decoded.x, train.y, rows, train.decoded.pages)
    sources = {name: (train, index) for name, index in rows.items() if len(index)}
    for name, part in parts.items():
        if name != "train":
            splits[name] = TensorSplit(part.decoded.x, part.y, pages=part.decoded.pages)
            sources[name] = part, np.arange(len(part.y))
    notes = [*decoding_notes(parts.values(), bits), *_duplicate_notes(sources)]
    notes = [
        *folder.lines(),
        *_absent_notes(train.y.numpy(), rows, folder.labels),
        *(relative_paths(note, options.path) for note in notes),
    ]
    input_spec = InputSpec("image", tuple(train.decoded.x.shape[1:]))
    return Dataset(DataSpec(input_spec, "classification", folder.labels, bits=bits), splits, notes)


def _decode_parts(
    folder: ImageFolder, options: ImageFolderOptions, bits: int | None
) -> tuple[dict[str, _Part], int]:
    """Decode the images of each part; returns the bits of gray values too, those of training images.

    Raises BrokenImagesError with the broken images of all parts.
    """
    height, width = [options.size] * 2 if isinstance(options.size, int) else options.size
    # The cache is mapped into memory; a batch of floats is not.
    batch_bytes = 64 * 4 * (3 if options.color else 1) * height * width
    what = f"64 images of {height}×{width}, float32,"
    check_memory(batch_bytes, what, "data.size", "set a smaller data.size")
    parts: dict[str, _Part] = {}
    broken: list[str] = []
    for name in PARTS:
        if name not in folder.parts:
            continue
        form = ImageFormat(height, width, options.color, bits)
        try:
            parts[name] = _decode_part(folder.parts[name], folder.labels, form, options.broken)
        except BrokenImagesError as error:
            broken += error.broken
            continue
        if bits is None:
            decoded_bits = parts[name].decoded.bits
            bits = BITS if decoded_bits is None else decoded_bits
    if broken or bits is None:
        counts = [len(files) for part in folder.parts.values() for files in part.values()]
        raise BrokenImagesError(broken, sum(counts))
    return parts, bits


def _broken_of(folder: ImageFolder, options: ImageFolderOptions) -> list[str]:
    """The broken images of a folder that has other issues, so that all are named at once."""
    parts = [files for part in folder.parts.values() for files in part.values()]
    files = [file for part in parts for file in part] or [*image_paths(options.path)]
    if options.broken == "skip" or len(files) > MAX_CHECKED:
        return []
    try:
        cached_images(files, ImageFormat(1, 1, False), skip=False)
    except BrokenImagesError as error:
        more = len(error.broken) - MAX_NAMED
        shown = [f"broken image {item}" for item in error.broken[:MAX_NAMED]]
        return shown + [f"and {plural(more, 'more broken image')}"] * (more > 0)
    return []


def _absent_notes(
    y: np.ndarray[Any, Any], rows: dict[str, np.ndarray[Any, Any]], labels: list[str]
) -> list[str]:
    """Classes that a split of the training folder has no image of, in a line for each split."""
    counts = np.bincount(y, minlength=len(labels))
    notes = []
    for split, index in rows.items():
        absent = np.flatnonzero((np.bincount(y[index], minlength=len(labels)) == 0) & (counts > 0))
        if len(index) and len(absent):
            shown = list_some([f"'{labels[i]}' ({counts[i]:,} in all)" for i in absent])
            notes.append(f"too few images for all splits: {split} has none of {shown}")
    return notes


@dataclass
class _Part:
    """The images of a part: their files, classes (rows,) and pixels."""

    files: list[str]
    y: Tensor
    decoded: DecodedImages
    all_files: list[str]


def _decode_part(images: Images, labels: list[str], form: ImageFormat, broken: str) -> _Part:
    files = [file for label in labels for file in images.get(label, [])]
    classes = [i for i, label in enumerate(labels) for _ in images.get(label, [])]
    decoded = cached_images(files, form, skip=broken == "skip")
    y = torch.tensor([classes[i] for i in decoded.kept], dtype=torch.int64)
    return _Part([files[i] for i in decoded.kept], y, decoded, files)


def decoding_notes(parts: Iterable[_Part], bits: int) -> list[str]:
    """Name everything that decoding has left out, guessed or converted, one line each."""
    notes: list[str] = []
    files: defaultdict[str, list[str]] = defaultdict(list)
    converted: defaultdict[str, list[str]] = defaultdict(list)
    brightest, largest_float = 0, 0.0
    for part in parts:
        report, paths = part.decoded.report, part.all_files
        files["broken"] += [f"{paths[row]}: {reason}" for row, reason in report.broken]
        files["animated"] += [paths[row] for row in report.animated]
        files["deep colors"] += [paths[row] for row in report.deep]
        brightest = max([brightest, *report.deep.values()])
        for row, mode in report.converted.items():
            converted[mode].append(paths[row])
        for row, largest in report.largest.items():
            files["float" if isinstance(largest, float) else "deep"].append(paths[row])
            largest_float = max(largest_float, largest if isinstance(largest, float) else 0.0)
            value = as_eight_bits(largest, bits)
            if value >= 256:
                files["cut"].append(paths[row])
            elif largest and value < 1:
                files["black"].append(paths[row])
        if part.decoded.damaged:
            notes.append("the image cache was damaged or incomplete: decoded anew")
    if names := files["broken"]:
        count = plural(len(names), "broken image")
        notes.append(f"left out: {count} (data.broken: skip): {list_some(names)}")
    if names := files["animated"]:
        notes.append(
            f"{_have(names)} several frames or pages, the first is used ({list_some(names)})"
        )
    notes += _value_notes(files, bits, largest_float)
    for mode, names in converted.items():
        how = "laid on white" if mode == "transparent" else "converted to red, green and blue"
        count = plural(len(names), "image is", "images are")
        notes.append(f"{count} {mode}: {how} ({list_some(names)})")
    if names := files["deep colors"]:
        notes.append(
            f"{_have(names)} colours of 16 bits, of which the upper 8 are read "
            f"({list_some(names, 1)}); the largest value is {brightest} of 255"
        )
    if names := files["black"]:
        notes.append(f"{plural(len(names), 'image')} of these come out black ({list_some(names)})")
    if names := files["cut"]:
        notes.append(
            f"{plural(len(names), 'image')} with larger values than training images have, which are "
            f"cut off ({list_some(names)})"
        )
    return notes


def _value_notes(files: dict[str, list[str]], bits: int, largest_float: float) -> list[str]:
    """Say how gray values of more than 8 bits and floating-point values are scaled."""
    notes = []
    if names := files["deep"]:
        scale = f"divided by {1 << bits - 8}" if bits > 8 else "taken as they are"
        notes.append(
            f"{_have(names)} grey values of 16 or 32 bits ({list_some(names, 1)}); all are below "
            f"{1 << bits:,} and {scale}"
        )
    if names := files["float"]:
        read_bits = float_bits(largest_float, bits)
        scale = f"up to {largest_float:.6g}, rounded"
        if read_bits == UNIT_RANGE:
            scale = "0 is black and 1 white"
        elif read_bits > 8:
            scale = f"up to {largest_float:.6g}, divided by {1 << read_bits - 8}"
        notes.append(f"{_have(names)} floating-point values ({names[0]}): {scale}")
    return notes


def _have(files: list[str]) -> str:
    return plural(len(files), "image has", "images have")


def _duplicate_notes(sources: dict[str, tuple[_Part, np.ndarray]]) -> list[str]:
    """Name equal images in two splits, or in two classes; sources: the rows of each split."""
    notes = []
    names: dict[bytes, tuple[str, int]] = {}
    of_two: list[str] = []
    seen: dict[bytes, str] = {}
    equal: list[str] = []
    for split in (name for name in PARTS if name in sources):
        part, rows = sources[split]
        digests = [part.decoded.digests[row].tobytes() for row in rows.tolist()]
        known = [names.get(digest) if split != "train" else None for digest in digests]
        twins = [
            f"{part.files[row]} and {other[0]}"
            for row, other in zip(rows.tolist(), known, strict=True)
            if other
        ]
        if twins:
            what = {"val": "validation", "test": "test"}[split]
            notes.append(
                f"{len(twins):,} of {len(rows):,} {what} images equal a training image, "
                f"as they are decoded ({list_some(twins, 1)})"
            )
        for row, digest in zip(rows.tolist(), digests, strict=True):
            file, label = part.files[row], int(part.y[row])
            if digest in seen:
                equal.append(f"{seen[digest]} and {file}")
            seen.setdefault(digest, file)
            first = names.get(digest)
            if first is not None and first[1] != label:
                of_two.append(f"{first[0]} and {file}")
            elif split == "train":
                names.setdefault(digest, (file, label))
    if equal:
        count = plural(len(equal), "image equals another", "images equal another")
        notes.insert(0, f"{count}, as they are decoded ({list_some(equal, 1)})")
    if of_two:
        count = plural(len(of_two), "image")
        notes.append(
            f"{count} equal one of another class, as they are decoded ({list_some(of_two, 2)})"
        )
    return notes
