"""The reference of recurrent layers in plain torch operations: torch.nn's outputs and gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.models.rnn import GRU, RNN, ReluLSTM, gates_over_time, reference_layer, run_layers
from tests.zoo import difference

MODULES: dict[str, Any] = {
    "tanh": nn.RNN,
    "relu": partial(nn.RNN, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


def results(rnn: nn.RNNBase, x: Tensor, by_reference: bool) -> list[Tensor]:
    """Outputs, and gradients of a sum that all states, the last ones and the cells have a part in."""
    x = x.clone().requires_grad_()
    if by_reference:
        states, *lasts = run_layers(rnn, x, partial(reference_layer, rnn))
    else:
        states, last = rnn(x)
        lasts = list(last) if isinstance(last, tuple) else [last]
    factors = torch.linspace(-1, 1, states.numel(), dtype=x.dtype).reshape(states.shape)
    loss = (states * factors).sum() + sum((each * each).sum() for each in lasts)
    gradients = torch.autograd.grad(loss, [x, *rnn.parameters()])
    return [states.detach(), *(each.detach() for each in lasts), *gradients]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("name", MODULES)
def test_the_reference_is_torchs(
    name: str, dtype: torch.dtype, limit: float, layers: int, bidirectional: bool
) -> None:
    torch.manual_seed(layers)
    rnn = MODULES[name](5, 7, layers, batch_first=True, bidirectional=bidirectional, dtype=dtype)
    x = torch.randn(4, 6, 5, dtype=dtype)
    assert difference(results(rnn, x, True), results(rnn, x, False)) < limit


@pytest.mark.parametrize("name", MODULES)
def test_gates_are_named_and_add_up_to_the_states(name: str) -> None:
    rnn = MODULES[name](3, 4, batch_first=True)
    weights = [getattr(rnn, f"{w}_l0") for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    values = gates_over_time(rnn, torch.randn(6, 2, 3), *weights)
    gates = {
        "lstm": {"input", "forget", "candidate", "output", "cell"},
        "gru": {"reset", "update", "candidate"},
    }
    assert set(values) == {"hidden"} | gates.get(name, set())
    assert all(value.shape == (6, 2, 4) for value in values.values())
    if name == "lstm":
        assert torch.allclose(values["hidden"], values["output"] * values["cell"].tanh())


@pytest.mark.parametrize("make", [RNN, GRU])
def test_without_native_kernels_layers_are_torchs(make: Any) -> None:
    rnn = make(6, 64, batch_first=True)
    rnn.use_native = False
    stock = make.__mro__[2](6, 64, batch_first=True)
    stock.load_state_dict(rnn.state_dict())
    x, start = torch.randn(16, 4, 6), torch.randn(1, 16, 64)
    assert torch.equal(rnn(x)[0], stock(x)[0])
    assert torch.equal(rnn(x, start)[0], stock(x, start)[0])
    assert torch.equal(rnn(x[0])[0], stock(x[0])[0])
    assert rnn.to("meta")(x.to("meta"))[0].shape == (16, 4, 64)


def test_without_native_kernels_the_relu_lstm_is_the_reference_in_every_precision() -> None:
    torch.manual_seed(0)
    rnn = ReluLSTM(28, 64, batch_first=True)
    rnn.use_native = False
    x = torch.randn(16, 28, 28)
    exact = rnn(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        rough = rnn(x)[0]
    rough.float().square().sum().backward()
    assert difference([rough.detach().float()], [exact.detach()]) < 0.1
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in rnn.parameters())
