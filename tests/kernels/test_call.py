"""Inputs that C must never get: odd types, strides, sizes and values, hooks, transforms; torch's results or errors."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nnzoo.kernels import build, openmp
from nnzoo.kernels.adam import AdamStep, ParameterTable
from nnzoo.kernels.ops import BatchNorm, Convolution, Epilogue, LinearChain, RecurrentLayer
from nnzoo.kernels.step import NativeLoss, loss_and_grad, normalize_uint8
from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import Dropout, Linear
from tests.kernels.cases import CASES, Subclass, change, outcome, pair, refuses, same
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


CHANGES = (
    "nothing",
    "bfloat16",
    "float64",
    "float16",
    "one float64",
    "last bfloat16",
    "frozen",
    "strided",
    "expanded",
    "subclass",
    "parametrized",
    "meta",
    "negated",
    "no bias",
    "too narrow",
)
INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda x: x,
    "of the weights' type": lambda x: x,
    "bfloat16": Tensor.bfloat16,
    "float64": Tensor.double,
    "int64": Tensor.long,
    "complex": lambda x: x.to(torch.complex64),
    "strided": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
    "expanded": lambda x: x[:1].expand_as(x),
    "one row": lambda x: x[:1],
    "no rows": lambda x: x[:0],
    "too narrow": lambda x: x[..., :-1].contiguous(),
    "negated": torch._neg_view,
    "nan": lambda x: x.masked_fill(x > 1, math.nan),
    "meta": lambda x: x.to("meta"),
    "misaligned": lambda x: torch.frombuffer(
        bytearray(b"." + x.numpy().tobytes()), dtype=x.dtype, offset=1
    ).view_as(x),
    "subclass": lambda x: x.as_subclass(Subclass),
}


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(CASES)),
    how=st.sampled_from(CHANGES),
    given_x=st.sampled_from(sorted(INPUTS)),
    low=st.sampled_from([False, False, True]),
)
def test_odd_weights_and_inputs_end_as_with_torchs_layers(
    name: str, how: str, given_x: str, low: bool
) -> None:
    assume(name != "lstm" or how != "too narrow")  # torch's own reads beyond such weights
    ours, stock, x = pair(name)
    change(ours, how)
    change(stock, how)
    x = INPUTS[given_x](x)
    if given_x == "of the weights' type":
        x = x.to(next(ours.parameters()).dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        actual, expected = outcome(ours, x), outcome(stock, x)
    if not (isinstance(actual, list) and isinstance(expected, list)):
        # torch has no products of some mixtures that autocast makes one.
        assert isinstance(actual, type) == isinstance(expected, type) or low
    elif actual[0].device.type == "meta" or not actual[0].numel():
        assert [t.shape for t in actual] == [t.shape for t in expected]
    elif actual[0].isnan().any():
        assert torch.equal(actual[0].isnan(), expected[0].isnan())
    elif low or actual[0].dtype in (torch.bfloat16, torch.float16):
        assert difference(actual[:1], expected[:1]) < 0.1
    else:
        assert same(actual, expected, 2e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_module_of_bfloat16_is_torchs(name: str) -> None:
    ours, stock, x = pair(name)
    ours, stock, x = ours.bfloat16().train(), stock.bfloat16(), x.bfloat16()
    actual, expected = outcome(ours, x), outcome(stock, x)
    assert isinstance(actual, list) and isinstance(expected, list)
    assert difference(actual[:1], expected[:1]) < 0.02


# The functions themselves.


def entries(name: str) -> tuple[Callable[..., Any], list[Tensor]]:
    """An entry of native code and tensors that it takes."""
    t = torch.randn
    if name == "dense":
        return partial(run_dense, None), [t(6, 5), t(9, 5), t(9), t(4, 9), t(4)]
    if name == "dense mask":
        tensors = [t(6, 5), t(9, 5), t(9), t(4, 9), t(4), torch.ones(6, 9).byte()]
        return lambda *p: run_dense(p[-1], *p[:-1]), tensors
    if name == "recurrent":
        tensors = [t(3, 4, 5), t(18, 5), t(18, 6), t(18), t(18)]
        return partial(RecurrentLayer.apply, "gru", False, torch.float32, None), tensors
    if name == "convolution":
        tensors = [t(2, 16, 6, 6), t(16, 16, 3, 3), t(16), torch.ones(2, 16, 3, 3).byte()]
        return lambda x, w, b, m: convolve(
            x, w, b, behind=Epilogue(None, True, True, m, 2.0)
        ), tensors
    if name == "norm":
        tensors = [t(2, 16, 6, 6), t(16, 16, 3, 3), *(t(16).abs() for _ in range(4))]
        return lambda x, w, g, b, m, v: convolve(
            x, w, None, g, b, Epilogue(BatchNorm(m, v, 0.1, 1e-5))
        ), tensors
    if name == "classes":
        tensors = [t(6, 3), torch.zeros(6).long(), t(3)]
        return lambda o, y, w: loss_and_grad(
            o, y, NativeLoss("cross_entropy", 0.0, w), [1.0]
        ), tensors
    if name == "numbers":
        return lambda o, y: loss_and_grad(o, y, NativeLoss("mse"), [1.0]), [t(6, 3), t(6, 3)]
    if name == "adam":
        return step, [t(4, 3) for _ in range(4)]
    return normalize_uint8, [torch.zeros(2, 3, 4, 4).byte(), t(3), t(3)]


def run_dense(mask: Tensor | None, x: Tensor, *parameters: Tensor) -> Any:
    return LinearChain.apply(x, [(mask, 1.0), None], *parameters)


def convolve(
    x: Tensor, w: Tensor, b: Any, g: Any = None, s: Any = None, behind: Epilogue = Epilogue()
) -> Any:
    return Convolution.apply(x, w, (1, 1), (1, 1), behind, b, g, s)


def step(weight: Tensor, mean: Tensor, square: Tensor, gradient: Tensor) -> None:
    table = ParameterTable([weight], [0.0], 1, [mean], [square])
    table.grad_norms([gradient])
    table.adam_step([gradient], AdamStep(0.1, (0.9, 0.9), 1e-8, False, 1), [1.0])


SPOILED: dict[str, Callable[[Tensor], Tensor]] = {
    "type": lambda x: x.double() if x.dtype is torch.float32 else x.float(),
    "bfloat16": Tensor.bfloat16,
    "short": lambda x: x[:-1],
    "long": lambda x: torch.cat([x, x[:1]]),
    "meta": lambda x: x.to("meta"),
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize(
    "name",
    [
        "dense",
        "dense mask",
        "recurrent",
        "convolution",
        "norm",
        "classes",
        "numbers",
        "adam",
        "bytes",
    ],
)
def test_no_entry_takes_a_tensor_of_another_type_or_size(name: str, how: str) -> None:
    """Call it with one tensor after another of another type, shorter, longer, or on another device."""
    function, tensors = entries(name)
    function(*tensors)
    for i, x in enumerate(tensors):
        spoiled = [*tensors[:i], SPOILED[how](x), *tensors[i + 1 :]]
        is_batch = i == 0 and name not in ("classes", "numbers", "adam")
        if (
            is_batch and how != "meta"
        ):  # may be another batch, or of a type that becomes the weights'
            with contextlib.suppress(TypeError, ValueError):
                function(*spoiled)
        else:
            refuses(function, *spoiled)


def test_products_that_there_is_no_code_for_are_refused() -> None:
    x, w, b = torch.randn(3, 5).bfloat16(), torch.randn(4, 5).bfloat16(), torch.randn(4).bfloat16()
    refuses(LinearChain.apply, x, [None], w, b)
    shapes = ((12, 5), (12, 4), (12,), (12,))
    weights = [torch.randn(s, dtype=torch.float64) for s in shapes]
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    refuses(RecurrentLayer.apply, "gru", False, torch.bfloat16, None, x, *weights)
    with torch.autocast("cpu", torch.float16):
        refuses(LinearChain.apply, torch.randn(3, 5), [None], torch.randn(4, 5), torch.randn(4))
    kernel = torch.randn(16, 16, 5, 5)
    refuses(convolve, torch.randn(1, 16, 8, 8), kernel, None)
    refuses(convolve, torch.randn(1, 16, 1, 1), kernel, None)
    refuses(convolve, torch.randn(1, 3, 8, 8, requires_grad=True), torch.randn(16, 3, 3, 3), None)


# Threads.


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_threads_that_split_members_of_odd_batches_compute_each_row_once(
    kind: Any, batch: int, threads: Callable[[int], None]
) -> None:
    torch.manual_seed(6)
    members, size = 4, 40
    rows = {"rnn": 1, "lstm": 4, "gru": 3}[kind] * size
    shapes = [(members, rows, 6), (members, rows, size), (members, rows), (members, rows)]
    weights = [torch.randn(s).mul_(0.3).requires_grad_() for s in shapes]
    x = torch.randn(9, members, batch, 6)

    def results() -> list[Tensor]:
        states, *_ = RecurrentLayer.apply(kind, False, torch.float32, None, x, *weights)
        return [states.detach(), *torch.autograd.grad(states.square().sum(), weights)]

    threads(1)
    expected = results()
    for count in (2, 3, 5):
        threads(count)
        for _ in range(20):
            assert all(map(torch.equal, results(), expected))


def test_several_threads_of_python_compute_at_once(threads: Callable[[int], None]) -> None:
    threads(2)
    cases = {name: pair(name) for name in CASES}
    expected = {name: outcome(copy.deepcopy(ours), x) for name, (ours, _, x) in cases.items()}
    wrong: list[str] = []

    def work() -> None:
        for _ in range(5):
            for name, (ours, _, x) in cases.items():
                actual: Any = outcome(copy.deepcopy(ours), x)
                if not all(map(torch.equal, actual, expected[name])):  # type: ignore[arg-type]
                    wrong.append(name)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_dropout_draws_the_same_with_hooks_or_without() -> None:
    made = FusedSequential(Linear(8, 16), nn.ReLU(), Dropout(0.5), Linear(16, 2))
    x = torch.randn(4, 8)
    torch.manual_seed(0)
    y = made(x)
    for layer in made:
        layer.register_forward_hook(lambda *_: None)
    torch.manual_seed(0)
    hooked_y = made(x)
    assert y.shape == hooked_y.shape and openmp.team_size(1) == 1
