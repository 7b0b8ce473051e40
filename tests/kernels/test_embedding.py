"""Gradients of embeddings and steps of their used rows: torch's numbers, whatever the number of threads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.model_options import LstmOptions, MlpOptions
from nnzoo.config.optim_options import AdamOptions, AdamWOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import GatheredSequences
from nnzoo.kernels import build
from nnzoo.kernels.adam import AdamRows, AdamStep, ParameterTable, grad_norm
from nnzoo.kernels.embedding import (
    EmbeddingMeans,
    EmbeddingRows,
    coalesce_rows,
    sum_by_id,
    supports_embedding,
)
from nnzoo.models.embedding import Embedding, EmbeddingMean
from nnzoo.models.packed import pack
from nnzoo.training.optim import Optimizer

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def skewed_ids(count: int, vocabulary: int) -> Tensor:
    """Ids of which some are frequent and many are missing."""
    return (torch.rand(count).pow(4) * vocabulary).to(torch.int32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (500, 65, 33), (300, 2049, 4), (90, 5_000_000, 2)])
def test_gradients_of_rows_are_torchs(dtype: torch.dtype, sizes: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    count, vocabulary, width = sizes
    ids = skewed_ids(count, vocabulary)
    weight = torch.randn(vocabulary, width, dtype=dtype, requires_grad=True)
    assert supports_embedding(ids, weight)
    dy = torch.randn(count, width, dtype=dtype)
    expected = functional.embedding(ids, weight, sparse=True)
    (gradient,) = torch.autograd.grad(expected, weight, dy)
    actual = EmbeddingRows.apply(ids, weight)
    assert torch.equal(actual, expected)
    (sparse,) = torch.autograd.grad(actual, weight, dy)
    assert sparse.is_coalesced() and torch.equal(sparse.indices()[0], ids.unique().long())
    torch.testing.assert_close(sparse.values(), gradient.coalesce().values())


def test_gradients_of_means_are_torchs() -> None:
    torch.manual_seed(1)
    lengths = torch.tensor([3, 1, 90, 7])
    ids, weight = skewed_ids(101, 40), torch.randn(40, 5, requires_grad=True)
    offsets = (lengths.cumsum(0) - lengths).to(torch.int32)
    expected = functional.embedding_bag(ids, weight, offsets, mode="mean", sparse=True)
    dy = torch.randn(4, 5)
    (gradient,) = torch.autograd.grad(expected, weight, dy)
    actual = EmbeddingMeans.apply(ids, lengths, weight)
    assert torch.equal(actual, expected)
    (sparse,) = torch.autograd.grad(actual, weight, dy)
    assert sparse.is_coalesced()
    torch.testing.assert_close(sparse.to_dense(), gradient.to_dense())
    with pytest.raises(ValueError, match="do not have 101 tokens"):
        EmbeddingMeans.apply(ids, lengths + 1, weight)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    ids, rows = skewed_ids(3000, 65), torch.randn(3000, 64)
    before, actual = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 70):  # 70: more than different ids
            torch.set_num_threads(threads)
            gradient = sum_by_id(ids, rows, 65)
            actual.append((gradient.indices(), gradient.values(), grad_norm(rows)))
    finally:
        torch.set_num_threads(before)
    for indices, values, norm in actual[1:]:
        assert torch.equal(indices, actual[0][0]) and torch.equal(values, actual[0][1])
        assert norm == actual[0][2]
    assert norm == pytest.approx(float(rows.double().norm()), rel=1e-6)


@pytest.mark.parametrize("wrong", [-1, 65, 2**31 - 1, -(2**31)])
def test_an_id_that_does_not_exist_is_an_error(wrong: int) -> None:
    ids = torch.tensor([3, wrong, 4], dtype=torch.int32)
    with pytest.raises(IndexError, match="not within the 65"):
        sum_by_id(ids, torch.randn(3, 2), 65)
    with pytest.raises(IndexError):
        sum_by_id(ids.clamp(0, 64), torch.randn(2, 2), 65, torch.tensor([0, 1, 2]))


def test_gradients_of_several_passes_are_summed_per_row() -> None:
    weight = torch.randn(9, 3, requires_grad=True)
    for ids in ([1, 8, 1], [8, 0]):
        EmbeddingRows.apply(torch.tensor(ids, dtype=torch.int32), weight).sum().backward()
    assert weight.grad is not None and not weight.grad.is_coalesced()
    gradient = coalesce_rows(weight.grad)
    assert gradient.indices().tolist() == [[0, 1, 8]]
    assert torch.equal(gradient.to_dense(), weight.grad.to_dense())


class Texts(nn.Module):
    """A text's mean embedding and a linear layer, by native kernels or torch."""

    def __init__(self, options: Any, native: bool) -> None:
        super().__init__()
        self.embedding = options()
        self.embedding.use_native = native
        self.head = nn.Linear(6, 2)

    def forward(self, x: Any) -> Tensor:
        output: Tensor = self.head(self.embedding(x))
        return output


@pytest.mark.parametrize("clip", [None, 0.01])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_steps_of_rows_are_those_of_torch(name: str, clip: float | None) -> None:
    spec = InputSpec("tokens", (30, 1), variable_length=True, vocabulary=50)
    model_options = MlpOptions(name="mlp", embedding=6)
    make = {"adam": AdamOptions, "adamw": AdamWOptions}[name]
    options = make(name=name, lr=0.1, weight_decay=0.1, clip=clip and {"norm": clip})
    torch.manual_seed(4)
    start = Texts(lambda: EmbeddingMean(model_options, spec), True)
    finals = []
    for native in (True, False):
        model = Texts(lambda: EmbeddingMean(model_options, spec), native)
        model.load_state_dict(start.state_dict())
        optimizer = Optimizer(options, model, native)
        torch.manual_seed(5)
        for _ in range(5):
            rows, lengths = skewed_ids(200, 40).view(-1, 1), torch.randint(1, 30, (8,))
            x = GatheredSequences(rows, torch.randint(0, 100, (8,)), lengths)
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step(0.1, optimizer.grad_norms())
        finals.append(
            [p.detach() for p in model.parameters()] + optimizer.embeddings[0].moments["exp_avg_sq"]
        )
    # Adam divides by small roots: the weights of rows with tiny gradients differ the most.
    for actual, expected in zip(*finals, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(finals[0][0][40:], start.embedding.weight[40:])  # never seen


def test_a_step_of_all_rows_is_the_dense_step_to_the_bit() -> None:
    torch.manual_seed(6)
    weight, grad = torch.randn(37, 19), torch.randn(37, 19)
    averages = [torch.randn(37, 19), torch.rand(37, 19)]
    step = AdamStep(0.1, (0.9, 0.99), 1e-8, False, 3)
    dense = [t.clone() for t in (weight, *averages)]
    ParameterTable(dense[:1], [0.2], 1, dense[1:2], dense[2:]).adam_step([grad], step, [2.0])
    version = weight._version
    AdamRows(weight, averages[0], averages[1], 0.2).step(torch.arange(37), grad, step, 2.0)
    assert all(map(torch.equal, (weight, *averages), dense))
    assert weight._version > version


@pytest.mark.parametrize("rows", [[0, 0], [1, 0], [-1, 0], [0, 4]])
def test_rows_that_do_not_exist_or_come_twice_are_refused(rows: list[int]) -> None:
    table = AdamRows(torch.zeros(4, 2), torch.zeros(4, 2), torch.zeros(4, 2), 0.0)
    assert table.is_supported
    with pytest.raises(IndexError):
        table.step(
            torch.tensor(rows), torch.zeros(2, 2), AdamStep(0.1, (0.9, 0.9), 1e-8, False, 1), 1.0
        )
    with pytest.raises(ValueError, match="dense tensor"):
        table.step(
            torch.tensor([1]), torch.zeros(2, 2), AdamStep(0.1, (0.9, 0.9), 1e-8, False, 1), 1.0
        )


def test_ids_are_packed_as_they_are() -> None:
    rows = torch.randint(-(2**31), 2**31 - 1, (50, 1), dtype=torch.int64).to(torch.int32)
    x = GatheredSequences(rows, torch.tensor([7, 0, 20]), torch.tensor([3, 9, 1]))
    packed = pack(x)
    assert packed.values.dtype is torch.int32
    assert torch.equal(packed.padded().values, x.values)


def test_embeddings_have_torchs_rows_in_every_form_of_input() -> None:
    spec = InputSpec("tokens", (9, 1), variable_length=True, vocabulary=50)
    embedding = Embedding(LstmOptions(name="lstm", embedding=6), spec)
    batch = torch.randint(50, (3, 9, 1), dtype=torch.int32)
    x = GatheredSequences(batch.view(-1, 1), torch.tensor([9, 0, 20]), torch.tensor([3, 9, 1]))
    forms = batch, x, pack(x)
    for form in forms:
        actual = embedding(form)
        embedding.use_native = False
        expected = embedding(form)
        embedding.use_native = True
        pair = (actual, expected) if form is batch else (actual.values, expected.values)
        assert torch.equal(*pair)
