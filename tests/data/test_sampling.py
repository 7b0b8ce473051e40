"""Batches and the order of their rows."""

from __future__ import annotations

import torch

from nnzoo.data.sampling import batch_sizes, derive_seed, epoch_permutation


def test_batches_cover_every_row_once_and_never_end_with_a_single_row() -> None:
    for rows in range(1, 40):
        for size in range(1, 9):
            sizes = batch_sizes(rows, size)
            assert sum(sizes) == rows
            assert max(sizes) <= size + 1
            assert size == 1 or rows == 1 or min(sizes) > 1


def test_the_order_of_an_epoch_follows_from_seed_and_epoch_alone() -> None:
    first = epoch_permutation(100, 7, 3)
    torch.rand(5)
    assert torch.equal(first, epoch_permutation(100, 7, 3))
    assert sorted(first.tolist()) == list(range(100))
    others = [epoch_permutation(100, 7, 4), epoch_permutation(100, 8, 3)]
    assert not any(torch.equal(first, other) for other in others)
    assert (
        len(
            {
                derive_seed(0, *path)
                for path in [("step", 1), ("step", 2), ("augment", 1), (11,), (1, 1)]
            }
        )
        == 5
    )
