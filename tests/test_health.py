"""Layers looked at from inside, and what is wrong with them named: vanishing, exploding, dead."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config import load_config
from nnzoo.config.load import bundled_configs
from nnzoo.console.progress import sparkline
from nnzoo.data.dataset import TensorSplit
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.layer_stats import LayerStats, NetworkStats
from nnzoo.training.trainer import EpochEnd
from tests import zoo

NNZOO = Callable[..., Any]
DEEP = {"name": "mlp", "hidden": [64] * 10, "activation": "sigmoid"}
WAVE = {"name": "sine", "window": 50, "noise": 0.1}


def findings(config: Any) -> list[diagnostics.Finding]:
    """Everything that a run tells."""
    run = zoo.begin(config)
    found = []
    for event in zoo.train(run):
        if isinstance(event, EpochEnd):
            found += event.findings
    run.lock.release()
    return found


def looked(config: Any, rows: int = 32) -> tuple[zoo.Run, NetworkStats]:
    run = zoo.begin(config, write=False)
    return run, diagnostics.collect_split_stats(run.network, run.trainer.splits["train"], rows)


# What a look sees.


@pytest.mark.parametrize("data", ["image", "table_classes", "series"])
@pytest.mark.parametrize("model", zoo.MODELS)
def test_gradients_and_weights_are_those_of_a_step(model: str, data: str) -> None:
    if data == "table_classes" and model != "mlp":
        pytest.skip("a table goes to an mlp alone")
    run, seen = looked(zoo.config(model, data))
    network, split = run.network, run.trainer.splits["train"]
    x, y = split.batch(diagnostics.linspace_rows(len(split), 32, network.device))
    network.eval()
    (network.task.loss(network(x), y) / network.task.denominator(y)).backward()
    gradients = torch.cat([p.grad.flatten() for p in network.model.parameters()])
    assert math.hypot(*seen.gradients().values()) == pytest.approx(
        gradients.norm().item(), rel=1e-5
    )
    weights = torch.cat([p.detach().flatten() for p in network.model.parameters()])
    norms = [each.weight for each in seen.layers if each.weight is not None]
    assert math.hypot(*norms) == pytest.approx(weights.norm().item(), rel=1e-5)
    parameters = sum(p.numel() for p in network.model.parameters())
    assert sum(each.parameters for each in seen.layers) == parameters


def test_a_look_changes_nothing_of_a_run() -> None:
    run = zoo.begin(zoo.config({"name": "cnn", "channels": [4], "norm": "batch", "dropout": 0.2}))
    network = run.network
    network.train()
    network.precision = "bf16"
    before = {name: t.clone() for name, t in network.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    diagnostics.collect_split_stats(network, run.trainer.splits["train"])
    assert torch.equal(torch.rand(1), drawn)
    assert zoo.same(dict(network.state_dict()), before)
    assert network.training and all(module.training for module in network.model.modules())
    assert network.precision == "bf16"
    assert all(p.grad is None for p in network.model.parameters())
    run.lock.release()


def test_a_look_leaves_the_dropout_between_recurrent_layers() -> None:
    model = {"name": "lstm", "hidden_size": 8, "num_layers": 2, "dropout": 0.3}
    run, _ = looked(zoo.config(model))
    assert run.network.model.rnn.dropout == 0.3


class Odd(nn.Module):
    """A network whose leaves give tuples, none, and what the loss does not need."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(64, 16)
        self.head = nn.Linear(16, 10)
        self.idle = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.cell(x.flatten(1))
        return self.head(hidden)


def test_layers_that_give_several_tensors_are_looked_at_too() -> None:
    run = zoo.begin(zoo.config(), write=False)
    run.network.model = Odd()
    seen = diagnostics.collect_split_stats(run.network, run.trainer.splits["train"])
    assert [(each.name, each.shape) for each in seen.layers] == [("cell", [16]), ("head", [10])]
    assert all(norm > 0 for norm in seen.gradients().values())


def test_a_network_of_one_layer_is_looked_at() -> None:
    run = zoo.begin(zoo.config(data="table_classes"), write=False)
    run.network.model = nn.Linear(4, 3)
    seen = diagnostics.collect_split_stats(run.network, run.trainer.splits["train"])
    assert [each.name for each in seen.layers] == ["Linear"] and seen.gradients()["Linear"] > 0


def test_a_look_takes_no_more_rows_than_there_is_room_for() -> None:
    split = TensorSplit(torch.zeros(100, 3, 300, 300, dtype=torch.uint8), torch.zeros(100).long())
    assert diagnostics.max_rows(split, 64) == 3
    run = zoo.begin(zoo.config(data="image"), write=False)
    assert diagnostics.max_rows(run.trainer.splits["train"], 64) == 64


def test_the_trivial_loss_is_that_of_equal_probabilities_or_the_mean() -> None:
    run = zoo.begin(zoo.config(), write=False)
    assert diagnostics.baseline_loss(run.network, run.trainer.splits["train"]) == math.log(10)
    run = zoo.begin(zoo.config(data="table_number"), write=False)
    loss = diagnostics.baseline_loss(run.network, run.trainer.splits["train"])
    assert loss == pytest.approx(1.0, rel=1e-4)  # standardised targets


def test_a_gradient_that_is_not_finite_is_exploding_and_nothing_else() -> None:
    layer = LayerStats("1", "Linear", [4], 10, 10, gradient=1e-9, weight=1.0)
    above = LayerStats("2", "Linear", [4], 10, 10, gradient=math.inf, weight=1.0)
    found = diagnostics.diagnose(NetworkStats([layer, above]), zoo.config())
    assert [(each.kind, each.layer) for each in found] == [("exploding", "2")]


def test_each_layer_of_a_stack_is_told_apart() -> None:
    model = {"name": "lstm", "hidden_size": 8, "num_layers": 3, "bidirectional": True}
    run, seen = looked(zoo.config(model))
    assert [each.name for each in seen.layers if each.parameters] == [
        "rnn.l0",
        "rnn.l1",
        "rnn.l2",
        "head",
    ]
    assert [each.shape for each in seen.layers][:3] == [[8, 16]] * 3
    # 4 gates of 8 units in 2 directions, from 8 inputs (then 16) and 8 states, at 8 time steps.
    assert [each.multiply_adds for each in seen.layers][:2] == [8 * 2 * 32 * 16, 8 * 2 * 32 * 24]
    plain = nn.LSTM(8, 8, 3, bidirectional=True, batch_first=True)
    plain.load_state_dict(run.network.model.rnn.state_dict())
    first = nn.LSTM(8, 8, 1, bidirectional=True, batch_first=True)
    state = {k: v for k, v in plain.state_dict().items() if "_l0" in k}
    first.load_state_dict(state)
    split = run.trainer.splits["train"]
    x, _ = split.batch(diagnostics.linspace_rows(len(split), 32, run.network.device))
    states, _ = first(run.network.preprocess(x).flatten(1, 2))
    assert seen.layers[0].mean == pytest.approx(states.mean().item(), abs=1e-6)
    assert seen.layers[0].std == pytest.approx(states.std(correction=0).item(), rel=1e-5)


def test_multiply_adds_of_convolutions_and_linear_layers() -> None:
    model = {"name": "cnn", "channels": [4, 8], "kernel_size": [[3, 5], [2, 2]], "pool": "none"}
    _, seen = looked(zoo.config(model))
    counts = {each.name: each.multiply_adds for each in seen.layers if each.multiply_adds}
    assert list(counts.values()) == [64 * 4 * 15, 64 * 8 * 4 * 4, 8 * 64 * 10]


def test_time_is_the_gradient_at_the_input_of_each_step() -> None:
    run, seen = looked(zoo.config("rnn", "series"))
    network, split = run.network, run.trainer.splits["train"]
    x, y = split.batch(diagnostics.linspace_rows(len(split), 32, network.device))
    x.requires_grad_()
    network.eval()
    (network.task.loss(network(x), y) / network.task.denominator(y)).backward()
    assert seen.time_gradients == pytest.approx(x.grad.norm(dim=(0, 2)).tolist(), rel=1e-5)
    assert looked(zoo.config("cnn", "series"))[1].time_gradients is None


def test_dead_units_are_those_that_nothing_goes_back_through() -> None:
    run = zoo.begin(zoo.config({"name": "mlp", "hidden": [16]}), write=False)
    linear = run.network.model[1]
    with torch.no_grad():
        linear.bias[:5] = -100.0
    relu = next(each for each in diagnostics.collect_split_stats(run.network, run.trainer.splits["train"]).layers
                if each.type == "ReLU")  # fmt: skip
    assert (relu.dead, relu.units) == (5, 16)


# What it is called.


def test_a_deep_sigmoid_network_is_named_as_vanishing() -> None:
    found = findings(zoo.config(DEEP, train={"epochs": 1}))
    assert [each.kind for each in found] == ["vanishing"]
    assert found[0].layer == "1"
    assert "model.activation: relu" in str(found[0]) and "model.norm: batch" in str(found[0])


def test_a_deep_network_whose_activation_fits_is_not() -> None:
    assert findings(zoo.config(DEEP | {"activation": "relu"}, train={"epochs": 1})) == []
    normed = zoo.config(DEEP | {"norm": "batch"}, name="normed", train={"epochs": 1})
    assert findings(normed) == []


def test_vanishing_over_time_is_told() -> None:
    data = {"name": "adding", "length": 100, "train": 200, "val": 20, "test": 20}
    model = {"name": "rnn", "hidden_size": 16, "init": "torch"}
    found = findings(zoo.config(model, data, train={"epochs": 1}))
    assert [(each.kind, each.layer) for each in found] == [("vanishing", "time")]
    assert "model.name: lstm or gru" in str(found[0])


@pytest.mark.parametrize("optim", [{"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.3}])
def test_an_rnn_without_clipping_at_a_high_rate_is_named_as_exploding(
    optim: dict[str, Any],
) -> None:
    found = findings(zoo.config({"name": "rnn", "hidden_size": 32}, WAVE, optim=optim,
                                train={"epochs": 2, "batch_size": 64}))  # fmt: skip
    exploding = [each for each in found if each.kind == "exploding"]
    assert exploding
    assert "optim.clip={norm: 1.0}" in str(exploding[0])


def test_a_loss_that_has_grown_far_is_exploding_too() -> None:
    found = findings(zoo.config("rnn", optim={"name": "adam", "lr": 10.0}, train={"epochs": 1}))
    assert "exploding" in {each.kind for each in found}


def test_where_it_ends_at_once_the_error_says_exploding(nnzoo: NNZOO) -> None:
    result = nnzoo("train", "--config", "rnn", "-s", "optim={name: sgd, lr: 3}",
                   "-s", "model.nonlinearity=relu")  # fmt: skip
    assert result.code == 4
    assert "exploding gradients; largest gradients by layer: rnn" in result.err


@pytest.mark.parametrize("model", [{"name": "mlp"}, {"name": "cnn"}])
def test_a_relu_network_at_a_high_rate_is_named_as_having_dead_units(model: dict[str, Any]) -> None:
    found = findings(zoo.config(model, optim={"name": "adam", "lr": 0.5}, train={"epochs": 2}))
    assert "dead" in {each.kind for each in found}
    dead = next(each for each in found if each.kind == "dead")
    assert "a lower optim.lr (now 0.5), model.activation: leaky_relu" in str(dead)


EMBEDDED = [path.stem for path in bundled_configs() if "mnist" not in path.stem]


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_bundled_configs_get_no_warning(name: str) -> None:
    epochs = 1 if name == "lstm_adding" else 3
    sets = [f"train.epochs={epochs}", "train.precision=fp32", "name=run"]
    assert findings(load_config(name, sets)) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in bundled_configs() if p.stem not in EMBEDDED])
def test_nor_do_those_on_mnist(path: Path, shared_data: Path) -> None:
    sets = ["train.epochs=1", "name=run", f"data.root={shared_data}"]
    assert findings(load_config(path.stem, sets)) == []


# When it is looked, and how it is shown.


def test_it_is_looked_after_the_first_epoch_and_every_400_steps() -> None:
    assert [epoch for epoch in range(1, 42) if diagnostics.is_due(epoch, 20)] == [1, 20, 40]
    assert all(diagnostics.is_due(epoch, 400) for epoch in range(1, 5))
    assert [epoch for epoch in range(1, 5) if diagnostics.is_due(epoch, 300)] == [1, 2, 3, 4]


def test_norms_go_into_the_rows_and_are_the_same_after_an_interruption() -> None:
    config = zoo.config("cnn", train={"epochs": 2, "batch_size": 64})
    rows = zoo.finish(zoo.begin(config, "whole"))
    run = zoo.begin(config, "cut")
    for _ in zoo.train(run, stop=lambda: run.trainer.state.step == 25):
        pass
    run.lock.release()
    assert zoo.finish(zoo.begin(config, "cut")) == rows[1:]
    assert rows[0]["gradient_norms"].keys() == {"features.0", "features.4", "head.1"}
    assert 0 < rows[0]["gradient_norm"] <= rows[0]["gradient_norm_max"]
    assert "gradient_norms" not in rows[1]


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_what_health_counts_goes_on_after_an_interruption(on_nan: str) -> None:
    train = {"epochs": 2, "batch_size": 64, "accumulate_grad_batches": 2, "on_nan": on_nan}
    config = zoo.config(
        {"name": "mlp", "hidden": [8]}, train=train, optim={"name": "sgd", "lr": 0.05}
    )
    whole = zoo.begin(config, "whole")
    rows = zoo.finish(whole)
    run = zoo.begin(config, "cut")
    for _ in zoo.train(run, stop=lambda: run.trainer.state.step == 3):
        pass
    run.lock.release()
    again = zoo.begin(config, "cut")
    assert zoo.finish(again) == rows
    assert again.trainer.state.first_loss == whole.trainer.state.first_loss


def test_a_mean_norm_is_over_the_steps_that_were_taken() -> None:
    config = zoo.config(train={"epochs": 3, "on_nan": "skip"})
    run = zoo.begin(config, write=False)
    trainer = run.trainer
    trainer.state.step = len(trainer.step_sizes)
    trainer.state.skipped, trainer.state.norm_sum, trainer.state.norm_max = (
        3,
        float(len(trainer.step_sizes) - 3),
        1.0,
    )
    assert trainer.finish_epoch().row["gradient_norm"] == 1.0
    assert trainer.state.skipped == 0


def test_a_warning_is_shown_once(nnzoo: NNZOO) -> None:
    words = ["train", "--config", "mlp", "-s", f"model.hidden={[64] * 10}", "-s",
             "model.activation=sigmoid", "-s", "train={epochs: 3, batch_size: 8}"]  # fmt: skip
    result = nnzoo(*words)
    assert result.err.count("vanishing gradient: layer 1 of") == 1
    words += ["--fresh", "-s", "train.epochs=1"]
    told = [line for line in nnzoo(*words, "--json").lines if line["event"] == "warning"]
    assert [(each["epoch"], each["kind"], each["layer"]) for each in told] == [
        (1, "vanishing", "1")
    ]
    assert nnzoo(*words, "--verbose", "0").err == ""


def test_a_curve_is_a_line_of_blocks() -> None:
    assert sparkline([], 8) == sparkline([1.0], 8) == ""
    assert sparkline([1000.0, 100.0, 10.0, 1.0], 8) == "█▆▃▁"
    assert sparkline([2.0, 2.0], 8) == "▁▁"
    assert sparkline([float(i) for i in range(1, 65)], 8)[-1] == "█"
    assert len(sparkline([float(i) for i in range(1, 65)], 8)) == 8
    assert sparkline([-1.0, math.nan, 0.0, math.inf], 8) == "▁█"
