"""Images in class folders: decoded once into a cache, split, and everything left out is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit, check_memory, make_splits, split_rows
from nnzoo.data.image_files.cache import (
    BrokenImagesError,
    DecodedImages,
    ImageFormat,
    cached_images,
)
from nnzoo.data.image_files.decode import BITS, UNIT_RANGE, as_eight_bits, float_bits
from nnzoo.data.image_files.folder import PARTS, ImageFolder, Images, describe_folder
from nnzoo.data.image_files.tree import image_paths, relative_paths
from nnzoo.errors import DataError
from nnzoo.text import list_some, plural

# Of a folder with other faults so many images are decoded, to name the broken ones with them.
MAX_CHECKED, MAX_NAMED = 20_000, 10


def load_folder(options: ImageFolderOptions, spec: DataSpec | None = None) -> Dataset:
    """A folder of class folders, or of parts (train, val, test) above them; see `describe_folder`.

    Images are decoded once, resized, into a cache. With a spec, labels and the bits of grey images
    are those of the run. Raises DataError with all faults of the folder and all broken images.
    """
    labels = spec.labels if spec else None
    folder = describe_folder(Path(options.path), labels, options.classes)
    if folder.faults:
        folder.faults += _broken_of(folder, options)
        folder.check()
    bits = None if spec is None else spec.bits
    height, width = [options.size] * 2 if isinstance(options.size, int) else options.size
    check_memory(  # the cache is mapped; what trains is not
        64 * 4 * (3 if options.color else 1) * height * width,
        f"64 images of {height}×{width}, float32,", "data.size", "set a smaller data.size",
    )  # fmt: skip
    parts: dict[str, _Part] = {}
    broken: list[str] = []
    for part in PARTS:
        if part not in folder.parts:
            continue
        form = ImageFormat(height, width, options.color, bits)
        try:
            parts[part] = _decode_part(folder.parts[part], folder.labels, form, options.broken)
        except BrokenImagesError as error:  # those of the other parts are named with them
            broken += error.broken
            continue
        # Of training images alone; the others are scaled alike.
        if bits is None:
            decoded_bits = parts[part].decoded.bits
            bits = BITS if decoded_bits is None else decoded_bits
    if broken:
        counts = [len(files) for part in folder.parts.values() for files in part.values()]
        raise BrokenImagesError(broken, sum(counts))
    train = parts["train"]
    split = options.split
    if split.folds is not None and "val" in parts:
        raise DataError.at(
            "data.split.folds", "the validation rows have a folder of their own here"
        )
    held = {"val": split.val if "val" not in parts else 0}
    held["test"] = split.test if "test" not in parts else 0
    rows = split_rows(len(train.y), split.model_copy(update=held), train.y.numpy())
    splits = make_splits(train.decoded.x, train.y, rows, train.decoded.pages)
    splits |= {
        name: TensorSplit(part.decoded.x, part.y, pages=part.decoded.pages)
        for name, part in parts.items()
        if name != "train"
    }
    assert bits is not None
    notes = _decoding_notes(parts, bits)
    places = {name: (train, index) for name, index in rows.items() if len(index)}
    places |= {
        name: (part, np.arange(len(part.y))) for name, part in parts.items() if name != "train"
    }
    notes += _duplicate_notes(places)
    notes = [relative_paths(note, options.path) for note in notes]
    notes = [*folder.lines(), *_absent_notes(train.y.numpy(), rows, folder.labels), *notes]
    input_spec = InputSpec("image", tuple(train.decoded.x.shape[1:]))
    result_spec = DataSpec(input_spec, "classification", folder.labels, bits=bits)
    return Dataset(result_spec, splits, notes)


def _broken_of(folder: ImageFolder, options: ImageFolderOptions) -> list[str]:
    """The broken images of a folder that has other faults, so that all are named at once."""
    parts = [files for part in folder.parts.values() for files in part.values()]
    files = [file for each in parts for file in each] or [*image_paths(options.path)]
    if options.broken == "skip" or len(files) > MAX_CHECKED:
        return []
    try:
        cached_images(files, ImageFormat(1, 1, False), skip=False)
    except BrokenImagesError as error:
        more = len(error.broken) - MAX_NAMED
        shown = [f"broken image {each}" for each in error.broken[:MAX_NAMED]]
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


def _decoding_notes(parts: dict[str, _Part], bits: int) -> list[str]:
    """What decoding has left out or guessed, one line each."""
    notes: list[str] = []
    broken: list[str] = []
    animated: list[str] = []
    deep: list[str] = []
    dark: list[str] = []
    colours: list[str] = []
    brightest = 0
    converted: dict[str, list[str]] = {}
    bright: list[str] = []
    floats: list[tuple[str, float]] = []
    for part in parts.values():
        report, files = part.decoded.report, part.all_files
        broken += [f"{files[row]}: {reason}" for row, reason in report.broken]
        animated += [files[row] for row in report.animated]
        colours += [files[row] for row in report.deep]
        for row, mode in report.converted.items():
            converted.setdefault(mode, []).append(files[row])
        brightest = max([brightest, *report.deep.values()])
        tops = report.largest.items()
        deep += [files[row] for row, top in tops if not isinstance(top, float)]
        floats += [(files[row], top) for row, top in tops if isinstance(top, float)]
        dark += [files[row] for row, top in tops if top and as_eight_bits(top, bits) < 1]
        bright += [files[row] for row, top in tops if as_eight_bits(top, bits) >= 256]
        if part.decoded.damaged:
            notes.append("the image cache was damaged or incomplete: decoded anew")
    if broken:
        count = plural(len(broken), "broken image")
        notes.append(f"left out: {count} (data.broken: skip): {list_some(broken)}")
    if animated:
        count = plural(len(animated), "image has", "images have")
        notes.append(f"{count} several frames or pages, the first is used ({list_some(animated)})")
    if deep:
        count = plural(len(deep), "image has", "images have")
        scale = f"divided by {1 << bits - 8}" if bits > 8 else "taken as they are"
        notes.append(f"{count} grey values of 16 or 32 bits ({list_some(deep, 1)}); all are below "
                     f"{1 << bits:,} and {scale}")  # fmt: skip
    if floats:
        count = plural(len(floats), "image has", "images have")
        largest = max(top for _, top in floats)
        as_read = float_bits(largest, bits)
        scale = (
            "0 is black and 1 white" if as_read == UNIT_RANGE
            else f"up to {largest:.6g}, " + (f"divided by {1 << as_read - 8}" if as_read > 8 else "rounded")
        )  # fmt: skip
        notes.append(f"{count} floating-point values ({floats[0][0]}): {scale}")
    for mode, names in converted.items():
        how = "laid on white" if mode == "transparent" else "converted to red, green and blue"
        count = plural(len(names), "image is", "images are")
        notes.append(f"{count} {mode}: {how} ({list_some(names)})")
    if colours:
        count = plural(len(colours), "image has", "images have")
        notes.append(f"{count} colours of 16 bits, of which the upper 8 are read ({list_some(colours, 1)}); "
                     f"the largest value is {brightest} of 255")  # fmt: skip
    if dark:
        notes.append(f"{plural(len(dark), 'image')} of these come out black ({list_some(dark)})")
    if bright:
        notes.append(f"{plural(len(bright), 'image')} with larger values than training images "
                     f"have, which are cut off ({list_some(bright)})")  # fmt: skip
    return notes


def _duplicate_notes(places: dict[str, tuple[_Part, np.ndarray]]) -> list[str]:
    """What equal images there are in two splits, or in two classes; places: the rows of each split."""
    notes = []
    names: dict[bytes, tuple[str, int]] = {}
    of_two: list[str] = []
    seen: dict[bytes, str] = {}
    equal: list[str] = []
    for split in (name for name in PARTS if name in places):
        part, rows = places[split]
        digests = [part.decoded.digests[row].tobytes() for row in rows.tolist()]
        known = [names.get(digest) if split != "train" else None for digest in digests]
        twins = [f"{part.files[row]} and {other[0]}"
                 for row, other in zip(rows.tolist(), known, strict=True) if other]  # fmt: skip
        if twins:
            what = {"val": "validation", "test": "test"}[split]
            notes.append(f"{len(twins):,} of {len(rows):,} {what} images equal a training image, "
                         f"as they are decoded ({list_some(twins, 1)})")  # fmt: skip
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
