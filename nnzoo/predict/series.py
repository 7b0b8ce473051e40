"""The future of series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.schema import SeriesOptions
from nnzoo.data.columns import shorten
from nnzoo.data.dataset import WindowSplit
from nnzoo.data.series import Past, next_dates, read_past
from nnzoo.data.table_io import ReadOptions, numbered, read_table
from nnzoo.errors import DataError, UsageError
from nnzoo.network import Network, read_dataset
from nnzoo.predict.answers import SHOWN, Answers, numbers, reads
from nnzoo.predict.tables import reading_of

if TYPE_CHECKING:
    import pandas


def predict_series(network: Network, paths: list[str], steps: int) -> Answers:
    """The future of each series of each file; of the run's own where there is none."""
    pasts = {}
    notes = []
    for path in paths:
        table = read_table(path, reading_of(network), "INPUT")
        pasts[path] = pasts_of(network, table.frame, path)
        notes += table.notes
    answers = answer_series(network, pasts or {"": _own_past(network)}, steps)
    answers.notes += notes
    return answers


def _own_past(network: Network) -> dict[str, Past]:
    """The series that the run was trained on."""
    data = network.config.data
    if isinstance(data, SeriesOptions):
        try:
            frame = read_table(data.path, ReadOptions.of(data)).frame
        except DataError as error:
            raise DataError(f"{error}\nIf the data has moved, give its file as INPUT") from None
        return pasts_of(network, frame, data.path)
    split = read_dataset(network.config, network.facts).splits["train"]
    if not isinstance(split, WindowSplit):
        raise UsageError(f"nothing to continue; this network reads {reads(network)}")
    return {"": Past(split.values.numpy(), None)}


def pasts_of(network: Network, frame: pandas.DataFrame, source: str) -> dict[str, Past]:
    """Each series of a frame, at least as long as the network's window."""
    spec, window = network.facts["spec"], network.facts["shape"][0]
    names = [column["name"] for column in spec["columns"]]
    if numbered(frame) and len(frame.columns) == len(names):
        frame = frame.set_axis(names, axis=1)
    data = network.config.data
    options = data if isinstance(data, SeriesOptions) else SeriesOptions(name="series", path="")
    options = options.model_copy(update={"path": source})
    pasts = read_past(frame, options, names, len(spec["targets"]))
    for name, past in pasts.items():
        if len(past.values) < window:
            which = f" of '{shorten(name)}'" if name else ""
            raise DataError(
                f"{source} has {len(past.values):,} time steps{which}; this network reads the last "
                f"{window:,}"
            )
    return pasts


def answer_series(network: Network, files: dict[str, dict[str, Past]], steps: int) -> Answers:
    """One answer a step of each series of each file."""
    window, targets = network.facts["shape"][0], network.facts["spec"]["targets"]
    series = [(file, name, past) for file, pasts in files.items() for name, past in pasts.items()]
    past = torch.stack(
        [torch.tensor(each.values[-window:], dtype=torch.float64) for *_, each in series]
    )
    values = forecast(network, past, steps)
    times = [None if each.dates is None else next_dates(each.dates, steps) for *_, each in series]
    places: dict[str, list[Any]] = {
        "file": [file for file, _, _ in series for _ in range(steps)],
        "group": [name for _, name, _ in series for _ in range(steps)],
        "step": list(range(1, steps + 1)) * len(series),
        "time": [None if each is None else each[i] for each in times for i in range(steps)],
    }
    told = {
        "file": len(files) > 1,
        "group": getattr(network.config.data, "group", None) is not None,
        "step": True,
        "time": any(times),
    }
    places = {name: column for name, column in places.items() if told[name]}
    return Answers(list(targets), False, values.reshape(-1, len(targets)), places)


def forecast(network: Network, past: Tensor, steps: int) -> np.ndarray:
    """The next steps of each series: (series, steps, targets) float64 in their own units.

    past: (series, window, features) float64. Beyond the horizon the network reads its own forecasts,
    which needs that it sees nothing but the targets; else raises UsageError.
    """
    targets, horizon = len(network.facts["spec"]["targets"]), horizon_of(network)
    if steps > horizon and past.shape[2] > targets:
        names = [column["name"] for column in network.facts["spec"]["columns"][targets:]]
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


def horizon_of(network: Network) -> int:
    return int(network.facts["spec"].get("horizon", 1))
