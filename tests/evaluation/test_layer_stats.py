"""Statistics of layers: gradients, dead units, multiply-adds, and that collecting them changes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.data.sequences import PaddedSequences
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.layer_stats import (
    NetworkStats,
    _time_gradients,
    collect_layer_stats,
    eval_in_fp32,
    layer_outputs,
)
from nnzoo.runs.run import Run
from tests import sequence_data, text_data, zoo


def stats_of(config: Any, rows: int = 32) -> tuple[Run, NetworkStats]:
    run = zoo.begin(config, write=False)
    return run, diagnostics.collect_split_stats(run.network, run.trainer.splits["train"], rows)


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


@pytest.mark.parametrize("data", ["image", "table_classes", "series"])
@pytest.mark.parametrize("model", zoo.MODELS)
def test_gradients_and_weights_are_those_of_a_step(model: str, data: str) -> None:
    if data == "table_classes" and model != "mlp":
        pytest.skip("a table goes to an mlp alone")
    run, seen = stats_of(zoo.config(model, data))
    network, split = run.network, run.trainer.splits["train"]
    x, y = split.batch(diagnostics.linspace_rows(len(split), 32, network.device))
    network.eval()
    (network.task.loss(network(x), y) / network.task.denominator(y)).backward()
    gradients = torch.cat([zoo.gradient(p).flatten() for p in network.model.parameters()])
    assert math.hypot(*seen.gradients().values()) == pytest.approx(
        gradients.norm().item(), rel=1e-5
    )
    weights = torch.cat([p.detach().flatten() for p in network.model.parameters()])
    norms = [layer.weight for layer in seen.layers if layer.weight is not None]
    assert math.hypot(*norms) == pytest.approx(weights.norm().item(), rel=1e-5)
    parameters = sum(p.numel() for p in network.model.parameters())
    assert sum(layer.parameters for layer in seen.layers) == parameters


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
    run, _ = stats_of(zoo.config(model))
    network: Any = run.network.model
    assert network.rnn.dropout == 0.3


def test_layers_that_give_several_tensors_are_looked_at_too() -> None:
    run = zoo.begin(zoo.config(), write=False)
    run.network.model = Odd()
    seen = diagnostics.collect_split_stats(run.network, run.trainer.splits["train"])
    assert [(layer.name, layer.shape) for layer in seen.layers] == [("cell", [16]), ("head", [10])]
    assert all(norm > 0 for norm in seen.gradients().values())


def test_a_network_of_one_layer_is_looked_at() -> None:
    run = zoo.begin(zoo.config(data="table_classes"), write=False)
    run.network.model = nn.Linear(4, 3)
    seen = diagnostics.collect_split_stats(run.network, run.trainer.splits["train"])
    assert [layer.name for layer in seen.layers] == ["Linear"] and seen.gradients()["Linear"] > 0


def test_each_layer_of_a_stack_is_named() -> None:
    model = {"name": "lstm", "hidden_size": 8, "num_layers": 3, "bidirectional": True}
    run, seen = stats_of(zoo.config(model))
    assert [layer.name for layer in seen.layers if layer.parameters] == [
        "rnn.l0",
        "rnn.l1",
        "rnn.l2",
        "head",
    ]
    assert [layer.shape for layer in seen.layers][:3] == [[8, 16]] * 3
    # 4 gates of 8 units in 2 directions, from 8 inputs (then 16) and 8 states, at 8 time steps.
    assert [layer.multiply_adds for layer in seen.layers][:2] == [8 * 2 * 32 * 16, 8 * 2 * 32 * 24]
    plain = nn.LSTM(8, 8, 3, bidirectional=True, batch_first=True)
    plain.load_state_dict(run.network.model.get_submodule("rnn").state_dict())
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
    _, seen = stats_of(zoo.config(model))
    counts = {layer.name: layer.multiply_adds for layer in seen.layers if layer.multiply_adds}
    assert list(counts.values()) == [64 * 4 * 15, 64 * 8 * 4 * 4, 8 * 64 * 10]


def test_time_is_the_gradient_at_the_input_of_each_step() -> None:
    run, seen = stats_of(zoo.config("rnn", "series"))
    network, split = run.network, run.trainer.splits["train"]
    x, y = split.batch(diagnostics.linspace_rows(len(split), 32, network.device))
    x.requires_grad_()
    network.eval()
    (network.task.loss(network(x), y) / network.task.denominator(y)).backward()
    assert seen.time_gradients == pytest.approx(x.grad.norm(dim=(0, 2)).tolist(), rel=1e-5)
    assert stats_of(zoo.config("cnn", "series"))[1].time_gradients is None


def test_dead_units_are_those_that_nothing_goes_back_through() -> None:
    run = zoo.begin(zoo.config({"name": "mlp", "hidden": [16]}), write=False)
    linear = run.network.model.get_submodule("1")
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.bias[:5] = -100.0
    relu = next(
        layer
        for layer in diagnostics.collect_split_stats(
            run.network, run.trainer.splits["train"]
        ).layers
        if layer.type == "ReLU"
    )
    assert (relu.dead, relu.units) == (5, 16)


@pytest.mark.parametrize("model", sequence_data.MODELS)
def test_statistics_of_sequences_count_their_own_steps(model: str) -> None:
    data = sequence_data.dataset()
    network = sequence_data.network(model, data)
    split = network.prepare(data.splits["train"])
    x, y = split.batch(torch.arange(8))
    stats = collect_layer_stats(network, x, y)
    outputs: dict[str, list[torch.Tensor]] = {}
    with eval_in_fp32(network), torch.no_grad():
        for row, length in zip(x.values, x.lengths, strict=True):
            for name, (_, out) in layer_outputs(network, row[None, :length])[0].items():
                assert isinstance(out, torch.Tensor)
                outputs.setdefault(name, []).append(out.flatten())
    for layer in stats.layers:
        values = torch.cat(outputs[layer.name])
        assert layer.mean == pytest.approx(float(values.mean()), abs=1e-5), layer.name
        assert layer.std == pytest.approx(float(values.std(correction=0)), abs=1e-5)
    assert sum(stats.gradients().values()) > 0
    assert (stats.time_gradients is None) == model.startswith("cnn")


def test_gradients_over_time_count_from_the_end_of_each_sequence() -> None:
    gradient = torch.tensor([[[1.0], [2.0], [3.0]], [[6.0], [8.0], [0.0]]])
    x = PaddedSequences(torch.zeros(2, 3, 1), torch.tensor([3, 2]))
    assert _time_gradients(x, gradient, 1) == pytest.approx(
        [math.sqrt(2), math.sqrt(4 + 36), math.sqrt(9 + 64)]
    )
    assert _time_gradients(x.values, gradient, 1) == pytest.approx(
        [math.sqrt(37), math.sqrt(68), 3]
    )


@pytest.mark.parametrize("model", text_data.TEXT_MODELS)
def test_an_embedding_is_one_layer_without_products(model: str) -> None:
    data = text_data.text_dataset()
    network = text_data.text_network(model, data)
    stats = collect_layer_stats(network, *data.splits["train"].batch(torch.arange(24)))
    first = stats.layers[0]
    size = network.data_spec.input.vocabulary
    assert first.type in ("Embedding", "EmbeddingMean")
    assert (first.parameters, first.multiply_adds) == (5 * size, 0)
    assert first.gradient is not None and first.gradient > 0
    assert not any(layer.name.endswith("drop") for layer in stats.layers)


def test_statistics_of_a_language_model_start_from_zero_and_leave_its_state() -> None:
    network = text_data.language_model({"name": "gru", "hidden_size": 5, "embedding": 4})
    x, y = text_data.corpus_dataset().splits["train"].batch(torch.arange(6))
    first = collect_layer_stats(network, x, y).layers
    network(x)
    state = network.model.state
    assert [layer.to_dict() for layer in collect_layer_stats(network, x, y).layers] == [
        layer.to_dict() for layer in first
    ]
    assert network.model.state is state
