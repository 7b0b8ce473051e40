"""What `nnzoo inspect` and the report show of a trained network: the rows to look at, and the files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo import file_io
from nnzoo.data.dataset import Dataset
from nnzoo.errors import CheckpointError, UsageError
from nnzoo.evaluation.diagnostics import spread_rows
from nnzoo.inspect import draw, hidden
from nnzoo.inspect.images import arrays, pictures
from nnzoo.runs.loaded_run import LoadedRun

SHOWN = 10
# Rows that averages over rows are about; of the loss surface, which takes 289 evaluations.
LOOKED = 512
SURFACE_ROWS = 256


def split_to_look_at(dataset: Dataset, wanted: str = "test") -> str:
    """The split wanted; the training rows where there is none."""
    return wanted if wanted in dataset.splits else "train"


def telling_rows(dataset: Dataset, split: str) -> Tensor:
    """Rows of a split (int64) that show what there is: the first of each class, or evenly spaced; of a
    table many, since one row tells little."""
    rows = dataset.splits[split]
    if dataset.spec.input.kind == "table":
        return spread_rows(len(rows), LOOKED, torch.device("cpu"))
    if dataset.spec.is_classification:
        targets = rows.targets()
        found = [(targets == label).nonzero()[:1, 0] for label in range(len(dataset.spec.labels))]
        return torch.cat(found)[:SHOWN]
    return spread_rows(len(rows), SHOWN, torch.device("cpu"))


def choose_rows(dataset: Dataset, split: str, rows: Sequence[int]) -> Tensor:
    """The rows asked for, or telling ones; raises UsageError where there is no such row."""
    if not rows:
        return telling_rows(dataset, split)
    length = len(dataset.splits[split])
    wrong = [row for row in rows if not 0 <= row < length]
    if wrong:
        raise UsageError(f"--row {wrong[0]}: the {split} split has rows 0 to {length - 1}")
    return torch.tensor(list(rows))


def truth_of(dataset: Dataset, targets: Tensor) -> list[str]:
    """Targets as text: labels, or the first numbers."""
    if dataset.spec.is_classification:
        return [dataset.spec.labels[int(label)] for label in targets]
    return [", ".join(f"{value:.4g}" for value in row[:3].tolist()) for row in targets]


def write(
    trained: LoadedRun,
    raw: Tensor,
    truth: list[str] | None,
    folder: Path,
    surface: str | None = None,
) -> list[tuple[Path, str]]:
    """Write every picture of some raw inputs as PNG, and the numbers behind them as arrays.npz; returns
    each file with what it shows.

    surface: the split whose loss is drawn around the weights too. Raises CheckpointError where the
    folder cannot be written.
    """
    network = trained.network
    written = []
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; name where to write with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture in pictures(network, raw, truth):
            path = folder / f"{picture.stem}.png"
            file_io.write(path, draw.png(picture.figure))
            written.append((path, picture.caption))
        if surface is not None:
            split = trained.prepared(surface)
            rows = spread_rows(len(split), SURFACE_ROWS, network.device)
            at, losses = hidden.loss_surface(network, split, rows)
            path = folder / "surface.png"
            file_io.write(path, draw.png(draw.surface(at, losses.cpu().numpy())))
            written.append((path, "The loss along two random directions around the weights."))
        path = folder / "arrays.npz"
        values: dict[str, Any] = arrays(network, raw)
        file = io.BytesIO()
        np.savez_compressed(file, **values)
        file_io.write(path, file.getvalue())
        written.append((path, "The numbers behind the pictures."))
    except OSError as error:
        raise CheckpointError(
            f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out"
        ) from None
    return written
