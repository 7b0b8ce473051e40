"""What a network says of some inputs, and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.image_files.folder_tree import EXTENSIONS
from nnzoo.evaluation.evaluate import eval_batch_size
from nnzoo.models.network import Network
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

_P = ParamSpec("_P")
# So many columns, or values of one, are named in a message.
SHOWN = 3


@dataclass
class Predictions:
    """What the network says of some inputs, in their order.

    names: the classes, or the targets. numbers: (inputs, names), probabilities float32 or values in
    the targets' own units float64. places: which input each is, a list a column, of file, row,
    window, group, step and time those that apply. errors: of each input that could not be read, the
    reason. notes: what should be known of the inputs so far.
    """

    names: list[str]
    is_classification: bool
    numbers: np.ndarray
    places: dict[str, list[Any]]
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each input; of equal ones the first, empty where the network's answer
        is nan."""
        best = self.numbers.argmax(1)
        known = ~np.isnan(self.numbers).any(1)
        return [self.names[i] if ok else "" for i, ok in zip(best, known, strict=True)]

    def to_frame(self) -> pandas.DataFrame:
        """One row per input, as in the CSV of `nnzoo predict`: where it is, the likeliest class with
        its probability and those of all classes (p_NAME), or the values."""
        import pandas

        columns: dict[str, Any] = dict(self.places)
        values = self.numbers.T
        if self.is_classification:
            columns |= {"prediction": self.labels, "probability": self.numbers.max(1, initial=0)}
            columns |= {f"p_{name}": value for name, value in zip(self.names, values, strict=True)}
        else:
            columns |= dict(zip(self.value_columns, values, strict=True))
        return pandas.DataFrame(columns)

    @property
    def value_columns(self) -> list[str]:
        """The columns of values: a target called "row" must not hide the row's number."""
        return [f"predicted_{name}" if name in self.places else name for name in self.names]

    def only(self, notes: list[str]) -> Predictions:
        """These notes, and no answers."""
        places: dict[str, list[Any]] = {name: [] for name in self.places}
        return Predictions(
            self.names, self.is_classification, self.numbers[:0], places, notes=notes
        )


def joined(pieces: Iterable[Predictions]) -> Predictions:
    """All of them as one."""
    parts = list(pieces)
    places = {
        name: list(chain.from_iterable(part.places[name] for part in parts))
        for name in parts[0].places
    }
    return Predictions(
        parts[0].names,
        parts[0].is_classification,
        np.concatenate([part.numbers for part in parts]),
        places,
        [error for part in parts for error in part.errors],
        [note for part in parts for note in part.notes],
    )


def forecasts(network: Network) -> bool:
    """Whether it continues series."""
    return network.data_spec.task == "forecasting"


def reads(network: Network) -> str:
    """What files the network reads, in words."""
    kind, shape = network.data_spec.input.kind, network.data_spec.input.shape
    if kind == "image":
        return f"pictures ({', '.join(each[1:] for each in EXTENSIONS)}) and folders of them"
    names = network.data_spec.column_names
    shown = ", ".join(map(shorten, names[:8])) + (", …" if len(names) > 8 else "")
    columns = f" with the column{'s' * (len(names) != 1)} {shown}" if names else ""
    if kind == "table":
        return f"tables: CSV or Parquet files{columns}"
    if forecasts(network):
        return f"the past of a series: CSV or Parquet files{columns}"
    return f"sequences: CSV or Parquet files of {shape[0]:,} time steps{columns}"


def rows_at_once(network: Network) -> int:
    """As many as `evaluate` takes, so that sums are rounded alike."""
    preprocess = network.preprocess
    is_image = preprocess.input_spec.kind == "image"
    return eval_batch_size((preprocess.input_spec if is_image else preprocess.output_spec).size)


@torch.no_grad()
def numbers(network: Network, raw: Tensor) -> np.ndarray:
    """`Network.predict` batch by batch, in evaluation mode: (rows, outputs)."""
    was_training = network.training
    network.eval()
    try:
        pieces = raw.split(rows_at_once(network)) if len(raw) else []
        answers = [network.predict(piece.to(network.device)).cpu() for piece in pieces]
    finally:
        network.train(was_training)
    return (
        torch.cat(answers).numpy()
        if answers
        else np.zeros(
            (0, network.task.outputs), np.float32 if network.task.is_classification else np.float64
        )
    )


def notes_nan(function: Callable[_P, Iterator[Predictions]]) -> Callable[_P, Iterator[Predictions]]:
    """Decorate what gives answers: at their end a note says how many are nan."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> Iterator[Predictions]:
        return _with_nan_noted(function(*args, **kwargs))

    return wrapped


def _with_nan_noted(pieces: Iterator[Predictions]) -> Iterator[Predictions]:
    count, total, places = 0, 0, ""
    last: Predictions | None = None
    for piece in pieces:
        yield piece
        bad = np.isnan(piece.numbers).any(1)
        if bad.any() and not count:
            row = int(bad.argmax())
            places = ", ".join(f"{name} {values[row]}" for name, values in piece.places.items())
        count, total, last = count + int(bad.sum()), total + len(piece), piece
    if count and last is not None:
        note = (
            f"{count:,} of {total:,} answers are not numbers (nan), the first: {places}; the inputs are "
            "far from those of training, or the weights are"
        )
        yield last.only([note])


def answer(network: Network, raw: Tensor, places: dict[str, list[Any]]) -> Predictions:
    task = network.task
    return Predictions(list(task.names), task.is_classification, numbers(network, raw), places)
