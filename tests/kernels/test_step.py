"""Native losses, norms and Adam: torch's numbers, for one network and for several at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.data.preprocess import Scale
from nnzoo.kernels import build
from nnzoo.kernels.step import LOSSES, AdamStep, ParameterTable, loss_and_grad

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def torchs(
    output: Tensor, target: Tensor, kind: str, option: float, weights: Tensor | None
) -> Tensor:
    """The loss of each row."""
    if kind == "cross_entropy":
        return functional.cross_entropy(
            output, target, weights, reduction="none", label_smoothing=option
        )
    if kind == "huber":
        return functional.huber_loss(output, target, reduction="none", delta=option).mean(1)
    loss = functional.mse_loss if kind == "mse" else functional.l1_loss
    return loss(output, target, reduction="none").mean(1)


@pytest.mark.parametrize("kind", LOSSES)
@settings(max_examples=60, deadline=None)
@given(
    members=st.integers(1, 3),
    batch=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.sampled_from([1e-3, 1.0, 30.0]),
    option=st.sampled_from([0.0, 0.3]),
    weighted=st.booleans(),
    double=st.booleans(),
    seed=st.integers(0, 99),
)
def test_losses_gradients_and_correct_counts_are_torchs(
    kind: str,
    members: int,
    batch: int,
    width: int,
    size: float,
    option: float,
    weighted: bool,
    double: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    output = (torch.randn(members * batch, width, dtype=dtype) * size).requires_grad_()
    classes = kind == "cross_entropy"
    target: Tensor = (
        torch.randint(width, (len(output),)) if classes else torch.randn_like(output.detach())
    )
    weights = torch.rand(width, dtype=dtype) + 0.1 if classes and weighted else None
    option = option or (0.0 if classes else 0.7)
    totals = [float(i + 2) for i in range(members)]
    losses, right, gradient = loss_and_grad(output.detach(), target, kind, option, weights, totals)
    item = torchs(output, target, kind, option, weights).view(members, -1).sum(1)
    (item / torch.tensor(totals, dtype=dtype)).sum().backward()
    close: dict[str, Any] = (
        {"rtol": 1e-12, "atol": 1e-12} if double else {"rtol": 3e-6, "atol": 1e-6}
    )
    torch.testing.assert_close(torch.tensor(losses, dtype=dtype), item.detach(), **close)
    torch.testing.assert_close(gradient, output.grad, **close)
    if classes:
        hits = (output.argmax(1) == target).view(members, -1).sum(1)
        assert right == hits.tolist()


def test_what_is_not_a_number_stays_so_and_stays_with_its_member() -> None:
    output = torch.randn(6, 5)
    output[4, 2] = math.nan
    losses, _, gradient = loss_and_grad(
        output, torch.arange(6) % 5, "cross_entropy", 0.0, None, [1.0] * 3
    )
    assert [math.isnan(loss) for loss in losses] == [False, False, True]
    assert gradient[:4].isfinite().all() and gradient[4].isnan().all()
    output[4, 2] = 1e30
    losses, _, gradient = loss_and_grad(
        output, torch.full((6,), 2), "cross_entropy", 0.0, None, [1.0] * 3
    )
    assert all(map(math.isfinite, losses)) and gradient.isfinite().all()


@pytest.mark.parametrize("rows", [7, 5000])  # one thread, and all
def test_no_bit_depends_on_threads_or_on_other_members(rows: int) -> None:
    torch.manual_seed(4)
    output, target = torch.randn(3 * rows, 10), torch.randint(10, (3 * rows,))
    before = torch.get_num_threads()
    try:
        actual = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            actual.append(
                loss_and_grad(output, target, "cross_entropy", 0.1, None, [float(rows)] * 3)
            )
    finally:
        torch.set_num_threads(before)
    for losses, right, gradient in actual[1:]:
        assert (losses, right) == actual[0][:2] and torch.equal(gradient, actual[0][2])
    for i, part in enumerate(output.split(rows)):
        losses, right, gradient = loss_and_grad(
            part, target.split(rows)[i], "cross_entropy", 0.1, None, [float(rows)]
        )
        assert losses == [actual[0][0][i]] and right == [actual[0][1][i]]
        assert torch.equal(gradient, actual[0][2].split(rows)[i])


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("members", [1, 3])
def test_adam_is_torchs(members: int, decoupled: bool) -> None:
    """Ten steps on gradients of very different sizes, divided by a number a member; to the bit the same
    whatever threads there are, and for a member whether it is alone."""
    torch.manual_seed(5)
    shapes, decays = [(70, 300), (3,), (1, 9000)], [0.1, 0.0, 0.02]
    start = [torch.randn(members, *shape) for shape in shapes]
    steps = [[torch.randn_like(s) * 10.0 ** (i - 5) for s in start] for i in range(10)]
    scales = [1.0 + i for i in range(members)]

    def trained(
        weights: list[Tensor], its: slice, threads: int
    ) -> tuple[list[Tensor], list[float]]:
        weights = [w[its].clone() for w in weights]
        table = ParameterTable(
            weights,
            decays,
            len(weights[0]),
            *([torch.zeros_like(w) for w in weights] for _ in "ab"),
        )
        torch.set_num_threads(threads)
        for i, gradients in enumerate(steps):
            local = [g[its] for g in gradients]
            norms = table.grad_norms(local)
            table.adam_step(local, AdamStep(0.01, (0.9, 0.99), 1e-8, decoupled, i + 1), scales[its])
        return weights, norms

    before = torch.get_num_threads()
    try:
        ours, norms = trained(start, slice(None), 2)
        for threads in (1, 3):
            again, same = trained(start, slice(None), threads)
            assert all(map(torch.equal, ours, again)) and norms == same
        singles = [trained(start, slice(i, i + 1), 2) for i in range(members)]
    finally:
        torch.set_num_threads(before)
    for i, (weights, current) in enumerate(singles):
        assert all(torch.equal(w[0], stack[i]) for w, stack in zip(weights, ours, strict=True))
        assert current == [norms[i]]
        whole = torch.cat([g[i].flatten().double() for g in steps[-1]]).norm()
        assert current[0] == pytest.approx(float(whole), rel=1e-6)
        stock = [nn.Parameter(s[i].clone()) for s in start]
        groups = [{"params": [p], "weight_decay": d} for p, d in zip(stock, decays, strict=True)]
        kind = torch.optim.AdamW if decoupled else torch.optim.Adam
        optimizer = kind(groups, lr=0.01, betas=(0.9, 0.99))
        for gradients in steps:
            for parameter, gradient in zip(stock, gradients, strict=True):
                parameter.grad = gradient[i] / scales[i]
            optimizer.step()
        for parameter, stack in zip(stock, ours, strict=True):
            torch.testing.assert_close(parameter.data, stack[i], rtol=1e-5, atol=1e-6)


@given(
    rows=st.integers(0, 5),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_bytes_are_scaled_to_the_bit_as_in_evaluation(
    rows: int, channels: int, height: int, width: int, seed: int
) -> None:
    torch.manual_seed(seed)
    x = torch.randint(256, (rows, channels, height, width), dtype=torch.uint8)
    scale = Scale(channels, "standard", 1)
    scale.set(torch.rand(channels) * 255, torch.rand(channels) * 99 + 0.1)
    expected = scale.eval()(x)
    scale.use_native = True
    assert torch.equal(scale.train()(x), expected) and torch.equal(scale.eval()(x), expected)
