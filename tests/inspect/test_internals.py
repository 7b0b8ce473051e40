"""Hidden layers, saliency, gates and the loss surface as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nnzoo.data.sequences import map_values
from nnzoo.inspect import internals
from nnzoo.inspect.inspection import make_arrays
from tests import sequence_data, text_data, zoo

CNN = {"name": "cnn", "channels": [4, 8], "norm": "batch", "dropout": 0.1}


def trained(model: Any, data: Any = "image", rows: int = 3) -> tuple[Any, torch.Tensor]:
    """A network (of any type: its layers are read by name) after an epoch, and a few raw inputs."""
    run = zoo.begin(zoo.config(model, data, train={"epochs": 1}), fresh=True)
    zoo.finish(run)
    x, _ = run.dataset.splits["test"].batch(torch.arange(rows))
    run.network.eval()
    return run.network, x


def test_the_image_of_a_layer_is_the_sum_over_its_channels() -> None:
    network, raw = trained(CNN)
    x = network.preprocess(raw)
    kept = make_arrays(network, raw)
    sums = {name[4:]: sums for name, sums in kept.items() if name.startswith("sum/")}
    assert sums.keys() == {f"features.{i}" for i in range(10)}
    for name, total in sums.items():
        out = network.model.features[: int(name.split(".")[1]) + 1](x)
        added = sum(out[:, channel] for channel in range(out.shape[1]))
        assert np.allclose(total, added.detach(), atol=1e-5), name
    assert np.allclose(kept["layer/features.5"].sum(1), kept["sum/features.5"], atol=1e-5)


def test_the_layers_of_a_sheet_close_the_blocks() -> None:
    network, raw = trained(CNN)
    layers = internals.hidden_outputs(network, network.preprocess(raw))
    assert internals.block_outputs(network, layers) == ["features.3", "features.8"]
    network, raw = trained("lstm")
    layers = internals.hidden_outputs(network, network.preprocess(raw))
    assert internals.block_outputs(network, layers) == ["rnn.l0", "rnn.l1"]


@pytest.mark.parametrize("data", ["image", "table_classes", "table_number", "series", "image_pca"])
def test_saliency_is_the_gradient_of_the_prediction(data: str) -> None:
    network, raw = trained("mlp", data)
    gradient = internals.saliency(network, raw)
    features = [
        step for name, step in network.preprocess.named_children() if name not in ("flatten", "pca")
    ]
    scaled = nn.Sequential(*features)(raw).float()
    rest = nn.Sequential(
        *(s for n, s in network.preprocess.named_children() if n in ("flatten", "pca"))
    )

    def prediction(x: torch.Tensor) -> torch.Tensor:
        out = network._forward_preprocessed(rest(x).float())
        return out.amax(1) if network.task.is_classification else out.sum(1)

    assert gradient.shape == scaled.shape
    direction = torch.randn(scaled.shape, generator=torch.Generator().manual_seed(0))
    step = 1e-3
    slope = (prediction(scaled + step * direction) - prediction(scaled - step * direction)) / (
        2 * step
    )
    expected = (gradient * direction).flatten(1).sum(1)
    assert torch.allclose(slope, expected, rtol=0.02, atol=2e-3)


def test_filters_are_the_weights_of_the_first_layer() -> None:
    network, _ = trained("mlp")
    filters = internals.first_filters(network)
    assert filters is not None
    assert torch.equal(filters.flatten(1), network.model[1].weight)
    network, _ = trained(CNN)
    filters = internals.first_filters(network)
    assert filters is not None
    assert torch.equal(filters, network.model.features[0].weight)
    network, _ = trained({"name": "cnn", "channels": [3], "kernel_size": 5}, "sequences")
    filters = internals.first_filters(network)
    assert filters is not None
    assert torch.equal(filters, network.model.features[0].weight)
    network, _ = trained({"name": "mlp", "hidden": [3]}, "sequences")
    filters = internals.first_filters(
        network
    )  # (units, channels, time); inputs are flattened time by time
    assert filters is not None
    assert torch.equal(filters.transpose(1, 2).flatten(1), network.model[1].weight)
    assert internals.first_filters(trained("lstm", "sequences")[0]) is None
    assert internals.first_filters(trained("mlp", "image_pca")[0]) is None
    assert internals.first_filters(trained("mlp", "table_classes")[0]) is None


@pytest.mark.parametrize("data", ["image", "series"])
@pytest.mark.parametrize("model", ["rnn", "lstm", "lstm_relu", "gru"])
def test_the_last_hidden_states_are_what_torch_gives(model: str, data: str) -> None:
    network, raw = trained(model, data)
    x = network.preprocess(raw)
    actual = internals.gates(network, x)
    states, _ = network.model.rnn(internals.recurrent_input(network, x))
    top = network.model.rnn.num_layers - 1
    sides = [run["hidden"] for name, run in actual.items() if name.startswith(f"l{top}")]
    assert torch.allclose(torch.cat(sides, 2), states, atol=1e-5)


def test_the_gates_of_an_lstm_are_the_formulas() -> None:
    network, raw = trained({"name": "lstm", "hidden_size": 5}, "series")
    x = network.preprocess(raw)
    gates = internals.gates(network, x)["l0"]
    read = internals.recurrent_input(network, x)
    rnn = network.model.rnn
    h = c = torch.zeros(3, 5)
    for t in range(read.shape[1]):
        w, u = rnn.weight_ih_l0, rnn.weight_hh_l0
        z = read[:, t] @ w.T + rnn.bias_ih_l0 + h @ u.T + rnn.bias_hh_l0
        i, f, g, o = (
            z[:, :5].sigmoid(),
            z[:, 5:10].sigmoid(),
            z[:, 10:15].tanh(),
            z[:, 15:].sigmoid(),
        )
        c = f * c + i * g
        h = o * c.tanh()
        for name, value in {
            "input": i,
            "forget": f,
            "candidate": g,
            "output": o,
            "cell": c,
            "hidden": h,
        }.items():
            assert torch.allclose(gates[name][:, t], value, atol=1e-6), (name, t)


def test_the_gates_of_a_gru_are_the_formulas() -> None:
    network, raw = trained({"name": "gru", "hidden_size": 5}, "series")
    x = network.preprocess(raw)
    gates = internals.gates(network, x)["l0"]
    read, rnn = internals.recurrent_input(network, x), network.model.rnn
    h = torch.zeros(3, 5)
    for t in range(read.shape[1]):
        a = read[:, t] @ rnn.weight_ih_l0.T + rnn.bias_ih_l0
        b = h @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
        r, z = (a[:, :5] + b[:, :5]).sigmoid(), (a[:, 5:10] + b[:, 5:10]).sigmoid()
        n = (a[:, 10:] + r * b[:, 10:]).tanh()
        h = (1 - z) * n + z * h
        for name, value in {"reset": r, "update": z, "candidate": n, "hidden": h}.items():
            assert torch.allclose(gates[name][:, t], value, atol=1e-6), (name, t)


def test_a_network_without_recurrence_has_no_gates() -> None:
    network, raw = trained("mlp")
    assert internals.gates(network, network.preprocess(raw)) == {}


def test_the_middle_of_the_surface_is_the_loss_and_the_weights_stay() -> None:
    run = zoo.begin(zoo.config("cnn", train={"epochs": 1}))
    zoo.finish(run)
    split = run.trainer.splits["train"]
    before = {name: t.clone() for name, t in run.network.state_dict().items()}
    position, losses = internals.loss_surface(run.network, split, torch.arange(50), points=5)
    assert zoo.same(dict(run.network.state_dict()), before)
    assert position == [-1, -0.5, 0, 0.5, 1]
    x, y = split.batch(torch.arange(50))
    run.network.eval()
    with torch.no_grad():
        loss = run.network.task.loss(run.network(x), y) / 50
    assert losses[2, 2] == pytest.approx(float(loss), rel=1e-5)
    assert (losses[0] > losses[2, 2]).all()


@pytest.mark.parametrize("model", sequence_data.MODELS)
def test_attributions_add_up_to_the_change_of_the_prediction(model: str) -> None:
    """Integrated gradients are complete, and those of a batch are those of each sequence."""
    data = sequence_data.dataset()
    network = sequence_data.network(model, data).eval()
    raw, _ = data.splits["test"].batch(torch.arange(5))
    values = internals.attributions(network, raw)
    encoded: Any = map_values(network.preprocess, raw)
    with torch.no_grad():
        end = network(encoded)
        start = network(encoded.with_values(torch.zeros_like(encoded.values)))
    rows, classes = torch.arange(5), end.argmax(1)
    change = end[rows, classes] - end.mean(1) - start[rows, classes] + start.mean(1)
    torch.testing.assert_close(values.sum((1, 2)), change, rtol=0.05, atol=0.02)
    for i, length in enumerate(raw.lengths.tolist()):
        assert not values[i, length:].any()
        row = internals.attributions(network, raw.values[i : i + 1, :length])
        torch.testing.assert_close(values[i, :length], row[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", text_data.TEXT_MODELS)
def test_attributions_of_tokens_add_up_from_vectors_of_zeros(model: str) -> None:
    data = text_data.text_dataset()
    network = text_data.text_network(model, data)
    raw, _ = data.splits["test"].batch(torch.arange(5))
    values = internals.token_attributions(network, raw)
    assert values.shape == raw.values.shape[:2]
    with torch.no_grad():
        end = network(raw)
        start = network(raw.with_values(torch.zeros(*raw.values.shape[:2], 5)))
    rows, classes = torch.arange(5), end.argmax(1)
    change = end[rows, classes] - end.mean(1) - start[rows, classes] + start.mean(1)
    torch.testing.assert_close(values.sum(1), change, rtol=0.05, atol=0.02)
    for i, length in enumerate(raw.lengths.tolist()):
        assert not values[i, length:].any()
