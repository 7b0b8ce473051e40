"""Predictions of a network: classes with their probabilities, or values; for raw inputs or for a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nnzoo.config.recording_options import RecordingsShape
from nnzoo.data.dataset import Split, chunks
from nnzoo.data.image_files.tree import EXTENSIONS
from nnzoo.data.sequences import Inputs
from nnzoo.evaluation.decision import Decision
from nnzoo.evaluation.evaluate import eval_batch_size, iter_outputs
from nnzoo.evaluation.tasks.multilabel import Multilabel
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.models.network import Network
from nnzoo.text import Note, list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
LABEL_SEPARATOR = ";"
"""Between the labels of an input in a CSV."""


@dataclass
class Predictions:
    """Predictions for some inputs, in their order.

    names: the classes, the labels of which an input can have several, or the targets. values: (inputs, names), probabilities float32 or values in
    original units float64. index: columns that identify the inputs: file, row, window, group, step and
    time, as far as they apply. targets: where known, the actual classes (inputs,) int64, labels (inputs, names) of
    0 and 1, or values (inputs, names). errors: a line for each input that could not be read. notes: lines for the
    user. thresholds: where inputs have several labels, the probabilities (names,) from which on they are predicted.
    std: of a group of networks the standard deviation (n - 1) of
    their values, (inputs, names). decision: the rule for classes; default: the most probable one. quantiles: (inputs, quantiles, names) of a
    network that predicts them, for `levels`. With a coverage, low and high: (inputs, names), the ends of
    intervals; members: (inputs, names) bool, the classes in each set.
    """

    names: list[str]
    is_classification: bool
    values: Array
    index: dict[str, list[Any]] = field(default_factory=dict)
    targets: Array | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    thresholds: Array | None = None
    decision: Decision | None = None
    quantiles: Array | None = None
    levels: list[float] = field(default_factory=list)
    low: Array | None = None
    high: Array | None = None
    members: Array | None = None
    std: Array | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbers(self) -> Array:
        """`values`, under the name that it had up to 0.3."""
        return self.values

    @property
    def has_probabilities(self) -> bool:
        """Whether `values` are probabilities, of classes or of labels."""
        return self.is_classification or self.thresholds is not None

    @property
    def classes(self) -> Array:
        """The predicted class of each input (inputs,) int64: the most probable one, the first of equals, or the one
        that the decision takes."""
        if self.decision is not None:
            return self.decision.classes(torch.from_numpy(self.values)).numpy()
        return self.values.argmax(1)

    @property
    def label_sets(self) -> list[list[str]]:
        """The labels of each input, of those with several: all whose probability is at least its threshold."""
        predicted = self.values >= self.thresholds
        return [[self.names[i] for i in np.flatnonzero(row)] for row in predicted]

    @property
    def labels(self) -> list[str]:
        """The name of the predicted class of each input, or its labels with LABEL_SEPARATOR between them; empty
        if a probability is nan."""
        if self.thresholds is not None:
            return [LABEL_SEPARATOR.join(labels) for labels in self.label_sets]
        is_nan, classes = np.isnan(self.values.sum(1)).tolist(), self.classes.tolist()
        return ["" if nan else self.names[i] for i, nan in zip(classes, is_nan, strict=True)]

    @property
    def confidence(self) -> Array:
        """The probability of the predicted class (inputs,)."""
        if self.decision is not None:
            return self.values[np.arange(len(self)), self.classes]
        return self.values.max(1, initial=0)

    @property
    def sets(self) -> list[list[str]]:
        """The names of the classes in the set of each input; empty without a coverage."""
        members = [] if self.members is None else self.members.tolist()
        return [
            [name for name, is_in in zip(self.names, row, strict=True) if is_in] for row in members
        ]

    @property
    def most_confident_errors(self) -> Array:
        """The rows (int64) of wrong classes, the most confident first; of several labels the rows with a wrong one,
        the one with the largest error first."""
        if self.thresholds is not None:
            assert self.targets is not None
            wrong = (self.values >= self.thresholds) != (self.targets > 0.5)
            rows = np.flatnonzero(wrong.any(1))
            errors = np.where(wrong, np.abs(self.values - self.targets), 0).max(1, initial=0)
            return rows[np.argsort(-errors[rows], kind="stable")]
        rows = np.flatnonzero(self.classes != self.targets)
        return rows[np.argsort(-self.confidence[rows], kind="stable")]

    @property
    def largest_errors(self) -> Array:
        """All rows (int64), largest error first; errors of several outputs are divided by the standard
        deviation of their targets."""
        assert self.targets is not None
        std = self.targets.std(0)
        error = np.abs(self.values - self.targets) / np.where(std > 0, std, 1.0)
        return np.argsort(-error.max(1), kind="stable")

    @property
    def value_columns(self) -> list[str]:
        """The columns of values: a target called "row" must not hide the index of that name."""
        return [f"predicted_{name}" if name in self.index else name for name in self.names]

    def columns(self, format_value: Callable[[float], Any] | None = None) -> dict[str, Any]:
        """Return the columns of the CSV of `nnzoo predict`: the index, then the class with its
        probability and those of all classes (p_NAME), or the labels and the probability of each, or the values. format_value: applied to each
        value; default: columns of values are arrays."""

        def column(values: Array) -> Any:
            return values if format_value is None else [format_value(v) for v in values.tolist()]

        values = [column(values) for values in self.values.T]
        columns: dict[str, Any] = {"prediction": self.labels}
        if self.is_classification:
            columns["probability"] = column(self.confidence)
        elif self.thresholds is None:
            columns = self.index | dict(zip(self.value_columns, values, strict=True))
            return columns | self._std_columns(column) | self._bounds(columns, column)
        columns |= self._std_columns(column)
        if self.members is not None:
            columns["set"] = self.sets
        columns |= {f"p_{name}": p for name, p in zip(self.names, values, strict=True)}
        return self.index | columns

    def _bounds(self, known: dict[str, Any], column: Callable[[Array], Any]) -> dict[str, Any]:
        """Return the columns of quantiles and ends of intervals; the target is in their names if there are several.

        known: the columns before them.
        """
        bounds: dict[str, Array] = {}
        if self.quantiles is not None:
            levels = [f"q{level:g}" for level in self.levels]
            bounds |= dict(zip(levels, self.quantiles.swapaxes(0, 1), strict=True))
        if self.low is not None and self.high is not None:
            bounds |= {"low": self.low, "high": self.high}
        single = len(self.names) == 1 and not known.keys() & bounds.keys()
        return {
            name if single else f"{name}_{target}": column(values)
            for name, array in bounds.items()
            for target, values in zip(self.names, array.T, strict=True)
        }

    def _std_columns(self, column: Callable[[Array], Any]) -> dict[str, Any]:
        """The columns of `std`: of the probability of the predicted class, of each label or target."""
        if self.std is None:
            return {}
        if self.is_classification:
            return {"std": column(self.std[np.arange(len(self)), self.classes])}
        names = [f"std_{name}" for name in self.names]
        if len(names) == 1 and self.names[0] != "std":
            names = ["std"]
        return dict(zip(names, map(column, self.std.T), strict=True))

    def to_frame(self) -> pandas.DataFrame:
        """Return a DataFrame with the columns of the CSV of `nnzoo predict`, one row per input."""
        import pandas

        return pandas.DataFrame(self.columns())

    def empty_with_notes(self, notes: list[str]) -> Predictions:
        """Return predictions of the same form for no inputs, with notes."""
        index: dict[str, list[Any]] = {name: [] for name in self.index}
        arrays: dict[str, Any] = {
            name: None if value is None else value[:0] for name, value in self._arrays().items()
        }
        return replace(self, index=index, errors=[], notes=notes, **arrays)

    def _arrays(self) -> dict[str, Any]:
        """The arrays of which each has a row per input."""
        names = ("values", "std", "quantiles", "low", "high", "members", "targets")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def concat(cls, batches: Iterable[Predictions]) -> Predictions:
        """Concatenate batches into one."""
        parts = list(batches)
        if len(parts) == 1:
            return parts[0]
        arrays: dict[str, Any] = {
            name: None if value is None else np.concatenate([getattr(part, name) for part in parts])
            for name, value in parts[0]._arrays().items()
        }
        return replace(
            parts[0],
            **arrays,
            index={
                key: list(chain(*(part.index[key] for part in parts))) for key in parts[0].index
            },
            errors=[error for part in parts for error in part.errors],
            notes=[note for part in parts for note in part.notes],
        )


def is_forecaster(network: Network) -> bool:
    """Whether the network continues series."""
    return network.data_spec.task == "forecasting"


def reads_recordings(network: Network) -> bool:
    """Whether the network was trained on recordings, each of which is one input."""
    return isinstance(network.config.data, RecordingsShape)


def describe_expected_input(network: Network) -> str:
    """Name the files that the network reads."""
    spec = network.data_spec
    if spec.input.kind == "image":
        return f"images ({', '.join(suffix[1:] for suffix in EXTENSIONS)}) and folders of them"
    if spec.task == "language_model":
        return "a beginning of text, which it continues: nnzoo generate"
    if spec.input.kind == "tokens":
        name = spec.extra.get("text")
        column = f" with the column {quoted_name(str(name))}" if name is not None else ""
        return f"texts: strings, .txt files and folders of them, CSV or Parquet files{column}, - for lines of stdin"
    names = spec.column_names
    shown = list_some([shorten(name) for name in names], 8)
    columns = f" with the column{'s' * (len(names) != 1)} {shown}" if names else ""
    if spec.input.kind == "table":
        return f"tables: CSV or Parquet files{columns}"
    if is_forecaster(network):
        return f"the past of a series: CSV or Parquet files{columns}"
    if reads_recordings(network):
        count = plural(len(names), "channel")
        return (
            f"recordings of {count}: folders of CSV files, .ts, .tsv, .arff, CSV or Parquet files"
        )
    return f"sequences: CSV or Parquet files of {spec.input.shape[0]:,} time steps{columns}"


def batch_size(network: Network) -> int:
    """Return the batch size of predictions, which is that of `evaluate`, so that sums round alike."""
    is_image = network.preprocess.input_spec.kind == "image"
    spec = network.preprocess.input_spec if is_image else network.preprocess.output_spec
    return eval_batch_size(spec.size)


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Set a network to evaluation mode, and back at the end. One that is in it already is not touched: several threads
    may predict with it, and setting the mode takes ten times as long as looking."""
    modules: list[nn.Module | None] = [network]
    while modules:
        module = modules.pop()
        if module is not None:
            if module.training:
                break
            modules += module._modules.values()
    else:
        yield
        return
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


@torch.no_grad()
def predict_values(network: Network, raw: Inputs) -> tuple[Array, Array | None]:
    """Run `Network.predict` batch by batch in evaluation mode; returns (rows, outputs), and of a group of networks
    the standard deviation of theirs."""
    task, size = network.task, batch_size(network)
    with evaluating(network):
        batches = [raw] if 0 < len(raw) <= size else [raw[rows] for rows in chunks(len(raw), size)]
        values = [network.predict_members(batch.to(network.device)).cpu() for batch in batches]
    if not values:
        shape = len(network.networks), 0, task.outputs
        values = [
            torch.zeros(shape, dtype=torch.float32 if task.gives_probabilities else torch.float64)
        ]
    members = values[0] if len(values) == 1 else torch.cat(values, 1)
    if len(members) == 1:
        return members[0].numpy(), None
    std = members.std(0) if members.shape[1] else members[0]
    return network.combine(members).numpy(), std.numpy()


def predict_raw(network: Network, raw: Inputs, index: dict[str, list[Any]]) -> Predictions:
    """Predict raw inputs (rows, ...) as `Network.predict` takes them."""
    values, std = predict_values(network, raw)
    return of_values(network, values, index, std)


def of_values(
    network: Network, values: Array, index: dict[str, list[Any]], std: Array | None = None
) -> Predictions:
    """Return what a network's predictions (rows, outputs), as `Network.predict` gives them, say; std: like them, of a
    group of networks."""
    task = network.task
    predictions = Predictions(
        list(task.names),
        task.is_classification,
        values,
        index,
        thresholds=task.thresholds.cpu().numpy() if isinstance(task, Multilabel) else None,
        decision=network.decision,
        std=std,
    )
    if not (isinstance(task, Regression) and task.quantiles):
        return predictions
    tensor = torch.from_numpy(values)
    point, quantiles = task.point(tensor).numpy(), task.by_quantile(tensor).numpy()
    std = None if std is None else task.point(torch.from_numpy(std)).numpy()
    return replace(predictions, values=point, std=std, quantiles=quantiles, levels=task.quantiles)


@torch.no_grad()
def predict_split(network: Network, split: Split) -> Predictions:
    """Predict every row of a prepared split, in order, with its targets in original units."""
    task, was_training = network.task, network.training
    values, targets = [], []
    for output, target in iter_outputs(network, split, network.device):
        values.append(task.postprocess(output).cpu())
        targets.append((task.unscaled(target) if isinstance(task, Regression) else target).cpu())
    network.train(was_training)
    predictions = of_values(network, torch.cat(values).numpy(), {})
    return replace(predictions, targets=torch.cat(targets).numpy())


def note_nan(batches: Iterator[Predictions]) -> Iterator[Predictions]:
    """Pass batches on; a last, empty one notes how many predictions are nan."""
    count, total, where = 0, 0, ""
    last: Predictions | None = None
    for batch in batches:
        yield batch
        total, last = total + len(batch), batch
        is_nan = np.isnan(batch.values).any(1)
        if not is_nan.any():
            continue
        if not count:
            row = int(is_nan.argmax())
            where = ", ".join(f"{name} {column[row]}" for name, column in batch.index.items())
        count += int(is_nan.sum())
    if count and last is not None:
        note = Note(
            "W48",
            f"{count:,} of {total:,} answers are not numbers (nan), the first: {where}; the inputs are "
            "far from the training data, or the weights are",
        )
        yield last.empty_with_notes([note])
