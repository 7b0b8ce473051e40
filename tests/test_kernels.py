"""Recurrent kernels: torch.nn's numbers and gradients, in every precision that is trained in."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo import difference

from nnzoo.models import kernels
from nnzoo.models.rnn import GRU, RNN, ReluLSTM, by_hand


class Hand:
    """The kernels however small the case."""

    use_native = False

    def hand_runs(self, x: Tensor, hx: object) -> bool:
        return True


class HandRNN(Hand, RNN):
    pass


class HandGRU(Hand, GRU):
    pass


PAIRS: dict[str, tuple[Any, Any]] = {
    "tanh": (HandRNN, nn.RNN),
    "relu": (partial(HandRNN, nonlinearity="relu"), partial(nn.RNN, nonlinearity="relu")),
    "gru": (HandGRU, nn.GRU),
}


def results(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, and gradients of a mean that all states and the last ones have a part in."""
    x = x.clone().requires_grad_()
    states, last, *_ = module(x)
    last = last[0] if isinstance(last, tuple) else last
    spread = torch.linspace(-1, 1, states.numel()).reshape(states.shape)
    loss = (states * spread).mean() + (last * last).mean()
    return [states.detach(), last.detach(), *torch.autograd.grad(loss, [x, *module.parameters()])]


def pair(name: str, *shape: int, **options: Any) -> tuple[nn.Module, nn.Module]:
    own, stock = (make(*shape, batch_first=True, **options) for make in PAIRS[name])
    stock.load_state_dict(own.state_dict())
    return own, stock


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=40, deadline=None)
@given(
    time=st.integers(1, 12), batch=st.integers(1, 9), features=st.integers(1, 9),
    hidden=st.integers(1, 20), layers=st.integers(1, 3), bidirectional=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_outputs_and_gradients_are_torchs(
    name: str, dtype: torch.dtype, time: int, batch: int, features: int, hidden: int, layers: int,
    bidirectional: bool, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    own, stock = pair(name, features, hidden, layers, bidirectional=bidirectional)
    own, stock = own.to(dtype), stock.to(dtype)
    x = torch.randn(batch, time, features, dtype=dtype)
    ours, torchs = results(own, x), results(stock, x)
    limit = 1e-6 if dtype == torch.float32 else 1e-13
    if difference(ours, torchs) >= limit:
        # relu can let values grow until float32 itself is off by more: then we are no further from
        # float64's results than torch is, or than the limit.
        exact = results(copy.deepcopy(stock).double(), x.double())
        assert difference(ours, exact) < max(limit, 1.5 * difference(torchs, exact))


class HandLSTM(Hand, ReluLSTM):
    pass


class TanhLSTM(ReluLSTM):
    """The LSTM kernel with torch's activation, which nnzoo leaves to torch: its numbers are known."""

    def forward(self, x: Tensor) -> Any:
        def kernel(x: Tensor, *weights: Tensor) -> Any:
            zeros = self.zeros(x)
            return kernels.Lstm.apply("tanh", x, zeros, zeros, *weights)

        return by_hand(self, x, kernel)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_the_lstm_kernel_is_torchs_with_tanh(
    dtype: torch.dtype, limit: float, layers: int, bidirectional: bool
) -> None:
    torch.manual_seed(layers)
    arguments = {"batch_first": True, "bidirectional": bidirectional, "dtype": dtype}
    own, stock = TanhLSTM(5, 7, layers, **arguments), nn.LSTM(5, 7, layers, **arguments)
    stock.load_state_dict(own.state_dict())
    x = torch.randn(4, 6, 5, dtype=dtype)
    found = []
    for module in (own, stock):
        states, *last = module(x)
        hidden, cell = last[0] if module is stock else last
        weight = torch.linspace(-1, 1, states.numel(), dtype=dtype).reshape(states.shape)
        loss = (states * weight).sum() + (hidden * hidden).sum() + (cell * cell).sum() / 2
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        found.append([states.detach(), hidden.detach(), cell.detach(), *gradients])
    assert difference(*found) < limit


@pytest.mark.parametrize("kernel", ["rnn tanh", "rnn relu", "lstm tanh", "lstm relu", "gru"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 3, 2, 3)])
def test_gradients_are_those_of_differences(kernel: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    time, batch, features, size = shape
    name, _, activation = kernel.partition(" ")
    rows = size * {"rnn": 1, "lstm": 4, "gru": 3}[name]
    shapes = [
        (time, batch, features),
        (batch, size),
        (rows, features),
        (rows, size),
        (rows,),
        (rows,),
    ]
    if name == "lstm":
        shapes.insert(2, (batch, size))
    given = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in shapes]
    function = {"rnn": kernels.Rnn, "lstm": kernels.Lstm, "gru": kernels.Gru}[name].apply
    torch.autograd.gradcheck(function, [activation, *given] if activation else given)
    # The last state alone, from a first state and an input without gradients, as in training.
    given[0].requires_grad_(False), given[1].requires_grad_(False)
    torch.autograd.gradcheck(
        lambda *a: function(*([activation] if activation else []), *a)[1], given
    )


@pytest.mark.parametrize("name", [*PAIRS, "lstm tanh", "lstm relu"])
def test_in_bfloat16_results_stay_close_to_float32(name: str) -> None:
    """Within 1 % (outputs) and 4 % (gradients) of the length of each tensor, over 28 steps of numbers
    of 8 bits; within 10 % for relu, where a state near 0 may fall on its other side."""
    torch.manual_seed(0)
    if name in PAIRS:
        own, _ = pair(name, 28, 128)
    else:
        own = (TanhLSTM if name == "lstm tanh" else HandLSTM)(28, 128, batch_first=True)
    x = torch.randn(64, 28, 28)
    exact = results(own, x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = results(own, x)
    assert rough[0].dtype == rough[1].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in rough[2:])
    errors = [
        float((a.double() - b.double()).norm() / b.double().norm())
        for a, b in zip(rough, exact, strict=True)
    ]
    assert max(errors[:2]) < 0.01
    assert max(errors[2:]) < (0.1 if "relu" in name else 0.04), errors


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_results_repeat_bit_for_bit_and_the_graph_can_be_used_twice(
    name: str, precise: bool
) -> None:
    own, _ = pair(name, 6, 24, 2, bidirectional=True)
    x = torch.randn(16, 9, 6)
    with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
        first, second = results(own, x), results(own, x)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        loss = own(x)[0].float().square().sum()
    once = torch.autograd.grad(loss, list(own.parameters()), retain_graph=True)
    twice = torch.autograd.grad(loss, list(own.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_evaluation_gives_the_numbers_of_training(name: str) -> None:
    own, _ = pair(name, 6, 24)
    x = torch.randn(16, 9, 6)
    with torch.no_grad():
        states, last = own(x)
    assert not states.requires_grad
    assert torch.equal(states, own(x)[0]) and torch.equal(last, own(x)[1])


@pytest.mark.parametrize(("own", "stock"), [(RNN, nn.RNN), (GRU, nn.GRU)])
def test_what_the_kernels_do_not_take_is_torchs(own: Any, stock: Any) -> None:
    own, stock = (make(6, 64, batch_first=True) for make in (own, stock))
    own.use_native = False
    stock.load_state_dict(own.state_dict())
    x, start = torch.randn(128, 4, 6), torch.randn(1, 128, 64)
    assert own.hand_runs(x, None) and not own.hand_runs(x, start)
    assert torch.equal(own(x, start)[0], stock(x, start)[0])
    assert torch.equal(own(x[0])[0], stock(x[0])[0])
    assert torch.equal(own(x[:3])[0], stock(x[:3])[0])
    assert own.to("meta")(x.to("meta"))[0].shape == (128, 4, 64)


def test_small_steps_are_by_hand_where_training_is_faster_so() -> None:
    x = torch.randn(16, 4, 6)
    rnn, gru = RNN(6, 32, batch_first=True), GRU(6, 32, batch_first=True)
    assert gru.hand_runs(x, None) and not rnn.hand_runs(x, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert rnn.hand_runs(x, None)
    with torch.no_grad():
        assert not gru.hand_runs(x, None)


def test_dropout_between_layers_is_drawn_in_training_alone() -> None:
    own = HandGRU(6, 5, 2, batch_first=True, dropout=0.5)
    x = torch.randn(3, 4, 6)
    assert not torch.equal(own(x)[0], own(x)[0])
    own.eval()
    assert torch.equal(own(x)[0], own(x)[0])
