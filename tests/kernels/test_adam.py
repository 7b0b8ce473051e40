"""Gradient norms and steps of Adam against torch's."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.config.optim_options import AdamOptions, AdamWOptions, RmspropOptions, SgdOptions
from nnzoo.kernels import build
from nnzoo.kernels.adam import AdamStep, ParameterTable
from nnzoo.training.optim import Optimizer
from tests.kernels.cases import refuses

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


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


class Branches(nn.Module):
    """A branch that some steps use, one that none does, a table with sparse gradients, an empty weight."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.branch, self.unused = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)
        # No nn.Embedding, of which a step changes the used rows alone.
        self.table = nn.Parameter(torch.randn(5, 3))
        self.empty = nn.Parameter(torch.zeros(0, 3))

    def forward(self, x: Tensor, step: int) -> Tensor:
        rows = nn.functional.embedding(torch.tensor([1, step % 5]), self.table, sparse=True)
        y = self.base(x) + rows.sum(0) + self.empty.sum()
        return y + self.branch(x) if step in (2, 5, 6) else y


@pytest.mark.parametrize("use_native", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        AdamWOptions(name="adamw", weight_decay=0.1),
        AdamOptions(name="adam", weight_decay=0.1),
        SgdOptions(name="sgd", momentum=0.9),
        RmspropOptions(name="rmsprop"),
    ],
    ids=lambda options: options.name,
)
def test_a_weight_without_a_gradient_is_left_alone_as_by_torch(
    options: Any, use_native: bool
) -> None:
    torch.manual_seed(1)
    ours = Branches()
    stock = copy.deepcopy(ours)
    optimizer = Optimizer(options, ours, use_native)
    groups = [
        {
            "params": [p for p in stock.parameters() if p.ndim > 1],
            "weight_decay": options.weight_decay,
        },
        {"params": [p for p in stock.parameters() if p.ndim < 2], "weight_decay": 0},
    ]
    optimizers: dict[str, Any] = {
        "adamw": partial(torch.optim.AdamW, lr=0.01),
        "adam": partial(torch.optim.Adam, lr=0.01),
        "sgd": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
        "rmsprop": partial(torch.optim.RMSprop, lr=0.01),
    }
    torchs = optimizers[options.name](groups)
    for step in range(8):
        x = torch.randn(6, 4)
        for module in (ours, stock):
            module.zero_grad()
            module(x, step).square().sum().backward()
        (norm,) = optimizer.grad_norms()
        for parameter in stock.parameters():
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        whole = torch.cat([p.grad.flatten() for p in stock.parameters() if p.grad is not None])
        assert norm == pytest.approx(float(whole.norm()), rel=1e-5)
        optimizer.step(0.01, [norm])
        torchs.step()
        if step == 4:  # the state holds the number of steps of each
            state = copy.deepcopy(optimizer.state_dict(0.01))
            optimizer = Optimizer(options, ours, use_native)
            optimizer.load_state_dict(state)
    for mine, other in zip(ours.parameters(), stock.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
    if options.name != "sgd":
        missed = {"branch.weight", "branch.bias", "unused.weight", "unused.bias"}
        assert optimizer.without_gradient == missed
    assert copy.deepcopy(optimizer)._table is None


def test_steps_that_a_weight_has_missed_are_not_remembered_from_call_to_call() -> None:
    ends = []
    for first in ((), (3,)):
        weight, *averages = torch.ones(4), torch.zeros(4), torch.zeros(4)
        table = ParameterTable([weight], [0.0], 1, averages[:1], averages[1:])
        table.adam_step([torch.ones(4)], AdamStep(0.0, (0.9, 0.99), 1e-8, False, 5), [1.0], first)
        table.adam_step([torch.ones(4)], AdamStep(0.1, (0.9, 0.99), 1e-8, False, 6), [1.0])
        ends.append(weight)
    assert torch.equal(*ends)


def test_weights_of_common_memory_or_other_strides_are_stepped_by_torch() -> None:
    whole = torch.randn(4, 4)
    model = nn.Module()
    model.a, model.b = nn.Parameter(whole[:3]), nn.Parameter(whole[2:])
    assert not Optimizer(AdamOptions(name="adam"), model, True).native
    model.b = nn.Parameter(whole[3:].t())
    assert Optimizer(AdamOptions(name="adam"), model, True).native
    model.a = nn.Parameter(torch.randn(3, 4).t())
    assert not Optimizer(AdamOptions(name="adam"), model, True).native
    refuses(ParameterTable, [whole[:3], whole[2:]], [0.0, 0.0], 1)
