"""A trained network with its data, opened without a trainer: for predict, eval, inspect, export, report."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor

from nnzoo.config import RunConfig
from nnzoo.config.load import parse
from nnzoo.config.yaml_parser import Document
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.read_dataset import read_dataset
from nnzoo.device import use_threads
from nnzoo.errors import CheckpointError, DamagedError, DataError
from nnzoo.evaluation.evaluate import evaluate_split
from nnzoo.models.network import Network, network_from_checkpoint
from nnzoo.runs import checkpoint
from nnzoo.runs.config_diff import require_same_config
from nnzoo.runs.run_dir import RunDir


@dataclass
class LoadedRun:
    """The network of a checkpoint, the file of its weights, and notes for the user. The data is read
    when it is first used."""

    network: Network
    file: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        path: Path,
        device: torch.device,
        weights: Literal["best", "last"] = "best",
        sets: list[str] | None = None,
        config: RunConfig | None = None,
    ) -> Self:
        """Open a run folder or a .pt file.

        sets: KEY=VALUE overrides, for data that has moved; config: the run's config, if it comes from
        another file. Raises CheckpointError, and UsageError if the config is not the run's.
        """
        network, file, note = load_network(path, device, weights)
        if config is None:
            stored = Document(value=network.config.to_dict())
            config = parse(stored, str(file), sets or [], Path.cwd())
        network.config = require_same_config(config, network, file)
        use_threads(network.config.train)
        network.eval()
        return cls(network, file, [note] if note else [])

    @cached_property
    def dataset(self) -> Dataset:
        """The run's data as it is now; raises DataError if it cannot be read."""
        config = self.network.config
        try:
            return read_dataset(config, self.network.data_spec)
        except DataError as error:
            key = next((key for key in ("path", "root") if hasattr(config.data, key)), None)
            hint = f"\nIf the data has moved: --set data.{key}=…" if key else ""
            raise DataError(f"{error}{hint}") from None

    @cached_property
    def data_changed(self) -> bool:
        """Whether the data differs from the training data."""
        return self.dataset.fingerprint() != self.network.data_spec.fingerprint

    @cached_property
    def _prepared(self) -> dict[str, Split]:
        return {}

    def prepared(self, split: str) -> Split:
        """Return a split as the network takes it, on its device."""
        if split not in self._prepared:
            self._prepared[split] = self.network.prepare(self.dataset.splits[split])
        return self._prepared[split]

    def raw(self, split: str, rows: Tensor) -> tuple[Any, Tensor]:
        """Return some rows (int64) of a split in original units, as `Network.predict` takes them (a tensor, or
        PaddedSequences), and their targets."""
        x, y = self.dataset.splits[split].batch(rows)
        return x.to(self.network.device), y

    def measure(self, split: str = "test") -> dict[str, Any]:
        """Return the object of `nnzoo eval --json`; raises DataError if there is no such split."""
        ready = self.prepared(split) if split in self.dataset.splits else None
        report = evaluate_split(self.network, self.dataset, split, ready)
        result = {"run": self.network.config.name, "checkpoint": str(self.file), **report}
        return result | ({"data_changed": True} if self.data_changed else {})


def load_network(
    path: Path, device: torch.device, weights: Literal["best", "last"] = "best"
) -> tuple[Network, Path, str]:
    """Load the network of a run folder or of a .pt file.

    Returns the network, the file of its weights, and a note if that is not the requested one: a damaged
    file is replaced by the checkpoint before it. Raises CheckpointError.
    """
    if not path.is_dir():
        return network_from_checkpoint(checkpoint.load(path), str(path), device), path, ""
    folder = RunDir(path)
    damage = ""
    if weights == "best":
        if not folder.best.exists():
            raise CheckpointError(_no_best_weights(path))
        try:
            content = checkpoint.load(folder.best)
            return network_from_checkpoint(content, str(folder.best), device), folder.best, ""
        except DamagedError as error:
            damage = f"{error}; the best weights come from"
            content, note = folder.load()
            if not content.get("best_model"):
                raise
            content = content | {"model": content["best_model"]}
    else:
        content, note = folder.load()
    file = folder.previous if note else folder.last
    network = network_from_checkpoint(content, str(file), device)
    return network, file, f"{damage} {file}" if damage else note


def _no_best_weights(path: Path) -> str:
    runs = sorted(file.parent for file in path.glob("*/best.pt"))
    if runs:
        return f"{path} is a folder of {len(runs)} runs; give one of them, as in {runs[0]}"
    return f"{path} holds no best.pt; train first"
