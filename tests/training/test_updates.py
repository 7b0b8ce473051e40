"""Updates of optimizers on a group, and on some rows of one parameter, against torch.optim step by step."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.training.updates import UPDATES, ParameterGroup, Update, moment_names
from tests.zoo import config

DECAY = 0.1
LR = 0.05
CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "sgd": ({"name": "sgd", "momentum": 0.0}, torch.optim.SGD, {}),
    "momentum": ({"name": "sgd", "momentum": 0.7}, torch.optim.SGD, {"momentum": 0.7}),
    "nesterov": (
        {"name": "sgd", "momentum": 0.7, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.7, "nesterov": True},
    ),
    "adam": (
        {"name": "adam", "betas": [0.7, 0.8], "eps": 1e-3},
        torch.optim.Adam,
        {"betas": (0.7, 0.8), "eps": 1e-3},
    ),
    "adamw": (
        {"name": "adamw", "betas": [0.7, 0.8]},
        torch.optim.AdamW,
        {"betas": (0.7, 0.8)},
    ),
    "rmsprop": ({"name": "rmsprop", "alpha": 0.6}, torch.optim.RMSprop, {"alpha": 0.6}),
    "rmsprop momentum": (
        {"name": "rmsprop", "momentum": 0.4, "eps": 1e-4},
        torch.optim.RMSprop,
        {"momentum": 0.4, "eps": 1e-4},
    ),
}
ROWS = torch.tensor([4, 1, 2])


def options_of(case: str) -> Any:
    return config(optim=CASES[case][0]).optim


def group_of(case: str, *weights: Tensor, decay: float = DECAY) -> ParameterGroup:
    return ParameterGroup(weights, decay, moment_names(options_of(case)))


def step(case: str, group: ParameterGroup, gradients: list[Tensor], update: Update) -> None:
    options = options_of(case)
    with torch.no_grad():
        UPDATES[options.name](options, group, gradients, update)


def random_tensors(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def stock(case: str, weights: list[Tensor], decay: float = DECAY) -> torch.optim.Optimizer:
    _, cls, keys = CASES[case]
    optimizer: torch.optim.Optimizer = cls(weights, lr=LR, weight_decay=decay, **keys)
    return optimizer


@pytest.mark.parametrize("decay", [0.0, DECAY])
@pytest.mark.parametrize("case", CASES)
def test_each_step_and_its_moments_are_torchs(case: str, decay: float) -> None:
    shapes = (5, 3), (4,), ()
    weights, references = random_tensors(*shapes), random_tensors(*shapes)
    group, optimizer = group_of(case, *weights, decay=decay), stock(case, references, decay)
    for i in range(1, 6):
        gradients = random_tensors(*shapes, seed=i)
        for reference, gradient in zip(references, gradients, strict=True):
            reference.grad = gradient.clone()
        optimizer.step()
        step(case, group, gradients, Update(LR, None, i))
        for j, reference in enumerate(references):
            torch.testing.assert_close(weights[j], reference, rtol=1e-12, atol=1e-12)
            for name, moments in group.moments.items():
                expected = optimizer.state[reference][name]
                torch.testing.assert_close(moments[j], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_divisor_divides_gradients_before_decay_and_moments(case: str) -> None:
    shapes = (5, 3), (4,)
    clipped, divided = random_tensors(*shapes), random_tensors(*shapes)
    groups = group_of(case, *clipped), group_of(case, *divided)
    for i in range(1, 4):
        gradients = random_tensors(*shapes, seed=i)
        divisor = torch.tensor(2.0 + i)
        step(case, groups[0], [g.clone() for g in gradients], Update(LR, divisor, i))
        step(case, groups[1], [g / divisor for g in gradients], Update(LR, None, i))
        for one, other in zip(clipped, divided, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_rows_take_the_steps_of_a_parameter_of_their_own(case: str) -> None:
    """Decay, moments and all: other rows of the table are not even read."""
    (table,) = random_tensors((6, 3))
    before, reference = table.clone(), table[ROWS].clone()
    table[[0, 3, 5]] = torch.nan
    group, optimizer = group_of(case, table), stock(case, [reference])
    for i in range(1, 6):
        (gradient,) = random_tensors((3, 3), seed=i)
        reference.grad = gradient.clone()
        optimizer.step()
        part = group.rows(ROWS)
        step(case, part, [gradient], Update(LR, None, i))
        group.set_rows(ROWS, part)
        torch.testing.assert_close(table[ROWS], reference, rtol=1e-12, atol=1e-12)
        for name, (moment,) in group.moments.items():
            expected = optimizer.state[reference][name]
            torch.testing.assert_close(moment[ROWS], expected, rtol=1e-12, atol=1e-12)
            assert not moment[[0, 3, 5]].any()
    assert not (table[ROWS] == before[ROWS]).any() and table[[0, 3, 5]].isnan().all()


@pytest.mark.parametrize("case", CASES)
def test_rows_that_come_one_after_another_are_those_of_one_step(case: str) -> None:
    one, other = random_tensors((6, 3))[0], random_tensors((6, 3))[0]
    (gradient,) = random_tensors((3, 3), seed=1)
    at_once, one_by_one = group_of(case, one), group_of(case, other)
    part = at_once.rows(ROWS)
    step(case, part, [gradient.clone()], Update(LR, None, 3))
    at_once.set_rows(ROWS, part)
    for i in range(3):
        row = ROWS[i : i + 1]
        part = one_by_one.rows(row)
        step(case, part, [gradient[i : i + 1].clone()], Update(LR, None, 3))
        one_by_one.set_rows(row, part)
    torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_no_rows_are_no_change(case: str) -> None:
    (table,) = random_tensors((6, 3))
    before, group = table.clone(), group_of(case, table)
    none = torch.zeros(0, dtype=torch.int64)
    part = group.rows(none)
    step(case, part, [table.new_zeros(0, 3)], Update(LR, None, 1))
    group.set_rows(none, part)
    assert torch.equal(table, before) and not any(m[0].any() for m in group.moments.values())


def test_rows_are_copies_until_they_are_taken_over() -> None:
    (table,) = random_tensors((6, 3))
    before, group = table.clone(), group_of("adam", table)
    part = group.rows(ROWS)
    step("adam", part, random_tensors((3, 3), seed=1), Update(LR, None, 1))
    assert torch.equal(table, before) and not group.moments["exp_avg"][0].any()
    assert part.decay == group.decay and part.parameters[0].shape == (3, 3)


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("sgd", []),
        ("momentum", ["momentum_buffer"]),
        ("nesterov", ["momentum_buffer"]),
        ("adam", ["exp_avg", "exp_avg_sq"]),
        ("adamw", ["exp_avg", "exp_avg_sq"]),
        ("rmsprop", ["square_avg"]),
        ("rmsprop momentum", ["square_avg", "momentum_buffer"]),
    ],
)
def test_moments_by_name(case: str, names: list[str]) -> None:
    assert moment_names(options_of(case)) == names
    group = group_of(case, *random_tensors((2, 3), (4,)))
    assert {name: [tuple(m.shape) for m in moments] for name, moments in group.moments.items()} == {
        name: [(2, 3), (4,)] for name in names
    }


def test_parameters_with_gradients_step_on_the_moments_of_the_group() -> None:
    weights = [torch.nn.Parameter(weight) for weight in random_tensors((2, 3), (4,), (3,))]
    group = group_of("adam", *weights)
    group.missed = [0, 5, 2]
    for weight in (weights[0], weights[2]):
        weight.grad = torch.ones_like(weight)
    part, gradients = group.with_gradients()
    assert [id(p) for p in part.parameters] == [id(weights[0]), id(weights[2])]
    assert part.missed == [0, 2] and group.missed == [0, 5, 2] and len(gradients) == 2
    before = weights[1].detach().clone()
    step("adam", part, gradients, Update(LR, None, 3))
    assert torch.equal(weights[1], before)
    changed = [bool(moment.any()) for moment in group.moments["exp_avg"]]
    assert changed == [True, False, True]
    weights[1].grad = torch.ones_like(weights[1])
    assert group.with_gradients()[0] is group
    for weight in weights:
        weight.grad = None
    part, gradients = group.with_gradients()
    assert gradients == [] and part.parameters == []


@pytest.mark.parametrize("case", ["adam", "adamw"])
def test_adam_corrects_by_the_steps_that_a_parameter_has_taken(case: str) -> None:
    """A parameter that had no gradient in two of four steps is at its second."""
    late, early = random_tensors((4,)), random_tensors((4,))
    (gradient,) = random_tensors((4,), seed=1)
    groups = group_of(case, *late), group_of(case, *early)
    groups[0].missed = [2]
    step(case, groups[0], [gradient.clone()], Update(LR, None, 4))
    step(case, groups[1], [gradient.clone()], Update(LR, None, 2))
    assert torch.equal(late[0], early[0])


def test_weights_are_where_a_module_has_moved_them() -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    group = group_of("sgd", parameter)
    moved = torch.ones(3)
    parameter.data = moved
    step("sgd", group, [torch.ones(3)], Update(LR, None, 1))
    (weight,) = group.weights
    assert weight.data_ptr() == moved.data_ptr() and not weight.requires_grad
    torch.testing.assert_close(moved, torch.full((3,), 1 - LR * (1 + DECAY)))


@pytest.mark.parametrize("case", CASES)
def test_a_copied_group_goes_its_own_way(case: str) -> None:
    (weight,) = random_tensors((4,))
    group = group_of(case, weight)
    other = copy.deepcopy(group)
    step(case, other, random_tensors((4,), seed=1), Update(LR, None, 1))
    assert torch.equal(weight, random_tensors((4,))[0])
    assert not any(moment.any() for moments in group.moments.values() for moment in moments)
