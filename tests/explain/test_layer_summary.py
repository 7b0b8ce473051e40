"""Shapes, parameters, multiply-adds and receptive fields of layers, against independent computations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nnzoo.data.read_dataset import read_dataset
from nnzoo.data.sequences import PaddedSequences
from nnzoo.evaluation.layer_stats import collect_layer_stats, eval_in_fp32
from nnzoo.explain.layer_summary import (
    LayerSummary,
    activation_values,
    describe_layers,
    receptive_fields,
)
from nnzoo.models.network import Network, build_network
from tests.data.recording_files.writing import some_recordings, write_ts
from tests.text_data import PLAY
from tests.zoo import config

CPU = torch.device("cpu")


def network_of(model: Any, data: Any) -> tuple[Network, Any]:
    """A fresh network and a prepared batch of two rows."""
    chosen = config(model, data)
    dataset = read_dataset(chosen)
    network = build_network(chosen, dataset, CPU)
    x, _ = network.prepare(dataset.splits["train"]).batch(torch.arange(2))
    return network, x


def layers_of(model: Any, data: Any) -> tuple[Network, Any, list[LayerSummary]]:
    network, x = network_of(model, data)
    return network, x, describe_layers(network, x)[0]


def evaluate(arithmetic: str) -> int:
    return int(eval(arithmetic.replace("×", "*")))


CASES: list[tuple[Any, Any]] = [
    ("mlp", "image"),
    ("mlp", "image_pca"),
    ("cnn", "image"),
    ("cnn", "series"),
    ("rnn", "image"),
    ("lstm", "sequences"),
    ("lstm_relu", "series"),
    ("gru", "image"),
    (
        {
            "name": "cnn",
            "channels": [4, 6],
            "norm": "batch",
            "residual": True,
            "stride": 2,
            "pool": "none",
        },
        "image",
    ),
    ({"name": "cnn", "channels": [4], "norm": "layer", "head": {"pooling": "average"}}, "series"),
    (
        {"name": "mlp", "hidden": [5], "norm": "batch", "ensemble": 3, "input_scale": True},
        "table_number",
    ),
    (
        {"name": "mlp", "hidden": [5], "numeric_embedding": {"size": 3}, "norm": "layer"},
        "table_classes",
    ),
]


@pytest.mark.parametrize(("model", "data"), CASES)
def test_the_arithmetic_gives_the_number_of_parameters(model: Any, data: Any) -> None:
    network, _, layers = layers_of(model, data)
    assert sum(layer.parameters for layer in layers) == sum(
        p.numel() for p in network.model.parameters()
    )
    for layer in layers:
        assert (evaluate(layer.arithmetic) if layer.arithmetic else 0) == layer.parameters
        assert len(layer.inputs) > 0 and layer.name and layer.kind
    assert layers[-1].shape == [network.task.outputs]
    assert activation_values(layers) > 0


@pytest.mark.parametrize(("model", "data"), [*CASES[:4], CASES[8], CASES[9]])
def test_multiply_adds_are_those_that_pytorch_counts(model: Any, data: Any) -> None:
    network, x, layers = layers_of(model, data)
    network.configure(network.config.train.model_copy(update={"kernels": "torch"}), compiled=False)
    inputs = network.preprocess(x) if network.preprocess.input_spec.kind == "image" else x
    with eval_in_fp32(network), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.model(inputs)
    # An operation is a multiplication or an addition, on two rows.
    assert sum(layer.multiply_adds for layer in layers) == counter.get_total_flops() / 4


def test_multiply_adds_of_an_lstm_are_four_gates_at_each_step() -> None:
    _, _, layers = layers_of("lstm", "sequences")
    first, second = layers[:2]
    assert first.kind == "LSTM" and first.inputs == [8, 2] and first.shape == [8, 8]
    assert first.multiply_adds == 8 * 4 * (2 * 8 + 8 * 8)
    assert second.inputs == [8, 8] and second.multiply_adds == 8 * 4 * (8 * 8 + 8 * 8)
    assert first.arithmetic == "4×(2×8 + 8×8 + 8 + 8)"
    assert first.details["steps"] == 8


def test_sequences_of_different_lengths_count_their_steps() -> None:
    Path("ts").mkdir()
    data = {"name": "recordings", **write_ts(Path("ts"), some_recordings(36))}
    _, x, layers = layers_of({"name": "gru", "hidden_size": 6, "num_layers": 2}, data)
    assert isinstance(x, PaddedSequences) and x.lengths.min() < x.lengths.max()
    steps, channels = x.values.shape[1:]
    mean = float(x.lengths.double().mean())
    assert [layer.inputs for layer in layers[:2]] == [[steps, channels], [steps, 6]]
    assert [layer.positions for layer in layers[:2]] == [mean, mean]
    assert layers[0].multiply_adds == mean * 3 * 6 * (channels + 6)
    assert layers[1].multiply_adds == mean * 3 * 6 * (6 + 6)
    assert [layer.copies for layer in layers] == [1] * len(layers)


def test_a_layer_that_runs_for_each_token_or_member_counts_as_often() -> None:
    Path("play.txt").write_text(PLAY * 4)
    data = {"name": "corpus", "path": "play.txt", "window": 8}
    model = {"name": "gru", "hidden_size": 6, "embedding": 5}
    network, x, layers = layers_of(model, data)
    classes = network.task.outputs
    assert layers[-1].multiply_adds == 8 * 6 * classes and layers[-1].copies == 8
    counts = [layer.multiply_adds for layer in collect_layer_stats(network, x).layers]
    assert counts == [layer.multiply_adds for layer in layers]  # those of inspect and report
    assert activation_values(layers) == 8 * 5 + 8 * 6 + 8 * classes
    ensemble = {"name": "mlp", "hidden": [5], "ensemble": 3}
    _, _, layers = layers_of(ensemble, "table_classes")
    assert [layer.multiply_adds for layer in layers if layer.multiply_adds] == [
        3 * 4 * 5,
        3 * 5 * 3,
    ]
    assert [layer.copies for layer in layers] == [1, 3, 3, 3, 1]


def test_both_directions_count() -> None:
    _, _, (layer, *_) = layers_of("gru", "image")
    assert layer.arithmetic == "6×(8×8 + 8×8 + 8 + 8)" and layer.shape == [8, 16]


FIELDS: list[tuple[Any, Any]] = [
    ({"name": "cnn", "channels": [2, 3], "kernel_size": [3, 2], "pool": ["none", "max"]}, "image"),
    (
        {"name": "cnn", "channels": [2, 2], "stride": [2, 1], "residual": True, "pool": "none"},
        "image",
    ),
    (
        {
            "name": "cnn",
            "channels": [2, 2, 2],
            "kernel_size": [5, 3, 3],
            "pool": ["max", "avg", "none"],
        },
        "series",
    ),
]


@pytest.mark.parametrize(("model", "data"), FIELDS)
def test_the_receptive_field_is_where_the_input_gradient_reaches(model: Any, data: Any) -> None:
    """By the extent of the gradient of one value in the middle of a map, on inputs large enough to have no border."""
    network, _, layers = layers_of(model | {"activation": "elu"}, data)
    dims = len(network.data_spec.input.shape) - 1 if data == "image" else 1
    channels = network.data_spec.input.shape[0 if data == "image" else 1]
    features: Any = network.model.features
    x = torch.rand(1, channels, *(64,) * dims, requires_grad=True)
    network.eval()
    out = features(x)
    middle = tuple(size // 2 for size in out.shape[2:])
    # All channels: max pooling passes on one value of a window: many random inputs reach each.
    reached = torch.zeros((64,) * dims, dtype=torch.bool)
    for seed in range(40):
        x = torch.rand(
            1, channels, *(64,) * dims, generator=torch.Generator().manual_seed(seed)
        ).requires_grad_()
        (grad,) = torch.autograd.grad(features(x)[(0, slice(None), *middle)].sum(), x)
        reached |= grad[0].abs().sum(0) > 0
    extent = tuple(int(index.max() - index.min()) + 1 for index in reached.nonzero().unbind(1))
    last = [layer for layer in layers if layer.field is not None][-1]
    assert last.field is not None and extent == last.field.size


def test_branches_have_the_field_of_the_widest() -> None:
    model = {"name": "cnn", "channels": [2], "branches": [2, 5], "head": {"pooling": "max"}}
    _, _, layers = layers_of(model | {"pool": "none"}, "series")
    fields = {layer.name: layer.field for layer in layers if layer.kind == "Conv1d"}
    assert [field and field.size for field in fields.values()] == [(2,), (5,)]


def test_other_networks_have_no_receptive_field() -> None:
    model = torch.nn.Module()
    assert receptive_fields(model) == {}
    model.features = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert receptive_fields(model) == {}


def test_frozen_parameters_are_counted() -> None:
    _, _, layers = layers_of({"name": "mlp", "hidden": [4], "freeze": ["1.*"]}, "table_classes")
    assert [layer.frozen for layer in layers] == [0, 20, 0, 0]
    assert layers[1].to_dict()["frozen"] == 20
