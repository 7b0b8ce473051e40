"""Images whose targets are in a table: classes, numbers, several numbers, or several labels of each."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from nnzoo.config.data_options import CsvOptions, ImageFolderOptions
from nnzoo.data.columns.label_sets import unknown_note
from nnzoo.data.columns.roles import role_columns, role_names, role_notes, role_texts
from nnzoo.data.columns.targets import (
    encode_targets,
    infer_targets,
    resolve_task,
    stratification,
    target_names,
    unknown_labels,
    with_targets,
)
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, check_memory, make_splits
from nnzoo.data.divide import Division, PartRows, divide
from nnzoo.data.duplicates import content_codes
from nnzoo.data.image_files.cache import ImageFormat, cached_images
from nnzoo.data.image_files.decode import BITS
from nnzoo.data.image_files.labels_file import read_labels_file, rows_with_targets, target_options
from nnzoo.data.image_files.part import DecodedPart, decoding_notes, duplicate_notes
from nnzoo.data.image_files.tree import relative_paths
from nnzoo.text import Note, list_some, quoted_name

if TYPE_CHECKING:
    import pandas


def load_labeled(options: ImageFolderOptions, spec: DataSpec | None = None) -> Dataset:
    """Read the images that the table of `data.labels` names, and their targets.

    Images are decoded once, resized, into a cache. spec: that of the run, whose labels and bits of gray
    images are kept. Raises DataError for anything wrong with the table, the folder or an image.
    """
    labeled = read_labels_file(options)
    table = target_options(options, labeled)
    targets = target_names(labeled.frame, table)
    task = spec.task if spec else resolve_task(labeled.frame, targets, table)
    kept = rows_with_targets(labeled, targets, task, table)
    decoded_bits = None if spec is None else spec.bits
    decoded = cached_images(
        kept.files, image_format(options, decoded_bits), options.broken == "skip"
    )
    bits = decoded_bits or decoded.bits or BITS
    frame = kept.frame.iloc[decoded.kept]
    files = [kept.files[i] for i in decoded.kept]
    notes = list(kept.notes)
    codes = None
    if options.split.duplicates != "keep":
        codes = content_codes({"train": map(bytes, decoded.digests)})["train"]
    names = role_names(frame, role_columns(options))
    places = [f"data row {row + 1}" for row in frame.index.tolist()]
    rows = {"train": PartRows(table.path, places, role_texts(frame, names), codes)}
    division = divide(rows, table, stratification(frame, targets, task, table))
    if spec is None:
        spec, more = _infer_spec(frame.iloc[division.rows["train"]], targets, table, task)
        spec = replace(spec, input=InputSpec("image", tuple(decoded.x.shape[1:])), bits=bits)
        notes += more
    part = DecodedPart(
        files, torch.from_numpy(encode_targets(frame, spec, table.path)), decoded, kept.files
    )
    cuts = _unknown_notes(frame, division, spec)
    used = {kept.column, *targets, *names.values()}
    notes += role_notes(names) + _unused_notes(frame, used) + division.notes + cuts
    sources = {name: (part, index) for name, index in division.rows.items() if len(index)}
    notes += decoding_notes([part], bits) + duplicate_notes(sources, "one with another target")
    return Dataset(
        spec,
        make_splits(decoded.x, part.y, division.rows, decoded.pages, division.weights),
        [relative_paths(note, options.path) for note in notes],
        cuts=cuts,
        row_names={
            name: [os.path.relpath(files[i], options.path) for i in index.tolist()]
            for name, (_, index) in sources.items()
        },
    )


def image_format(options: ImageFolderOptions, bits: int | None) -> ImageFormat:
    """How images are decoded; raises DataError if a batch of them would not fit into memory."""
    height, width = [options.size] * 2 if isinstance(options.size, int) else options.size
    # The cache is mapped into memory; a batch of floats is not.
    batch_bytes = 64 * 4 * (3 if options.color else 1) * height * width
    what = f"64 images of {height}×{width}, float32,"
    check_memory(batch_bytes, what, "data.size", "set a smaller data.size")
    return ImageFormat(height, width, options.color, bits)


def _infer_spec(
    train: pandas.DataFrame, targets: list[str], table: CsvOptions, task: str
) -> tuple[DataSpec, list[str]]:
    described, notes = infer_targets(train, targets, table, task)
    spec = DataSpec(InputSpec("image", (1, 1, 1)), described.task)
    return with_targets(spec, targets, described), notes


def _unknown_notes(frame: pandas.DataFrame, division: Division, spec: DataSpec) -> list[str]:
    """Lines on labels that no training image has."""
    notes = []
    for name, index in division.rows.items():
        if unknown := unknown_labels(frame.iloc[index], spec):
            notes.append(unknown_note(name, unknown))
    return notes


def _unused_notes(frame: pandas.DataFrame, used: set[str]) -> list[str]:
    others = [quoted_name(str(name)) for name in frame.columns if name not in used]
    listed = list_some(others, 6, counted=True)
    return [Note("N09", f"not used: {listed}; the network sees the images alone")] if others else []
