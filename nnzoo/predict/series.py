"""Forecasts: the future of the series of files, of data frames, and of the run's own data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.dataset import WindowSplit
from nnzoo.data.read_dataset import read_dataset
from nnzoo.data.series import Histories, History, read_histories
from nnzoo.data.table_files.table_io import ReadOptions, numbered, read_table
from nnzoo.errors import DataError, UsageError
from nnzoo.models.network import Network
from nnzoo.predict.predictions import (
    Predictions,
    describe_expected_input,
    of_values,
    predict_values,
)
from nnzoo.predict.tables import read_options
from nnzoo.text import list_some, reworded, shorten

if TYPE_CHECKING:
    import pandas


def predict_series(network: Network, paths: list[str], steps: int) -> Predictions:
    """Forecast each series of each file; without files, the series that the run was trained on."""
    files = {}
    notes = []
    for path in paths:
        table = read_table(path, read_options(network), "INPUT")
        files[path] = histories_from_frame(network, table.frame, path)
        notes += [
            reworded(note, f"{path}: {note}") if len(paths) > 1 else note for note in table.notes
        ]
    predictions = forecast_histories(network, files or {"": _training_history(network)}, steps)
    predictions.notes[:0] = notes
    return predictions


def _training_history(network: Network) -> Histories:
    """Read the series that the run was trained on."""
    data = network.config.data
    if isinstance(data, SeriesOptions):
        try:
            frame = read_table(data.path, ReadOptions.of(data)).frame
        except DataError as error:
            raise DataError(
                f"{error}\nIf the data has moved, give its file as INPUT", code="E30"
            ) from None
        return histories_from_frame(network, frame, data.path)
    split = read_dataset(network.config, network.data_spec).splits["train"]
    if not isinstance(split, WindowSplit):
        expected = describe_expected_input(network)
        raise UsageError(f"nothing to continue; this network reads {expected}", code="E07")
    return Histories({"": History(split.values.numpy())})


def histories_from_frame(network: Network, frame: pandas.DataFrame, source: str) -> Histories:
    """Return the series of a frame that are at least as long as the network's window."""
    spec = network.data_spec
    if numbered(frame) and len(frame.columns) == len(spec.columns):
        frame = frame.set_axis(spec.column_names, axis=1)
    data = network.config.data
    options = data if isinstance(data, SeriesOptions) else SeriesOptions(name="series", path="")
    options = options.model_copy(update={"path": source})
    return read_histories(frame, options, spec.columns, len(spec.targets), spec.input.shape[0])


def forecast_histories(network: Network, files: dict[str, Histories], steps: int) -> Predictions:
    """Forecast each series of each file (by path), one row per time step."""
    window, targets = network.data_spec.input.shape[0], network.data_spec.targets
    series = [(file, history) for file in files for history in files[file].series.values()]
    raw = torch.stack(
        [torch.tensor(history.values[-window:], dtype=torch.float64) for _, history in series]
    )
    predictions = forecast(network, raw, steps)
    notes = [note for histories in files.values() for note in histories.notes]
    times: list[Any] = []
    for _, history in series:
        axis = history.axis
        future = axis.following(history.name, steps) if axis else None
        reason = axis.why_no_dates() if axis and future is None else None
        if reason is not None and reason not in notes:
            notes.append(reason)
        times += [None] * steps if future is None else list(future[:steps])
    index: dict[str, list[Any]] = {}
    if len(files) > 1:
        index["file"] = [file for file, _ in series for _ in range(steps)]
    if getattr(network.config.data, "group", None) is not None:
        index["group"] = [history.name for _, history in series for _ in range(steps)]
    index["step"] = list(range(1, steps + 1)) * len(series)
    if any(time is not None for time in times):
        index["time"] = times
    quantiles = predictions.quantiles
    if quantiles is not None:  # (series, quantiles, steps * targets), one row per step
        shape = (len(quantiles), len(predictions.levels), steps, len(targets))
        quantiles = quantiles.reshape(shape).swapaxes(1, 2).reshape(-1, shape[1], shape[3])
    values, std = predictions.values.reshape(-1, len(targets)), predictions.std
    return replace(
        predictions,
        names=list(targets),
        values=values,
        std=None if std is None else std.reshape(-1, len(targets)),
        quantiles=quantiles,
        index=index,
        notes=notes,
    )


def forecast(network: Network, history: Tensor, steps: int) -> Predictions:
    """Forecast the next time steps; values are (series, steps * targets) float64 in original units, time first.

    history: (series, window, features) float64. Quantiles, where the network predicts them, end with the horizon. Beyond the horizon the network reads its own forecasts,
    which needs that its inputs are the targets only; else raises UsageError.
    """
    spec = network.data_spec
    targets, horizon = len(spec.targets), spec.horizon
    if steps > horizon and history.shape[2] > targets:
        covariates = list_some([shorten(name) for name in spec.column_names[targets:]])
        raise UsageError(
            f"{steps} steps: this network forecasts {horizon} from covariates ({covariates}), which are "
            "known up to the present only; train one with a larger data.horizon, or without "
            "covariates",
            code="E56",
        )
    window, known = history.shape[1], 0
    future, stds = [], []
    first: Predictions | None = None
    while known < steps:
        values, std = predict_values(network, history)
        predictions = of_values(network, values, {}, std)
        first = first or predictions
        stds += [predictions.std] if predictions.std is not None else []
        predicted = torch.from_numpy(predictions.values).unflatten(1, (horizon, targets))
        future.append(predicted)
        known += horizon
        if known < steps:
            history = torch.cat([history[..., :targets], predicted], 1)[:, -window:]
    assert first is not None
    values = torch.cat(future, 1)[:, :steps].flatten(1).numpy()
    if stds:
        first = replace(first, std=np.concatenate(stds, 1)[:, : steps * targets])
    if first.quantiles is None:
        return replace(first, values=values)
    if steps > horizon:
        return replace(first, values=values, quantiles=None, levels=[])
    return replace(first, values=values, quantiles=first.quantiles[..., : steps * targets])
