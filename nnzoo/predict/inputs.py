"""The inputs of `predict`: paths, data frames and arrays, checked and passed on by their kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.image_files.tree import EXTENSIONS, UNREAD, by_type, extension, scan
from nnzoo.errors import DataError, UsageError
from nnzoo.models.network import Network
from nnzoo.predict.predictions import (
    Predictions,
    batch_size,
    describe_expected_input,
    is_forecaster,
    note_nan,
    predict_raw,
    reads_recordings,
)
from nnzoo.predict.uncertainty import with_coverage
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

MAX_STEPS = 1_000_000
Array = np.ndarray[Any, Any]


def predict(
    network: Network,
    x: Any = None,
    steps: int | None = None,
    keep: Sequence[str] = (),
    coverage: float | None = None,
) -> Iterator[Predictions]:
    """Yield predictions for new data, raw like the training data.

    x: a path or several (`describe_expected_input`), or texts; a DataFrame (a table, one sequence, or the past of
    a series); an array or tensor (`_predict_arrays`); None for the future of the run's own series.
    steps: how many time steps to forecast; default: the horizon. keep: columns of tables that are
    carried along. coverage: of intervals and sets; needs a calibrated network. Raises DataError for what the network cannot read, UsageError for what makes no
    sense. The last batch notes how many predictions are nan.
    """
    steps = _check_steps(network, steps)
    batches = note_nan(_predict(network, x, steps, keep))
    return batches if coverage is None else with_coverage(network, batches, coverage, steps)


def _predict(network: Network, x: Any, steps: int, keep: Sequence[str]) -> Iterator[Predictions]:
    """Return the predictions of `predict`, by the kind of the input."""
    if network.data_spec.task == "language_model":
        raise UsageError(
            f"nothing to predict; this network reads {describe_expected_input(network)}", code="E07"
        )
    if network.data_spec.input.kind == "tokens":
        from nnzoo.predict.texts import predict_texts

        return predict_texts(network, [] if x is None else x, keep)
    if keep and network.data_spec.input.kind != "table":
        expected = describe_expected_input(network)
        raise UsageError(f"--keep is for tables; this network reads {expected}", code="E54")
    if isinstance(x, np.ndarray | Tensor) and not reads_recordings(network):
        return _predict_arrays(network, x, steps)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(x, pandas.DataFrame):
        return _predict_frame(network, x, steps)
    if isinstance(x, str | Path):
        x = [x]
    if x is None or (isinstance(x, Sequence) and all(isinstance(path, str | Path) for path in x)):
        return _predict_files(network, [str(path) for path in x or []], steps, keep)
    is_array = isinstance(x, Sequence | np.ndarray | Tensor) and not isinstance(x, bytes)
    if is_array and reads_recordings(network):
        from nnzoo.predict import recordings

        return recordings.predict_arrays(network, x)
    if isinstance(x, Sequence) and not isinstance(x, bytes):
        try:
            x = np.array(x, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"expected nested lists of numbers: {error}", code="E54") from None
        return _predict_arrays(network, x, steps)
    raise DataError(
        "expected a path, a list of paths, a DataFrame, or an array or tensor of raw inputs; got "
        f"{type(x).__name__}",
        code="E54",
    )


def _predict_files(
    network: Network, paths: list[str], steps: int, keep: Sequence[str]
) -> Iterator[Predictions]:
    """Predict files; without any, the future of the run's own series."""
    _check_files(network, paths)
    kind = network.data_spec.input.kind
    if kind == "image":
        from nnzoo.predict.images import predict_images

        yield from predict_images(network, paths)
    elif is_forecaster(network):
        from nnzoo.predict.series import predict_series

        yield predict_series(network, paths, steps)
    elif kind == "table":
        from nnzoo.predict.tables import predict_tables

        yield from predict_tables(network, paths, keep)
    elif reads_recordings(network):
        from nnzoo.predict.recordings import predict_recordings

        yield from predict_recordings(network, paths)
    else:
        from nnzoo.predict.tables import predict_sequences

        yield from predict_sequences(network, paths)


def _predict_frame(network: Network, frame: pandas.DataFrame, steps: int) -> Iterator[Predictions]:
    """Predict the rows of a table, one sequence, or the future of the series of a frame."""
    from nnzoo.predict import series, tables

    if network.data_spec.input.kind == "image":
        expected = describe_expected_input(network)
        raise DataError(f"a DataFrame holds no images; this network reads {expected}", code="E54")
    if not len(frame):
        raise DataError("the table has no rows", code="E54")
    if network.data_spec.input.kind == "table":
        from nnzoo.predict.plain_frame import plain_rows

        raw = plain_rows(frame, network.data_spec.columns)
        if raw is not None:
            yield predict_raw(network, raw, {"row": list(range(1, len(raw) + 1))})
            return
    frame = frame.reset_index(drop=True)
    frame.columns = frame.columns.map(str)
    source = "the table"
    if is_forecaster(network):
        histories = series.histories_from_frame(network, frame, source)
        yield series.forecast_histories(network, {"": histories}, steps)
    elif network.data_spec.input.kind == "table":
        values = tables.NewValues()
        predictions = tables.predict_rows(network, frame, source, values)
        predictions.notes += values.notes()
        yield predictions
    elif reads_recordings(network):
        from nnzoo.predict import recordings

        yield from recordings.predict_frame(network, frame)
    else:
        yield predict_raw(network, tables.read_sequence(network, frame, source)[None], {})


def _predict_arrays(network: Network, x: Array | Tensor, steps: int) -> Iterator[Predictions]:
    """Predict raw inputs, or a single one.

    x: images (rows, channels, height, width) uint8, (channels, height, width), or gray ones (height,
    width); rows of a table of numbers (rows, columns), NaN for missing; sequences or windows of a
    series (rows, time, features) in original units. The outputs of a forecast are named
    "target+step", time first. Raises DataError for other shapes, types and values.
    """
    raw, size = _check_array(network, x), batch_size(network)
    for i, batch in enumerate(raw.split(size) if len(raw) > size else (raw,)):
        index = {"row": list(range(i * size + 1, i * size + len(batch) + 1))}
        if is_forecaster(network):
            from nnzoo.predict.series import forecast

            names = targets = network.data_spec.targets
            if steps > 1:
                names = [f"{name}+{step}" for step in range(1, steps + 1) for name in targets]
            yield replace(forecast(network, batch, steps), names=names, index=index)
        else:
            yield predict_raw(network, batch, index)


def _check_steps(network: Network, steps: int | None) -> int:
    """Return the time steps to forecast; 0 for a network that does not forecast."""
    if not is_forecaster(network):
        if steps is not None:
            raise UsageError(
                f"steps are for forecasts; this network reads {describe_expected_input(network)}, and "
                f"its predictions are {'classes' if network.task.is_classification else 'numbers'}",
                code="E01",
            )
        return 0
    if steps is None:
        return network.data_spec.horizon
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"steps: expected 1 to {MAX_STEPS:,}, got {steps}", code="E02")
    return steps


def _check_files(network: Network, paths: Sequence[str]) -> None:
    """Raise if a path cannot be an input, before anything is predicted."""
    reads = f"this network reads {describe_expected_input(network)}"
    if not paths and not is_forecaster(network):
        raise UsageError(f"nothing to predict; {reads}", code="E07")
    images = network.data_spec.input.kind == "image"
    for path in map(Path, paths):
        is_image = path.suffix.lower() in EXTENSIONS
        is_folder = os.path.isdir(path)
        if not os.path.exists(path):
            raise DataError(f"no file {path}", code="E30")
        if is_folder and not images and not reads_recordings(network):
            raise DataError(f"{path} is a folder; {reads}", code="E30")
        if is_folder and images and not (folder := scan(str(path))).count():
            unread = folder.all_left_out().unread
            but = f" but {by_type(unread)}; {UNREAD[extension(unread[0])]}" if unread else ""
            raise DataError(f"{path} has no images{but}; {reads}", code="E37")
        if not is_folder and not os.path.isfile(path):  # a pipe would be waited for without end
            raise DataError(f"not a regular file: {path}", code="E31")
        if not is_folder and is_image != images:
            reason = "is an image" if is_image else "is not an image"
            if images and extension(str(path)) in UNREAD:
                reason = f"is in a format that is not read ({UNREAD[extension(str(path))]})"
            raise DataError(f"{path} {reason}; {reads}", code="E54")


def _check_array(network: Network, x: Array | Tensor) -> Tensor:
    """Return raw inputs as the network reads them: (rows, *shape), on the CPU."""
    kind, shape = network.data_spec.input.kind, network.data_spec.input.shape
    if isinstance(x, np.ndarray):
        try:
            is_usable = x.flags.c_contiguous and x.flags.writeable
            x = torch.from_numpy(x if is_usable else np.array(x, order="C"))
        except (TypeError, ValueError):
            raise DataError(f"expected numbers, got {x.dtype}", code="E54") from None
    x = x.detach().cpu()
    original_shape = tuple(x.shape)
    if kind == "image" and x.ndim == 2 and shape[0] == 1:
        x = x[None]
    if x.ndim == len(shape):
        x = x[None]
    if tuple(x.shape[1:]) != shape or not len(x):
        noun = {"image": "images", "table": "rows"}.get(kind, "windows")
        expected = ", ".join(["rows", *map(str, shape)])
        raise DataError(
            f"expected {noun} of shape ({expected}), or one of them; got {original_shape}",
            code="E54",
        )
    dtype = str(x.dtype).removeprefix("torch.")
    if kind == "image":
        from nnzoo.predict.images import max_pixel_value

        max_value = max_pixel_value(network)
        if x.dtype != torch.uint8:
            expected = f"expected pixels from 0 to {max_value} as uint8, got {dtype}"
            raise DataError(f"{expected}; scale, round and cast them", code="E54")
        if max_value < 255 and int(x.max()) > max_value:
            raise DataError(
                f"expected pixels from 0 to {max_value}, got {int(x.max())}", code="E54"
            )
        return x
    if x.is_complex() or x.dtype == torch.bool:
        raise DataError(f"expected numbers, got {dtype}", code="E54")
    if kind == "table":
        text = [c.name for c in network.data_spec.columns if c.categories is not None]
        if text:
            raise DataError(
                f"column '{shorten(text[0])}' holds categories; give the rows as a DataFrame",
                code="E54",
            )
        return x.double()
    if not x.isfinite().all():
        raise DataError("expected finite numbers; there are missing or infinite ones", code="E54")
    return x.double()
