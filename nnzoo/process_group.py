"""Several processes of a run, started by torchrun, each with a shard of every batch.

Only plain values and tensors are exchanged, and read like a checkpoint: no pickle of another process is run
(torch's object collectives unpickle). torch is imported late, so that asking for torchrun costs nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nnzoo.distributed import (
    SINGLE,
    SingleProcess,
    cuda_backend,
    peer_timeout,
    under_torchrun,
)
from nnzoo.errors import NnzooError, PeerFailedError, PeerLostError

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")
# Seconds until the processes have started: one may read data for long.
START_TIMEOUT = 1800
MEETING_PAUSE = 0.02
# Ones before and after the gradients on a GPU, that count the processes; so many keep the gradients aligned.
GUARD = 32


class ProcessGroup(SingleProcess):
    """The processes that torchrun started; made by `init_process_group`. All ranks call the methods in the
    same order."""

    is_distributed = True

    def __init__(self, rank: int, size: int, local_rank: int) -> None:
        import torch.distributed

        self.distributed: Any = torch.distributed
        self.rank, self.world_size, self.local_rank = rank, size, local_rank
        self.training = self.distributed.new_group(timeout=timedelta(seconds=peer_timeout()))
        self.group: Any = None  # the default one, which waits as long as a start may take
        self.parameters: Sequence[Tensor] = ()
        self.flat: Any = None
        self.views: list[Tensor] = []
        self.asked = self.agreed = False

    def _call(self, function: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        """Call a collective; raises PeerLostError if another process does not take part."""
        try:
            function(*arguments, group=self.group, **more)
        except RuntimeError as error:
            raise self._peer_error(str(error).strip().splitlines()[0][:200]) from None

    def _peer_error(self, reason: str) -> NnzooError:
        """Return the error for a lost process, which one process of each machine reports."""
        if self.local_rank:
            return PeerFailedError(PeerLostError.exit_code)
        return PeerLostError(
            f"{self.name}: another process of this run is gone or does not answer ({reason}); start the same "
            "command again, or have torchrun do so (--max-restarts): it resumes from the last checkpoint"
        )

    def exchange_status(self, code: int, number: int = 0) -> list[tuple[int, int]]:
        """Gather each rank's exit code (0: no error) and number; raises PeerFailedError if only others failed."""
        import torch

        table = self.all_gather(torch.tensor([code, number]))
        rows = [(int(status), int(number)) for status, number in table.tolist()]
        failed = [status for status, _ in rows if status]
        if failed and not code:
            raise PeerFailedError(failed[0])
        return rows

    @contextmanager
    def error_barrier(self) -> Iterator[None]:
        try:
            yield
            self.exchange_status(0)
        except (PeerFailedError, PeerLostError):
            raise
        except BaseException as error:
            code = error.exit_code if isinstance(error, NnzooError) else 1
            codes = [status for status, _ in self.exchange_status(code)]
            first = next(rank for rank, status in enumerate(codes) if status)
            if first != self.rank:
                raise PeerFailedError(codes[first]) from None
            if isinstance(error, NnzooError) and 0 in codes and not self.is_main_process:
                error.args = (f"{self.name}: {error}",)
            raise
        self.group = self.training

    def broadcast_object(self, make: Callable[[], _T]) -> _T:
        import torch

        content: Any = make() if self.is_main_process else None
        data = bytearray()
        if self.is_main_process:
            file = io.BytesIO()
            torch.save(content, file)
            data = bytearray(file.getbuffer())
        size = self.exchange_status(0, len(data))[self.main_rank][1]
        if not self.is_main_process:
            data = bytearray(size)
        buffer = torch.frombuffer(data, dtype=torch.uint8)
        self._call(self.distributed.broadcast, buffer, src=self.main_rank)
        if not self.is_main_process:
            content = torch.load(io.BytesIO(data), weights_only=True)
        return cast(_T, content)

    def local_main_first(self, read: Callable[[], _T]) -> _T:
        first = read() if self.local_rank == 0 else None
        self.exchange_status(0)
        return read() if self.local_rank else cast(_T, first)

    def elect_main(self, position: Callable[[], int]) -> None:
        steps = -1 if self.local_rank else position()
        positions = [number for _, number in self.exchange_status(0, steps)]
        self.main_rank = positions.index(max(positions))

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        self.exchange_status(0)
        for tensor in tensors:
            block = tensor.contiguous()
            self._call(self.distributed.broadcast, block, src=self.main_rank)
            tensor.copy_(block)

    def all_reduce_float64(self, tensors: Sequence[Tensor]) -> None:
        import torch

        flat = torch.cat([tensor.detach().double().flatten() for tensor in tensors])
        self._call(self.distributed.all_reduce, flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def all_gather(self, numbers: Tensor) -> Tensor:
        table = numbers.new_zeros(self.world_size, *numbers.shape)
        table[self.rank] = numbers
        return self.all_reduce(table)

    def all_reduce(self, numbers: Tensor) -> Tensor:
        self._call(self.distributed.all_reduce, numbers)
        return numbers

    def add_gradients(self, parameters: Sequence[Tensor], *more: float) -> list[float]:
        """Sum the gradients in place, and `more` numbers, which are returned; in one message, which also
        carries whether a rank is to stop."""
        import torch

        on_gpu = parameters[0].device.type == "cuda"
        start, sizes = GUARD if on_gpu else 0, [p.numel() for p in parameters]
        end = start + sum(sizes)
        if parameters is not self.parameters:
            self.parameters = parameters
            self.flat = parameters[0].new_ones(end + len(more) + 1 + start)
            pieces = self.flat[start:end].split(sizes)
            self.views = [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)]
        numbers = self.flat[end : end + len(more) + 1]
        pairs = list(zip(self.views, parameters, strict=True))
        for view, _ in [pair for pair in pairs if pair[1].grad is None]:
            view.zero_()  # of a process without rows
        there = [(view, p.grad) for view, p in pairs if p.grad is not None]
        if there:
            dense = [grad.to_dense() if grad.is_sparse else grad for _, grad in there]
            torch._foreach_copy_([view for view, _ in there], dense)
        numbers.copy_(torch.tensor([*more, float(self.asked)]))
        if on_gpu:
            # NCCL notices a lost process at its timeout; gloo, on the CPU, at once.
            self.exchange_status(0)
            for guard in (self.flat[:start], self.flat[len(self.flat) - start :]):
                guard.fill_(1)
        self._call(self.distributed.all_reduce, self.flat)
        ends = torch.cat([self.flat[:start], self.flat[end:]]).tolist()
        *totals, num_stopping = ends[start : len(ends) - start]
        if any(count != self.world_size for count in ends[:start] + ends[len(ends) - start :]):
            # NCCL can return from a sum that it has aborted as if it were complete.
            raise self._peer_error("NCCL has returned a sum without its part")
        for view, p in pairs:
            p.grad = view
        self.agreed = num_stopping > 0
        return totals

    def all_agree_to_stop(self, asked: bool) -> bool:
        agreed, self.agreed = self.agreed, False
        self.asked = (self.asked or asked) and not agreed
        return agreed

    def all_reduce_max(self, number: int) -> int:
        return max(number for _, number in self.exchange_status(0, number))


def agree_on_group_name(store: Any, rank: int, size: int) -> str:
    """Agree on a name with the processes that are here now.

    torchrun keeps one store over its restarts, and in it the addresses of dead processes, to which
    gloo would connect. So each rank registers a token, rank 0 calls the tokens together, and each
    rank answers the call that has its token.
    """
    token = uuid.uuid4().hex
    store.set(f"nnzoo/here/{rank}", token)
    answered = ""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if rank == 0:
            here = [store.get(f"nnzoo/here/{i}").decode() for i in range(size)]
            store.set("nnzoo/call", " ".join(here))
        call = store.get("nnzoo/call").decode()
        if call.split()[rank : rank + 1] == [token]:
            name = hashlib.sha256(call.encode()).hexdigest()
            count = store.add(f"nnzoo/{name}", int(call != answered))
            answered = call
            if count == size:
                return name
        time.sleep(MEETING_PAUSE)
    raise ValueError(f"not all {size} have come")


def init_process_group() -> SingleProcess:
    """Join the processes that torchrun started; returns SINGLE without torchrun.

    Messages on the CPU use gloo, gradients on CUDA what `cuda_backend` names. Raises PeerLostError if the others
    cannot be reached, UsageError for an invalid NNZOO_TIMEOUT or NNZOO_CUDA_BACKEND.
    """
    if not under_torchrun() or int(os.environ["WORLD_SIZE"]) == 1:
        return SINGLE
    peer_timeout()
    import torch.distributed

    distributed: Any = torch.distributed
    backend = cuda_backend()
    cuda = torch.cuda.is_available() and (backend == "gloo" or distributed.is_nccl_available())
    wait = timedelta(seconds=START_TIMEOUT)
    if cuda:
        # Else a wait for a process that does not answer ends this one, by torch's watchdog, without a word
        # of ours; so it raises RuntimeError.
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
    try:
        if not distributed.is_initialized():
            store, rank, size = next(distributed.rendezvous("env://", timeout=wait))
            fresh_store = distributed.PrefixStore(agree_on_group_name(store, rank, size), store)
            distributed.init_process_group(
                f"cpu:gloo,cuda:{backend}" if cuda else "gloo",
                store=fresh_store,
                rank=rank,
                world_size=size,
                timeout=wait,
            )
            atexit.register(distributed.destroy_process_group)
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        return ProcessGroup(distributed.get_rank(), distributed.get_world_size(), local_rank)
    except (RuntimeError, ValueError) as error:
        raise PeerLostError(
            f"the processes of this run do not find each other: {str(error).splitlines()[0]}"
        ) from None
