"""The images of a part as they were decoded, and notes on everything that decoding guessed, converted or left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from nnzoo.data.image_files.cache import DecodedImages
from nnzoo.data.image_files.decode import UNIT_RANGE, as_eight_bits, float_bits
from nnzoo.data.image_files.split_names import PARTS
from nnzoo.text import Note, list_some, plural

Array = np.ndarray[Any, Any]


@dataclass
class DecodedPart:
    """The images of a part: their files, classes (rows,) or targets (rows, outputs), and pixels; all_files: with those
    that are broken."""

    files: list[str]
    y: Tensor
    decoded: DecodedImages
    all_files: list[str]


def decoding_notes(parts: Iterable[DecodedPart], bits: int) -> list[str]:
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
            notes.append(Note("N23", "the image cache was damaged or incomplete: decoded anew"))
    if names := files["broken"]:
        count = plural(len(names), "broken image")
        notes.append(Note("N18", f"left out: {count} (data.broken: skip): {list_some(names)}"))
    if names := files["animated"]:
        text = f"{_have(names)} several frames or pages, the first is used ({list_some(names)})"
        notes.append(Note("N18", text))
    notes += _value_notes(files, bits, largest_float)
    for mode, names in converted.items():
        how = "laid on white" if mode == "transparent" else "converted to red, green and blue"
        count = plural(len(names), "image is", "images are")
        notes.append(Note("N18", f"{count} {mode}: {how} ({list_some(names)})"))
    if names := files["deep colors"]:
        text = (
            f"{_have(names)} colors of 16 bits, of which the upper 8 are read "
            f"({list_some(names, 1)}); the largest value is {brightest} of 255"
        )
        notes.append(Note("N18", text))
    return notes + _lost_value_notes(files)


def _lost_value_notes(files: dict[str, list[str]]) -> list[str]:
    """Name images that come out black, or whose largest values are cut off."""
    notes: list[str] = []
    if names := files["black"]:
        count = plural(len(names), "image")
        notes.append(Note("W49", f"{count} of these come out black ({list_some(names)})"))
    if names := files["cut"]:
        text = (
            f"{plural(len(names), 'image')} with larger values than training images have, which are "
            f"cut off ({list_some(names)})"
        )
        notes.append(Note("N18", text))
    return notes


def _value_notes(files: dict[str, list[str]], bits: int, largest_float: float) -> list[str]:
    """Say how gray values of more than 8 bits and floating-point values are scaled."""
    notes: list[str] = []
    if names := files["deep"]:
        scale = f"divided by {1 << bits - 8}" if bits > 8 else "taken as they are"
        text = (
            f"{_have(names)} gray values of 16 or 32 bits ({list_some(names, 1)}); all are below "
            f"{1 << bits:,} and {scale}"
        )
        notes.append(Note("N18", text))
    if names := files["float"]:
        read_bits = float_bits(largest_float, bits)
        scale = f"up to {largest_float:.6g}, rounded"
        if read_bits == UNIT_RANGE:
            scale = "0 is black and 1 white"
        elif read_bits > 8:
            scale = f"up to {largest_float:.6g}, divided by {1 << read_bits - 8}"
        notes.append(Note("N18", f"{_have(names)} floating-point values ({names[0]}): {scale}"))
    return notes


def _have(files: list[str]) -> str:
    return plural(len(files), "image has", "images have")


def duplicate_notes(
    sources: dict[str, tuple[DecodedPart, Array]], other: str = "one of another class"
) -> list[str]:
    """Name equal images in two splits, or with two targets; sources: the rows of each split; other: an image with
    another target."""
    notes: list[str] = []
    names: dict[bytes, tuple[str, Any]] = {}
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
            text = (
                f"{len(twins):,} of {len(rows):,} {what} images equal a training image, "
                f"as they are decoded ({list_some(twins, 1)})"
            )
            notes.append(Note("W40", text))
        for row, digest in zip(rows.tolist(), digests, strict=True):
            file, label = part.files[row], part.y[row].tolist()
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
        notes.insert(0, Note("W40", f"{count}, as they are decoded ({list_some(equal, 1)})"))
    if of_two:
        count = plural(len(of_two), "image")
        notes.append(
            Note("W40", f"{count} equal {other}, as they are decoded ({list_some(of_two, 2)})")
        )
    return notes
