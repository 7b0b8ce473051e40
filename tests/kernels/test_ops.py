"""Native layers: torch.nn's numbers and gradients, in every precision that is trained in."""

from __future__ import annotations

import copy
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nnzoo.kernels import build
from nnzoo.kernels.ops import RecurrentLayer
from nnzoo.models.recurrent_layers import GRU, LSTM, RNN, ReluLSTM, gates_over_time, run_layers
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")

# Our layer and its reference: torch's, which has no LSTM with relu; there our Python kernel.
PAIRS: dict[str, tuple[Any, Any]] = {
    "rnn tanh": (RNN, nn.RNN),
    "rnn relu": (partial(RNN, nonlinearity="relu"), partial(nn.RNN, nonlinearity="relu")),
    "gru": (GRU, nn.GRU),
    "lstm": (LSTM, nn.LSTM),
    "lstm relu": (ReluLSTM, ReluLSTM),
}


def results(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, and gradients of a mean that all states, the last ones and the cells have a part in."""
    x = x.clone().requires_grad_()
    states, last = module(x)
    lasts = last if isinstance(last, tuple) else (last,)
    ramp = torch.linspace(-1, 1, states.numel()).reshape(states.shape)
    loss = (states * ramp).mean() + sum((last * last).mean() for last in lasts)
    actual = torch.autograd.grad(loss, [x, *module.parameters()])
    return [states.detach(), *(last.detach() for last in lasts), *actual]


def pair(name: str, *shape: int, **options: Any) -> tuple[Any, Any]:
    local, stock = (make(*shape, batch_first=True, **options) for make in PAIRS[name])
    stock.load_state_dict(local.state_dict())
    if name == "lstm relu":
        stock.use_native = False
    return local, stock


def nudged(module: nn.Module) -> nn.Module:
    """With a unit in the last place more or less of every weight, float64."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 + torch.finfo(torch.float64).eps * torch.randn_like(parameter).sign())
    return module


def distance_from_kink(module: Any, x: Tensor) -> float:
    """The smallest size of what relu gets in a recurrent module, in float64."""
    module, x = copy.deepcopy(module).double(), x.double()
    sizes: list[float] = []

    def layer(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Any:
        values = gates_over_time(module, x, w_ih, w_hh, b_ih, b_hh)
        states = values["hidden"]
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        from_both = x @ w_ih.T + b_ih + before @ w_hh.T + b_hh
        if "cell" in values:
            from_both = torch.cat([from_both.chunk(4, -1)[2], values["cell"]])
        sizes.append(float(from_both.detach().abs().min()))
        return states, *(values[name][-1] for name in ("hidden", "cell") if name in values)

    run_layers(module, x, layer)
    return min(sizes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=40, deadline=None)
@given(
    time=st.integers(1, 12),
    batch=st.integers(1, 17),
    features=st.integers(1, 9),
    hidden=st.integers(1, 40),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    seed=st.integers(0, 99),
)
def test_outputs_and_gradients_are_torchs(
    name: str,
    dtype: torch.dtype,
    time: int,
    batch: int,
    features: int,
    hidden: int,
    layers: int,
    bidirectional: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    local, stock = pair(name, features, hidden, layers, bidirectional=bidirectional)
    local, stock = local.to(dtype), stock.to(dtype)
    x = torch.randn(batch, time, features, dtype=dtype)
    assert local.is_native(x)
    ours, torchs = results(local, x), results(stock, x)
    limit = 1e-6 if dtype == torch.float32 else 1e-13
    if difference(ours, torchs) < limit:
        return
    # relu can let values grow until the type itself is off by more, and its gradient jumps at zero.
    assert "relu" in name or dtype == torch.float32
    if "relu" in name:
        assume(distance_from_kink(stock, x) > 100 * torch.finfo(dtype).eps)
    if dtype == torch.float32:
        # Then we are no further from float64's results than torch is, or than the limit.
        exact = results(copy.deepcopy(stock).double(), x.double())
        assert difference(ours, exact) < max(limit, 1.5 * difference(torchs, exact))
    else:
        # Then no further than a last digit more or less of every weight takes them.
        assert difference(ours, torchs) < difference(results(nudged(stock), x), torchs)


@pytest.mark.parametrize("name", PAIRS)
def test_at_the_width_of_real_networks_too(name: str) -> None:
    torch.manual_seed(3)
    local, stock = pair(name, 28, 128)
    x = torch.rand(77, 28, 28)
    assert difference(results(local, x), results(stock, x)) < 1e-6


@pytest.mark.parametrize("kind", ["rnn tanh", "rnn relu", "lstm tanh", "lstm relu", "gru tanh"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 3, 2, 3)])
def test_gradients_are_those_of_differences(kind: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    time, batch, features, size = shape
    name, _, activation = kind.partition(" ")
    rows = size * {"rnn": 1, "lstm": 4, "gru": 3}[name]
    shapes = [(time, batch, features), (rows, features), (rows, size), (rows,), (rows,)]
    values = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in shapes]
    function = partial(RecurrentLayer.apply, name, activation == "relu", torch.float64, None)
    torch.autograd.gradcheck(function, values)
    # The last state alone, from an input without gradients, as in training.
    values[0].requires_grad_(False)
    torch.autograd.gradcheck(lambda *a: function(*a)[1], values)


@pytest.mark.parametrize("name", PAIRS)
def test_in_bfloat16_results_stay_close_to_float32(name: str) -> None:
    """Within 1 % (outputs) and 4 % (gradients) of the length of each tensor, over 28 steps of numbers
    of 8 bits; within 10 % for relu, where a state near 0 may fall on its other side."""
    if not build.supports_dtype(torch.bfloat16):
        pytest.skip("this processor has no bfloat16 instructions")
    torch.manual_seed(0)
    local, _ = pair(name, 27, 130)
    x = torch.randn(64, 28, 27)
    exact = results(local, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert local.is_native(x)
        rough = results(local, x)
    assert rough[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in rough[-4:])
    errors = [
        float((a.double() - b.double()).norm() / b.double().norm())
        for a, b in zip(rough, exact, strict=True)
    ]
    outputs = len(rough) - 5
    assert max(errors[:outputs]) < 0.01
    assert max(errors[outputs:]) < (0.1 if "relu" in name else 0.04), errors


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_results_repeat_bit_for_bit_and_the_graph_can_be_used_twice(
    name: str, precise: bool
) -> None:
    local, _ = pair(name, 6, 24, 2, bidirectional=True)
    x = torch.randn(16, 9, 6)
    with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
        first, second = results(local, x), results(local, x)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        loss = local(x)[0].float().square().sum()
    once = torch.autograd.grad(loss, list(local.parameters()), retain_graph=True)
    twice = torch.autograd.grad(loss, list(local.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_evaluation_gives_the_numbers_of_training(name: str) -> None:
    local, _ = pair(name, 6, 24)
    x = torch.randn(16, 9, 6)
    with torch.no_grad():
        states, last = local(x)
    assert not states.requires_grad
    trained, trained_last = local(x)
    assert torch.equal(states, trained)
    both = ((last, trained_last),) if name[:4] != "lstm" else zip(last, trained_last, strict=True)
    assert all(torch.equal(a, b) for a, b in both)


# Batch, time and units; the wide one goes back in several stretches of time, the last of one step.
SMALL, WIDE = (7, 9, 24), (130, 16, 128)


@pytest.mark.parametrize("size", [SMALL, WIDE])
@pytest.mark.parametrize("name", PAIRS)
def test_states_and_gradients_do_not_depend_on_the_number_of_threads(
    name: str, size: tuple[int, int, int]
) -> None:
    batch, time, hidden = size
    local, _ = pair(name, 6, hidden)
    x = torch.randn(batch, time, 6)
    before = torch.get_num_threads()
    actual = []
    try:
        for threads in (1, 2, 3, 11):  # 11: some have no row
            torch.set_num_threads(threads)
            values = x.clone().requires_grad_()
            states, _ = local(values)
            loss = states.square().sum()
            actual.append((states, *torch.autograd.grad(loss, [values, *local.parameters()])))
    finally:
        torch.set_num_threads(before)
    for states, gradient, *weights in actual[1:]:
        assert torch.equal(states, actual[0][0])
        assert all(map(torch.equal, weights, actual[0][2:]))
        torch.testing.assert_close(gradient, actual[0][1])  # a product of torch's


@pytest.mark.parametrize("measures", [(3, *SMALL), (2, *WIDE)])
@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("kind", ["rnn tanh", "rnn relu", "lstm tanh", "lstm relu", "gru tanh"])
def test_members_are_what_each_is_alone(
    kind: str, precise: bool, measures: tuple[int, int, int, int]
) -> None:
    """To the bit, whichever threads share their rows; but for oneDNN's products in bfloat16."""
    if not precise and not build.supports_dtype(torch.bfloat16):
        pytest.skip("this processor has no bfloat16 instructions")
    torch.manual_seed(2)
    name, _, activation = kind.partition(" ")
    (members, batch, time, size), features = measures, 6
    rows = size * {"rnn": 1, "lstm": 4, "gru": 3}[name]
    shapes = [(rows, features), (rows, size), (rows,), (rows,)]
    stacks = [torch.randn(members, *shape).mul_(0.3).requires_grad_() for shape in shapes]
    x = torch.randn(time, members, batch, features, requires_grad=True)
    dtype = torch.float32 if precise else torch.bfloat16
    function = partial(RecurrentLayer.apply, name, activation == "relu", dtype, None)

    def outcome(x: Tensor, *weights: Tensor) -> list[Tensor]:
        states, *lasts = function(x, *weights)
        loss = states.float().square().sum() + sum(last.sum() for last in lasts)
        return [states, *lasts, *torch.autograd.grad(loss, [x, *weights])]

    together = outcome(x, *stacks)
    count = len(together) - len(stacks) - 1
    for i in range(members):
        single = outcome(x[:, i], *(stack[i] for stack in stacks))
        parts = [item.select(-3, i) for item in together[: count + 1]]
        parts += [item[i] for item in together[count + 1 :]]
        same = torch.equal if precise else partial(torch.allclose, rtol=0.02, atol=0.02)
        # The gradient of x is a product of torch's.
        assert all(
            map(same, parts[:count] + parts[count + 1 :], single[:count] + single[count + 1 :])
        )
        torch.testing.assert_close(parts[count], single[count], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", PAIRS)
def test_numbers_that_are_none_or_too_large_stay_what_they_are(name: str) -> None:
    local, stock = pair(name, 3, 5)
    x = torch.full((2, 4, 3), 1e4)
    x[0] = -1e4
    assert difference([local(x)[0].detach()], [stock(x)[0].detach()]) < 1e-5
    x[0, 0, 0] = torch.nan
    assert local(x)[0][0].isnan().all() and local(x)[0][1].isfinite().all()


@pytest.mark.parametrize("name", ["rnn tanh", "gru", "lstm"])
def test_what_native_does_not_take_is_torchs(name: str) -> None:
    local, stock = pair(name, 6, 64)
    x, start = torch.randn(12, 4, 6), torch.randn(1, 12, 64)
    start.requires_grad_()
    values = (start, start) if name == "lstm" else start
    assert local.is_native(x) and not local.is_native(x, values)
    assert torch.equal(local(x, values)[0], stock(x, values)[0])
    assert torch.equal(local(x[0])[0], stock(x[0])[0])
    local.use_native = False
    assert torch.equal(local(x)[0], stock(x)[0])
    local.use_native = True
    assert local.to("meta")(x.to("meta"))[0].shape == (12, 4, 64)


def test_dropout_between_layers_is_drawn_in_training_alone() -> None:
    local = GRU(6, 5, 2, batch_first=True, dropout=0.5)
    x = torch.randn(3, 4, 6)
    assert not torch.equal(local(x)[0], local(x)[0])
    local.eval()
    assert torch.equal(local(x)[0], local(x)[0])


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and nothing loaded yet."""
    monkeypatch.setenv("NNZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_loaded", {})
    return tmp_path / "native"


@pytest.mark.parametrize("failure", ["no compiler", "fails", "not a library", "no folder"])
def test_without_a_compiler_that_works_it_is_torchs(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, failure: str, tmp_path: Path
) -> None:
    if failure == "no compiler":
        monkeypatch.setattr(shutil, "which", lambda _: None)
    elif failure == "fails":
        monkeypatch.setattr(shutil, "which", lambda _: os.path.realpath("/bin/false"))
    elif failure == "not a library":
        monkeypatch.setattr(build, "compile_library", lambda *a: a[2].write_text("text"))
    else:
        (tmp_path / "native").write_text("a file where the folder should be")
    assert not build.available() and not build.supports_dtype(torch.bfloat16)
    local, stock = pair("lstm", 6, 8)
    x = torch.randn(3, 4, 6)
    assert not local.is_native(x)
    assert torch.equal(local(x)[0], stock(x)[0])
