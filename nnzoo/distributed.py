"""Environment variables of torchrun, and the process group of a single process, whose collectives do nothing.

process_group.py has the same interface for several.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from nnzoo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")
# Seconds to wait for another process within training.
TIMEOUT = 300
# On a restart the process that holds the folder's lock may not be quite dead yet.
RESTART_WAIT = 30


def under_torchrun() -> bool:
    """Whether torchrun, or what sets the same variables, started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


def torchrun_id() -> str | None:
    """Return torchrun's name of this run (--rdzv-id); None without torchrun."""
    return os.environ.get("TORCHELASTIC_RUN_ID") if under_torchrun() else None


def restart_count() -> int:
    """Return how many times torchrun has restarted the processes of this machine."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) if under_torchrun() else 0


def local_world_size() -> int:
    """Return the number of processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if under_torchrun() else 1


def peer_timeout() -> int:
    """Return the seconds after which a process that does not answer is lost; raises UsageError."""
    text = os.environ.get("NNZOO_TIMEOUT", str(TIMEOUT))
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"NNZOO_TIMEOUT: expected whole seconds of at least 1, got '{text}'", code="E02"
        )
    return int(text)


def cuda_backend() -> str:
    """Return what adds up gradients on GPUs: nccl, with a GPU for each process, or gloo, by which processes can share
    one (NNZOO_CUDA_BACKEND); raises UsageError."""
    text = os.environ.get("NNZOO_CUDA_BACKEND", "nccl")
    if text not in ("nccl", "gloo"):
        raise UsageError(f"NNZOO_CUDA_BACKEND: expected nccl or gloo, got '{text}'", code="E02")
    return text


class SingleProcess:
    """Single-process implementation: collectives are no-ops."""

    is_distributed = False
    rank = 0
    local_rank = 0
    world_size = 1
    main_rank = 0
    """Rank of the process that writes, prints and decides."""

    @property
    def is_main_process(self) -> bool:
        return self.rank == self.main_rank

    @property
    def name(self) -> str:
        """The process in messages."""
        return f"rank {self.rank} on {socket.gethostname()}"

    def shard_range(self, rows: int) -> tuple[int, int]:
        """Return the range (start, stop) of this process's shard of `rows` rows."""
        return self.rank * rows // self.world_size, (self.rank + 1) * rows // self.world_size

    @contextmanager
    def error_barrier(self) -> Iterator[None]:
        """The set-up of a run: if any rank raises, all ranks raise, the others PeerFailedError."""
        yield

    def broadcast_object(self, make: Callable[[], _T]) -> _T:
        """Return the main rank's `make()`, which the other ranks do not call."""
        return make()

    def local_main_first(self, read: Callable[[], _T]) -> _T:
        """Return `read()`. On each machine the process of local rank 0 reads first, so that its downloads and
        caches are there for the others."""
        return read()

    def elect_main(self, position: Callable[[], int]) -> None:
        """Elect as main rank the one with the most advanced checkpoint (ties: lowest rank)."""

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors with the main rank's."""

    def all_reduce_float64(self, tensors: Sequence[Tensor]) -> None:
        """Sum each tensor over the ranks in float64: exact for integers up to 2^53."""

    def all_gather(self, numbers: Tensor) -> Tensor:
        """Gather the numbers (...) of all ranks: (ranks, ...)."""
        return numbers[None]

    def all_reduce(self, numbers: Tensor) -> Tensor:
        """Sum the numbers of all ranks, in place."""
        return numbers

    def add_gradients(self, parameters: Sequence[Tensor], *more: float) -> list[float]:
        """Sum the gradients over the ranks in place, and `more` numbers, which are returned."""
        return list(more)

    def all_agree_to_stop(self, asked: bool) -> bool:
        """Whether to stop after this step; all ranks stop after the same one."""
        return asked

    def all_reduce_max(self, number: int) -> int:
        """Return the largest of the ranks' numbers."""
        return number


SINGLE = SingleProcess()
