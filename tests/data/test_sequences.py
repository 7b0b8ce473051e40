"""Batches of sequences of different lengths, and the buckets from which they are drawn."""

from __future__ import annotations

import pytest
import torch

from nnzoo.data.sampling import batch_sizes, bucketed_permutation
from nnzoo.data.sequences import PaddedSequences, SequenceSplit, map_values, pad, repeat_rows

SEQUENCES = [
    torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    torch.tensor([[5.0, 6.0]]),
    torch.tensor([[7.0, 8.0], [9.0, 10.0], [11.0, 12.0]]),
]
SPLIT = SequenceSplit(torch.cat(SEQUENCES), torch.tensor([0, 2, 3, 6]), torch.tensor([0, 1, 2]))


def test_a_batch_is_padded_to_its_longest_sequence() -> None:
    x, y = SPLIT.batch(torch.tensor([1, 0]))
    assert x.values.tolist() == [[[5, 6], [0, 0]], [[1, 2], [3, 4]]]
    assert x.lengths.tolist() == [1, 2] and y.tolist() == [1, 0]
    assert x.mask.tolist() == [[True, False], [True, True]]


def test_padding_stays_zero_under_a_function_of_the_values() -> None:
    x = map_values(lambda values: values + 1, pad(SEQUENCES[:2]))
    assert isinstance(x, PaddedSequences)
    assert x.values[1].tolist() == [[6, 7], [0, 0]]


def test_selected_rows_are_those_sequences() -> None:
    some = SPLIT.select(torch.tensor([2, 0]))
    assert some.lengths.tolist() == [3, 2] and some.y.tolist() == [2, 0]
    assert torch.equal(some.values, torch.cat([SEQUENCES[2], SEQUENCES[0]]))


def test_rows_of_a_batch_are_padded_to_the_longest_of_them() -> None:
    x = pad(SEQUENCES)[torch.tensor([1, 0])]
    assert x.values.shape == (2, 2, 2) and x.lengths.tolist() == [1, 2]
    twice = repeat_rows(x, 2)
    assert isinstance(twice, PaddedSequences) and twice.lengths.tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize(("rows", "size"), [(1, 4), (7, 3), (10, 3), (640, 8), (1003, 8), (5, 64)])
def test_buckets_are_a_permutation_whose_batches_are_sorted(rows: int, size: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    lengths = torch.randint(1, 100, (rows,), generator=generator)
    sizes = batch_sizes(rows, size)
    order = bucketed_permutation(lengths, sizes, 3, 5)
    assert torch.equal(order.sort().values, torch.arange(rows))
    assert torch.equal(order, bucketed_permutation(lengths, sizes, 3, 5))
    for batch in order.split(sizes):
        assert torch.equal(lengths[batch], lengths[batch].sort(descending=True).values)
    if rows > size:
        assert not torch.equal(order, bucketed_permutation(lengths, sizes, 3, 6))


def test_padding_of_bucketed_batches_is_below_five_percent() -> None:
    lengths = torch.randint(10, 401, (25_000,), generator=torch.Generator().manual_seed(0))
    sizes = batch_sizes(len(lengths), 64)
    batches = bucketed_permutation(lengths, sizes, 0, 0).split(sizes)
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    assert 1 - int(lengths.sum()) / padded < 0.05
