"""Native losses, norms and Adam: torch's numbers, for one network and for several at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nnzoo.data.preprocess import Scale
from nnzoo.evaluation.tasks.build import build_task
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.kernels import build
from nnzoo.kernels.step import (
    LOSSES,
    NativeLoss,
    loss_and_grad,
    supports_loss,
)

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
    rows = torch.rand(len(output), dtype=torch.float64) if weighted else None
    losses, right, gradient = loss_and_grad(
        output.detach(), target, NativeLoss(kind, option, weights), totals, rows
    )
    item = torchs(output, target, kind, option, weights)
    item = (item if rows is None else item * rows.to(dtype)).view(members, -1).sum(1)
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
        output, torch.arange(6) % 5, NativeLoss("cross_entropy", 0.0, None), [1.0] * 3
    )
    assert [math.isnan(loss) for loss in losses] == [False, False, True]
    assert gradient[:4].isfinite().all() and gradient[4].isnan().all()
    output[4, 2] = 1e30
    losses, _, gradient = loss_and_grad(
        output, torch.full((6,), 2), NativeLoss("cross_entropy", 0.0, None), [1.0] * 3
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
                loss_and_grad(
                    output, target, NativeLoss("cross_entropy", 0.1, None), [float(rows)] * 3
                )
            )
    finally:
        torch.set_num_threads(before)
    for losses, right, gradient in actual[1:]:
        assert (losses, right) == actual[0][:2] and torch.equal(gradient, actual[0][2])
    for i, part in enumerate(output.split(rows)):
        losses, right, gradient = loss_and_grad(
            part, target.split(rows)[i], NativeLoss("cross_entropy", 0.1, None), [float(rows)]
        )
        assert losses == [actual[0][0][i]] and right == [actual[0][1][i]]
        assert torch.equal(gradient, actual[0][2].split(rows)[i])


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


# Losses.


@pytest.mark.parametrize("wrong", [3, -1, -99, 2**40, -(2**62)])
@pytest.mark.parametrize("rows", [5, 3000])
def test_a_class_that_there_is_not_is_an_error(rows: int, wrong: int) -> None:
    output, target = torch.randn(rows, 3), torch.zeros(rows).long()
    target[rows // 2] = wrong
    with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds"):
        loss_and_grad(output, target, NativeLoss("cross_entropy", 0.1, None), [1.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_row_of_class_minus_100_loses_nothing(smoothing: float, weighted: bool) -> None:
    torch.manual_seed(0)
    output = torch.randn(8, 3, requires_grad=True)
    target = torch.tensor([0, 1, -100, 2, -100, 1, 0, 2])
    weights = torch.rand(3) if weighted else None
    losses, right, gradient = loss_and_grad(
        output.detach(), target, NativeLoss("cross_entropy", smoothing, weights), [2.0]
    )
    loss = functional.cross_entropy(
        output, target, weights, reduction="sum", label_smoothing=smoothing
    )
    (loss / 2).backward()
    torch.testing.assert_close(torch.tensor(losses), loss.detach().view(1))
    torch.testing.assert_close(gradient, output.grad)
    assert right == [int((output.argmax(1) == target).sum())]


@pytest.mark.parametrize("kind", ["mse", "mae", "huber"])
def test_targets_that_are_no_numbers_make_the_loss_none(kind: str) -> None:
    output, target = torch.randn(4, 2), torch.randn(4, 2)
    target[1, 0] = math.nan
    losses, _, gradient = loss_and_grad(output, target, NativeLoss(kind, 1.0), [1.0, 1.0])
    assert math.isnan(losses[0]) and math.isfinite(losses[1])
    assert gradient[1, 0].isnan() and gradient.isfinite().sum() == 7


def test_a_loss_of_odd_tensors_is_torchs() -> None:
    from nnzoo.config.train_options import TrainOptions
    from nnzoo.data.data_spec import DataSpec, InputSpec
    from nnzoo.data.preprocess import Scale

    output = torch.randn(6, 3)
    assert supports_loss(output, torch.zeros(6).long(), NativeLoss("cross_entropy"))
    for target in (torch.zeros(6).int(), torch.zeros(5).long(), torch.zeros(6, 1).long()):
        assert not supports_loss(output, target, NativeLoss("cross_entropy"))
    assert not supports_loss(output.bfloat16(), torch.zeros(6).long(), NativeLoss("cross_entropy"))
    assert not supports_loss(output, torch.zeros(6, 1), NativeLoss("mse"))
    assert not supports_loss(
        output, torch.zeros(6).long(), NativeLoss("cross_entropy", 0.0, torch.ones(2))
    )
    spec = DataSpec(InputSpec("table", (3,)), "classification", labels=list("abc"))
    task = build_task(TrainOptions(), spec, None, None)
    task.use_native = True
    with pytest.raises(IndexError):
        task.compute_loss(output, torch.tensor([0, 1, 2, 3, 0, 1]), [6.0])
    low = task.compute_loss(output.bfloat16(), torch.zeros(6).long(), [6.0])
    assert low.gradient is None and math.isfinite(low.to_lists()[0][0])
    numbers = Regression(TrainOptions(), ["a", "b", "c"], 1, Scale(3, "standard", -1))
    numbers.use_native = True
    with pytest.raises(RuntimeError), pytest.warns(UserWarning, match="target size"):
        numbers.compute_loss(output, torch.zeros(6, 2), [6.0])
