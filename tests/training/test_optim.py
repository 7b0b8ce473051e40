"""Optimizers, clipping and parameters without gradients, against torch."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.optim_options import AdamOptions, ClipOptions, LrFactors
from nnzoo.evaluation import diagnostics
from nnzoo.kernels import build
from nnzoo.runs import checkpoint
from nnzoo.runs.train import train
from nnzoo.training.optim import Optimizer, lr_factors
from nnzoo.training.train_step import train_single_step
from nnzoo.training.trainer import StepEnd
from tests.zoo import begin, config, gradient, same

OPTIMIZERS = [
    (
        {"name": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
    ({"name": "sgd", "lr": 0.1, "momentum": 0.0}, torch.optim.SGD, {}),
    (
        {"name": "adam", "betas": [0.8, 0.9], "eps": 1e-6},
        torch.optim.Adam,
        {"betas": (0.8, 0.9), "eps": 1e-6},
    ),
    ({"name": "adamw", "lr": 0.01}, torch.optim.AdamW, {}),
    ({"name": "rmsprop", "alpha": 0.9}, torch.optim.RMSprop, {"alpha": 0.9}),
    ({"name": "rmsprop", "momentum": 0.5}, torch.optim.RMSprop, {"momentum": 0.5}),
]


@pytest.mark.parametrize("clip", [None, {"norm": 0.5}, {"norm": 1e6}, {"value": 0.05}], ids=str)
@pytest.mark.parametrize(("options", "cls", "keys"), OPTIMIZERS, ids=str)
def test_optimizers_and_clipping_take_torchs_steps(
    options: dict[str, Any], cls: Any, keys: dict[str, Any], clip: Any
) -> None:
    """Weight decay acts on weights but not on biases and norms."""
    run_config = config(
        {"name": "mlp", "hidden": [8], "norm": "layer"},
        optim=options | {"weight_decay": 0.3, "clip": clip},
    )
    trainer = begin(run_config).trainer
    stock_model = copy.deepcopy(trainer.network)
    named = dict(stock_model.model.named_parameters())
    decayed = [named["1.weight"], named["4.weight"]]
    rest = [p for p in named.values() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.3}, {"params": rest, "weight_decay": 0.0}]
    lr = run_config.optim.lr
    stock = cls(groups, lr=lr, **keys)
    stock_model.train()
    for i in range(5):
        rows = torch.arange(i * 16, i * 16 + 16)
        train_single_step(trainer, rows)
        x, y = trainer.splits["train"].batch(rows)
        stock.zero_grad()
        (trainer.task.loss(stock_model(x), y) / 16).backward()
        if clip and "norm" in clip:
            nn.utils.clip_grad_norm_(named.values(), clip["norm"])
        elif clip:
            nn.utils.clip_grad_value_(named.values(), clip["value"])
        stock.step()
    for name, tensor in trainer.model.named_parameters():
        torch.testing.assert_close(tensor, named[name], rtol=1e-5, atol=1e-6)
    # torch.optim resumes from our state.
    saved = checkpoint.to_plain(trainer.optimizer.state_dict(lr))
    stock.load_state_dict(saved)
    for group, other in zip(stock.param_groups, groups, strict=True):
        assert (group["lr"], group["weight_decay"]) == (lr, other["weight_decay"])
        for parameter in group["params"]:
            for name, tensor in stock.state[parameter].items():
                if tensor is not None:
                    assert tensor.shape == (() if name == "step" else parameter.shape)


@pytest.mark.parametrize(
    ("options", "cls"),
    [
        ({"name": "adamw", "lr": 0.01}, torch.optim.AdamW),
        ({"name": "sgd", "lr": 0.1, "momentum": 0.0}, torch.optim.SGD),
    ],
    ids=str,
)
@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_factors_of_the_learning_rate_are_those_of_torchs_groups(
    options: dict[str, Any], cls: Any, kernels: str, compiled: None
) -> None:
    factors = {"bias": 0.1, "norm": 3.0, "input_scale": 6.0, "activation": 0.5}
    model = {"name": "mlp", "hidden": [8], "norm": "layer", "input_scale": True}
    run_config = config(
        model | {"learn_activation": True},
        optim=options | {"weight_decay": 0.3, "lr_factors": factors},
        train={"kernels": kernels},
    )
    trainer = begin(run_config).trainer
    stock_model = copy.deepcopy(trainer.network)
    names = dict(stock_model.model.named_parameters())
    lr = run_config.optim.lr
    kinds = {"1.factors": 6.0, "3.weight": 3.0, "3.bias": 3.0, "4.strength": 0.5}
    groups = [
        {
            "params": [p],
            "weight_decay": 0.3 if p.ndim > 1 else 0.0,
            "lr": lr * kinds.get(name, 0.1 if name.endswith("bias") else 1.0),
        }
        for name, p in names.items()
    ]
    stock = cls(groups, lr=lr)
    stock_model.train()
    for i in range(4):
        rows = torch.arange(i * 16, i * 16 + 16)
        train_single_step(trainer, rows)
        x, y = trainer.splits["train"].batch(rows)
        stock.zero_grad()
        (trainer.task.loss(stock_model(x), y) / 16).backward()
        stock.step()
    for name, tensor in trainer.model.named_parameters():
        torch.testing.assert_close(tensor, names[name], rtol=1e-5, atol=1e-6)
    saved = {group["lr"] for group in trainer.optimizer.state_dict(lr)["param_groups"]}
    assert saved == {lr * factor for factor in (1.0, 0.1, 3.0, 6.0, 0.5)}


@pytest.mark.parametrize("kernels", ["torch", "auto"])
@pytest.mark.parametrize("how", ["another tensor", "other memory"])
def test_a_parameter_that_steps_no_longer_reach_is_an_error(kernels: str, how: str) -> None:
    """Unless the optimizer, which holds the parameters themselves, reaches it where it now lies."""
    run = begin(config(train={"epochs": 2, "kernels": kernels}))
    reached = kernels == "torch" and how == "other memory"
    message = "'1.weight' is no longer the tensor that the optimizer changes"
    model: Any = run.network.model
    with nullcontext() if reached else pytest.raises(RuntimeError, match=message):
        for event in train(run):
            if isinstance(event, StepEnd) and event.step == event.steps_per_epoch:
                layer = model[1]
                if how == "other memory":
                    layer.weight.data = layer.weight.data.clone()
                else:
                    layer.weight = nn.Parameter(layer.weight.detach().clone())
                before = layer.weight.detach().clone()
    assert torch.equal(layer.weight, before) is not reached


def test_the_norm_before_clipping_is_that_of_all_gradients_together() -> None:
    model = nn.Linear(3, 4)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape)
    whole = torch.cat([gradient(p).flatten() for p in model.parameters()])
    for clip in (None, ClipOptions(norm=0.5)):
        for native in (False, build.available()):
            options = AdamOptions(name="adam", lr=0.1, clip=clip)
            (norm,) = Optimizer(options, model, native).grad_norms()
            assert norm == pytest.approx(float(whole.norm()))


def test_parameters_without_a_gradient_are_named() -> None:
    assert diagnostics.diagnose_missing_gradients([]) == []
    (finding,) = diagnostics.diagnose_missing_gradients([f"branch.{i}" for i in range(7)])
    assert "'branch.0'" in str(finding) and "7 weight tensors" in str(finding)


@pytest.mark.parametrize("native", [False, True])
def test_a_step_without_any_gradient_changes_nothing(native: bool) -> None:
    model = nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = Optimizer(AdamOptions(name="adam"), model, native)
    assert optimizer.grad_norms() == [0.0]
    optimizer.step(0.1, [0.0])
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert len(optimizer.without_gradient) == 2


def test_a_group_without_gradients_is_passed_over() -> None:
    """Weights have gradients here, biases none."""
    model = nn.Linear(3, 2)
    bias = model.bias.detach().clone()
    weight = model.weight.detach().clone()
    optimizer = Optimizer(AdamOptions(name="adam"), model)
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step(0.1, optimizer.grad_norms())
    assert torch.equal(model.bias, bias) and not torch.equal(model.weight, weight)


# Embeddings.


def embedding_steps(options: dict[str, Any], batches: list[list[int]]) -> tuple[torch.Tensor, Any]:
    """The weights of an embedding after a step on each batch of ids, and the optimizer."""
    torch.manual_seed(0)
    model = nn.Embedding(8, 3, sparse=True)
    optimizer = Optimizer(config(optim=options).optim, model)
    for ids in batches:
        optimizer.zero_grad()
        (model(torch.tensor(ids)).square().sum() / 2).backward()
        norms = optimizer.grad_norms()
        optimizer.clip_by_value()
        optimizer.step(0.1, norms)
    return model.weight.detach(), optimizer


BATCHES = [[0, 3, 3], [1], [3, 5, 0, 0], [5, 7, 7]]


def test_adam_of_an_embedding_is_torchs_sparse_adam() -> None:
    ours, _ = embedding_steps({"name": "adam", "weight_decay": 0.0}, BATCHES)
    torch.manual_seed(0)
    model = nn.Embedding(8, 3, sparse=True)
    reference = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    for ids in BATCHES:
        reference.zero_grad()
        (model(torch.tensor(ids)).square().sum() / 2).backward()
        reference.step()
    torch.testing.assert_close(ours, model.weight.detach())


@pytest.mark.parametrize(
    "options",
    [
        {"name": "adam"},
        {"name": "adamw", "weight_decay": 0.1},
        {"name": "sgd", "momentum": 0.9},
        {"name": "rmsprop", "momentum": 0.5},
    ],
)
def test_rows_without_a_gradient_stay_and_others_step_as_if_they_were_alone(
    options: dict[str, Any],
) -> None:
    weights, optimizer = embedding_steps(options, BATCHES)
    before, _ = embedding_steps(options, [])
    assert torch.equal(weights[[2, 4, 6]], before[[2, 4, 6]])
    assert not (weights[[0, 1, 3, 5, 7]] == before[[0, 1, 3, 5, 7]]).any()
    moments = optimizer.embeddings[0].moments
    assert moments and not any(m[0][[2, 4, 6]].any() for m in moments.values())
    # The last step changes rows 5 and 7 alone.
    earlier, _ = embedding_steps(options, BATCHES[:-1])
    assert torch.equal(weights[:5], earlier[:5])


def test_gradients_of_embeddings_count_in_norm_and_clipping() -> None:
    clip = {"norm": 0.5}
    weights, _ = embedding_steps({"name": "sgd", "momentum": 0.0, "clip": clip}, [[1, 2, 2]])
    before, _ = embedding_steps({"name": "sgd"}, [])
    summed = torch.stack([before[1], 2 * before[2]])
    expected = 0.1 * 0.5 * summed / summed.norm()
    torch.testing.assert_close(before[[1, 2]] - weights[[1, 2]], expected)
    clamped, _ = embedding_steps(
        {"name": "sgd", "momentum": 0.0, "clip": {"value": 0.1}}, [[1, 2, 2]]
    )
    expected = before[[1, 2]] - 0.1 * summed.clamp(-0.1, 0.1)
    torch.testing.assert_close(clamped[[1, 2]], expected)


def test_moments_of_embeddings_are_saved_and_loaded() -> None:
    _, optimizer = embedding_steps({"name": "adam"}, BATCHES)
    state = optimizer.state_dict(0.1)
    assert state["state"][0]["exp_avg"].shape == (8, 3)
    _, fresh = embedding_steps({"name": "adam"}, [])
    fresh.load_state_dict(state)
    assert same(fresh.state_dict(0.1), state)


def test_processes_agree_on_the_rows_that_any_of_them_has_used() -> None:
    _, optimizer = embedding_steps({"name": "adam"}, [[1, 2, 2]])
    (weight,) = optimizer.parameters
    (mask,) = optimizer.used_rows()
    assert mask.tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    weight.grad = gradient(weight).to_dense()
    mask[5] = 1
    optimizer.keep_rows([mask])
    assert gradient(weight).indices()[0].tolist() == [1, 2, 5]
    # A dense gradient, of weights that are used twice, has all rows.
    weight.grad = torch.ones(8, 3)
    assert optimizer.row_gradients()[0].shape == (8, 3)


class Pair(nn.Module):
    """Two embeddings and a weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.unused = (nn.Embedding(8, 3, sparse=True) for _ in "ab")
        self.linear = nn.Linear(3, 1)


@pytest.mark.parametrize("native", [False, True])
def test_an_embedding_without_a_gradient_stays_as_it_is(native: bool) -> None:
    model = Pair()
    before = model.unused.weight.detach().clone()
    optimizer = Optimizer(AdamOptions(name="adam"), model, native and build.available())
    for ids in BATCHES:
        optimizer.zero_grad()
        model.linear(model.used(torch.tensor(ids))).square().sum().backward()
        masks = optimizer.used_rows()
        assert masks[0].nonzero().flatten().tolist() == sorted(set(ids)) and not masks[1].any()
        whole = [gradient(p).to_dense().flatten() for p in model.parameters() if p.grad is not None]
        norms = optimizer.grad_norms()
        assert norms == pytest.approx([float(torch.cat(whole).norm())])
        optimizer.step(0.1, norms)
    assert torch.equal(model.unused.weight, before)
    used, unused = optimizer.embeddings
    assert used.moments["exp_avg"][0].any() and not unused.moments["exp_avg"][0].any()


def test_an_embedding_that_native_kernels_do_not_take_steps_by_torch() -> None:
    """Such as one whose rows do not lie in memory one after another."""
    weights = []
    for transposed in (False, True):
        model = Pair()
        if transposed:
            model.used.weight.data = model.used.weight.detach().T.contiguous().T
        optimizer = Optimizer(AdamOptions(name="adam"), model, build.available())
        for ids in BATCHES:
            optimizer.zero_grad()
            model.linear(model.used(torch.tensor(ids))).square().sum().backward()
            optimizer.step(0.1, optimizer.grad_norms())
        weights.append([p.detach() for p in model.parameters()])
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("native", [False, True])
def test_a_sparse_gradient_of_another_weight_is_a_dense_one(native: bool) -> None:
    """A network of one's own may look rows up in a weight that is no embedding."""
    weights = []
    for sparse in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 8)
        optimizer = Optimizer(AdamOptions(name="adam"), model, native and build.available())
        for ids in BATCHES:
            optimizer.zero_grad()
            rows = nn.functional.embedding(torch.tensor(ids), model.weight, sparse=sparse)
            (rows.square().sum() + model.bias.square().sum()).backward()
            assert gradient(model.weight).is_sparse is sparse
            optimizer.step(0.1, optimizer.grad_norms())
        weights.append(model.weight.detach())
    assert torch.equal(*weights)


def test_embeddings_of_tokens_have_their_factor() -> None:
    model = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 1))
    options = AdamOptions(name="adam", lr_factors=LrFactors(embedding=5.0, bias=0.5))
    factors = lr_factors(options, model)
    by_name = {name: factors.get(id(p)) for name, p in model.named_parameters()}
    assert by_name == {"0.weight": 5.0, "1.weight": None, "1.bias": 0.5}
