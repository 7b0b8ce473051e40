"""Data sets and their splits: whole tensors on the device, batched by row numbers.

Small data is kept in compact form (images as uint8), so that a batch is one gather and no copy.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.data_spec import DataSpec
from nnzoo.errors import DataError
from nnzoo.status import status

if TYPE_CHECKING:
    from nnzoo.data.timestamps.index import TimeIndex

SPLITS = ("train", "val", "test")
# Bytes of images that are read at once.
CHUNK_BYTES = 1 << 18


class Split(Protocol):
    """The rows of one split."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Tensor | None:
        """The time steps of each row (rows,) int64 on the CPU; None where all inputs have one shape."""
        ...

    @property
    def weights(self) -> Tensor | None:
        """The weight of each row in losses and metrics (rows,) float64 on the split's device; None: 1 each."""
        ...

    def batch(self, rows: Tensor) -> tuple[Any, Tensor]:
        """Inputs (batch, *shape), or PaddedSequences, and targets of the rows (int64, on the split's device)."""
        ...

    def targets(self) -> Tensor:
        """All targets: classes (rows,) int64, or numbers (rows, outputs)."""
        ...

    def map(self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]) -> Split:
        """The same rows with both tensors changed."""
        ...

    def to(self, device: torch.device) -> Split:
        """The same rows on a device."""
        ...

    def tensors(self) -> list[Tensor]:
        """Everything that decides what the rows hold."""
        ...

    def contents(self) -> Iterator[tuple[tuple[int, ...], Iterator[Tensor]]]:
        """The same: the shape of each tensor, and its rows in chunks that take little memory."""
        ...


class MappedFile:
    """A file in mapped memory, of which the process holds only so much: where it may have touched
    RESIDENT bytes, all go back to the system, which keeps them in its cache as long as it can.

    60,000 images of 64×64 (737 MB) then take 0.26 GB of the process, for 2 % of a CNN's step.
    """

    RESIDENT = 1 << 28
    # Linux maps the surroundings of a byte that is read, up to 2 MB.
    AROUND = 1 << 20

    def __init__(self, file: mmap.mmap) -> None:
        self.file = file
        self.touched = 0

    def read(self, rows: int, size: int) -> None:
        """Count `rows` rows of `size` bytes each as read, and release pages beyond RESIDENT."""
        self.touched += rows * max(size, self.AROUND)
        if self.touched > self.RESIDENT < len(self.file) and hasattr(mmap, "MADV_DONTNEED"):
            self.file.madvise(mmap.MADV_DONTNEED)
            self.touched = 0


@dataclass(frozen=True)
class TensorSplit:
    """One sample a row of `x` (rows, *shape), its class or numbers in `y`.

    rows: where several splits share `x`, which of its rows are this split's (int64); pages: where
    `x` is a file of images in mapped memory.
    """

    x: Tensor
    y: Tensor
    rows: Tensor | None = None
    pages: MappedFile | None = None
    weights: Tensor | None = None
    lengths: ClassVar[None] = None

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        chosen = rows if self.rows is None else self.rows.index_select(0, rows)
        return self._read(chosen), self.y.index_select(0, rows)

    def _read(self, rows: Tensor) -> Tensor:
        x = self.x.index_select(0, rows)
        if self.pages is not None:
            self.pages.read(len(rows), x[:1].nbytes)
        return x

    def gather(self, rows: Tensor, out: Tensor) -> None:
        """Write the inputs of rows (int64) to `out` (rows, *shape), which is contiguous."""
        chosen = rows if self.rows is None else self.rows.index_select(0, rows)
        size = len(rows) if self.pages is None else MappedFile.RESIDENT // MappedFile.AROUND
        for part in chunks(len(rows), max(1, size)):
            torch.index_select(self.x, 0, chosen[part], out=out[part])
            if self.pages is not None:
                self.pages.read(part.stop - part.start, self.x[:1].nbytes)

    def targets(self) -> Tensor:
        return self.y

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> TensorSplit:
        return replace(self, x=inputs(self.x), y=targets(self.y))

    def to(self, device: torch.device) -> TensorSplit:
        if device.type == "cpu":
            return self
        # In chunks: of a file of images there is never a whole copy in the machine's memory.
        x = torch.empty((len(self), *self.x.shape[1:]), dtype=self.x.dtype, device=device)
        start = 0
        for chunk in self.inputs():
            x[start : start + len(chunk)].copy_(chunk)
            start += len(chunk)
        return TensorSplit(x, self.y.to(device), weights=moved(self.weights, device))

    def tensors(self) -> list[Tensor]:
        x = self.x if self.rows is None else self.x.index_select(0, self.rows)
        return [x, self.y, *([] if self.weights is None else [self.weights])]

    def inputs(self) -> Iterator[Tensor]:
        """`x` of this split's rows: as it is, or in chunks of rows where it is a file."""
        if self.rows is None and self.pages is None:
            yield self.x
        else:
            rows = torch.arange(len(self)) if self.rows is None else self.rows
            yield from map(self._read, rows.split(max(1, CHUNK_BYTES // self.x[0].nbytes)))

    def contents(self) -> Iterator[tuple[tuple[int, ...], Iterator[Tensor]]]:
        yield (len(self), *self.x.shape[1:]), self.inputs()
        for tensor in (self.y, self.weights):
            if tensor is not None:
                yield tuple(tensor.shape), iter([tensor])


def moved(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    """A tensor on a device, if there is one."""
    return None if tensor is None else tensor.to(device)


TOKEN_VALUES = 16
"""Values that a token counts for where inputs are limited: a layer reads a vector for each."""


def max_input_size(split: Split) -> int:
    """The number of values of the split's largest input."""
    if split.lengths is None:
        rows = torch.zeros(1, dtype=torch.int64, device=split.targets().device)
        return int(split.batch(rows)[0].numel())
    longest = int(split.lengths.argmax())
    rows = torch.tensor([longest], device=split.targets().device)
    values = split.batch(rows)[0].values
    return int(values.numel()) * (1 if values.is_floating_point() else TOKEN_VALUES)


def split_bytes(split: Split) -> int:
    """The bytes of a split's tensors once they are whole; reads at most one chunk of each."""
    total = 0
    for shape, chunks_of_rows in split.contents():
        chunk = next(chunks_of_rows, None)
        total += 0 if chunk is None else math.prod(shape) * chunk.element_size()
    return total


def row_weights(weights: Mapping[str, np.ndarray] | None, part: str) -> Tensor | None:
    """The weights of a split's rows (rows,) float64; None where it has none. weights: by split."""
    return torch.from_numpy(weights[part]) if weights is not None and part in weights else None


def make_splits(
    x: Tensor,
    y: Tensor,
    rows: dict[str, np.ndarray],
    pages: MappedFile | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Split]:
    """Splits of one table or pile of images; all rows in one split are not copied, nor are any
    where `x` is a file in mapped memory. weights: (rows,) float64 of each split that has some."""
    splits: dict[str, Split] = {}
    for name, chosen in rows.items():
        index, of_rows = torch.from_numpy(chosen), row_weights(weights, name)
        if len(chosen) == len(x):
            splits[name] = TensorSplit(x, y, pages=pages, weights=of_rows)
        elif len(chosen) and pages is not None:
            splits[name] = TensorSplit(x, y[index], index, pages, of_rows)
        elif len(chosen):
            splits[name] = TensorSplit(x[index], y[index], weights=of_rows)
    return splits


@dataclass(frozen=True)
class WindowSplit:
    """Windows cut out of one long series when they are asked for.

    values: (time, features); target_values: (time, targets); starts: (rows,) first time step of each
    window. The targets of a window are the `horizon` time steps that follow it, flattened to
    (horizon * targets,), time first.
    """

    values: Tensor
    target_values: Tensor
    starts: Tensor
    window: int
    horizon: int
    lengths: ClassVar[None] = None
    weights: ClassVar[None] = None

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        starts = self.starts.index_select(0, rows)
        history = sliding_windows(self.values, self.window).index_select(0, starts)
        return history.view(-1, self.window, self.values.shape[1]), self._future(starts)

    def _future(self, starts: Tensor) -> Tensor:
        return sliding_windows(self.target_values[self.window :], self.horizon).index_select(
            0, starts
        )

    def targets(self) -> Tensor:
        return self._future(self.starts)

    def past_targets(self, steps: Tensor) -> Tensor:
        """The target columns at some steps (int64) of each window: (rows, steps, targets)."""
        return self.target_values[self.starts[:, None] + steps]

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> WindowSplit:
        # One row a time step: the statistics are those of a feature, whatever its time.
        values, target_values = inputs(self.values), targets(self.target_values)
        return replace(self, values=values.contiguous(), target_values=target_values.contiguous())

    def to(self, device: torch.device) -> WindowSplit:
        moved = {
            name: getattr(self, name).to(device) for name in ("values", "target_values", "starts")
        }
        return replace(self, **moved)

    def tensors(self) -> list[Tensor]:
        used = self.used()
        return [self.values[: len(used)][used], self.target_values[: len(used)][used], self.starts]

    def contents(self) -> Iterator[tuple[tuple[int, ...], Iterator[Tensor]]]:
        for tensor in self.tensors():
            yield tuple(tensor.shape), iter([tensor])

    def used(self) -> Tensor:
        """The time steps that any window or its targets contain, up to the last one: (time,) bool."""
        starts = self.starts.cpu()
        length = self.window + self.horizon
        end = int(starts.max()) + length if len(starts) else 0
        # +1 at the start of a window, -1 after its end: the cumulative sum counts windows.
        change = torch.zeros(end + 1, dtype=torch.int64)
        one = torch.ones_like(starts)
        change.index_add_(0, starts, one).index_add_(0, starts + length, -one)
        return change.cumsum(0)[:end] > 0


def sliding_windows(series: Tensor, length: int) -> Tensor:
    """All windows of a series (time, features), a view (time - length + 1, length * features): each is
    contiguous, so that to copy some takes a quarter of the time of series[steps]."""
    steps, features = series.shape
    return series.contiguous().as_strided((steps - length + 1, length * features), (features, 1))


@dataclass
class Dataset:
    """A source's splits in their original units, and the description that a checkpoint keeps.

    splits: train always, val and test where there are rows for them; inputs are uint8 images
    (rows, channels, height, width), tables as float64 (rows, numbers + categories) with NaN for
    a missing number and -1 for an unknown category, or series as float64.
    notes: lines for the user on everything that was guessed, left out or filled.
    time_index: for windows of series, the series and the time of each time step.
    cuts: those notes on what was cut off or resampled, which evaluation repeats.
    row_names: by split, the name of each row in its file, where rows are in another order than there.
    memo: what is computed once for all splits, such as a baseline that is fitted to the training rows.
    """

    spec: DataSpec
    splits: dict[str, Split]
    notes: list[str] = field(default_factory=list)
    time_index: TimeIndex | None = None
    cuts: list[str] = field(default_factory=list)
    row_names: dict[str, list[str]] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    def row_name(self, split: str, row: int) -> str:
        """Name a row for people, by its number where it has no other name."""
        return self.row_names[split][row] if split in self.row_names else f"row {row}"

    @status("hashing the data")
    def fingerprint(self) -> str:
        """SHA-256 over the content of every split, the columns and the labels, abbreviated."""
        stored = json.dumps(self.spec.source_dict(), sort_keys=True)
        digest = hashlib.sha256(stored.encode())
        for name in SPLITS:
            if name in self.splits:
                digest.update(f"{name} {len(self.splits[name])}".encode())
                for shape, chunks_of_rows in self.splits[name].contents():
                    for i, chunk in enumerate(chunks_of_rows):
                        digest.update(b"" if i else f"{chunk.dtype} {shape}".encode())
                        digest.update(chunk.contiguous().numpy().reshape(-1).view(np.uint8).data)
        return digest.hexdigest()[:16]


def check_memory(size: int, what: str, key: str, hint: str) -> None:
    """Raise DataError that blames `key`, before anything is read, where so many bytes are more than there
    can be."""
    if size > total_memory():
        raise DataError.at(
            key,
            f"{what} would take {size / 1e9:,.1f} GB, and this machine has {total_memory() / 1e9:,.1f} GB; "
            f"{hint}",
            code="E53",
        )


def total_memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def chunks(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
