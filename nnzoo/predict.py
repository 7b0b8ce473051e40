"""Answers for new data: pictures, rows of a table, sequences, and the future of a series.

Everything here yields `Answers`, some inputs at a time, so that a million rows or pictures take no
more memory than a few.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.schema import SeriesOptions
from nnzoo.data.dataset import WindowSplit
from nnzoo.data.frames import read_frame, read_frames, shorten, to_text, unnamed
from nnzoo.data.pictures import EXTENSIONS, decode_image, picture_files
from nnzoo.data.preprocess import Scale
from nnzoo.data.series import Past, next_dates, read_past
from nnzoo.data.tables import encode_columns
from nnzoo.errors import CheckpointError, DataError, UsageError
from nnzoo.evaluate import batch_rows
from nnzoo.network import Network, read_dataset
from nnzoo.tasks import Classification

if TYPE_CHECKING:
    import pandas

MAX_STEPS = 1_000_000
# So many columns, or values of one, are named in a message.
SHOWN = 3
# A picture of a phone is decoded in 0.1 s, most of it without Python's lock.
DECODERS = min(8, os.cpu_count() or 1)


@dataclass
class Answers:
    """What the network says of some inputs, in their order.

    names: the classes, or the targets. numbers: (inputs, names), probabilities float32 or values in
    the targets' own units float64. places: which input each is, a list a column, of file, row,
    window, group, step and time those that apply. errors: of each input that could not be read, the
    reason. notes: what should be known of the inputs so far.
    """

    names: list[str]
    classifies: bool
    numbers: np.ndarray
    places: dict[str, list[Any]]
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each input; of equal ones the first."""
        return [self.names[i] for i in self.numbers.argmax(1)]

    def only(self, notes: list[str]) -> Answers:
        """These notes, and no answers."""
        places: dict[str, list[Any]] = {name: [] for name in self.places}
        return Answers(self.names, self.classifies, self.numbers[:0], places, notes=notes)


def joined(pieces: Iterable[Answers]) -> Answers:
    """All of them as one."""
    parts = list(pieces)
    places = {
        name: list(chain.from_iterable(part.places[name] for part in parts))
        for name in parts[0].places
    }
    return Answers(
        parts[0].names,
        parts[0].classifies,
        np.concatenate([part.numbers for part in parts]),
        places,
        [error for part in parts for error in part.errors],
        [note for part in parts for note in part.notes],
    )


def predict(network: Network, x: Any = None, steps: int | None = None) -> Iterator[Answers]:
    """Answers for new data, as raw as training saw it.

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


def predict_files(
    network: Network, paths: Sequence[str | Path], steps: int | None = None
) -> Iterator[Answers]:
    """Answers for files; without any, the future of the run's own series."""
    steps = _checked_steps(network, steps)
    _check_files(network, paths)
    files = [str(path) for path in paths]
    if forecasts(network):
        yield _predict_series(network, files, cast(int, steps))
    elif network.facts["kind"] == "image":
        yield from _predict_pictures(network, files)
    elif network.facts["kind"] == "table":
        yield from _predict_tables(network, files)
    else:
        yield from _predict_sequences(network, files)


def predict_frame(
    network: Network, frame: pandas.DataFrame, steps: int | None = None
) -> Iterator[Answers]:
    """Answers for a table, for one sequence, or for the past of a series."""
    steps = _checked_steps(network, steps)
    if network.facts["kind"] == "image":
        raise DataError(f"a DataFrame holds no pictures; this network reads {reads(network)}")
    if not len(frame):
        raise DataError("the table has no rows")
    frame = frame.reset_index(drop=True)
    frame.columns = frame.columns.map(str)
    source = "the table"
    if forecasts(network):
        past = _past(network, frame, source)
        yield _forecasts(network, {"": past}, cast(int, steps))
    elif network.facts["kind"] == "table":
        unseen = _Unseen()
        answers = _answer_rows(network, frame, source, unseen)
        answers.notes += unseen.notes()
        yield answers
    else:
        yield _answers(network, _sequence(network, frame, source)[None], {})


def predict_arrays(
    network: Network, x: np.ndarray | Tensor, steps: int | None = None
) -> Iterator[Answers]:
    """Answers for raw inputs, or for one of them.

    x: images (rows, channels, height, width) uint8, (channels, height, width), or (height, width)
    where they are grey; rows of a table of numbers (rows, columns), NaN for missing; sequences or
    windows of a series (rows, time, features), in their own units. Raises DataError for other shapes,
    types and values. A forecast's answers are named "target+step", time first.
    """
    steps = _checked_steps(network, steps)
    raw = _checked_array(network, x)
    for i, piece in enumerate(raw.split(_batch_rows(network))):
        first = i * _batch_rows(network)
        places = {"row": list(range(first + 1, first + len(piece) + 1))}
        if forecasts(network) and steps is not None:
            targets = network.facts["spec"]["targets"]
            values = forecast(network, piece, steps)
            names = [f"{name}+{step}" for step in range(1, steps + 1) for name in targets]
            yield Answers(
                targets if steps == 1 else names, False, values.reshape(len(piece), -1), places
            )
        else:
            yield _answers(network, piece, places)


def forecasts(network: Network) -> bool:
    """Whether it continues series."""
    return bool(network.facts["task"] == "forecasting")


def reads(network: Network) -> str:
    """What files the network reads, in words."""
    kind, shape = network.facts["kind"], network.facts["shape"]
    if kind == "image":
        return f"pictures ({', '.join(each[1:] for each in EXTENSIONS)}) and folders of them"
    names = [column["name"] for column in network.facts["spec"].get("columns", [])]
    shown = ", ".join(map(shorten, names[:8])) + (", …" if len(names) > 8 else "")
    columns = f" with the column{'s' * (len(names) != 1)} {shown}" if names else ""
    if kind == "table":
        return f"tables: CSV or Parquet files{columns}"
    if forecasts(network):
        return f"the past of a series: CSV or Parquet files{columns}"
    return f"sequences: CSV or Parquet files of {shape[0]:,} time steps{columns}"


def forecast(network: Network, past: Tensor, steps: int) -> np.ndarray:
    """The next steps of each series: (series, steps, targets) float64 in their own units.

    past: (series, window, features) float64. Beyond the horizon the network reads its own forecasts,
    which needs that it sees nothing but the targets; else raises UsageError.
    """
    targets, horizon = len(network.facts["spec"]["targets"]), _horizon(network)
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
        answer = torch.from_numpy(_numbers(network, past)).unflatten(1, (horizon, targets))
        future.append(answer)
        known += horizon
        past = torch.cat([past[..., :targets], answer], 1)[:, -window:] if known < steps else past
    return torch.cat(future, 1)[:, :steps].numpy()


# What is asked for.


def _checked_steps(network: Network, steps: int | None) -> int | None:
    """The steps of a forecast; None for what is none."""
    if not forecasts(network):
        if steps is not None:
            raise UsageError(
                f"steps are for forecasts; this network reads {reads(network)}, and its answers are "
                f"{'classes' if network.facts['task'] == 'classification' else 'numbers'}"
            )
        return None
    if steps is None:
        return _horizon(network)
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"steps: expected 1 to {MAX_STEPS:,}, got {steps}")
    return steps


def _horizon(network: Network) -> int:
    return int(network.facts["spec"].get("horizon", 1))


def _check_files(network: Network, paths: Sequence[str | Path]) -> None:
    """Refuse what cannot be an input, before anything is answered."""
    if not paths and not forecasts(network):
        raise UsageError(f"nothing to answer; this network reads {reads(network)}")
    images = network.facts["kind"] == "image"
    for path in map(Path, paths):
        picture = path.suffix.lower() in EXTENSIONS
        folder = os.path.isdir(path)
        if not os.path.exists(path):
            raise DataError(f"no file {path}")
        if folder and not images:
            raise DataError(f"{path} is a folder; this network reads {reads(network)}")
        if folder and next(picture_files(str(path)), None) is None:
            raise DataError(f"{path} has no pictures; this network reads {reads(network)}")
        if not folder and not os.path.isfile(path):  # a pipe would wait for ever
            raise DataError(f"not a regular file: {path}")
        if not folder and picture != images:
            what = "is a picture" if picture else "is no picture"
            raise DataError(f"{path} {what}; this network reads {reads(network)}")


def _checked_array(network: Network, x: np.ndarray | Tensor) -> Tensor:
    """Raw inputs as the network reads them: (rows, *shape), on the CPU."""
    kind, shape = network.facts["kind"], tuple(network.facts["shape"])
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
        text = [each["name"] for each in network.facts["spec"]["columns"] if "categories" in each]
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


def _batch_rows(network: Network) -> int:
    """As many as `evaluate` takes, so that sums are rounded alike."""
    preprocess = network.preprocess
    kind = preprocess.in_kind if preprocess.in_kind.name == "image" else preprocess.out_kind
    return batch_rows(kind.size)


@torch.no_grad()
def _numbers(network: Network, raw: Tensor) -> np.ndarray:
    """`Network.predict` batch by batch, in evaluation mode: (rows, outputs)."""
    was_training = network.training
    network.eval()
    try:
        pieces = raw.split(_batch_rows(network)) if len(raw) else []
        answers = [network.predict(piece.to(network.device)).cpu() for piece in pieces]
    finally:
        network.train(was_training)
    return torch.cat(answers).numpy() if answers else np.zeros((0, network.task.outputs))


def _answers(network: Network, raw: Tensor, places: dict[str, list[Any]]) -> Answers:
    task = network.task
    names = task.labels if isinstance(task, Classification) else task.names
    return Answers(list(names), task.classifies, _numbers(network, raw), places)


# Pictures.


def read_picture(network: Network, file: str | Path) -> Tensor:
    """A picture file as the network reads it: uint8 (channels, height, width). Raises DataError."""
    if network.facts["kind"] != "image":
        raise DataError(f"{file}: this network reads {reads(network)}")
    channels, height, width = network.facts["shape"]
    if channels not in (1, 3):
        raise DataError(f"pictures have 1 or 3 channels; this network reads {channels}")
    image = decode_image(file, height, width, channels == 3)
    top = levels(network)
    if top != 255:
        image = np.round(image * (top / 255)).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(image))


def _predict_pictures(network: Network, paths: list[str]) -> Iterator[Answers]:
    """A picture that cannot be read is an error of its `Answers`; all others are answered."""

    def decode(file: str) -> Tensor | str:
        try:
            return read_picture(network, file)
        except DataError as error:
            return str(error)

    files = chain.from_iterable(
        picture_files(path) if os.path.isdir(path) else [path] for path in paths
    )
    brightness = _Brightness(network)
    with ThreadPoolExecutor(DECODERS) as pool:
        while batch := list(islice(files, _batch_rows(network))):
            # Pillow warns of odd metadata and of sizes that are refused.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = list(pool.map(decode, batch))
            images = [image for image in found if isinstance(image, Tensor)]
            raw = torch.stack(images) if images else torch.zeros(0, dtype=torch.uint8)
            brightness.add(raw)
            read = [f for f, image in zip(batch, found, strict=True) if isinstance(image, Tensor)]
            answers = _answers(network, raw, {"file": read})
            answers.errors += [reason for reason in found if isinstance(reason, str)]
            yield answers
    yield answers.only(brightness.notes())


def levels(network: Network) -> int:
    """What a white pixel of the network's images is; black is 0."""
    top = network.facts["spec"].get("levels", 255)
    if not isinstance(top, int) or not 1 <= top <= 255:
        raise CheckpointError(f"the checkpoint has images of {str(top)[:40]} levels")
    return top


class _Brightness:
    """Whether pictures are as bright as those of training.

    They are not where their mean lies over two spreads of the training pixels away, or on the other
    side of mid-grey where training's lies clearly off it: digits of dark ink on light paper, for a
    network that learned light ones on dark, lie one spread away.
    """

    def __init__(self, network: Network) -> None:
        scale = network.preprocess.get_submodule("scale")
        assert isinstance(scale, Scale)
        self.levels = levels(network)
        self.known = scale.how == "standardize"
        self.mean, self.spread = float(scale.shift.mean()), float(scale.spread.mean())
        self.total, self.count = 0, 0

    def add(self, images: Tensor) -> None:
        self.total += int(images.sum(dtype=torch.int64))
        self.count += images.numel()

    def notes(self) -> list[str]:
        if not self.known or not self.count:
            return []
        mean, middle = self.total / self.count, self.levels / 2
        off = self.mean - middle
        inverted = abs(off) > self.spread / 2 and off * (mean - middle) < 0
        if abs(mean - self.mean) <= 2 * self.spread and not inverted:
            return []
        return [
            f"the pictures are much {'brighter' if mean > self.mean else 'darker'} than those of "
            f"training (mean {mean / self.levels:.2f} against {self.mean / self.levels:.2f}; black is "
            "0, white 1): are they inverted, ink dark on light against light on dark?"
        ]


# Tables.


def _predict_tables(network: Network, paths: list[str]) -> Iterator[Answers]:
    data = network.config.data
    unseen = _Unseen()
    for path in paths:
        header, delimiter = _header(network), getattr(data, "delimiter", "auto")
        for frame in read_frames(path, header, delimiter, "INPUT"):
            answers = _answer_rows(network, frame, path, unseen)
            if len(paths) > 1:
                answers.places = {"file": [path] * len(answers)} | answers.places
            yield answers
    yield answers.only(unseen.notes())


def _header(network: Network) -> bool | Literal["auto"]:
    """Whether files of new data name their columns: as the training file did, where there is one."""
    header: bool | Literal["auto"] | None = getattr(network.config.data, "header", None)
    if header is None:
        return "auto"
    return not all(map(str.isdecimal, _names(network))) if header == "auto" else header


def _names(network: Network) -> list[str]:
    """The columns that the network reads, and the target's where it is in the same file."""
    spec = network.facts["spec"]
    names = [column["name"] for column in spec.get("columns", [])]
    return [*names, *([spec["target"]] if "target" in spec else [])]


def _answer_rows(
    network: Network, frame: pandas.DataFrame, source: str, unseen: _Unseen
) -> Answers:
    columns = network.facts["spec"]["columns"]
    frame = _with_target(network, frame)
    raw = encode_columns(frame, columns, source)
    unseen.add(frame, columns, raw)
    return _answers(network, raw, {"row": [int(i) + 1 for i in frame.index]})


def _with_target(network: Network, frame: pandas.DataFrame) -> pandas.DataFrame:
    """Columns that go by their positions, numbered as in the training file: where one is lacking it
    is the target, and what stands behind it moves up."""
    spec, names = network.facts["spec"], _names(network)
    if "target" not in spec or not unnamed(frame) or not all(map(str.isdecimal, names)):
        return frame
    width = spec.get("width", max(map(int, names)) + 1)
    if len(frame.columns) != width - 1:
        return frame
    target = int(spec["target"])
    return frame.set_axis([str(i + (i >= target)) for i in range(width - 1)], axis=1)


class _Unseen:
    """Values of category columns that no training row had."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.values: dict[str, list[str]] = {}

    def add(self, frame: pandas.DataFrame, columns: list[dict[str, Any]], raw: Tensor) -> None:
        for i, column in enumerate(columns):
            if "categories" not in column:
                continue
            name = column["name"]
            new = frame[name][(raw[:, i] < 0).numpy() & frame[name].notna().to_numpy()]
            if len(new):
                self.counts[name] = self.counts.get(name, 0) + len(new)
                named = self.values.setdefault(name, [])
                more = [value for value in to_text(new).unique() if value not in named]
                named += more[: SHOWN + 1 - len(named)]

    def notes(self) -> list[str]:
        if not self.counts:
            return []
        texts = [
            f"{count:,} of '{shorten(name)}' ({', '.join(map(shorten, self.values[name][:SHOWN]))}"
            f"{', …' if len(self.values[name]) > SHOWN else ''})"
            for name, count in list(self.counts.items())[:SHOWN]
        ]
        more = f", and in {len(self.counts) - SHOWN} more columns" * (len(self.counts) > SHOWN)
        return [f"values that training never saw count as missing: {', '.join(texts)}{more}"]


# Sequences.


def _predict_sequences(network: Network, paths: list[str]) -> Iterator[Answers]:
    files = iter(paths)
    while batch := list(islice(files, _batch_rows(network))):
        found = [_sequence(network, read_frame(path, "auto", key="INPUT"), path) for path in batch]
        yield _answers(network, torch.stack(found), {"file": batch})


def _sequence(network: Network, frame: pandas.DataFrame, source: str) -> Tensor:
    """One sequence, (time, features) float64."""
    steps, features = network.facts["shape"]
    names = [column["name"] for column in network.facts["spec"].get("columns", [])]
    names = names or [str(i) for i in range(features)]
    if unnamed(frame) and len(frame.columns) == len(names):
        frame = frame.set_axis(names, axis=1)
    raw = encode_columns(frame, [{"name": name} for name in names], source)
    if len(raw) != steps:
        raise DataError(f"{source} has {len(raw):,} time steps; this network reads {steps:,}")
    if raw.isnan().any():
        row, column = raw.isnan().nonzero()[0].tolist()
        raise DataError(f"{source}: '{shorten(names[column])}' is missing in data row {row + 1}")
    return raw


# Series.


def _predict_series(network: Network, paths: list[str], steps: int) -> Answers:
    """The future of each series of each file; of the run's own where there is none."""
    pasts = {}
    delimiter = getattr(network.config.data, "delimiter", "auto")
    for path in paths:
        frame = read_frame(path, _header(network), delimiter, "INPUT")
        pasts[path] = _past(network, frame, path)
    return _forecasts(network, pasts or {"": _own_past(network)}, steps)


def _own_past(network: Network) -> dict[str, Past]:
    """The series that the run was trained on."""
    data = network.config.data
    if isinstance(data, SeriesOptions):
        try:
            frame = read_frame(data.path, data.header, data.delimiter)
        except DataError as error:
            raise DataError(f"{error}\nIf the data has moved, give its file as INPUT") from None
        return _past(network, frame, data.path)
    split = read_dataset(network.config, network.facts).splits["train"]
    if not isinstance(split, WindowSplit):
        raise UsageError(f"nothing to continue; this network reads {reads(network)}")
    return {"": Past(split.values.numpy(), None)}


def _past(network: Network, frame: pandas.DataFrame, source: str) -> dict[str, Past]:
    """Each series of a frame, at least as long as the network's window."""
    spec, window = network.facts["spec"], network.facts["shape"][0]
    names = [column["name"] for column in spec["columns"]]
    if unnamed(frame) and len(frame.columns) == len(names):
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


def _forecasts(network: Network, files: dict[str, dict[str, Past]], steps: int) -> Answers:
    """One answer a step of each series of each file."""
    window, targets = network.facts["shape"][0], network.facts["spec"]["targets"]
    series = [(file, name, past) for file, pasts in files.items() for name, past in pasts.items()]
    past = torch.stack([torch.from_numpy(each.values[-window:]).double() for *_, each in series])
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
