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
from nnzoo.errors import CheckpointError, DamagedError, DataError
from nnzoo.evaluation.evaluate import evaluate_split
from nnzoo.models.network import Network, network_from_checkpoint, read_dataset
from nnzoo.runs import checkpoint
from nnzoo.runs.config_diff import same_run
from nnzoo.runs.run_dir import Folder


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
        network, file, note = load_network(checkpoint, device, weights)
        if config is None:
            stored = Document(value=network.config.to_dict())
            config = parse(stored, str(file), sets or [], Path.cwd())
        network.config = same_run(config, network, file)
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
        report = evaluate_split(self.network, self.dataset, split, ready)
        result = {"run": self.network.config.name, "checkpoint": str(self.file), **report}
        return result | ({"data_changed": True} if self.data_changed else {})


def load_network(
    path: Path, device: torch.device, which: Literal["best", "last"] = "best"
) -> tuple[Network, Path, str]:
    """The network of a run folder (its best or last weights) or of a .pt file; the file, and a note
    where that is not the one asked for."""
    if not path.is_dir():
        return network_from_checkpoint(checkpoint.load(path), str(path), device), path, ""
    folder = Folder(path)
    if which == "last":
        content, note = folder.load()
        file = folder.previous if note else folder.last
        return network_from_checkpoint(content, str(file), device), file, note
    if not folder.best.exists():
        inside = sorted(each.parent for each in path.glob("*/best.pt"))
        if inside:
            raise CheckpointError(
                f"{path} is a folder of {len(inside)} runs; give one of them, as in {inside[0]}"
            )
        raise CheckpointError(f"{path} holds no best.pt; train first")
    try:
        return (
            network_from_checkpoint(checkpoint.load(folder.best), str(folder.best), device),
            folder.best,
            "",
        )
    except DamagedError as error:
        content, note = folder.load()  # holds the best weights too
        file = folder.previous if note else folder.last
        if not content.get("best_model"):
            raise
        network = network_from_checkpoint(
            content | {"model": content["best_model"]}, str(file), device
        )
        return network, file, f"{error}; the best weights come from {file}"
