"""A few rows of a run's data that are kept beside its weights, so that a viewer needs no data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnzoo.data.dataset import Dataset, Split, max_input_size
from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.errors import DamagedError
from nnzoo.evaluation.diagnostics import first_of_classes, linspace_rows
from nnzoo.models.network import Network

# Rows of a scatter plot, for inputs of at most so many values; rows that are looked at one by one.
SCATTER_ROWS, SCATTER_VALUES = 300, 64
FEW_ROWS = 10
# Bytes of the sampled rows, padding included.
MAX_SAMPLE_BYTES = 1 << 22


@dataclass(frozen=True)
class Samples:
    """Some rows of a split (val, else train) in raw units, as `Network.predict` takes them.

    rows: their numbers in the split; names: what people call them; inputs: (rows, …), or PaddedSequences; targets: as
    `Split.targets` has them, of a language model (rows * window,). The first rows, `FEW_ROWS` at most, are the first of
    each class, or evenly spaced ones; those of inputs of few values are followed by more, for a scatter plot.
    """

    split: str
    rows: list[int]
    names: list[str]
    inputs: Inputs
    targets: Tensor

    @classmethod
    def choose(cls, dataset: Dataset) -> Self:
        """Choose rows of a data set; reads these alone."""
        split = "val" if "val" in dataset.splits else "train"
        chosen = dataset.splits[split]
        rows = _representative_rows(dataset, chosen)
        # Images of mapped memory are bytes; what is largest otherwise is float64.
        size = 8 * max(1, max_input_size(chosen))
        rows = rows[: max(1, MAX_SAMPLE_BYTES // size)]
        inputs, targets = chosen.batch(rows)
        if isinstance(inputs, PaddedSequences):
            inputs = PaddedSequences(inputs.values, inputs.lengths)
        names = [dataset.row_name(split, row) for row in rows.tolist()]
        return cls(split, rows.tolist(), names, inputs, targets)

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        content: dict[str, Any] = {"split": self.split, "rows": self.rows, "names": self.names}
        if isinstance(self.inputs, PaddedSequences):
            content |= {"inputs": self.inputs.values, "lengths": self.inputs.lengths}
        else:
            content |= {"inputs": self.inputs}
        return content | {"targets": self.targets}

    @classmethod
    def from_state(cls, content: Any, network: Network, source: str) -> Self:
        """The rows in a checkpoint, which may be anyone's; raises DamagedError if the network cannot take them."""
        try:
            inputs = _checked_inputs(content, network)
            rows, names, targets = content["rows"], content["names"], content["targets"]
            count = len(inputs)
            is_whole = (
                content["split"] in ("train", "val")
                and len(rows) == len(names) == count > 0
                and all(type(row) is int and row >= 0 for row in rows)
                and all(type(name) is str for name in names)
                and len(targets) % count == 0
            )
        except (LookupError, TypeError, AttributeError):
            is_whole = False
        if not is_whole:
            raise DamagedError(f"{source}: its samples do not fit its network")
        return cls(content["split"], rows, names, inputs, targets)


def _representative_rows(dataset: Dataset, split: Split) -> Tensor:
    """Return rows of a split (int64) in the order that `Samples` names."""
    rows = first_of_classes(split, dataset.spec, FEW_ROWS)
    spec = dataset.spec.input
    if not spec.variable_length and not spec.per_step and spec.size <= SCATTER_VALUES:
        more = linspace_rows(len(split), SCATTER_ROWS, torch.device("cpu"))
        rows = torch.cat([rows, more[~torch.isin(more, rows)]])[:SCATTER_ROWS]
    return rows


def _checked_inputs(content: Any, network: Network) -> Inputs:
    """Return the inputs of `Samples.state`; raises LookupError or TypeError where they do not fit the network."""
    values, spec = content["inputs"], network.data_spec.input
    expected = spec.shape[1:] if spec.variable_length else spec.shape
    shape = tuple(values.shape[2:] if spec.variable_length else values.shape[1:])
    if shape != expected:
        raise TypeError("inputs of another shape")
    if spec.kind == "tokens" and (
        values.is_floating_point()
        or not 0 <= int(values.min()) <= int(values.max()) < spec.vocabulary
    ):
        raise TypeError("ids of no token")
    if "lengths" not in content:
        return values
    lengths = content["lengths"]
    is_valid = lengths.dtype == torch.int64 and lengths.shape == values.shape[:1]
    if not is_valid or not 1 <= int(lengths.min()) <= int(lengths.max()) <= values.shape[1]:
        raise TypeError("lengths of no sequence")
    return PaddedSequences(values, lengths)
