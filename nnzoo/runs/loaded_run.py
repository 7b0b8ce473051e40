"""A trained network beside the data that it was trained on: what `eval`, `inspect`, `report` and
`nnzoo.load` open."""

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
from nnzoo.device import use_threads
from nnzoo.errors import DataError
from nnzoo.models.network import Network, read_dataset
from nnzoo.runs import run


@dataclass
class LoadedRun:
    """The network of a checkpoint, the file that its weights came from, and notes for the user; its
    data are read when they are first asked for."""

    network: Network
    file: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        checkpoint: Path,
        device: torch.device,
        weights: Literal["best", "last"] = "best",
        sets: list[str] | None = None,
        config: RunConfig | None = None,
    ) -> Self:
        """A run folder or a .pt file. sets: KEY=VALUE, where the data have moved; config: the run's,
        where it comes from elsewhere. Raises CheckpointError, and UsageError for another run's."""
        network, file, note = run.load_network(checkpoint, device, weights)
        if config is None:
            stored = Document(value=network.config.to_dict())
            config = parse(stored, str(file), sets or [], Path.cwd())
        network.config = run.same_run(config, network, file)
        use_threads(network.config.train)
        network.eval()
        return cls(network, file, [note] if note else [])

    @cached_property
    def dataset(self) -> Dataset:
        """The run's data as they are now; raises DataError where they are not to be had."""
        config = self.network.config
        try:
            return read_dataset(config, self.network.data_spec)
        except DataError as error:
            where = next((key for key in ("path", "root") if hasattr(config.data, key)), None)
            hint = f"\nIf the data has moved: --set data.{where}=…" if where else ""
            raise DataError(f"{error}{hint}") from None

    def read(self) -> None:
        """Read the data now; raises DataError where they are not to be had."""
        self.dataset  # noqa: B018

    @cached_property
    def data_changed(self) -> bool:
        """Whether the data are others than those that the run was trained on."""
        return self.dataset.fingerprint() != self.network.data_spec.fingerprint

    @cached_property
    def _prepared(self) -> dict[str, Split]:
        return {}

    def prepared(self, split: str) -> Split:
        """A split as the network takes it, on its device."""
        if split not in self._prepared:
            self._prepared[split] = self.network.prepare(self.dataset.splits[split])
        return self._prepared[split]

    def raw(self, split: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Some rows (int64) of a split in their own units, as `Network.predict` takes them, and their
        targets."""
        x, y = self.dataset.splits[split].batch(rows)
        return x.to(self.network.device), y

    def measure(self, split: str = "test") -> dict[str, Any]:
        """The object of `nnzoo eval --json`; raises DataError where there is no such split."""
        ready = self.prepared(split) if split in self.dataset.splits else None
        report = run.evaluate_split(self.network, self.dataset, split, ready)
        result = {"run": self.network.config.name, "checkpoint": str(self.file), **report}
        return result | ({"data_changed": True} if self.data_changed else {})
