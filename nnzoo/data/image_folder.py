"""Images in class folders: decoded once into a cache, split, and everything left out is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.data.columns.roles import no_columns, role_columns
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, make_splits
from nnzoo.data.divide import PartRows, divide
from nnzoo.data.duplicates import content_codes
from nnzoo.data.image_files.cache import BrokenImagesError, ImageFormat, cached_images
from nnzoo.data.image_files.decode import BITS
from nnzoo.data.image_files.folder import ImageFolder, Images, describe_folder
from nnzoo.data.image_files.part import DecodedPart, decoding_notes, duplicate_notes
from nnzoo.data.image_files.split_names import PARTS
from nnzoo.data.image_files.tree import image_paths, relative_paths
from nnzoo.data.labeled_images import image_format, load_labeled
from nnzoo.text import Note, list_some, plural

# At most so many images of a folder with other issues are decoded, to name the broken ones with them.
MAX_CHECKED, MAX_NAMED = 20_000, 10


def load_folder(options: ImageFolderOptions, spec: DataSpec | None = None) -> Dataset:
    """Read a folder of class folders, or of parts (train, val, test) above them, or images with a file of labels.

    Images are decoded once, resized, into a cache. spec: that of the run, whose labels and bits of
    gray images are kept. Raises DataError with all issues of the folder and all broken images.
    """
    if options.labels is not None:
        return load_labeled(options, spec)
    no_columns(role_columns(options), "is for images with a file of labels (data.labels)")
    folder = describe_folder(Path(options.path), spec.labels if spec else None, options.classes)
    if folder.issues:
        folder.issues += _broken_of(folder, options)
        folder.check()
    parts, bits = _decode_parts(folder, options, None if spec is None else spec.bits)
    train = parts["train"]
    codes = content_codes(
        {name: map(bytes, part.decoded.digests) for name, part in parts.items()}
        if options.split.duplicates != "keep"
        else {}
    )
    part_rows = {
        name: PartRows(options.path, part.files, {}, codes.get(name))
        for name, part in parts.items()
    }
    division = divide(part_rows, options, train.y.numpy())
    rows = division.rows
    splits = make_splits(train.decoded.x, train.y, rows, train.decoded.pages)
    sources = {name: (train, index) for name, index in rows.items() if len(index)}
    for name, part in parts.items():
        if name != "train":
            kept = {name: division.kept[name]}
            splits |= make_splits(part.decoded.x, part.y, kept, part.decoded.pages)
            sources[name] = part, division.kept[name]
    notes = [*decoding_notes(parts.values(), bits), *duplicate_notes(sources)]
    notes = [
        *folder.lines(),
        *(relative_paths(note, options.path) for note in division.notes),
        *_absent_notes(train.y.numpy(), rows, folder.labels),
        *(relative_paths(note, options.path) for note in notes),
    ]
    input_spec = InputSpec("image", tuple(train.decoded.x.shape[1:]))
    return Dataset(DataSpec(input_spec, "classification", folder.labels, bits=bits), splits, notes)


def _decode_parts(
    folder: ImageFolder, options: ImageFolderOptions, bits: int | None
) -> tuple[dict[str, DecodedPart], int]:
    """Decode the images of each part; returns the bits of gray values too, those of training images.

    Raises BrokenImagesError with the broken images of all parts.
    """
    parts: dict[str, DecodedPart] = {}
    broken: list[str] = []
    for name in PARTS:
        if name not in folder.parts:
            continue
        form = image_format(options, bits)
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
    notes: list[str] = []
    for split, index in rows.items():
        absent = np.flatnonzero((np.bincount(y[index], minlength=len(labels)) == 0) & (counts > 0))
        if len(index) and len(absent):
            shown = list_some([f"'{labels[i]}' ({counts[i]:,} in all)" for i in absent])
            notes.append(Note("W47", f"too few images for all splits: {split} has none of {shown}"))
    return notes


def _decode_part(images: Images, labels: list[str], form: ImageFormat, broken: str) -> DecodedPart:
    files = [file for label in labels for file in images.get(label, [])]
    classes = [i for i, label in enumerate(labels) for _ in images.get(label, [])]
    decoded = cached_images(files, form, skip=broken == "skip")
    y = torch.tensor([classes[i] for i in decoded.kept], dtype=torch.int64)
    return DecodedPart([files[i] for i in decoded.kept], y, decoded, files)
