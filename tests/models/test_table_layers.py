"""Embeddings of numbers and categories, scaled inputs, learned activations, and ensembles in one network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.model_options import (
    CategoryEmbeddingOptions,
    MlpOptions,
    NumericEmbeddingOptions,
)
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.models.mlp import MLP
from nnzoo.models.table_layers import (
    CategoryEmbedding,
    EnsembleInput,
    EnsembleOutput,
    InputScale,
    LearnedActivation,
    NumericEmbedding,
)
from nnzoo.runs.train import train as train_run
from nnzoo.training.trainer import EpochEnd
from tests.training.group_cases import far, group_of, last, train
from tests.zoo import begin, config, finish, same

# Two numbers, then the one-hot columns of categories of 3 and of 4.
TABLE = InputSpec("table", (9,), category_sizes=(3, 4))
EVERYTHING: dict[str, Any] = {
    "name": "mlp",
    "hidden": [8, 6],
    "activation": "mish",
    "dropout": 0.2,
    "learn_activation": True,
    "input_scale": True,
    "numeric_embedding": {"size": 3, "frequencies": 5},
    "ensemble": 3,
}
CASES: dict[str, dict[str, Any]] = {
    "everything": EVERYTHING,
    "ensemble of ReLU, natively": {"name": "mlp", "hidden": [8], "ensemble": 4, "dropout": 0.1},
    "selu": {"name": "mlp", "hidden": [8], "activation": "selu", "norm": "layer", "ensemble": 2},
}


def rows_of(spec: InputSpec, count: int = 7) -> Tensor:
    return torch.randn(count, spec.size, generator=torch.Generator().manual_seed(1))


def test_a_number_becomes_itself_and_a_map_of_cosines_of_its_own() -> None:
    layer = NumericEmbedding(NumericEmbeddingOptions(size=4, frequencies=5, std=0.7), TABLE)
    nn.init.normal_(layer.bias)
    x = rows_of(TABLE)
    y = layer(x)
    assert y.shape == (7, layer.out_features) == (7, 2 * 4 + 7)
    assert torch.equal(y[:, 8:], x[:, 2:])
    frequencies, phases = layer.frequencies.view(2, 5), layer.phases.view(2, 5)
    for i in range(2):
        waves = torch.cos(2 * math.pi * x[:, i, None] * frequencies[i] + phases[i])
        expected = waves @ layer.weight[i] + layer.bias.view(2, 3)[i]
        assert torch.equal(y[:, 4 * i], x[:, i])
        torch.testing.assert_close(y[:, 4 * i + 1 : 4 * i + 4], expected)
    assert frequencies.std().item() == pytest.approx(0.7, rel=0.6)


def test_a_category_of_many_becomes_a_vector_and_a_missing_one_zeros() -> None:
    layer = CategoryEmbedding(CategoryEmbeddingOptions(size=2, above=3), TABLE, 9)
    x = torch.zeros(3, 9)
    x[0, 2], x[0, 5] = 1, 1
    x[1, 4], x[1, 8] = 1, 1
    y = layer(x)
    assert y.shape == (3, layer.out_features) == (3, 2 + 3 + 2)
    assert torch.equal(y[:, :5], x[:, :5])
    assert torch.equal(y[:, 5:], torch.stack([layer.weight[0], layer.weight[3], torch.zeros(2)]))
    without_numbers = InputSpec("table", (4,), category_sizes=(4,))
    only = CategoryEmbedding(CategoryEmbeddingOptions(size=2, above=3), without_numbers, 4)
    assert torch.equal(only(torch.eye(4)), only.weight)


def test_what_the_layers_learn_begins_as_the_identity() -> None:
    x = rows_of(TABLE)
    assert torch.equal(InputScale(9)(x), x)
    torch.testing.assert_close(LearnedActivation(nn.SELU(), 9)(x), functional.selu(x))
    linear = LearnedActivation(nn.Mish(), 9)
    nn.init.zeros_(linear.strength)
    assert torch.equal(linear(x), x)


@pytest.mark.parametrize(
    "layer",
    [
        NumericEmbedding(NumericEmbeddingOptions(size=3, frequencies=2), TABLE),
        CategoryEmbedding(CategoryEmbeddingOptions(size=2, above=3), TABLE, 9),
        InputScale(9),
        LearnedActivation(nn.Mish(), 9),
        EnsembleInput(3, 9),
        EnsembleOutput(2, 9, 4, "xavier_uniform"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_gradients_are_those_of_finite_differences(layer: nn.Module) -> None:
    layer = layer.double()
    names, tensors = zip(*layer.named_parameters(), strict=True)

    def forward(x: Tensor, *values: Tensor) -> Any:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), x)

    x = rows_of(TABLE, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(forward, (x, *tensors))


def test_an_ensemble_is_networks_with_the_same_hidden_layers() -> None:
    options = MlpOptions(name="mlp", hidden=[8], ensemble=3)
    model = MLP(options, InputSpec("table", (5,)), 4)
    layers: Any = model
    first, linear, last_ = layers[1], layers[2], layers[4]
    x = torch.randn(6, 5)
    members = [
        functional.relu(linear(x * factors)) @ weight.T + bias
        for factors, weight, bias in zip(
            first.factors.view(3, 5), last_.weight, last_.bias.view(3, 4), strict=True
        )
    ]
    assert set(first.factors.tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(model(x), torch.stack(members, 1).flatten(0, 1))
    torch.testing.assert_close(model.eval()(x), torch.stack(members).mean(0))


def test_each_member_of_an_ensemble_learns_by_its_own_loss(tmp_path: Path) -> None:
    model = {"name": "mlp", "hidden": [8], "ensemble": 3}
    run = begin(config(model, "table_classes", train={"epochs": 1, "batch_size": 200}), tmp_path)
    trainer, split = run.trainer, run.trainer.splits["train"]
    rows = trainer.epoch_rows()
    x, y = split.batch(rows)
    with torch.no_grad():
        outputs = trainer.network.train()(x).unflatten(0, (-1, 3))
        losses = [functional.cross_entropy(outputs[:, i], y) for i in range(3)]
        correct = (outputs.argmax(2) == y[:, None]).float().mean()
    (row,) = finish(run)
    assert row["train_loss"] == pytest.approx(float(sum(losses)) / 3, rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(float(correct))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("case", CASES)
def test_seeds_in_one_batch_are_what_they_are_alone(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_config = config(CASES[case], "table_classes", train={"epochs": 2, "batch_size": 50})
    group = group_of(run_config, 2)
    together = train(group)
    for i, member in enumerate(group.members):
        single = begin(member.config, "single")
        assert far(together[i], finish(single)) < 1e-4
        ours = last(group, i)["model"]
        assert far(ours, {k: v.cpu() for k, v in single.trainer.model.state_dict().items()}) < 1e-3


@pytest.mark.parametrize("data", ["table_number", "image", "series"])
def test_a_run_with_an_ensemble_resumes_to_the_same_bits(data: str, tmp_path: Path) -> None:
    model = {"name": "mlp", "hidden": [8], "ensemble": 3, "dropout": 0.1, "input_scale": True}
    optim = {"name": "adamw", "schedule": "coslog", "lr_factors": {"bias": 0.1, "input_scale": 6}}
    full = config(model, data, optim=optim, train={"epochs": 2, "save_every": "1 epoch"})
    finish(whole := begin(full, tmp_path / "whole"))
    half = begin(full, tmp_path / "half")
    events = train_run(half)
    while not isinstance(next(events), EpochEnd):
        pass
    events.close()
    half.lock.release()
    assert half.folder.last.exists()
    finish(resumed := begin(full, tmp_path / "half"))
    assert same(resumed.trainer.model.state_dict(), whole.trainer.model.state_dict())


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({"numeric_embedding": {}}, "image", r"numeric_embedding +needs columns of numbers"),
        ({"category_embedding": {}}, "table_classes", "no column has more than 9 categories"),
    ],
)
def test_embeddings_without_columns_for_them_are_refused(
    options: dict[str, Any], data: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        begin(config({"name": "mlp", **options}, data), tmp_path)
