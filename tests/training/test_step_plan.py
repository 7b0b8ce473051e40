"""Planned steps: the bits of steps under autograd, and what is left to autograd."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.config.load import load_config
from nnzoo.data.dataset import TensorSplit
from nnzoo.data.read_dataset import read_dataset
from nnzoo.kernels import build
from nnzoo.models.planned import NotPlannedError
from nnzoo.training.fit import open_trainer
from nnzoo.training.step_plan import StepPlan, StepPlans
from nnzoo.training.train_step import TrainerStack
from nnzoo.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")

LAST = ["model.dropout=0", "model.readout=last", "model.bidirectional=false"]
CASES = {
    "mlp": ("mlp", ["model.hidden=[20, 16]", "model.dropout=0.3", "data.augment=null"]),
    "no clip": ("mlp", ["model.hidden=[16]", "optim.clip=null"]),
    "sgd": ("mlp", ["optim.name=sgd", "model.hidden=[]"]),
    "table": ("mlp_diabetes", ["model.dropout=0.2", "model.norm=none"]),
    "rnn": ("rnn", [*LAST, "model.hidden_size=17"]),
    "lstm": ("lstm", [*LAST, "model.num_layers=2"]),
    "gru": ("gru", [*LAST, "data.augment=null"]),
}


def trainers(name: str, sets: list[str], seeds: int = 1, precision: str = "fp32") -> list[Trainer]:
    fixed = ["train.threads=1", f"train.precision={precision}", *sets]
    configs = [load_config(name, [*fixed, f"seed={seed}"]) for seed in range(seeds)]
    device = torch.device("cpu")
    return [open_trainer(config, read_dataset(config), device) for config in configs]


def steps(stack: TrainerStack, count: int, planned: bool) -> list[Tensor]:
    """Weights and gradients after some steps, and what has been counted."""
    rows = stack.start_epoch()
    if not planned:
        stack.plans.key = None
    for i in range(count):
        assert not planned or stack.plans.compute(rows[i]) is not None
        stack.train_step(rows[i])
    ends = [p.detach().clone() for trainer in stack.trainers for p in trainer.parameters]
    ends += [p.grad.clone() for p in stack.optimizer.parameters if p.grad is not None]
    totals = [list(trainer.running_loss.totals.values()) for trainer in stack.trainers]
    return [*ends, torch.tensor(totals)]


@pytest.mark.parametrize("case", CASES)
def test_a_planned_step_has_the_bits_of_one_under_autograd(
    case: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, sets = CASES[case]
    ends = [
        steps(TrainerStack(trainers(name, [*sets, "train.batch_size=32"])), 3, planned)
        for planned in (True, False)
    ]
    assert all(map(torch.equal, *ends)) and len(ends[0]) > 3


@pytest.mark.parametrize(
    ("name", "seeds", "precision"),
    [("mlp", 3, "fp32"), ("gru", 3, "fp32"), ("mlp", 1, "bf16"), ("rnn", 1, "bf16")],
)
def test_members_and_products_in_bfloat16_are_planned(
    name: str, seeds: int, precision: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if precision == "bf16" and not build.supports_dtype(torch.bfloat16):
        pytest.skip("needs AVX-512 BF16")
    monkeypatch.chdir(tmp_path)
    sets = [] if name == "mlp" else LAST
    ends = [
        steps(TrainerStack(trainers(name, sets, seeds, precision)), 3, planned)
        for planned in (True, False)
    ]
    assert all(map(torch.equal, *ends))


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("mlp", ["model.activation=gelu"]),
        ("mlp", ["train.kernels=torch"]),
        ("mlp", ["data.class_weights=balanced"]),
        ("gru", [*LAST, "model.readout=mean"]),
        ("gru", [*LAST, "model.bidirectional=true"]),
        ("cnn", []),
    ],
)
def test_what_has_no_native_form_is_left_to_autograd(
    name: str, sets: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stack = TrainerStack(trainers(name, sets))
    rows = stack.start_epoch()
    assert stack.plans.key is None or stack.plans.compute(rows[0]) is None
    stack.train_step(rows[0])
    assert all(p.grad is not None for p in stack.optimizer.parameters)


def test_a_hook_a_frozen_weight_or_another_loss_ends_the_plan(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stack = TrainerStack(trainers("mlp", []))
    rows, model = stack.start_epoch(), stack.network.model
    assert stack.plans.compute(rows[0]) is not None
    seen: list[object] = []
    handle = next(model.children()).register_forward_hook(lambda *_: seen.append(1))
    stack.train_step(rows[1])
    assert seen and stack.plans.key is None
    handle.remove()
    stack.plans.start_epoch()
    assert stack.plans.compute(rows[0]) is not None
    with monkeypatch.context() as patch:
        patch.setattr(stack.task, "compute_loss", stack.task.compute_loss)
        assert stack.plans.compute(rows[1]) is None
    weight = next(model.parameters())
    weight.requires_grad_(False)
    plans = StepPlans(stack)
    plans.start_epoch()
    assert plans.key is None


def test_rows_that_are_not_one_piece_are_prepared_by_torch(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stack, other = (TrainerStack(trainers("mlp", ["data.augment=null"])) for _ in range(2))
    split: Any = stack.split
    x = split.x.transpose(2, 3).contiguous().transpose(2, 3)
    assert not x.is_contiguous() and torch.equal(x, split.x)
    stack.split = replace(split, x=x)
    assert all(map(torch.equal, steps(stack, 3, True), steps(other, 3, False)))
    table = TrainerStack(trainers("mlp_diabetes", ["model.norm=none"]))
    rows = table.start_epoch()
    x, y = table.split.tensors()
    for numbers, is_native in ((x.float(), True), (x.double(), False)):
        table.split = TensorSplit(numbers, y.float())
        assert (StepPlan(table, rows[0]).gather is not None) == is_native


def test_norms_that_have_no_native_form_are_computed_by_torch(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stacks = [TrainerStack(trainers("mlp", [])) for _ in range(2)]
    for stack in stacks:
        stack.optimizer.native = False
    assert all(map(torch.equal, steps(stacks[0], 3, True), steps(stacks[1], 3, False)))


def test_what_is_not_as_planned_is_refused(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stack = TrainerStack(trainers("mlp", []))
    rows = stack.start_epoch()
    with pytest.raises(NotPlannedError):
        StepPlan(stack, rows[0].int())
    known = stack.optimizer.parameters
    stack.optimizer.parameters = [*known, torch.zeros(1)]
    with pytest.raises(NotPlannedError):
        StepPlan(stack, rows[0])
    stack.optimizer.parameters = known
    assert stack.plans.compute(rows[0]) is not None
    stack.optimizer._table = None
    with pytest.raises(RuntimeError, match="weights have moved within an epoch"):
        stack.plans.compute(rows[0])
    next(stack.network.model.parameters()).register_post_accumulate_grad_hook(lambda _: None)
    stack.plans.start_epoch()
    assert stack.plans.key is None
    members = TrainerStack(trainers("mlp", [], 2))
    rows = members.start_epoch()
    assert members.stacked is not None
    members.stacked.use_native = False
    with pytest.raises(NotPlannedError):
        StepPlan(members, rows[0])
