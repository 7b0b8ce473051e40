"""Checks of the first batch: networks in order, and one for each problem."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.run_config import from_dict
from nnzoo.data.read_dataset import read_dataset
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.thresholds import ENOUGH_STEPS
from nnzoo.explain import first_batch
from nnzoo.explain.first_batch import (
    Check,
    FirstBatch,
    check_gradients,
    check_inputs,
    check_loss,
    check_outputs,
    check_overfit,
)
from nnzoo.models.network import Network, build_network
from nnzoo.training.trainer import Trainer
from tests.text_data import PLAY
from tests.zoo import DATA, config, same

CPU = torch.device("cpu")


def opened(chosen: Any) -> tuple[Network, Any]:
    dataset = read_dataset(chosen)
    network = build_network(chosen, dataset, CPU)
    return network, network.prepare(dataset.splits["train"])


def batch_of(chosen: Any) -> FirstBatch:
    network, split = opened(chosen)
    return FirstBatch.of(Trainer(chosen, network, {"train": split}))


def overfit(chosen: Any, monkeypatch: pytest.MonkeyPatch, seconds: float = 1.0) -> Check:
    monkeypatch.setattr(first_batch, "OVERFIT_SECONDS", seconds)
    network, split = opened(chosen)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    check = check_overfit(chosen, network, split)
    assert same(before, dict(network.state_dict()))
    return check


def table(**more: Any) -> Any:
    """A network of a table of numbers."""
    model = {"name": "mlp", "hidden": [16], "activation": "tanh"} | more.pop("model", {})
    return config(model, DATA["table_number"] | more.pop("data", {}), **more)


def test_a_network_in_order_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = config("cnn", "image", optim={"lr": 0.01})
    batch = batch_of(chosen)
    loss = check_loss(batch)
    assert [check_inputs(batch).verdict, check_outputs(batch).verdict, loss.verdict] == ["ok"] * 3
    assert loss.values["baseline"] == pytest.approx(math.log(10))
    with torch.no_grad():
        output = batch.network.eval()(batch.x)
    expected = torch.nn.functional.cross_entropy(output, batch.y)
    assert loss.values["loss"] == pytest.approx(float(expected))
    gradients, units = check_gradients(batch.network, batch.split, chosen)
    assert gradients.verdict == units.verdict == "ok" and gradients.values["layers"] == 3
    check = overfit(chosen, monkeypatch)
    assert (check.verdict, check.outcome) == ("ok", "ok") and check.to_dict()["code"] is None
    assert check.values["best"] <= 0.1 * check.values["start"]


def test_the_batch_is_the_one_of_the_first_step() -> None:
    chosen = config("mlp", "table_classes", seed=3)
    network, split = opened(chosen)
    trainer = Trainer(chosen, network, {"train": split})
    assert torch.equal(FirstBatch.of(trainer).rows, trainer.epoch_rows()[:64])


def test_inputs_that_are_not_scaled_are_found() -> None:
    raw = {"name": "iris", "preprocess": {"scale": "none"}}
    batch = batch_of(config("mlp", raw))
    assert check_inputs(batch).verdict == "ok"  # centimeters from 0 to 8
    for factor, outcome in ((100.0, "large"), (1e-3, "small"), (math.inf, "not_finite")):
        x: Any = batch.x
        wrong = FirstBatch(
            batch.network, batch.split, batch.rows, x * factor, batch.y, batch.output
        )
        check = check_inputs(wrong)
        assert (check.verdict, check.outcome, check.code) == ("look", outcome, "W30")


def outputs_of(batch: FirstBatch, output: torch.Tensor) -> FirstBatch:
    return FirstBatch(batch.network, batch.split, batch.rows, batch.x, batch.y, output)


def test_outputs_that_are_the_same_or_sure_are_found() -> None:
    batch = batch_of(config("mlp", "table_classes"))
    zero = torch.zeros_like(batch.output)
    draw = torch.randn(zero.shape, generator=torch.Generator().manual_seed(0))
    for output, outcome in ((zero, "same"), (3 * draw, "large"), (zero + math.nan, "not_finite")):
        check = check_outputs(outputs_of(batch, output))
        assert (check.verdict, check.outcome, check.code) == ("look", outcome, "W31")


def test_a_loss_that_its_outputs_do_not_explain_is_found() -> None:
    batch = batch_of(config("mlp", "table_classes"))
    zero = torch.zeros_like(batch.output)
    assert check_loss(outputs_of(batch, zero)).outcome == "ok.classes"
    # Sure of the wrong class for all rows, and of the right one for all.
    right = torch.nn.functional.one_hot(batch.y, 3).float()
    for output, outcome in (
        (-9 * right, "high.classes"),
        (0.1 * right, "ok.classes"),
        (9 * right, "low.classes"),
    ):
        assert check_loss(outputs_of(batch, output)).outcome == outcome
    assert check_loss(outputs_of(batch, zero + math.nan)).outcome == "not_finite"


def test_the_expected_loss_of_classes_is_that_of_knowing_nothing_and_half_the_variance() -> None:
    batch = batch_of(config("mlp", "image"))
    draw = torch.randn(batch.output.shape, generator=torch.Generator().manual_seed(1))
    values = check_loss(outputs_of(batch, 0.6 * draw)).values
    assert values["std"] == pytest.approx(0.6, rel=0.1)
    assert values["expected"] == pytest.approx(math.log(10) + values["std"] ** 2 / 2, rel=0.02)
    assert abs(values["loss"] - values["expected"]) < values["chance"] + values["std"]


def test_numbers_are_compared_with_the_mean() -> None:
    batch = batch_of(table())
    y = batch.y.float()
    zero = torch.zeros_like(batch.output)
    check = check_loss(outputs_of(batch, zero))
    assert check.outcome == "ok.numbers" and check.values["loss"] == pytest.approx(
        float(y.square().mean())
    )
    assert check_loss(outputs_of(batch, y)).outcome == "below.numbers"
    batch.network.task.loss_name = "mae"  # type: ignore[assignment]
    assert check_loss(outputs_of(batch, zero)).outcome == "ok.numbers"
    raw = batch_of(table(data={"preprocess": {"target": "none"}}))
    assert check_loss(raw).outcome == "offset"


def test_trained_weights_have_no_verdict() -> None:
    batch = batch_of(config("mlp", "table_classes"))
    batch.network.origin = {"path": "before"}
    assert {check_outputs(batch).outcome, check_loss(batch).outcome} == {"trained"}


def test_gradients_that_vanish_and_units_that_are_dead_are_found() -> None:
    deep = {"name": "mlp", "hidden": [16] * 12, "activation": "sigmoid", "init": "torch"}
    chosen = config(deep, "image")
    (gradients, _) = check_gradients(*opened(chosen), chosen)
    assert (gradients.verdict, gradients.outcome, gradients.code) == ("look", "vanishing", "W03")
    network, split = opened(config("mlp", "image"))
    with torch.no_grad():
        network.model.get_parameter("1.bias").fill_(-1e3)
    checks = check_gradients(network, split, network.config)
    assert [(check.outcome, check.code) for check in checks if check.name == "units"] == [
        ("dead", "W02")
    ]
    assert checks[-1].values["dead"] == checks[-1].values["units"] == 16


def test_a_network_without_gradients_or_activations() -> None:
    norm = {"name": "mlp", "hidden": [4], "norm": "batch", "freeze": ["1.*", "4.*"]}
    chosen = config(norm, "table_classes")
    assert check_gradients(*opened(chosen), chosen)[0].outcome == "frozen"
    linear = config({"name": "mlp", "hidden": []}, "table_classes")
    assert [check.outcome for check in check_gradients(*opened(linear), linear)] == ["ok", "none"]


def test_a_layer_that_no_gradient_reaches_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network, split = opened(config("mlp", "table_classes"))
    with torch.no_grad():
        network.model.get_parameter("4.weight").zero_()
    (check, *_) = check_gradients(network, split, network.config)
    assert (check.verdict, check.outcome, check.code) == ("look", "vanishing", "W03")
    monkeypatch.setattr(diagnostics, "diagnose", lambda stats, config: [])
    (check, *_) = check_gradients(network, split, network.config)
    assert (check.outcome, check.code, check.values["names"]) == ("missing", "W05", ["1"])


def test_gates_that_forget_at_first_are_no_problem() -> None:
    data = {"name": "adding", "length": 60, "train": 100, "val": 20, "test": 20}
    chosen = config({"name": "lstm", "hidden_size": 8, "forget_bias": False}, data)
    network, split = opened(chosen)
    with torch.no_grad():
        network.model.get_parameter("rnn.bias_ih_l0")[8:16] = -3
    (check, *_) = check_gradients(network, split, chosen)
    assert (check.verdict, check.outcome, check.code) == ("skipped", "vanishing_time", "W04")
    assert check.values["first_step"] < 1e-4


def test_rows_that_cannot_be_memorized(monkeypatch: pytest.MonkeyPatch) -> None:
    still = config("mlp", "table_classes", optim={"lr": 1e-7})
    check = overfit(still, monkeypatch)
    assert (check.verdict, check.outcome, check.code) == ("look", "failed", "W33")
    assert check.values["steps"] >= ENOUGH_STEPS
    assert overfit(still, monkeypatch, 0.0).outcome == "time"
    wild = table(optim={"name": "sgd", "lr": 1e6})
    check = overfit(wild, monkeypatch)
    assert (check.outcome, check.code) == ("diverged", "W01")


def test_a_loss_above_that_of_knowing_nothing_is_not_memorized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first_batch, "OVERFIT_SECONDS", 1.0)
    chosen = config("mlp", "table_classes", optim={"lr": 0.1})
    network, split = opened(chosen)
    with torch.no_grad():
        for parameter in network.model.parameters():
            parameter.mul_(30)
    check = check_overfit(chosen, network, split)
    assert check.values["start"] > 10 * math.log(3)
    assert check.outcome != "ok" or check.values["best"] <= math.log(3) / 2
    assert check.values["target"] == pytest.approx(math.log(3) / 2)


def test_over_fitting_is_without_dropout_augmentation_smoothing_and_carried_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = {"name": "digits", "augment": {"shift": 3}}
    drop = {"name": "mlp", "hidden": [32], "dropout": 0.95}
    # Smoothed like this, the loss of perfect predictions is half of the first one.
    chosen = config(drop, images, optim={"lr": 0.02}, train={"label_smoothing": 0.3})
    assert overfit(chosen, monkeypatch, 2.0).outcome == "ok"
    Path("play.txt").write_text(PLAY * 4)
    tree = {
        "name": "text",
        "data": {"name": "corpus", "path": "play.txt", "window": 8, "stateful": True},
        "model": {"name": "gru", "hidden_size": 16, "embedding": 8},
        "optim": {"lr": 0.05},
        "train": {"batch_size": 2},
    }
    check = overfit(from_dict(tree, "test"), monkeypatch, 2.0)
    assert check.outcome == "ok" and check.values["rows"] == 2
