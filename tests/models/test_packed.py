"""Batches without their padding, and back."""

from __future__ import annotations

import pytest
import torch

from nnzoo.data.sampling import BatchShard, batch_shard
from nnzoo.data.sequences import PaddedSequences, pad
from nnzoo.models.packed import pack, packed_dropout


def batch(lengths: list[int], time: int) -> PaddedSequences:
    """Numbers that tell sequence and step, NaN behind each end."""
    values = torch.full((len(lengths), time, 2), torch.nan)
    for i, length in enumerate(lengths):
        values[i, :length, 0], values[i, :length, 1] = float(i), torch.arange(length).float()
    return PaddedSequences(values, torch.tensor(lengths))


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("lengths", [[4, 3, 2, 1], [1, 4, 2, 3], [2, 2, 2, 2]])
@pytest.mark.parametrize("time", [4, 6])
def test_padding_goes_and_the_batch_comes_back(lengths: list[int], members: int, time: int) -> None:
    x = batch(lengths, time)
    rows = pack(x, members)
    assert len(rows) == 4 and rows.values.shape == (sum(lengths), 2)
    assert not rows.values.isnan().any()
    back = rows.padded()
    assert back.lengths.tolist() == lengths
    assert back.values.shape[1] == max(lengths), "no longer than the longest of the batch"
    for i, length in enumerate(lengths):
        assert torch.equal(back.values[i, :length], x.values[i, :length])
        assert not back.values[i, length:].any()


def test_results_of_sequences_return_to_the_order_of_the_batch() -> None:
    lengths = [1, 4, 2, 3]
    rows = pack(batch(lengths, 4), members=2)
    order = torch.arange(4) if rows.order is None else rows.order
    assert order.tolist() == [1, 0, 3, 2], "the longest first within each member"
    assert torch.equal(rows.unsorted(torch.tensor(lengths)[order]), torch.tensor(lengths))
    assert pack(batch([3, 3, 1], 3)).order is None


def test_other_values_of_the_same_steps_keep_their_places() -> None:
    rows = pack(batch([2, 3], 3))
    double = rows.with_values(2 * rows.values.double())
    assert double.values.dtype == torch.float64 and double.float().values.dtype == torch.float32
    assert torch.equal(double.padded().values, 2 * rows.padded().values.double())


def test_dropout_of_a_shard_is_that_of_the_whole_batch() -> None:
    """A shard, and a member, may be shorter than the batch in which it is computed."""
    x = pad([torch.ones(n, 50) for n in (7, 6, 4, 2, 2)])

    def dropped(x: PaddedSequences, members: int = 1, seed: int = 3) -> torch.Tensor:
        torch.manual_seed(seed)
        packed = pack(x, members)
        generators = [torch.Generator().manual_seed(seed) for _ in range(members)]
        rows = packed_dropout(packed.values, packed, 0.3, generators)
        return packed.with_values(rows).padded().values

    whole = dropped(x)
    assert 0.25 < float((whole[x.mask] == 0).double().mean()) < 0.35
    with batch_shard(BatchShard(2, 5, 5)):
        assert torch.equal(dropped(x[2:5]), whole[2:5, :4])
    both = PaddedSequences(x.values.repeat(2, 1, 1), x.lengths.repeat(2))
    assert torch.equal(dropped(both, members=2), whole.repeat(2, 1, 1))
    assert not torch.equal(dropped(x, seed=4), whole)
