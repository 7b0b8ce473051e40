"""Every network on every kind of data trains, or is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nnzoo.errors import ConfigError
from nnzoo.runs import checkpoint
from nnzoo.training.train_step import dry_run
from tests.zoo import DATA, MODELS, begin, config, finish, same

TABLES = ("image_pca", "table_classes", "table_number")


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_on_every_kind_or_is_refused_with_the_reason(
    model: str, data: str
) -> None:
    train = {"epochs": 1, "batch_size": 512}
    run_config = config(model, data, train=train, optim={"name": "adam", "clip": {"norm": 1.0}})
    if data in TABLES and model != "mlp":
        with pytest.raises(ConfigError, match="columns have no order; use mlp"):
            begin(run_config)
        assert not Path("out").exists()
        return
    run = begin(run_config)
    before = {name: t.clone() for name, t in run.network.model.state_dict().items()}
    dry_run(run.trainer)
    dry_run(run.trainer)
    after = run.network.model.state_dict()
    assert run.trainer.state.step == 2
    for name, tensor in after.items():
        assert torch.isfinite(tensor).all(), name
        assert not torch.equal(tensor, before[name]), f"{name} did not move"


@pytest.mark.parametrize("data", DATA)
def test_the_same_config_twice_gives_the_same_bits(data: str) -> None:
    model = "mlp" if data in TABLES else "lstm" if data in ("series", "sequences") else "cnn"
    augmented = {"augment": {"shift": 1, "rotate": 10, "erase": 0.5}} if data == "image" else {}
    results = []
    for name in ("a", "b"):
        run = begin(config(model, DATA[data] | augmented), f"out_{name}")
        rows = finish(run)
        results.append((rows, checkpoint.load(run.folder.last), checkpoint.load(run.folder.best)))
        torch.rand(3)  # whatever was drawn in between does not matter
    (rows_a, last_a, best_a), (rows_b, last_b, best_b) = results
    for content in (last_a, last_b):
        content["trainer"]["position"].pop("elapsed")
    assert rows_a == rows_b
    assert same(last_a, last_b)
    assert same(best_a, best_b)


def test_another_seed_gives_other_weights() -> None:
    weights = []
    for seed in (0, 1):
        run = begin(config("mlp", seed=seed), f"out{seed}")
        finish(run)
        weights.append(run.network.model.state_dict())
    assert not same(*weights)


def test_the_learning_networks_learn() -> None:
    for model in ("mlp", "cnn", "gru"):
        run = begin(
            config(
                model,
                train={"epochs": 6, "batch_size": 32},
                name=model,
                optim={"name": "adam", "lr": 0.005},
                eval={"baselines": ["majority"]},
            )
        )
        finish(run)
        result = run.result()
        assert result is not None
        assert result["accuracy"] > 0.85 > result["baseline"]["accuracy"], model
