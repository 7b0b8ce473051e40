"""Initialization: the std of each scheme, gains and biases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.model_options import CnnOptions, LstmOptions, MlpOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.models.cnn import CNN
from nnzoo.models.initialize import activation_gain
from nnzoo.models.mlp import MLP
from nnzoo.models.rnn import Recurrent

IMAGE = InputSpec("image", (3, 12, 10))


SERIES = InputSpec("series", (9, 4))


def cnn(kind: InputSpec = IMAGE, **options: Any) -> CNN:
    return CNN(CnnOptions.model_validate({"name": "cnn", **options}), kind, 5)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "gelu", "silu", "elu"])
def test_the_gain_keeps_the_std_through_an_activation(activation: Any) -> None:
    from nnzoo.models.layers import activation_layer

    z = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    after = (activation_gain(activation) * activation_layer(activation)(z)).square().mean().sqrt()
    assert after == pytest.approx(1.0, abs=0.06 if activation == "tanh" else 0.01)


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize(
    "init", ["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"]
)
def test_initial_weights_have_the_std_of_their_formula_and_zero_biases(
    init: Any, activation: Any
) -> None:
    torch.manual_seed(0)
    model: Any = MLP(
        MlpOptions(name="mlp", hidden=[300], init=init, activation=activation),
        InputSpec("table", (500,)),
        100,
    )
    for layer, gain in ((model[1], activation_gain(activation)), (model[3], 1.0)):
        fan_out, fan_in = layer.weight.shape
        fans = {
            "xavier": (fan_in + fan_out) / 2,
            "kaiming": fan_in,
            "orthogonal": max(fan_in, fan_out),
        }
        expected = gain / fans[init.split("_")[0]] ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
        assert layer.bias.abs().sum() == 0
    if init.endswith("uniform"):
        bound = model[1].weight.std() * 3**0.5
        assert model[1].weight.abs().max() <= bound * 1.03


def test_recurrent_starts_are_drawn_gate_by_gate() -> None:
    torch.manual_seed(0)
    model: Any = Recurrent(
        LstmOptions(name="lstm", hidden_size=200), InputSpec("series", (5, 100)), 1
    )
    for gate in model.rnn.weight_hh_l0.split(200):
        assert gate.std().item() == pytest.approx((1 / 200) ** 0.5, rel=0.03)
    model = Recurrent(LstmOptions(name="lstm", hidden_size=64, init="orthogonal"), SERIES, 1)
    for gate in model.rnn.weight_hh_l0.split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)


def test_torch_starts_are_torchs_own() -> None:
    torch.manual_seed(3)
    model: Any = MLP(MlpOptions(name="mlp", hidden=[8], init="torch"), InputSpec("table", (6,)), 3)
    torch.manual_seed(3)
    stock = nn.Linear(6, 8)
    assert torch.equal(model[1].weight, stock.weight)
    assert torch.equal(model[1].bias, stock.bias)
