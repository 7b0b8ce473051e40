"""Recurrent layers that start from the state of the batch before."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.kernels import build
from nnzoo.kernels.ops import RecurrentLayer
from nnzoo.kernels.packing import Packing
from tests.kernels.cases import refuses
from tests.kernels.test_ops import PAIRS, pair
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def start_of(module: Any, batch: int, make: Any = torch.randn) -> Any:
    """A first state as the module takes it."""
    directions = 2 if module.bidirectional else 1
    shape = module.num_layers * directions, batch, module.hidden_size
    dtype = module.weight_hh_l0.dtype
    if module.cell_type == "lstm":
        return make(shape, dtype=dtype), make(shape, dtype=dtype)
    return make(shape, dtype=dtype)


def results(module: Any, x: Tensor, start: Any) -> list[Tensor]:
    """All states, the last ones, and the gradients of x and of the weights."""
    x = x.clone().requires_grad_()
    states, last = module(x, start)
    lasts = last if isinstance(last, tuple) else (last,)
    ramp = torch.linspace(-1, 1, states.numel()).reshape(states.shape)
    loss = (states * ramp).mean() + sum((last * last).mean() for last in lasts)
    actual = torch.autograd.grad(loss, [x, *module.parameters()])
    return [states.detach(), *(last.detach() for last in lasts), *actual]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (7, 9, 5, 24, 2), (3, 17, 16, 33, 1)])
def test_states_and_gradients_are_torchs(
    name: str, dtype: torch.dtype, sizes: tuple[int, ...]
) -> None:
    torch.manual_seed(5)
    batch, time, features, hidden, layers = sizes
    for bidirectional in (False, True):
        local, stock = pair(name, features, hidden, layers, bidirectional=bidirectional)
        local, stock = local.to(dtype), stock.to(dtype)
        x, start = torch.randn(batch, time, features, dtype=dtype), start_of(local, batch)
        assert local.is_native(x, start)
        limit = 1e-6 if dtype == torch.float32 else 1e-13
        assert difference(results(local, x, start), results(stock, x, start)) < limit


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_a_state_of_zeros_is_no_state_to_the_bit(name: str, precise: bool) -> None:
    local, _ = pair(name, 6, 24, 2)
    x = torch.randn(130, 16, 6)  # several chunks of time
    with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
        actual, expected = (results(local, x, s) for s in (start_of(local, 130, torch.zeros), None))
    assert all(map(torch.equal, actual, expected))


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_a_sequence_in_two_parts_is_the_whole_to_the_bit(name: str, precise: bool) -> None:
    local, _ = pair(name, 6, 24, 2)
    x = torch.randn(5, 12, 6)
    for keep in (torch.enable_grad, torch.no_grad):
        with keep(), torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            whole, last = local(x)
            before, state = local(x[:, :7])
            detached = tuple(s.detach() for s in state) if name[:4] == "lstm" else state.detach()
            after, end = local(x[:, 7:], detached)
        assert torch.equal(torch.cat([before, after], 1), whole)
        pairs = zip(end, last, strict=True) if name[:4] == "lstm" else [(end, last)]
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", PAIRS)
def test_results_do_not_depend_on_the_number_of_threads(name: str) -> None:
    local, _ = pair(name, 6, 128)
    x, start = torch.randn(130, 16, 6), start_of(local, 130)
    before, actual = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 11):
            torch.set_num_threads(threads)
            actual.append(results(local, x, start))
    finally:
        torch.set_num_threads(before)
    assert all(all(map(torch.equal, item, actual[0])) for item in actual[1:])


def test_members_start_from_their_own_states() -> None:
    torch.manual_seed(2)
    shapes = [(3, 32, 6), (3, 32, 8), (3, 32), (3, 32)]
    stacks = [torch.randn(shape).mul_(0.3).requires_grad_() for shape in shapes]
    x, first = torch.randn(9, 3, 7, 6), [torch.randn(3, 7, 8) for _ in "hc"]
    function = partial(RecurrentLayer.apply, "lstm", False, torch.float32, None)

    def outcome(x: Tensor, *tensors: Tensor) -> list[Tensor]:
        states, last, cell = function(x, *tensors)
        loss = states.square().sum() + cell.sum()
        return [states, last, cell, *torch.autograd.grad(loss, tensors[:4])]

    together = outcome(x, *stacks, *first)
    for i in range(3):
        single = outcome(x[:, i], *(t[i] for t in stacks), *(t[i] for t in first))
        parts = [t.select(-3, i) for t in together[:3]] + [t[i] for t in together[3:]]
        assert all(map(torch.equal, parts, single))


def test_states_that_do_not_fit_are_refused_or_torchs() -> None:
    weights = [torch.randn(s) for s in ((12, 3), (12, 4), (12,), (12,))]
    x, start = torch.randn(5, 2, 3), torch.randn(2, 4)
    apply = partial(RecurrentLayer.apply, "gru", False, torch.float32)
    refuses(apply, None, x, *weights, start, start)
    refuses(apply, None, x, *weights, start[:1])
    refuses(apply, None, x, *weights, start.double())
    refuses(apply, None, x, *weights, start.clone().requires_grad_())
    packing = Packing(torch.tensor([[5, 5]]))
    refuses(apply, packing, torch.randn(10, 3), *weights, start)
    local, stock = pair("gru", 3, 4)
    x = x.transpose(0, 1)
    strided = torch.randn(1, 4, 2).transpose(1, 2)
    assert local.is_native(x, strided)
    assert difference([local(x, strided)[0].detach()], [stock(x, strided)[0].detach()]) < 1e-6
    for wrong in (strided[:, :1], strided.double(), strided.expand(2, 2, 4)):
        assert not local.is_native(x, wrong)
        with pytest.raises((RuntimeError, ValueError)):
            local(x, wrong)


def test_a_relu_lstm_without_native_kernels_starts_from_a_state_too() -> None:
    _, stock = pair("lstm relu", 3, 4, 2)
    x = torch.randn(2, 6, 3)
    whole, _ = stock(x)
    _, state = stock(x[:, :2])
    after, _ = stock(x[:, 2:], state)
    assert math.isclose(difference([after.detach()], [whole[:, 2:].detach()]), 0, abs_tol=1e-6)
