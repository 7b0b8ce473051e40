"""The future of series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import SeriesOptions
from nnzoo.data.dataset import WindowSplit
from nnzoo.data.series import Past, Pasts, read_past
from nnzoo.data.table_files.table_io import ReadOptions, numbered, read_table
from nnzoo.errors import DataError, UsageError
from nnzoo.models.network import Network, read_dataset
from nnzoo.predict.predictions import SHOWN, Predictions, numbers, reads
from nnzoo.predict.tables import reading_of
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas


def predict_series(network: Network, paths: list[str], steps: int) -> Predictions:
    """The future of each series of each file; of the run's own where there is none."""
    files = {}
    notes = []
    for path in paths:
        table = read_table(path, reading_of(network), "INPUT")
        files[path] = pasts_of(network, table.frame, path)
        notes += [f"{path}: {note}" if len(paths) > 1 else note for note in table.notes]
    answers = answer_series(network, files or {"": _own_past(network)}, steps)
    answers.notes[:0] = notes
    return answers


def _own_past(network: Network) -> Pasts:
    """The series that the run was trained on."""
    data = network.config.data
    if isinstance(data, SeriesOptions):
        try:
            frame = read_table(data.path, ReadOptions.of(data)).frame
        except DataError as error:
            raise DataError(f"{error}\nIf the data has moved, give its file as INPUT") from None
        return pasts_of(network, frame, data.path)
    split = read_dataset(network.config, network.data_spec).splits["train"]
    if not isinstance(split, WindowSplit):
        raise UsageError(f"nothing to continue; this network reads {reads(network)}")
    return Pasts({"": Past(split.values.numpy())})


def pasts_of(network: Network, frame: pandas.DataFrame, source: str) -> Pasts:
    """The series of a frame that are at least as long as the network's window."""
    spec, window = network.data_spec, network.data_spec.input.shape[0]
    names = spec.column_names
    if numbered(frame) and len(frame.columns) == len(names):
        frame = frame.set_axis(names, axis=1)
    data = network.config.data
    options = data if isinstance(data, SeriesOptions) else SeriesOptions(name="series", path="")
    options = options.model_copy(update={"path": source})
    return read_past(frame, options, spec.columns, len(spec.targets), window)


def answer_series(network: Network, files: dict[str, Pasts], steps: int) -> Predictions:
    """One answer a step of each series of each file."""
    window, targets = network.data_spec.input.shape[0], network.data_spec.targets
    series = [(file, past) for file, pasts in files.items() for past in pasts.series.values()]
    raw = torch.stack(
        [torch.tensor(past.values[-window:], dtype=torch.float64) for _, past in series]
    )
    values = forecast(network, raw, steps)
    notes = [note for pasts in files.values() for note in pasts.notes]
    times = []
    for _, past in series:
        future = past.axis.following(past.name, steps) if past.axis else None
        why = past.axis.why_no_dates() if past.axis and future is None else None
        if why is not None and why not in notes:
            notes.append(why)
        times.append(future)
    places: dict[str, list[Any]] = {
        "file": [file for file, _ in series for _ in range(steps)],
        "group": [past.name for _, past in series for _ in range(steps)],
        "step": list(range(1, steps + 1)) * len(series),
        "time": [None if each is None else each[i] for each in times for i in range(steps)],
    }
    shown = {
        "file": len(files) > 1,
        "group": getattr(network.config.data, "group", None) is not None,
        "step": True,
        "time": any(times),
    }
    places = {name: column for name, column in places.items() if shown[name]}
    return Predictions(list(targets), False, values.reshape(-1, len(targets)), places, notes=notes)


def forecast(network: Network, past: Tensor, steps: int) -> np.ndarray:
    """The next steps of each series: (series, steps, targets) float64 in their own units.

    past: (series, window, features) float64. Beyond the horizon the network reads its own forecasts,
    which needs that it sees nothing but the targets; else raises UsageError.
    """
    targets, horizon = len(network.data_spec.targets), network.data_spec.horizon
    if steps > horizon and past.shape[2] > targets:
        names = network.data_spec.column_names[targets:]
        shown = ", ".join(map(shorten, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")
        raise UsageError(
            f"{steps} steps: this network forecasts {horizon} from covariates ({shown}), which are "
            "known up to the present only; train one with a larger data.horizon, or without "
            "covariates"
        )
    window, known = past.shape[1], 0
    future = []
    while known < steps:
        answer = torch.from_numpy(numbers(network, past)).unflatten(1, (horizon, targets))
        future.append(answer)
        known += horizon
        past = torch.cat([past[..., :targets], answer], 1)[:, -window:] if known < steps else past
    return torch.cat(future, 1)[:, :steps].numpy()
