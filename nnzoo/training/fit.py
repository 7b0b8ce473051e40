"""Training of one network in memory: no folder, no lock, no checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from nnzoo.config import RunConfig
from nnzoo.config.run_config import locates_errors
from nnzoo.data.dataset import Dataset
from nnzoo.device import use_threads
from nnzoo.errors import DivergedError
from nnzoo.evaluation.evaluate import calibrate_network
from nnzoo.models.network import build_network
from nnzoo.training.autotune import resolve_auto
from nnzoo.training.lockstep import lockstep
from nnzoo.training.trainer import EpochEnd, Trainer


@locates_errors
def open_trainer(config: RunConfig, dataset: Dataset, device: torch.device) -> Trainer:
    """Build the network of a config and the trainer of its first step, as a new run has them; raises
    ConfigError and DataError if they do not fit together. Sets torch's number of threads."""
    network = build_network(config, dataset, device)
    splits = {name: network.prepare(split) for name, split in dataset.splits.items()}
    network.config = resolve_auto(config, network, splits).config
    network.configure(network.config.train)
    use_threads(network.config.train)
    return Trainer(network.config, network, splits)


def fit(trainer: Trainer) -> Iterator[EpochEnd]:
    """Train to the end and yield each epoch; the network then has the best weights and, where there are validation
    rows, a calibration. Raises DivergedError."""
    for turn in lockstep([trainer], ()):
        event = turn.advance()[0]
        if isinstance(event, DivergedError):
            raise event
        if isinstance(event, EpochEnd):
            yield event
    trainer.model.load_state_dict(trainer.best_weights)
    trainer.network.eval()
    if "val" in trainer.splits:
        trainer.network.calibrate(calibrate_network(trainer.network, trainer.splits["val"]))
