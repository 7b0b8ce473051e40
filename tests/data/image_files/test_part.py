"""Notes on decoded images: equal, broken, converted, cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.data.image_files.cache import DIGEST, DecodedImages
from nnzoo.data.image_files.decode import BITS, UNIT_RANGE
from nnzoo.data.image_files.decode_pool import DecodeReport
from nnzoo.data.image_files.part import DecodedPart, decoding_notes, duplicate_notes
from tests.data.image_files.labeled import (
    ALL,
    NAMES,
    load_images,
    refused_images,
    write_image,
    write_labels,
)


def test_class_folders_leave_out_copies_too() -> None:
    for i in range(6):
        write_image(f"{'xy'[i % 2]}/{i}.png", 10 * (i // 3))
    dataset = load_images(labels=None, split=ALL.model_copy(update={"duplicates": "drop"}))
    assert len(dataset.splits["train"]) == 2
    assert any(note.startswith("left out as copies") for note in dataset.notes)


def test_broken_images_are_named_or_left_out() -> None:
    write_labels(["file,y", *(f"{name},{i}.5" for i, name in enumerate(NAMES))])
    Path("pics/b.png").write_bytes(b"no image")
    assert "b.png" in refused_images()
    dataset = load_images(broken="skip")
    assert dataset.splits["train"].targets().flatten().tolist() == [0.5, 2.5, 3.5]


def part_of(files: str, labels: list[int] | None = None, **report: Any) -> DecodedPart:
    """Files of one letter each; equal letters, whatever their case, are equal images."""
    names = [f"{i}{file}.png" for i, file in enumerate(files)]
    digests = np.array([[ord(file.lower())] * DIGEST for file in files], np.uint8)
    pages: Any = None
    decoded = DecodedImages(
        torch.zeros(len(files), 1, 2, 2, dtype=torch.uint8),
        pages,
        digests,
        DecodeReport(**report),
        list(range(len(files))),
        None,
    )
    y = torch.tensor(labels if labels is not None else [0] * len(files))
    return DecodedPart(names, y, decoded, names)


@pytest.mark.parametrize(
    ("report", "bits", "note"),
    [
        (
            {"broken": [(1, "no image")]},
            8,
            "left out: 1 broken image (data.broken: skip): 1b.png: no image",
        ),
        (
            {"animated": [0, 2]},
            8,
            "2 images have several frames or pages, the first is used (0a.png, 2c.png)",
        ),
        (
            {"converted": {0: "transparent"}},
            8,
            "1 image is transparent: laid on white (0a.png)",
        ),
        (
            {"converted": {0: "CMYK", 1: "CMYK"}},
            8,
            "2 images are CMYK: converted to red, green and blue (0a.png, 1b.png)",
        ),
        (
            {"deep": {0: 200, 1: 90}},
            8,
            "2 images have colors of 16 bits, of which the upper 8 are read (0a.png, …); the largest value is 200 of 255",
        ),
        (
            {"largest": {0: 4000}},
            12,
            "1 image has gray values of 16 or 32 bits (0a.png); all are below 4,096 and divided by 16",
        ),
        (
            {"largest": {0: 200}},
            8,
            "1 image has gray values of 16 or 32 bits (0a.png); all are below 256 and taken as they are",
        ),
        (
            {"largest": {1: 0.75}},
            UNIT_RANGE,
            "1 image has floating-point values (1b.png): 0 is black and 1 white",
        ),
        (
            {"largest": {1: 180.5}},
            BITS,
            "1 image has floating-point values (1b.png): up to 180.5, rounded",
        ),
        (
            {"largest": {1: 4000.0}},
            12,
            "1 image has floating-point values (1b.png): up to 4000, divided by 16",
        ),
    ],
)
def test_what_decoding_did_is_one_line(report: dict[str, Any], bits: int, note: str) -> None:
    assert decoding_notes([part_of("abc", **report)], bits) == [note]


def test_images_that_come_out_black_or_cut_off_are_named() -> None:
    notes = decoding_notes([part_of("ab", largest={0: 3, 1: 9000})], 12)
    assert notes[1:] == [
        "1 image of these come out black (0a.png)",
        "1 image with larger values than training images have, which are cut off (1b.png)",
    ]


def test_parts_are_counted_together_and_a_damaged_cache_is_named() -> None:
    parts = [part_of("ab", animated=[0]), part_of("c", animated=[0])]
    parts[1].decoded.damaged = True
    assert decoding_notes(parts, 8) == [
        "the image cache was damaged or incomplete: decoded anew",
        "2 images have several frames or pages, the first is used (0a.png, 0c.png)",
    ]
    assert decoding_notes([part_of("ab")], 8) == decoding_notes([], 8) == []


def test_equal_images_across_parts_and_with_other_targets_are_named() -> None:
    train, test = part_of("abA", [0, 1, 1]), part_of("bcx", [1, 0, 0])
    every = np.arange(3)
    assert duplicate_notes({"test": (test, every), "train": (train, every)}) == [
        "2 images equal another, as they are decoded (0a.png and 2A.png, …)",
        "1 of 3 test images equal a training image, as they are decoded (0b.png and 1b.png)",
        "1 image equal one of another class, as they are decoded (0a.png and 2A.png)",
    ]
    only = {"train": (train, np.array([0, 1])), "val": (test, np.array([1, 2]))}
    assert duplicate_notes(only) == []


def test_targets_of_equal_images_are_compared_as_rows() -> None:
    part = part_of("aa")
    part.y = torch.tensor([[1.0, 2.0], [1.0, 2.5]])
    rows = np.arange(2)
    notes = duplicate_notes({"train": (part, rows)}, "one with other targets")
    assert notes[1] == (
        "1 image equal one with other targets, as they are decoded (0a.png and 1a.png)"
    )
    part.y = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    assert len(duplicate_notes({"train": (part, rows)})) == 1
