"""Small data of recordings of different or equal lengths, and networks for them."""

from __future__ import annotations

from typing import Any

import torch

from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split, TensorSplit
from nnzoo.data.sequences import SequenceSplit
from nnzoo.models.network import Network, build_network
from tests.zoo import config

CPU = torch.device("cpu")
LABELS = ["falls", "rises"]
MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"name": "rnn", "hidden_size": 6},
    "lstm": {"name": "lstm", "hidden_size": 6, "num_layers": 2, "readout": "mean"},
    "lstm relu": {"name": "lstm", "hidden_size": 6, "activation": "relu", "bidirectional": True},
    "gru": {"name": "gru", "hidden_size": 6, "bidirectional": True, "readout": "max"},
    "cnn": {"name": "cnn", "channels": [4, 5], "norm": "batch", "head": {"pooling": "average"}},
    "cnn max": {"name": "cnn", "channels": [4], "residual": True, "head": {"pooling": "max"}},
}


def dataset(rows: int = 24, equal: bool = False, is_class: bool = True, seed: int = 0) -> Dataset:
    """Recordings of 2 channels and 8 to 19 steps, of which the first falls or rises; or its slope as a number."""
    generator = torch.Generator().manual_seed(seed)
    splits: dict[str, Split] = {}
    for name in ("train", "val", "test"):
        lengths = torch.randint(8, 20, (rows,), generator=generator)
        if equal:
            lengths[:] = 19
        y = torch.arange(rows) % 2
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        values = 3 + torch.randn(int(offsets[-1]), 2, dtype=torch.float64, generator=generator)
        steps = torch.arange(len(values)) - offsets[:-1].repeat_interleave(lengths)
        values[:, 0] += (y * 2 - 1).repeat_interleave(lengths) * steps * 0.2
        targets = y if is_class else (y.double() * 4 - 2).unsqueeze(1)
        if equal:
            splits[name] = TensorSplit(values.view(rows, 19, 2), targets)
        else:
            splits[name] = SequenceSplit(values, offsets, targets)
    longest = 19 if equal else int(splits["train"].lengths.max())  # type: ignore[union-attr]
    spec = DataSpec(
        InputSpec("series", (longest, 2), variable_length=not equal),
        "classification" if is_class else "regression",
        LABELS if is_class else [],
        [] if is_class else ["slope"],
        [ColumnSpec("x"), ColumnSpec("y")],
    )
    return Dataset(spec, splits)


def network(model: str | dict[str, Any], data: Dataset | None = None) -> Network:
    """A network with fresh weights for some data, fitted preprocessing included."""
    options = MODELS[model] if isinstance(model, str) else model
    return build_network(config(options, "sequences"), data or dataset(), CPU)
