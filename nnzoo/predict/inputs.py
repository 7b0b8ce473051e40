"""What is asked for (paths, frames, arrays), checked and handed on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.image_files.folder_tree import EXTENSIONS, UNREAD, by_type, extension, scan
from nnzoo.errors import DataError, UsageError
from nnzoo.models.network import Network
from nnzoo.predict.images import levels, predict_pictures
from nnzoo.predict.new_values import NewValues
from nnzoo.predict.predictions import Predictions, answer, forecasts, notes_nan, reads, rows_at_once
from nnzoo.predict.series import answer_series, forecast, pasts_of, predict_series
from nnzoo.predict.tables import (
    answer_rows,
    predict_sequences,
    predict_tables,
    read_sequence,
)
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

MAX_STEPS = 1_000_000


def predict(network: Network, x: Any = None, steps: int | None = None) -> Iterator[Predictions]:
    """Predictions for new data, as raw as training saw it.

    x: a path, or several, of what `reads` says; a DataFrame (a table, one sequence, or the past of a
    series); an array or tensor (`predict_arrays`); None for the future of the run's own series.
    steps: of a forecast, how many follow the end; the horizon by default. Raises DataError for
    what the network cannot read, UsageError for what makes no sense.
    """
    import pandas

    if isinstance(x, pandas.DataFrame):
        return predict_frame(network, x, steps)
    if isinstance(x, np.ndarray | Tensor):
        return predict_arrays(network, x, steps)
    if isinstance(x, str | Path):
        return predict_files(network, [x], steps)
    if x is None or (isinstance(x, Sequence) and all(isinstance(each, str | Path) for each in x)):
        return predict_files(network, list(x or []), steps)
    if isinstance(x, Sequence) and not isinstance(x, bytes):
        return predict_arrays(network, _nested(x), steps)
    raise DataError(
        "expected a path, a list of paths, a DataFrame, or an array or tensor of raw inputs; got "
        f"{type(x).__name__}"
    )


def _nested(x: Sequence[Any]) -> np.ndarray:
    """Nested lists of numbers as an array."""
    try:
        return np.array(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected nested lists of numbers: {error}") from None


@notes_nan
def predict_files(
    network: Network,
    paths: Sequence[str | Path],
    steps: int | None = None,
    keep: Sequence[str] = (),
) -> Iterator[Predictions]:
    """Predictions for files; without any, the future of the run's own series.

    keep: columns of tables that are carried along to the answers.
    """
    steps = _checked_steps(network, steps)
    if keep and network.data_spec.input.kind != "table":
        raise UsageError(f"--keep is for tables; this network reads {reads(network)}")
    _check_files(network, paths)
    files = [str(path) for path in paths]
    if forecasts(network):
        yield predict_series(network, files, cast(int, steps))
    elif network.data_spec.input.kind == "image":
        yield from predict_pictures(network, files)
    elif network.data_spec.input.kind == "table":
        yield from predict_tables(network, files, keep)
    else:
        yield from predict_sequences(network, files)


@notes_nan
def predict_frame(
    network: Network, frame: pandas.DataFrame, steps: int | None = None
) -> Iterator[Predictions]:
    """Predictions for a table, for one sequence, or for the past of a series."""
    steps = _checked_steps(network, steps)
    if network.data_spec.input.kind == "image":
        raise DataError(f"a DataFrame holds no pictures; this network reads {reads(network)}")
    if not len(frame):
        raise DataError("the table has no rows")
    frame = frame.reset_index(drop=True)
    frame.columns = frame.columns.map(str)
    source = "the table"
    if forecasts(network):
        past = pasts_of(network, frame, source)
        yield answer_series(network, {"": past}, cast(int, steps))
    elif network.data_spec.input.kind == "table":
        seen = NewValues()
        answers = answer_rows(network, frame, source, seen)
        answers.notes += seen.notes()
        yield answers
    else:
        yield answer(network, read_sequence(network, frame, source)[None], {})


@notes_nan
def predict_arrays(
    network: Network, x: np.ndarray | Tensor, steps: int | None = None
) -> Iterator[Predictions]:
    """Predictions for raw inputs, or for one of them.

    x: images (rows, channels, height, width) uint8, (channels, height, width), or (height, width)
    where they are grey; rows of a table of numbers (rows, columns), NaN for missing; sequences or
    windows of a series (rows, time, features), in their own units. Raises DataError for other shapes,
    types and values. A forecast's answers are named "target+step", time first.
    """
    steps = _checked_steps(network, steps)
    raw = _checked_array(network, x)
    for i, piece in enumerate(raw.split(rows_at_once(network))):
        first = i * rows_at_once(network)
        places = {"row": list(range(first + 1, first + len(piece) + 1))}
        if forecasts(network) and steps is not None:
            targets = network.data_spec.targets
            values = forecast(network, piece, steps)
            names = [f"{name}+{step}" for step in range(1, steps + 1) for name in targets]
            yield Predictions(
                targets if steps == 1 else names, False, values.reshape(len(piece), -1), places
            )
        else:
            yield answer(network, piece, places)


def _checked_steps(network: Network, steps: int | None) -> int | None:
    """The steps of a forecast; None for what is none."""
    if not forecasts(network):
        if steps is not None:
            raise UsageError(
                f"steps are for forecasts; this network reads {reads(network)}, and its answers are "
                f"{'classes' if network.data_spec.is_classification else 'numbers'}"
            )
        return None
    if steps is None:
        return network.data_spec.horizon
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"steps: expected 1 to {MAX_STEPS:,}, got {steps}")
    return steps


def _check_files(network: Network, paths: Sequence[str | Path]) -> None:
    """Refuse what cannot be an input, before anything is answered."""
    if not paths and not forecasts(network):
        raise UsageError(f"nothing to answer; this network reads {reads(network)}")
    images = network.data_spec.input.kind == "image"
    for path in map(Path, paths):
        picture = path.suffix.lower() in EXTENSIONS
        folder = os.path.isdir(path)
        if not os.path.exists(path):
            raise DataError(f"no file {path}")
        if folder and not images:
            raise DataError(f"{path} is a folder; this network reads {reads(network)}")
        if folder and not (pictures := scan(str(path))).count():
            unread = pictures.all_left_out().unread
            but = f" but {by_type(unread)}; {UNREAD[extension(unread[0])]}" if unread else ""
            raise DataError(f"{path} has no pictures{but}; this network reads {reads(network)}")
        if not folder and not os.path.isfile(path):  # a pipe would wait for ever
            raise DataError(f"not a regular file: {path}")
        if not folder and picture != images:
            what = "is an image" if picture else "is not an image"
            if images and extension(str(path)) in UNREAD:
                what = f"is in a format that is not read ({UNREAD[extension(str(path))]})"
            raise DataError(f"{path} {what}; this network reads {reads(network)}")


def _checked_array(network: Network, x: np.ndarray | Tensor) -> Tensor:
    """Raw inputs as the network reads them: (rows, *shape), on the CPU."""
    kind, shape = network.data_spec.input.kind, network.data_spec.input.shape
    if isinstance(x, np.ndarray):
        try:
            x = torch.from_numpy(np.array(x, order="C"))  # also of what may not be written to
        except (TypeError, ValueError):
            raise DataError(f"expected numbers, got {x.dtype}") from None
    x = x.detach().cpu()
    expected = f"({', '.join(['rows', *map(str, shape)])})"
    given = tuple(x.shape)
    if kind == "image" and x.ndim == 2 and shape[0] == 1:
        x = x[None]
    if x.ndim == len(shape):
        x = x[None]
    if tuple(x.shape[1:]) != shape or not len(x):
        what = {"image": "images", "table": "rows"}.get(kind, "windows")
        raise DataError(f"expected {what} of shape {expected}, or one of them; got {given}")
    if kind == "image":
        top = levels(network)
        if x.dtype != torch.uint8:
            raise DataError(
                f"expected pixels from 0 to {top} as uint8, got {_type(x)}; scale, round and cast "
                "them"
            )
        if int(x.max()) > top:
            raise DataError(f"expected pixels from 0 to {top}, got {int(x.max())}")
        return x
    if x.is_complex() or x.dtype == torch.bool:
        raise DataError(f"expected numbers, got {_type(x)}")
    if kind == "table":
        text = [each.name for each in network.data_spec.columns if each.categories is not None]
        if text:
            raise DataError(
                f"column '{shorten(text[0])}' holds categories; give the rows as a DataFrame"
            )
        return x.double()
    if not x.isfinite().all():
        raise DataError("expected finite numbers; there are missing or infinite ones")
    return x.double()


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
