"""What every source gives: a kind, a task, and splits that hold whole tensors on the device.

A split answers one question: the inputs and targets of these rows, as one batch. Small data lives
on the device in compact form (images as uint8), so that a batch is one gather and no copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from nnzoo.errors import DataError

KindName = Literal["image", "table", "series"]
TaskName = Literal["classification", "regression", "forecasting"]
SPLITS = ("train", "val", "test")
# Bytes of a shared file that are looked at together.
PIECE = 1 << 26


@dataclass(frozen=True)
class Kind:
    """The shape of one sample: image (channels, height, width), table (features,) or series
    (time steps, features)."""

    name: KindName
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {'×'.join(map(str, self.shape))}"

    @property
    def size(self) -> int:
        """How many numbers one sample has."""
        return int(np.prod(self.shape))


class Split(Protocol):
    """The rows of one split."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (batch, *shape) and targets of the rows (int64, on the split's device)."""
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

    def pieces(self) -> Iterator[Tensor]:
        """The same in pieces that take little memory, one tensor after the other."""
        ...


@dataclass(frozen=True)
class TensorSplit:
    """One sample a row of `x` (rows, *shape), its class or numbers in `y`.

    rows: where `x` is a file of pictures in mapped memory that several splits share, which of its
    rows are this split's (int64).
    """

    x: Tensor
    y: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        own = rows if self.rows is None else self.rows.index_select(0, rows)
        return self.x.index_select(0, own), self.y.index_select(0, rows)

    def targets(self) -> Tensor:
        return self.y

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> TensorSplit:
        return TensorSplit(inputs(self.x), targets(self.y), self.rows)

    def to(self, device: torch.device) -> TensorSplit:
        if device.type == "cpu":
            return self
        return TensorSplit(*(tensor.to(device) for tensor in self.tensors()))

    def tensors(self) -> list[Tensor]:
        return [self.x if self.rows is None else self.x.index_select(0, self.rows), self.y]

    def inputs(self) -> Iterator[Tensor]:
        """`x` of this split's rows: as it is, or in pieces of some rows where it is shared."""
        if self.rows is None:
            yield self.x
        else:
            count = max(1, PIECE // self.x[0].nbytes)
            yield from (self.x.index_select(0, rows) for rows in self.rows.split(count))

    def pieces(self) -> Iterator[Tensor]:
        yield from self.inputs()
        yield self.y


def row_splits(
    x: Tensor, y: Tensor, rows: dict[str, np.ndarray], share: bool = False
) -> dict[str, Split]:
    """Splits of one table or pile of images; all rows in one split are not copied, nor are any
    where `share` says that `x` is a file in mapped memory."""
    splits: dict[str, Split] = {}
    for name, chosen in rows.items():
        index = torch.from_numpy(chosen)
        if len(chosen) == len(x):
            splits[name] = TensorSplit(x, y)
        elif len(chosen) and share:
            splits[name] = TensorSplit(x, y[index], index)
        elif len(chosen):
            splits[name] = TensorSplit(x[index], y[index])
    return splits


@dataclass(frozen=True)
class WindowSplit:
    """Windows cut out of one long series when they are asked for.

    values: (time, features); wanted: (time, targets); starts: (rows,) first time step of each
    window. The targets of a window are the `horizon` time steps that follow it, flattened to
    (horizon * targets,), time first.
    """

    values: Tensor
    wanted: Tensor
    starts: Tensor
    window: int
    horizon: int

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        starts = self.starts.index_select(0, rows)[:, None]
        past = torch.arange(self.window, device=starts.device)
        return self.values[starts + past], self._future(starts)

    def _future(self, starts: Tensor) -> Tensor:
        future = torch.arange(self.window, self.window + self.horizon, device=starts.device)
        return self.wanted[starts + future].flatten(1)

    def targets(self) -> Tensor:
        return self._future(self.starts[:, None])

    def past_targets(self, steps: Tensor) -> Tensor:
        """The target columns at some steps (int64) of each window: (rows, steps, targets)."""
        return self.wanted[self.starts[:, None] + steps]

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> WindowSplit:
        # One row a time step: the statistics are those of a feature, whatever its time.
        return replace(self, values=inputs(self.values), wanted=targets(self.wanted))

    def to(self, device: torch.device) -> WindowSplit:
        moved = {name: getattr(self, name).to(device) for name in ("values", "wanted", "starts")}
        return replace(self, **moved)

    def tensors(self) -> list[Tensor]:
        used = self.used()
        return [self.values[: len(used)][used], self.wanted[: len(used)][used], self.starts]

    def pieces(self) -> Iterator[Tensor]:
        yield from self.tensors()

    def used(self) -> Tensor:
        """Which time steps any window or its targets hold, up to the last one: (time,) bool."""
        starts = self.starts.cpu()
        length = self.window + self.horizon
        end = int(starts.max()) + length if len(starts) else 0
        # +1 where a window begins, -1 behind its end: the running sum counts windows.
        change = torch.zeros(end + 1, dtype=torch.int64)
        one = torch.ones_like(starts)
        change.index_add_(0, starts, one).index_add_(0, starts + length, -one)
        return change.cumsum(0)[:end] > 0


@dataclass
class Dataset:
    """A source, read: splits in their own units, and what is needed to read more of the same.

    splits: train always, val and test where there are rows for them; inputs are uint8 images
    (rows, channels, height, width), tables as float64 (rows, numbers + categories) with NaN for
    a missing number and -1 for an unknown category, or series as float64.
    spec: plain values that go into the checkpoint: labels, columns, categories.
    """

    kind: Kind
    task: TaskName
    splits: dict[str, Split]
    spec: dict[str, Any] = field(default_factory=dict)
    season: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """The classes in order of their index; empty where the task has none."""
        return cast(list[str], self.spec.get("labels", []))

    def fingerprint(self) -> str:
        """SHA-256 over every split's content and what its columns and labels are, abbreviated."""
        digest = hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode())
        for name in SPLITS:
            if name in self.splits:
                digest.update(f"{name} {len(self.splits[name])}".encode())
                for tensor in self.splits[name].pieces():
                    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                    digest.update(tensor.contiguous().numpy().reshape(-1).view(np.uint8).data)
        return digest.hexdigest()[:16]


def check_memory(size: int, what: str, hint: str) -> None:
    """Raise DataError, before anything is read, where so many bytes are more than there can be."""
    if size > memory():
        raise DataError(
            f"{what} would take {size / 1e9:,.1f} GB, and this machine has {memory() / 1e9:,.1f} GB; "
            f"{hint}"
        )


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def chunks(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
