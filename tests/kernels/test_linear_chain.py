"""Linear layers in a row: torch.nn's numbers and gradients, in every precision that is trained in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nnzoo.kernels import build
from nnzoo.kernels.ops import LinearChain
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")
HAS_BF16 = build.supports_dtype(torch.bfloat16)
PRECISE = [
    True,
    pytest.param(False, marks=pytest.mark.skipif(not HAS_BF16, reason="no bfloat16 instructions")),
]


def dense_case(
    dtype: torch.dtype, rows: int, sizes: list[int], kinds: list[int]
) -> tuple[list[Any], Tensor, list[Tensor]]:
    """The epilogue of each layer (0 none, 1 relu, 2 relu and dropout), the input and the parameters."""
    follows: list[Any] = []
    parameters = []
    for (ins, outs), kind in zip(pairwise(sizes), kinds, strict=False):
        mask = (torch.rand(rows, outs) < 0.7).to(torch.uint8) if kind == 2 else None
        follows.append(None if kind == 0 else (mask, 1 / 0.7 if kind == 2 else 1.0))
        bound = ins**-0.5
        parameters += [torch.empty(outs, ins).uniform_(-bound, bound), torch.randn(outs)]
    follows[-1] = None
    x = torch.randn(rows, sizes[0], dtype=dtype, requires_grad=True)
    return follows, x, [p.to(dtype).requires_grad_() for p in parameters]


def dense_by_torch(x: Tensor, follows: list[Any], *parameters: Tensor) -> Tensor:
    for weight, bias, follow in zip(parameters[::2], parameters[1::2], follows, strict=True):
        x = nn.functional.linear(x, weight, bias)
        if follow is not None:
            x = x.relu() if follow[0] is None else x.relu() * follow[0].to(x.dtype) * follow[1]
    return x


def dense_results(function: Any, follows: list[Any], x: Tensor, parameters: Any) -> list[Tensor]:
    y = function(x, follows, *parameters)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    gradients = torch.autograd.grad((y * weight).mean(), [x, *parameters])
    return [y.detach(), *gradients]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 40),
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=5),
    kinds=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    seed=st.integers(0, 99),
)
def test_linear_layers_in_a_row_are_torchs(
    dtype: torch.dtype, rows: int, sizes: list[int], kinds: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    case = dense_case(dtype, rows, sizes, kinds)
    ours, torchs = (dense_results(f, *case) for f in (LinearChain.apply, dense_by_torch))
    assert difference(ours, torchs) < (2e-6 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize("rows", [1, 128, 700])
def test_linear_layers_of_real_sizes_are_torchs(rows: int) -> None:
    """More inputs than are laid out at once, more rows than a pair of bfloat16."""
    torch.manual_seed(0)
    case = dense_case(torch.float64, rows, [1300, 512, 30, 10], [2, 1, 0])
    ours, torchs = (dense_results(f, *case) for f in (LinearChain.apply, dense_by_torch))
    assert difference(ours, torchs) < 1e-13


def test_gradients_of_linear_layers_are_those_of_differences() -> None:
    torch.manual_seed(1)
    follows, x, parameters = dense_case(torch.float64, 5, [4, 9, 3, 2], [2, 1, 0])
    torch.autograd.gradcheck(lambda *t: LinearChain.apply(t[0], follows, *t[1:]), (x, *parameters))


def test_linear_layers_in_bfloat16_stay_close_to_float32() -> None:
    """Within 1 % (outputs) and 10 % (gradients: a unit near 0 may fall on its other side)."""
    if not build.supports_dtype(torch.bfloat16):
        pytest.skip("this processor has no bfloat16 instructions")
    torch.manual_seed(2)
    case = dense_case(torch.float32, 63, [301, 130, 50, 7], [1, 2, 0])
    exact = dense_results(dense_by_torch, *case)
    with torch.autocast("cpu", torch.bfloat16):
        rough = dense_results(LinearChain.apply, *case)
    assert all(item.dtype == torch.float32 for item in rough)
    for i, (a, b) in enumerate(zip(rough, exact, strict=True)):
        assert (a - b).norm() < (0.1 if i else 0.01) * b.norm()


@pytest.mark.parametrize("precise", PRECISE)
def test_linear_layers_do_not_depend_on_the_number_of_threads(precise: bool) -> None:
    torch.manual_seed(3)
    case = dense_case(torch.float32, 33, [100, 90, 80, 3], [1, 2, 0])
    before = torch.get_num_threads()
    actual = []
    try:
        for threads in (1, 2, 3, 11):
            torch.set_num_threads(threads)
            with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
                actual.append(dense_results(LinearChain.apply, *case))
    finally:
        torch.set_num_threads(before)
    assert all(all(map(torch.equal, item, actual[0])) for item in actual[1:])


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("precise", PRECISE)
def test_linear_layers_of_members_are_what_each_is_alone(precise: bool, threads: int) -> None:
    """To the bit, with fewer threads than members and with more."""
    torch.manual_seed(5)
    cases = [dense_case(torch.float32, 7, [40, 37, 21, 3], [1, 2, 0]) for _ in range(3)]
    follows: list[Any] = []
    for places in zip(*(case[0] for case in cases), strict=True):
        masked = places[0] is not None and places[0][0] is not None
        follows.append((torch.cat([p[0] for p in places]), places[0][1]) if masked else places[0])
    x = torch.cat([case[1] for case in cases]).detach().requires_grad_()
    stacks = [
        torch.stack(item).detach().requires_grad_()
        for item in zip(*(case[2] for case in cases), strict=True)
    ]
    values = torch.randn(21, 3)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            y = LinearChain.apply(x, follows, *stacks)
            dx, *gradients = torch.autograd.grad(y, [x, *stacks], values)
            for i, (local, own_x, parameters) in enumerate(cases):
                rows = slice(7 * i, 7 * i + 7)
                single = LinearChain.apply(own_x, local, *parameters)
                actual = torch.autograd.grad(single, [own_x, *parameters], values[rows])
                assert torch.equal(single, y[rows]) and torch.equal(actual[0], dx[rows])
                assert all(map(torch.equal, actual[1:], [gradient[i] for gradient in gradients]))
    finally:
        torch.set_num_threads(before)


def test_a_gradient_is_not_written_over_and_the_graph_can_be_used_twice() -> None:
    torch.manual_seed(4)
    follows, x, parameters = dense_case(torch.float32, 16, [16, 32, 16], [1, 0])
    y = LinearChain.apply(x, follows, *parameters)
    values = torch.randn_like(y)
    kept = values.clone()
    once = torch.autograd.grad(y, [x, *parameters], values, retain_graph=True)
    twice = torch.autograd.grad(y, [x, *parameters], values)
    assert torch.equal(values, kept)
    assert all(map(torch.equal, once, twice))
