"""The processes of a run: this one alone, or those that torchrun started, each with its share of every
batch.

What is exchanged is plain values and tensors, read as a checkpoint is: no pickle of another process
is run. torch is imported where it is needed, so that to ask whether torchrun is there costs nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from nnzoo.errors import NnzooError, PeerFailedError, PeerLostError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")
# Seconds: until the processes have started (one may read data for long), and within training.
START_TIMEOUT = 1800
TIMEOUT = 300
MEETING_PAUSE = 0.02
# On a restart the process that holds the folder's lock may not be quite dead yet.
RESTART_WAIT = 30


def under_torchrun() -> bool:
    """Whether torchrun, or what sets the same variables, started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


def torchrun_id() -> str | None:
    """What torchrun calls this run of it (--rdzv-id); None without torchrun."""
    return os.environ.get("TORCHELASTIC_RUN_ID") if under_torchrun() else None


def restart_count() -> int:
    """How many times torchrun has started the processes of this machine anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) if under_torchrun() else 0


def local_world_size() -> int:
    """How many processes of this run are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if under_torchrun() else 1


def peer_timeout() -> int:
    """Seconds after which a process that does not answer counts as lost; raises UsageError."""
    text = os.environ.get("NNZOO_TIMEOUT", str(TIMEOUT))
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"NNZOO_TIMEOUT: expected whole seconds of at least 1, got '{text}'")
    return int(text)


class SingleProcess:
    """One process, alone: every question is answered by itself, and nothing has to be added up."""

    is_distributed = False
    rank = 0
    local_rank = 0
    world_size = 1
    main_rank = 0
    """The rank of the process that writes, speaks and decides."""

    @property
    def is_main_process(self) -> bool:
        return self.rank == self.main_rank

    @property
    def name(self) -> str:
        """This process, for messages."""
        return f"rank {self.rank} on {socket.gethostname()}"

    def shard_range(self, rows: int) -> tuple[int, int]:
        """Which of so many rows are this process's: from the first number to before the second."""
        return self.rank * rows // self.world_size, (self.rank + 1) * rows // self.world_size

    @contextmanager
    def error_barrier(self) -> Iterator[None]:
        """What a run does until it trains. Where one process fails, all end: the one that failed with
        its error, the others with PeerFailedError."""
        yield

    def broadcast_object(self, answer: Callable[[], _T]) -> _T:
        """What `answer` gives in the process that leads; the others do not call it."""
        return answer()

    def local_main_first(self, read: Callable[[], _T]) -> _T:
        """What `read` gives; one process of a machine is ready before the others of it begin, so that
        what it downloads or leaves in a cache is there for them."""
        return read()

    def elect_main(self, position: Callable[[], int]) -> None:
        """Let the process lead whose machine has come furthest; of several the one of lowest rank."""

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors with those of the process that leads."""

    def all_reduce_float64(self, tensors: Sequence[Tensor]) -> None:
        """Add to each tensor those of the other processes; whole numbers exactly, up to 2^53."""

    def all_agree_to_stop(self, asked: bool) -> bool:
        """Whether to stop after this step, asked or not; all processes stop after the same one."""
        return asked

    def all_reduce_max(self, number: int) -> int:
        """The largest of the processes' numbers."""
        return number


SINGLE = SingleProcess()


class ProcessGroup(SingleProcess):
    """Several processes, of which this is one; `init_process_group` makes it. Every method is called by all of
    them, in one order."""

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
        """One exchange; raises PeerLostError where another process does not take part."""
        try:
            function(*arguments, group=self.group, **more)
        except RuntimeError as error:
            if self.local_rank:
                raise PeerFailedError(PeerLostError.exit_code) from None
            raise PeerLostError(
                f"{self.name}: another process of this run is gone or does not answer "
                f"({str(error).strip().splitlines()[0][:200]}); start the same command again, or have "
                "torchrun do so (--max-restarts): it resumes from the last checkpoint"
            ) from None

    def exchange_status(self, code: int, number: int = 0) -> list[tuple[int, int]]:
        """Each process's exit code (0: all is well) and number; raises PeerFailedError where all is well
        here and not elsewhere."""
        import torch

        table = self.all_gather(torch.tensor([code, number]))
        rows = [(int(each), int(number)) for each, number in table.tolist()]
        failed = [each for each, _ in rows if each]
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
            codes = [each for each, _ in self.exchange_status(code)]
            first = next(rank for rank, each in enumerate(codes) if each)
            if first != self.rank:
                raise PeerFailedError(codes[first]) from None
            if isinstance(error, NnzooError) and 0 in codes and not self.is_main_process:
                error.args = (f"{self.name}: {error}",)
            raise
        self.group = self.training

    def broadcast_object(self, answer: Callable[[], _T]) -> _T:
        import torch

        told = answer() if self.is_main_process else None
        data = bytearray()
        if self.is_main_process:
            file = io.BytesIO()
            torch.save(told, file)
            data = bytearray(file.getbuffer())
        size = self.exchange_status(0, len(data))[self.main_rank][1]
        buffer = (
            torch.frombuffer(data, dtype=torch.uint8)
            if self.is_main_process
            else torch.empty(size, dtype=torch.uint8)
        )
        self._call(self.distributed.broadcast, buffer, src=self.main_rank)
        if not self.is_main_process:
            told = torch.load(io.BytesIO(buffer.numpy().tobytes()), weights_only=True)
        return told  # type: ignore[return-value]

    def local_main_first(self, read: Callable[[], _T]) -> _T:
        found = read() if self.local_rank == 0 else None
        self.exchange_status(0)
        return read() if self.local_rank else found  # type: ignore[return-value]

    def elect_main(self, position: Callable[[], int]) -> None:
        own = -1 if self.local_rank else position()
        positions = [number for _, number in self.exchange_status(0, own)]
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
        """The numbers (...) of all processes: (processes, ...)."""
        everyones = numbers.new_zeros(self.world_size, *numbers.shape)
        everyones[self.rank] = numbers
        return self.all_reduce(everyones)

    def all_reduce(self, numbers: Tensor) -> Tensor:
        """The sum of all processes' numbers, in place."""
        self._call(self.distributed.all_reduce, numbers)
        return numbers

    def add_gradients(self, parameters: Sequence[Tensor], *more: float) -> list[float]:
        """Add up the gradients, and `more` numbers, which come back; all in one message, in which the
        wish to stop travels too."""
        import torch

        sizes = [p.numel() for p in parameters]
        if parameters is not self.parameters:
            self.parameters = parameters
            self.flat = parameters[0].new_empty(sum(sizes) + len(more) + 1)
            pieces = self.flat[: sum(sizes)].split(sizes)
            self.views = [each.view_as(p) for each, p in zip(pieces, parameters, strict=True)]
        numbers = self.flat[sum(sizes) :]
        pairs = list(zip(self.views, parameters, strict=True))
        for view, _ in [pair for pair in pairs if pair[1].grad is None]:
            view.zero_()  # of a process without rows
        there = [(view, p.grad) for view, p in pairs if p.grad is not None]
        if there:
            torch._foreach_copy_([view for view, _ in there], [grad for _, grad in there])
        numbers.copy_(torch.tensor([*more, float(self.asked)]))
        if self.flat.device.type == "cuda":
            # NCCL waits for a process that is gone until its timeout; gloo, on the CPU, tells at once.
            self.exchange_status(0)
        self._call(self.distributed.all_reduce, self.flat)
        for view, p in pairs:
            p.grad = view
        *sums, wishes = numbers.tolist()
        self.agreed = wishes > 0
        return sums

    def all_agree_to_stop(self, asked: bool) -> bool:
        agreed, self.agreed = self.agreed, False
        self.asked = (self.asked or asked) and not agreed
        return agreed

    def all_reduce_max(self, number: int) -> int:
        return max(number for _, number in self.exchange_status(0, number))


def agree_on_group_name(store: Any, rank: int, size: int) -> str:
    """A name that the processes which are here now have agreed on.

    torchrun keeps one store over its restarts, and in it the addresses of processes that are dead,
    which gloo would connect to. So each says that it is here by a name of its own, the first calls
    the names together, and each answers the call that has its name.
    """
    token = uuid.uuid4().hex
    store.set(f"nnzoo/here/{rank}", token)
    answered = ""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if rank == 0:
            here = [store.get(f"nnzoo/here/{each}").decode() for each in range(size)]
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
    """The processes that torchrun started this one with; SINGLE where there are none.

    Messages on the CPU go by gloo, gradients on CUDA by NCCL. Raises PeerLostError where the others
    cannot be reached, UsageError for a faulty NNZOO_TIMEOUT.
    """
    if not under_torchrun() or int(os.environ["WORLD_SIZE"]) == 1:
        return SINGLE
    peer_timeout()
    import torch.distributed

    distributed: Any = torch.distributed
    cuda = torch.cuda.is_available() and distributed.is_nccl_available()
    wait = timedelta(seconds=START_TIMEOUT)
    if cuda:
        # Else a wait for a process that does not answer ends this one, by torch's watchdog, without a word
        # of ours; so it raises RuntimeError.
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
    try:
        if not distributed.is_initialized():
            store, rank, size = next(distributed.rendezvous("env://", timeout=wait))
            own = distributed.PrefixStore(agree_on_group_name(store, rank, size), store)
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if cuda else "gloo", store=own, rank=rank, world_size=size,
                timeout=wait,
            )  # fmt: skip
            atexit.register(distributed.destroy_process_group)
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        return ProcessGroup(distributed.get_rank(), distributed.get_world_size(), local_rank)
    except (RuntimeError, ValueError) as error:
        raise PeerLostError(
            f"the processes of this run do not find each other: {str(error).splitlines()[0]}"
        ) from None
