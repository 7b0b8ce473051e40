"""Frozen parameters: what stays, what a pattern matches, native kernels, members of a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.errors import ConfigError
from nnzoo.runs import checkpoint
from nnzoo.runs.run import Run
from nnzoo.runs.run_group import seeds
from tests.text_data import PLAY
from tests.zoo import begin, config, finish, same

CPU = torch.device("cpu")
CNN = {"name": "cnn", "channels": [4, 8], "norm": "batch", "dropout": 0.2, "freeze": ["features.*"]}
FROZEN: list[tuple[dict[str, Any], str, str]] = [
    (CNN, "image", "features."),
    ({"name": "mlp", "hidden": [16, 8], "norm": "batch", "freeze": ["1.*", "2.*"]}, "image", "1."),
    ({"name": "gru", "hidden_size": 8, "freeze": ["rnn.*"]}, "series", "rnn."),
]


def train_frozen(model: dict[str, Any], data: Any, kernels: str, **more: Any) -> tuple[Run, Any]:
    """A finished run of few steps, and the weights that it began with."""
    options = {"epochs": 2, "kernels": kernels, "norm_statistics": "running"} | more
    run = begin(config(model, data, train=options, name=f"{model['name']}-{kernels}"))
    before = {name: t.clone() for name, t in run.network.model.state_dict().items()}
    finish(run)
    return run, before


@pytest.mark.parametrize("kernels", ["native", "torch"])
@pytest.mark.parametrize(("model", "data", "prefix"), FROZEN)
def test_frozen_layers_stay_bit_for_bit_with_their_statistics(
    model: dict[str, Any], data: str, prefix: str, kernels: str
) -> None:
    run, before = train_frozen(model, data, kernels)
    after = run.network.model.state_dict()
    kept = {name for name in after if same(after[name], before[name])}
    assert {name for name in after if name.startswith(prefix)} <= kept
    assert {name for name, p in run.network.model.named_parameters() if p.requires_grad}.isdisjoint(
        kept
    )


@pytest.mark.parametrize("frozen", ["embedding.*", "rnn.*", "head.*"])
def test_layers_of_a_language_model_are_frozen(frozen: str) -> None:
    Path("play.txt").write_text(PLAY * 20)
    data = {"name": "corpus", "path": str(Path("play.txt").resolve()), "window": 8}
    model = {"name": "lstm", "hidden_size": 6, "embedding": 5, "freeze": [frozen]}
    run, before = train_frozen(model, data, "native")
    after = run.network.model.state_dict()
    kept = {name for name in after if same(after[name], before[name])}
    assert kept == {name for name in after if name.startswith(frozen[:-1])}


def test_exact_statistics_leave_frozen_norms_alone() -> None:
    run, before = train_frozen(CNN, "image", "native", norm_statistics="exact")
    after = run.network.model.state_dict()
    assert all(same(after[name], before[name]) for name in after if name.startswith("features."))


def test_a_norm_of_which_a_part_is_frozen_still_gathers_statistics() -> None:
    run, before = train_frozen(CNN | {"freeze": ["features.1.weight"]}, "image", "native")
    after = run.network.model.state_dict()
    assert same(after["features.1.weight"], before["features.1.weight"])
    assert not same(after["features.1.running_mean"], before["features.1.running_mean"])


def test_the_optimizer_knows_nothing_of_frozen_parameters() -> None:
    run, _ = train_frozen(CNN, "image", "native")
    trained = [p for p in run.network.model.parameters() if p.requires_grad]
    assert len(run.trainer.optimizer.parameters) == len(trained) == 2
    stored = checkpoint.load(run.folder.last)["trainer"]["optimizer"]
    assert len(stored["state"]) == 2
    full = begin(config({**CNN, "freeze": []}, name="full"))
    finish(full)
    assert len(full.trainer.optimizer.parameters) > 2


def test_a_resumed_run_is_frozen_too_and_ends_with_the_same_bits() -> None:
    run, _ = train_frozen(CNN, "image", "native", epochs=3)
    whole = checkpoint.load(run.folder.last)
    options = {"kernels": "native", "norm_statistics": "running"}
    first = begin(config(CNN, train=options | {"epochs": 1}, name="parts"))
    finish(first)
    second = begin(config(CNN, train=options | {"epochs": 3}, name="parts"))
    assert second.state == "resumed"
    finish(second)
    content = checkpoint.load(second.folder.last)
    for key in ("model", "best_model"):
        assert same(content[key], whole[key])
    assert same(content["trainer"]["optimizer"], whole["trainer"]["optimizer"])


@pytest.mark.parametrize(("model", "data", "prefix"), FROZEN)
def test_seeds_in_one_batch_freeze_as_single_runs_do(
    model: dict[str, Any], data: str, prefix: str
) -> None:
    options = {"epochs": 2, "norm_statistics": "running", "kernels": "native"}
    group = seeds(config(model, data, train=options, name="group"), 2, Path("out"))
    for _ in group.events(CPU):
        pass
    assert not group.sequential_reason
    for seed, member in enumerate(group.members):
        single = begin(config(model, data, train=options, seed=seed, name=f"single-{seed}"))
        before = {name: t.clone() for name, t in single.network.model.state_dict().items()}
        finish(single)
        content = checkpoint.load(member.folder.best)
        ours, theirs = content["model"], checkpoint.load(single.folder.best)["model"]
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
            assert not name.startswith(prefix) or same(ours[name], before[name])


def test_a_pattern_that_matches_nothing_names_the_parameters() -> None:
    with pytest.raises(
        ConfigError, match=r"freeze\[1\].*'head' matches no parameter; those of"
    ) as info:
        begin(config(CNN | {"freeze": ["features.*", "head"]}))
    assert "features.0.weight" in str(info.value) and "head.1.bias" in str(info.value)


def test_nothing_left_to_train_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="all parameters are frozen, so there is nothing to train"
    ):
        begin(config(CNN | {"freeze": ["*"]}))
