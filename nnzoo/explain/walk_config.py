"""The walk-through of a config: data, layers, memory, training, time, and the checks of the first batch.

Nothing is written and nothing is downloaded; where data are missing, what follows without them is described.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.config.data_options import DownloadedOptions
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.read_dataset import read_dataset
from nnzoo.data.sampling import batch_sizes
from nnzoo.data.sequences import Inputs
from nnzoo.device import use_threads
from nnzoo.errors import DataError, shell_word
from nnzoo.explain.describe_data import describe_data
from nnzoo.explain.describe_layers import describe_memory, describe_network
from nnzoo.explain.describe_training import describe_options, describe_time, describe_training
from nnzoo.explain.first_batch import (
    Check,
    FirstBatch,
    check_gradients,
    check_inputs,
    check_loss,
    check_outputs,
    check_overfit,
)
from nnzoo.explain.layer_summary import LayerSummary, describe_layers
from nnzoo.explain.published_shapes import published_spec
from nnzoo.explain.walk import Section, Statement, Walk
from nnzoo.models.network import Network, build_network, build_untrained
from nnzoo.status import status
from nnzoo.training.autotune import resolve_auto
from nnzoo.training.trainer import Trainer


@dataclass(frozen=True)
class Subject:
    """A config with its data and network, as far as the data are here: dataset and splits are None where they are not, network and
    spec where not even their shape is known."""

    config: RunConfig
    dataset: Dataset | None
    spec: DataSpec | None
    network: Network | None
    splits: dict[str, Split] | None
    reason: str
    """Why the data cannot be read; "" if they can."""

    @classmethod
    def open(cls, config: RunConfig, device: torch.device) -> Subject:
        """Read the data and build the network; raises ConfigError where they do not fit together."""
        data = config.data
        if isinstance(data, DownloadedOptions):
            data = data.offline()
        try:
            dataset = read_dataset(replace(config, data=data))
        except DataError as error:
            spec = published_spec(config.data)
            network = None if spec is None else build_untrained(config, spec, device)
            return cls(config, None, spec, network, None, str(error))
        network = build_network(config, dataset, device)
        splits = {name: network.prepare(split) for name, split in dataset.splits.items()}
        return cls(config, dataset, dataset.spec, network, splits, "")

    @property
    def rows(self) -> dict[str, int]:
        """The rows of each split; empty where they are not known."""
        if self.dataset is not None:
            return {name: len(split) for name, split in self.dataset.splits.items()}
        return {} if self.spec is None else self.spec.num_rows

    @property
    def step_sizes(self) -> list[int]:
        """The rows of each step of an epoch."""
        train = self.config.train
        size = train.batch_size * train.accumulate_grad_batches
        return batch_sizes(self.rows["train"], size) if self.rows else []

    def sample(self) -> Inputs:
        """A prepared batch of two rows, by which shapes are found; zeros where the data are not here."""
        assert self.network is not None and self.spec is not None
        if self.splits is None:
            return torch.zeros(2, *self.spec.input.shape, dtype=torch.uint8)
        split = self.splits["train"]
        rows = torch.arange(min(2, len(split)), device=self.network.device)
        if split.lengths is not None:
            rows = split.lengths.argsort(descending=True)[:2].to(rows.device)
        return split.batch(rows)[0]


def walk_config(
    config: RunConfig, device: torch.device, source: str, sets: Sequence[str] = ()
) -> Walk:
    """Walk through a config; raises ConfigError for errors in it. source, sets: as the user gave them, for commands."""
    with status("reading the data", log=False):
        subject = Subject.open(config, device)
    walk = Walk([], {"config": config.name, "source": config.source})
    walk.figures["data"] = describe_data(
        walk.add("data"), config, subject.dataset, subject.reason, subject.spec
    )
    layers: list[LayerSummary] = []
    if subject.network is not None:
        layers, _ = describe_layers(subject.network, subject.sample())
        walk.figures["layers"] = [layer.to_dict() for layer in layers]
        describe_network(walk.add("network"), subject.network, layers)
        section = walk.add("memory")
        walk.figures["memory"] = describe_memory(section, subject.network, layers)
    section = walk.add("training")
    walk.figures["training"] = describe_training(section, config, subject.rows, subject.step_sizes)
    describe_options(walk, config)
    if subject.network is not None and subject.splits is not None:
        walk.figures |= _measure(walk, subject.network, subject.splits, config)
    _add_next(walk.add("next"), source, sets)
    return walk


def _measure(
    walk: Walk, network: Network, splits: dict[str, Split], config: RunConfig
) -> dict[str, Any]:
    """Time a few steps and check the first batch; returns the figures of both."""
    with status("timing a few steps", log=False):
        resolved = resolve_auto(config, network, splits, cached=False)
        config = network.config = resolved.config
        network.configure(config.train, compiled=False)
        use_threads(config.train)
        figures = {"time": describe_time(walk.add("time"), network, splits, resolved.step_seconds)}
    with status("checking the first batch", log=False):
        checks = first_batch_checks(config, network, splits["train"])
    section = walk.add("checks")
    for check in checks:
        key = f"check.{check.name}.{check.outcome}"
        section.statements.append(Statement(key, check.values, verdict=check.verdict))
        if check.code:
            section.add("check.code", 1, code=check.code)
    return figures | {"checks": [check.to_dict() for check in checks]}


def first_batch_checks(config: RunConfig, network: Network, split: Split) -> list[Check]:
    """The checks of a network before its first step; network and split are left as they are."""
    batch = FirstBatch.of(Trainer(config, network, {"train": split}))
    checks = [check_inputs(batch), check_outputs(batch), check_loss(batch)]
    checks += check_gradients(network, split, config)
    return [*checks, check_overfit(config, network, split)]


def _add_next(section: Section, source: str, sets: Sequence[str]) -> None:
    """The commands that come next."""
    words = [shell_word(source), *(f"-s {shell_word(value)}" for value in sets)]
    section.add("next.train")
    section.add("command", 1, command=" ".join(["nnzoo train", *words]))
    section.add("next.key")
    section.add("command", 1, command="nnzoo explain optim.lr")
