"""The state of training: monitors, positions that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.errors import CheckpointError
from nnzoo.runs import checkpoint
from nnzoo.runs.checkpoint import check_state_dict
from tests.training.trainer_cases import record_epoch
from tests.zoo import begin, config


@pytest.mark.parametrize("part", ["config", "data", "model"])
def test_a_run_is_not_gone_on_with_from_parts_that_do_not_fit(
    part: str, nnzoo: Callable[..., Any]
) -> None:
    words = ("train", "-c", "mlp", "-s", "train.epochs=1", "--out", "out")
    assert nnzoo(*words).code == 0
    path = Path("out/mlp/last.pt")
    content = checkpoint.load(path)
    for damaged in (content | {part: {}}, {k: v for k, v in content.items() if k != part}):
        checkpoint.save(path, damaged)
        result = nnzoo(*words)
        assert result.code == 5 and result.err.startswith(str(path)), result.err


@pytest.mark.parametrize("part", ["position", "optimizer", "sums", "best_model"])
def test_a_position_that_does_not_fit_is_one_message(part: str, nnzoo: Callable[..., Any]) -> None:
    Path("c.yaml").write_text("name: run\ndata: digits\nmodel: {name: mlp, hidden: [16]}\n")
    words = ("train", "-c", "c.yaml", "-s", "train.epochs=1", "--out", "out")
    assert nnzoo(*words).code == 0
    path = Path("out/run/last.pt")
    for damage in ({}, 5, {"param_groups": 3}, {"epoch": None}, {"state": {0: {"step": "x"}}}):
        content = checkpoint.load(path)
        whole = path.read_bytes()
        (content if part == "best_model" else content["trainer"])[part] = damage
        checkpoint.save(path, content)
        result = nnzoo(*words, "-s", "train.epochs=2")
        assert result.code == 5, result.err
        assert "not fit" in result.err or "the checkpoint has" in result.err
        path.write_bytes(whole)


def test_a_leaf_that_does_not_fit_is_named_with_both_shapes() -> None:
    model = torch.nn.Linear(3, 2)
    state = model.state_dict()
    for change, message in (
        (
            {"weight": torch.zeros(2, 4)},
            r"'weight' is \(2, 4\) float32 in the checkpoint and \(2, 3\) float32 in the network",
        ),
        ({"extra": torch.zeros(1)}, "the checkpoint has 'extra', which the network has not"),
    ):
        with pytest.raises(CheckpointError, match=message):
            check_state_dict(model, state | change, "x")
    with pytest.raises(CheckpointError, match="the checkpoint has no 'bias'"):
        check_state_dict(model, {"weight": state["weight"]}, "x")


def test_early_stopping_waits_for_patience_epochs_and_min_delta() -> None:
    early = {"patience": 3, "min_delta": 0.1}
    trainer = begin(config(train={"early_stopping": early, "epochs": 99})).trainer
    stops = []
    for loss in (1.0, 0.95, 0.92, 0.88, 0.87, 0.86, 0.85):  # 1.0 to 0.88 is a gain that counts
        record_epoch(trainer, loss)
        stops.append(trainer.stopped_early)
    assert stops == [False] * 6 + [True]
    assert trainer.state.best_value == 0.85


@pytest.mark.parametrize(("monitor", "higher"), [("val_accuracy", True), ("val_loss", False)])
def test_the_monitor_decides_which_epoch_is_best(monitor: str, higher: bool) -> None:
    trainer = begin(config(train={"monitor": monitor})).trainer
    for epoch, value in enumerate((0.5, 0.7, 0.3, 0.6), start=1):
        trainer.state.epoch = epoch
        record_epoch(trainer, value)
    assert (trainer.state.best_epoch, trainer.state.best_value) == (
        (2, 0.7) if higher else (3, 0.3)
    )


def test_an_epoch_whose_metric_is_nan_is_never_kept_as_the_best() -> None:
    trainer = begin(config()).trainer
    for epoch, value in enumerate((math.nan, 0.7, math.nan, 0.6), start=1):
        trainer.state.epoch = epoch
        record_epoch(trainer, value)
    assert (trainer.state.best_epoch, trainer.state.best_value) == (4, 0.6)
