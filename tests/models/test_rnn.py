"""Recurrent models, and the reference of their layers in plain torch operations, against torch.nn."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.config.model_options import GruOptions, LstmOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.models.recurrent_layers import (
    GRU,
    RNN,
    ReluLSTM,
    gates_over_time,
    reference_layer,
    run_layers,
)
from nnzoo.models.rnn import Recurrent
from tests.zoo import difference

IMAGE = InputSpec("image", (3, 12, 10))
SERIES = InputSpec("series", (9, 4))

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
    loss = (states * factors).sum() + sum((last * last).sum() for last in lasts)
    gradients = torch.autograd.grad(loss, [x, *rnn.parameters()])
    return [states.detach(), *(last.detach() for last in lasts), *gradients]


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


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("options", [RnnOptions, LstmOptions, GruOptions])
def test_recurrent_readouts_are_those_of_the_torch_module(
    options: Any, bidirectional: bool, readout: str
) -> None:
    name = options.model_fields["name"].annotation.__args__[0]
    model = Recurrent(
        options(name=name, hidden_size=6, bidirectional=bidirectional, readout=readout), SERIES, 5
    ).eval()
    x = torch.randn(7, *SERIES.shape)
    states, _ = model.rnn(x)
    forward, backward = states[:, -1, :6], states[:, 0, 6:]
    expected = {
        "last": torch.cat([forward, backward], 1),
        "mean": states.mean(1),
        "max": states.amax(1),
    }[readout]
    torch.testing.assert_close(model(x), model.head(expected))


def test_an_image_is_read_row_by_row_from_the_top() -> None:
    model = Recurrent(GruOptions(name="gru", hidden_size=6), IMAGE, 5).eval()
    image = torch.randn(2, *IMAGE.shape)
    rows = torch.stack([image[:, :, i].flatten(1) for i in range(12)], 1)
    torch.testing.assert_close(model(image), model.head(model.rnn(rows)[0][:, -1]))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_relu_lstm_follows_keras_equations(layers: int, bidirectional: bool) -> None:
    torch.manual_seed(0)
    cell = ReluLSTM(3, 4, layers, batch_first=True, bidirectional=bidirectional).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)

    def reference(sequence: torch.Tensor, suffix: str) -> torch.Tensor:
        w, u = getattr(cell, f"weight_ih_{suffix}"), getattr(cell, f"weight_hh_{suffix}")
        b = getattr(cell, f"bias_ih_{suffix}") + getattr(cell, f"bias_hh_{suffix}")
        h = c = torch.zeros(len(sequence), 4, dtype=torch.float64)
        states = []
        for t in range(sequence.shape[1]):
            i, f, g, o = (sequence[:, t] @ w.T + h @ u.T + b).split(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.clamp(min=0)
            h = o.sigmoid() * c.clamp(min=0)
            states.append(h)
        return torch.stack(states, 1)

    expected = x
    for layer in range(layers):
        parts = [reference(expected, f"l{layer}")]
        if bidirectional:
            parts.append(reference(expected.flip(1), f"l{layer}_reverse").flip(1))
        expected = torch.cat(parts, 2)
    states, (hidden, _) = cell(x)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(hidden[-2 if bidirectional else -1], states[:, -1, :4])


def test_the_forget_gate_starts_open_and_can_be_left_closed() -> None:
    for value in (True, False):
        model: Any = Recurrent(
            LstmOptions(name="lstm", hidden_size=4, forget_bias=value), SERIES, 1
        )
        total = model.rnn.bias_ih_l0 + model.rnn.bias_hh_l0
        assert total[4:8].tolist() == [1.0 if value else 0.0] * 4
        assert total[:4].abs().sum() == 0 == total[8:].abs().sum()
