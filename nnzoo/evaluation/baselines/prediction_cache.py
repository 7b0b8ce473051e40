"""The cache of baselines: what they predict for a split, and the seconds of their fit, kept by data and options."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from nnzoo import __version__, file_io
from nnzoo.cache import cache_dir
from nnzoo.errors import CheckpointError
from nnzoo.evaluation.baselines.baseline import Baseline, Problem
from nnzoo.file_io import read_plain

VERSION = 2
"""Raised when a baseline predicts otherwise than before."""
MAX_VALUES = 1 << 23
"""Predicted values of a split, 64 MB, beyond which they are not kept."""


def cache_file(problem: Problem, baseline: Baseline, split: str) -> Path:
    """The file of the predictions of a baseline for a split: all that decides them is in the name."""
    weights = [problem.row_weights(rows) for rows in problem.dataset.splits.values()]
    parts: list[Any] = [
        problem.dataset.memo.setdefault("fingerprint", problem.dataset.fingerprint()),
        type(baseline).__name__,
        split,
        repr(problem.preprocess.options),
        problem.spec.seasonal_period,
        [None if w is None else hashlib.sha256(w.numpy().tobytes()).hexdigest() for w in weights],
        VERSION,
        __version__,
        torch.__version__,
        version("scikit-learn"),
    ]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    return cache_dir() / "baselines" / f"{key}.npz"


def read_predictions(file: Path, rows: int) -> tuple[Tensor, float] | None:
    """Predictions (rows, outputs) float64 and the seconds of the fit; None if they are not kept, or no longer whole."""
    with suppress(OSError, ValueError, LookupError, EOFError, TypeError, BadZipFile):
        data = io.BytesIO(read_plain(file, 2 * 8 * MAX_VALUES))
        with np.load(data, allow_pickle=False) as content:
            outputs, seconds = content["outputs"], float(content["seconds"])
        if outputs.ndim == 2 and len(outputs) == rows and outputs.dtype == np.float64:
            return torch.from_numpy(outputs), seconds
    return None


def write_predictions(file: Path, outputs: Tensor, seconds: float) -> None:
    """Keep them, where that is possible: a cache that cannot be written is no reason to stop."""
    if outputs.numel() > MAX_VALUES:
        return
    data = io.BytesIO()
    np.savez(data, outputs=outputs.contiguous().numpy(), seconds=seconds)
    with suppress(OSError, CheckpointError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file_io.write(file, data.getvalue())
