"""Training in memory takes the steps of a run, and leaves no files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import nnzoo
from nnzoo.config.run_config import from_dict
from nnzoo.data.read_dataset import read_dataset
from nnzoo.errors import DivergedError
from nnzoo.training.fit import fit, open_trainer

CONFIG: dict[str, Any] = {
    "name": "memory",
    "data": "iris",
    "model": {"name": "mlp", "hidden": [4]},
    "train": {"epochs": 3, "threads": 1, "precision": "fp32"},
}


def test_it_is_the_run_to_the_last_bit() -> None:
    config = from_dict(CONFIG, "here")
    trainer = open_trainer(config, read_dataset(config), torch.device("cpu"))
    rows = [event.row for event in fit(trainer)]
    assert not Path("checkpoints").exists()
    training = nnzoo.train(CONFIG).fit()
    assert [row["val_loss"] for row in rows] == [row["val_loss"] for row in training.history]
    best = training.model().network.state_dict()
    for name, tensor in trainer.network.state_dict().items():
        assert torch.equal(tensor, best[name]), name


def test_divergence_ends_it() -> None:
    config = from_dict(CONFIG | {"optim": {"name": "sgd", "lr": 1e30}}, "here")
    trainer = open_trainer(config, read_dataset(config), torch.device("cpu"))
    with pytest.raises(DivergedError, match="training diverged"):
        list(fit(trainer))
