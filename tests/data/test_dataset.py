"""Splits that share one tensor: batches, chunks, copies to a device, and their size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnzoo.data import dataset
from nnzoo.data.dataset import TensorSplit, make_splits, max_input_size, split_bytes

X = torch.arange(24, dtype=torch.float64).view(6, 4)
Y = torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture
def part() -> TensorSplit:
    """Three rows of a tensor that other splits share."""
    return TensorSplit(X, Y[[5, 0, 2]], rows=torch.tensor([5, 0, 2]))


def test_rows_of_a_batch_are_those_of_the_split(part: TensorSplit) -> None:
    x, y = part.batch(torch.tensor([2, 0]))
    assert torch.equal(x, X[[2, 5]]) and y.tolist() == [2, 2]
    assert len(part) == 3 and torch.equal(part.targets(), Y[[5, 0, 2]])
    tensors = part.tensors()
    assert torch.equal(tensors[0], X[[5, 0, 2]])


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_chunks_are_the_whole_in_order(
    part: TensorSplit, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "CHUNK_BYTES", rows * X[0].nbytes)
    chunks = list(part.inputs())
    assert max(map(len, chunks)) <= rows
    assert torch.equal(torch.cat(chunks), X[[5, 0, 2]])


def test_a_copy_on_another_device_holds_its_own_rows_alone(part: TensorSplit) -> None:
    assert part.to(torch.device("cpu")) is part
    copy = part.to(torch.device("meta"))
    assert copy.rows is None and copy.x.shape == (3, 4) and copy.x.dtype == X.dtype
    assert copy.y.device.type == "meta"


def test_mapped_values_keep_the_rows(part: TensorSplit) -> None:
    mapped = part.map(lambda x: x.float() / 2, lambda y: y + 1)
    x, y = mapped.batch(torch.tensor([1]))
    assert (x.dtype, x.tolist(), y.tolist()) == (torch.float32, (X[:1] / 2).tolist(), [1])
    assert X.dtype == torch.float64, "the shared tensor is not changed"


def test_the_size_counts_the_rows_of_the_split_and_not_the_shared_tensor(
    part: TensorSplit,
) -> None:
    assert split_bytes(part) == 3 * 4 * 8 + 3 * 8
    assert split_bytes(TensorSplit(X, Y)) == X.nbytes + Y.nbytes
    assert max_input_size(part) == 4


def test_splits_divide_the_rows_of_a_table() -> None:
    splits = make_splits(X, Y, {"train": np.array([0, 2, 4]), "val": np.array([1, 3, 5])})
    assert list(splits) == ["train", "val"]
    for start, split in enumerate(splits.values()):
        x, y = split.batch(torch.arange(3))
        assert torch.equal(x, X[start::2]) and torch.equal(y, Y[start::2])
    (whole,) = make_splits(X, Y, {"train": np.arange(6)}).values()
    assert isinstance(whole, TensorSplit) and whole.x.data_ptr() == X.data_ptr(), "no copy"
