"""Training rows that stay in the machine's memory because a GPU has no room for them.

An epoch's order is known when it starts. It is cut into chunks of whole steps, and while a chunk is
computed, a thread gathers the rows of the next one in page-locked memory and copies them on a stream of its
own into the other half of a fixed buffer on the GPU. Steps see a `TensorSplit` whose inputs are that
buffer: nothing in it changes its address, so a step can be captured, and numbers are those of a split
on the GPU.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from nnzoo.data.dataset import Split, TensorSplit, moved, split_bytes
from nnzoo.device import check_fits, gpu_memory
from nnzoo.errors import DataError
from nnzoo.text import Note

RESIDENT_FRACTION = 0.6
"""Of the free memory of a GPU that a split may take; steps need the rest."""
HALF_BYTES = 1 << 28
"""Of each half of the buffer, where there is room: some 10 ms of copying."""
MAX_FRACTION = 0.25
"""Of the free memory that both halves may take."""


@dataclass(frozen=True)
class HostSplit:
    """A split whose inputs stay in the machine's memory; targets and weights are on the GPU.

    A batch outside of training steps is gathered and copied when it is asked for.
    """

    host: TensorSplit
    y: Tensor
    weights: Tensor | None
    device: torch.device
    lengths: ClassVar[None] = None

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        x = self.host.batch(rows.cpu())[0]
        return x.to(self.device), self.y.index_select(0, rows)

    def targets(self) -> Tensor:
        return self.y

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> HostSplit:
        return host_split(self.host.map(inputs, targets), self.device)

    def to(self, device: torch.device) -> TensorSplit:
        return self.host.to(device)

    def tensors(self) -> list[Tensor]:
        return self.host.tensors()

    def contents(self) -> Iterator[tuple[tuple[int, ...], Iterator[Tensor]]]:
        return self.host.contents()


def place_split(split: Split, device: torch.device) -> Split:
    """The rows of a split on a GPU; those of images and tables that a GPU has no room for stay where they are.
    Raises DataError for windows and sequences without room."""
    size, memory = split_bytes(split), gpu_memory(device)
    if isinstance(split, TensorSplit) and memory and size > memory[0] * RESIDENT_FRACTION:
        return host_split(split, device)
    what = f"a split of {len(split):,} rows"
    check_fits(size, device, what, "use fewer rows, or --device cpu")
    return split.to(device)


def stream_notes(splits: dict[str, Split]) -> list[str]:
    """A note on each split that stays in the machine's memory."""
    return [
        Note(
            "N51",
            f"{name}: {len(split):,} rows of {split_bytes(split) / 1e9:,.1f} GB stay in this machine's memory and "
            f"stream to {split.device}, which has too little",
        )
        for name, split in splits.items()
        if isinstance(split, HostSplit)
    ]


def row_stream(split: Split, step_sizes: Sequence[int]) -> RowStream | None:
    """Return the stream of a split's rows to the GPU; None where they are on it."""
    if not isinstance(split, HostSplit):
        return None
    memory = gpu_memory(split.device)
    return RowStream(split, max(step_sizes), None if memory is None else memory[0])


def host_split(split: TensorSplit, device: torch.device) -> HostSplit:
    """The rows of a split on the CPU for a GPU without room for them."""
    return HostSplit(split, split.y.to(device), moved(split.weights, device), device)


class RowStream:
    """The rows of training steps on their way to the GPU.

    split: what steps take their batches from, (2 * capacity, *shape) inputs at a fixed address. Each epoch begins
    with `start_epoch`, each step with `load`.
    """

    def __init__(self, split: HostSplit, largest_step: int, free: int | None) -> None:
        """free: bytes of the GPU's memory that are free, None if unknown; largest_step: rows. Raises DataError if
        they do not fit twice."""
        shape, dtype = split.host.x.shape[1:], split.host.x.dtype
        row = max(1, split.host.x[:1].nbytes)
        most = HALF_BYTES if free is None else min(HALF_BYTES, int(free * MAX_FRACTION / 2))
        self.capacity = min(len(split), max(largest_step, most // row))
        needed = 2 * self.capacity * row
        if free is not None and needed > free:
            raise DataError.at(
                "train.batch_size",
                f"two steps of {largest_step:,} rows would take {needed / 1e9:,.1f} GB of the memory of "
                f"{split.device}, which has {free / 1e9:,.1f} GB free; use smaller batches",
                code="E53",
            )
        self.host, self.device = split.host, split.device
        # Zeros: a step that is timed before an epoch has begun must find numbers.
        inputs = torch.zeros((2 * self.capacity, *shape), dtype=dtype, device=self.device)
        places = torch.zeros(len(split), dtype=torch.int64, device=self.device)
        self.split = TensorSplit(inputs, split.y, places, weights=split.weights)
        self.halves = inputs[: self.capacity], inputs[self.capacity :]
        self.staging = page_locked((self.capacity, *shape), dtype)
        self.copies = torch.cuda.Stream(self.device)
        self.thread = ThreadPoolExecutor(1, "nnzoo-rows")
        self.chunks: list[Tensor] = []
        self.first_steps: list[int] = []
        """The step of the epoch with which each chunk begins, and their number at the end."""
        self.chunk: int | None = None
        """The chunk that is computed."""
        self.next: Future[None] | None = None

    def start_epoch(self, rows: Tensor, step_sizes: Sequence[int]) -> None:
        """Plan an epoch. rows: their numbers (n,) int64 on the CPU in their order, divided into steps of these sizes."""
        self._drain()
        self.first_steps, places = chunk_steps(step_sizes, self.capacity)
        starts = [0, *accumulate(step_sizes)]
        bounds = [starts[step] for step in self.first_steps]
        self.chunks = [rows[a:b] for a, b in pairwise(bounds)]
        of_rows = torch.zeros(len(self.host), dtype=torch.int64)
        of_rows[rows] = places
        assert self.split.rows is not None
        self.split.rows.copy_(of_rows)

    def load(self, step: int) -> int:
        """Wait until the rows of a step of the epoch, counted from 0, are on the GPU.

        Returns how many steps, this one included, need no further call. A step of no epoch needs no rows.
        """
        if not self.chunks:
            return 1
        chunk = bisect_right(self.first_steps, step) - 1
        if chunk != self.chunk:
            if self.next is None or self.chunk is None or chunk != self.chunk + 1:
                self._drain()
                self._send(chunk)
            assert self.next is not None
            self.next.result()
            self.chunk, self.next = chunk, None
            if chunk + 1 < len(self.chunks):
                self._send(chunk + 1)
        return self.first_steps[chunk + 1] - step

    def _send(self, chunk: int) -> None:
        """Begin to bring a chunk to its half, once what has been launched so far has read it."""
        read = torch.cuda.Event()
        read.record(torch.cuda.current_stream(self.device))
        self.next = self.thread.submit(self._copy, chunk, read)

    def _copy(self, chunk: int, read: Any) -> None:
        rows = self.chunks[chunk]
        staging = self.staging[: len(rows)]
        self.host.gather(rows, staging)
        self.copies.wait_event(read)
        with torch.cuda.stream(self.copies):
            self.halves[chunk % 2][: len(rows)].copy_(staging, non_blocking=True)
        self.copies.synchronize()

    def _drain(self) -> None:
        """Wait for the thread; what it has copied is not used."""
        if self.next is not None:
            self.next.result()
        self.chunk, self.next = None, None


def chunk_steps(step_sizes: Sequence[int], capacity: int) -> tuple[list[int], Tensor]:
    """Divide the steps of an epoch into chunks of at most `capacity` rows, each of them at least one step.

    Returns the first step of each chunk, and the number of steps; and each row's place in a buffer of two halves of
    `capacity` rows (n,) int64, which chunks take alternately.
    """
    first_steps, rows = [0], 0
    places = []
    for step, size in enumerate(step_sizes):
        if rows + size > capacity:
            first_steps.append(step)
            rows = 0
        start = (len(first_steps) - 1) % 2 * capacity + rows
        places.append(torch.arange(start, start + size))
        rows += size
    return [*first_steps, len(step_sizes)], torch.cat(places)


def page_locked(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory that a GPU copies from by itself, while the host goes on; ordinary memory where the system locks no more."""
    try:
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    except RuntimeError:
        return torch.empty(shape, dtype=dtype)
