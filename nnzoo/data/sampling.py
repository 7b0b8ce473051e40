"""Shuffling and seeds: the rows of each batch and every other random draw, as pure functions of a few integers.

Randomness is derived, not stored: the order of an epoch from (seed, epoch), dropout and
augmentation from (seed, step). The position of a run is therefore three integers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor


class BatchShard(NamedTuple):
    """The rows of a batch that one process has, from `start` to before `stop` of `total`.

    Random values are drawn for the whole batch, of which a shard is taken: so they do not depend on
    the number of processes.
    """

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def of(self, whole: Tensor, dim: int = 0) -> Tensor:
        """This shard of a tensor with `total` rows in dimension `dim`; a view."""
        return whole if self.rows == self.total else whole.narrow(dim, self.start, self.rows)


_shards: list[BatchShard] = []


@contextmanager
def batch_shard(shard: BatchShard) -> Iterator[None]:
    """Layers draw for the whole batch of which the network is given a shard."""
    _shards.append(shard)
    try:
        yield
    finally:
        _shards.pop()


def current_shard() -> BatchShard | None:
    """The shard that the network is given; None where it is given whole batches."""
    return _shards[-1] if _shards else None


def derive_seed(seed: int, *path: int | str) -> int:
    """A seed of 63 bits for one purpose, independent of every other purpose's."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_all(seed: int, device: torch.device) -> None:
    """Seed what torch draws from on the CPU and on this device. torch.manual_seed looks for every
    kind of device first, which takes 50 to 150 µs of a step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        # By its number: torch.cuda.manual_seed means the current device, which may be another one.
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)


def epoch_permutation(rows: int, seed: int, epoch: int) -> Tensor:
    """The row numbers (int64) of one epoch in their order."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(rows, generator=generator)


def stream_order(sizes: list[int]) -> Tensor:
    """The row numbers (int64) of one epoch in which row i of each batch of the first size follows row i of the batch
    before it: a text in as many streams as a batch has rows. sizes: rows of each batch."""
    streams, steps = sizes[0], sum(size == sizes[0] for size in sizes)
    order = torch.arange(streams * steps).view(streams, steps).T.flatten()
    return torch.cat([order, torch.arange(streams * steps, sum(sizes))])


BUCKET_BATCHES = 50
"""Batches among whose rows those of like lengths are put together."""


def bucketed_permutation(lengths: Tensor, sizes: list[int], seed: int, epoch: int) -> Tensor:
    """The row numbers (int64) of one epoch, in whose batches rows are of like lengths, the longest first.

    lengths: (rows,) int64; sizes: rows of each batch. Rows are shuffled, those of `BUCKET_BATCHES` batches at a time
    are sorted by length and cut into batches, and all batches are shuffled; one of another size, the last, is cut out
    at a random place and stays last.
    """
    order = epoch_permutation(len(lengths), seed, epoch)
    generator = torch.Generator().manual_seed(derive_seed(seed, "buckets", epoch))
    batches: list[Tensor] = []
    last: list[Tensor] = []
    start = 0
    for first in range(0, len(sizes), BUCKET_BATCHES):
        pool = sizes[first : first + BUCKET_BATCHES]
        rows = order[start : start + sum(pool)]
        start += len(rows)
        rows = rows[lengths[rows].argsort(descending=True, stable=True)]
        if pool[-1] != sizes[0]:
            first_row = int(torch.randint(len(rows) - pool[-1] + 1, (1,), generator=generator))
            last = [rows[first_row : first_row + pool[-1]]]
            rows = torch.cat([rows[:first_row], rows[first_row + pool[-1] :]])
        batches += rows.split(sizes[0])
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return torch.cat([*(batches[i] for i in shuffled), *last])


def batch_sizes(rows: int, size: int) -> list[int]:
    """`rows` cut into batches of `size`; a last one of a single row joins the one before, because
    batch norm cannot take the statistics of one row."""
    sizes = [size] * (rows // size)
    rest = rows % size
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes
