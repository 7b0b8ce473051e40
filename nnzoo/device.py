"""Devices, GPUs, threads, and the settings of the process that a run changes."""

from __future__ import annotations

import ctypes
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nnzoo.config.train_options import TrainOptions
from nnzoo.distributed import (
    SINGLE,
    SingleProcess,
    cuda_backend,
    local_world_size,
    under_torchrun,
)
from nnzoo.errors import ConfigError, DataError, UsageError
from nnzoo.kernels import openmp
from nnzoo.text import Note


def all_threads() -> int:
    """The number of threads torch would use. Under torchrun, which sets OMP_NUM_THREADS=1, this process's
    part of the cores. Never more than OpenMP allows (OMP_THREAD_LIMIT and others)."""
    if not under_torchrun() or os.environ.get("OMP_NUM_THREADS") != "1":
        return openmp.team_size(torch.get_num_threads())
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        processors = os.cpu_count() or 1
    return openmp.team_size(max(1, processors // local_world_size()))


ALL_THREADS = all_threads()

_STAT = Path("/proc/stat")


def seconds_of_others() -> float:
    """Processor time that others have had so far on the processors of this process, up to a constant; its differences
    are right to some hundredths of a second. 0 where the system does not tell."""
    try:
        lines = _STAT.read_text().splitlines()
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        used = [line.split()[1:9] for line in lines if line.partition(" ")[0] in ours]
        tick = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # another system
        return 0.0
    # user, nice, system, idle, iowait, irq, softirq, steal
    total = sum(int(value) for values in used for i, value in enumerate(values) if i not in (3, 4))
    return total / tick - time.process_time()


# Its attributes are properties that torch's types do not know.
_deterministic: Any = torch.utils.deterministic

# Numbers of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


@cache
def disable_malloc_trim() -> None:
    """Keep glibc from returning memory to the system between steps.

    Getting it again took 10,000 page faults per step of a CNN in bfloat16, a third of the step. The second
    setting keeps blocks above 32 MB too, as an LSTM with batches of 1,024 allocates them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_MMAP_MAX, 0)


# Linux's madvise (bits/mman-linux.h).
_DONTNEED = 4


@cache
def drop_torch_code_pages() -> None:
    """Release the unused pages of torch's code (about 60 MB).

    A run needs about a quarter of them again, and reads it from the system's page cache.
    """
    try:
        madvise = ctypes.CDLL(None).madvise
        maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    except (AttributeError, OSError, TypeError):
        return  # another system
    for line in maps:
        addresses, access, *_, path = line.split(maxsplit=5)
        # Code is never written, so the pages that are dropped are read again unchanged.
        if access == "r-xp" and os.path.basename(path).startswith("libtorch"):
            first, last = (int(address, 16) for address in addresses.split("-"))
            madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _DONTNEED)


def use_threads(options: TrainOptions) -> None:
    """Set torch's thread count to that of the run, since it decides the last bits of sums."""
    openmp.use_threads(ALL_THREADS if options.threads == "auto" else options.threads)


def thread_note(options: TrainOptions) -> list[str]:
    """A note if OpenMP gives this process fewer threads than the run has; call it after `use_threads`."""
    threads = torch.get_num_threads()
    if options.threads == "auto" or threads >= options.threads:
        return []
    return [
        Note(
            "N30",
            f"OpenMP gives this process {threads} of the run's {options.threads} threads "
            "(OMP_THREAD_LIMIT, OMP_MAX_ACTIVE_LEVELS): it takes longer, and last digits may differ",
        )
    ]


def make_deterministic(device: torch.device) -> None:
    """Make a CUDA device deterministic, and turn TF32 off.

    By default torch computes convolutions and recurrent layers in TF32, which has 10 bits of mantissa.
    """
    if device.type != "cuda":
        return
    if device.index is not None:
        # NCCL works on the current device, and it is the one that autocast asks for bfloat16.
        torch.cuda.set_device(device)
    # Bit-identical repeats need a fixed cuBLAS workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # By default deterministic mode fills every new tensor with NaN: one more kernel each, no effect on results.
    _deterministic.fill_uninitialized_memory = False
    use_tf32(False)


def use_tf32(is_used: bool) -> None:
    """Let CUDA compute products of float32 in TF32, or not; the backward pass follows what was set last."""
    flags = _float32_flags(is_used)
    with suppress(RuntimeError):  # the two sets of flags disagree
        if all(getattr(place, name) == value for place, name, value in flags):
            return
    for place, name, value in flags:
        _put(place, name, value)


def _float32_flags(tf32: bool = False) -> list[tuple[Any, str, Any]]:
    """Objects, attributes and values that keep float32 from becoming TF32, or let it. torch has two sets, the
    second since 2.9; if they disagree, reading the first raises RuntimeError."""
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    flags: list[tuple[Any, str, Any]] = [
        (cudnn, "allow_tf32", tf32),
        (matmul, "allow_tf32", tf32),
    ]
    if hasattr(cudnn, "rnn"):
        name = "tf32" if tf32 else "ieee"
        flags += [(place, "fp32_precision", name) for place in (cudnn.conv, cudnn.rnn, matmul)]
    return flags


def _put(place: Any, name: str, value: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch deprecate the first set
        setattr(place, name, value)


def _deterministic_mode() -> tuple[bool, bool]:
    """Whether deterministic algorithms are required, and whether their absence only warns."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


@contextmanager
def process_restored() -> Iterator[None]:
    """Restore at the end the process settings that opening, training and running a network change: the number
    of threads, the state of torch's generator, and the flags that `make_deterministic` sets."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    deterministic = _deterministic_mode()
    filled = _deterministic.fill_uninitialized_memory
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    current = torch.cuda.current_device() if torch.cuda.is_initialized() else 0
    flags = []
    with suppress(RuntimeError):
        flags = [(place, name, getattr(place, name)) for place, name, _ in _float32_flags()]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
        if _deterministic_mode() != deterministic:  # the call loads torch._inductor
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        _deterministic.fill_uninitialized_memory = filled
        for place, name, value in flags:
            _put(place, name, value)
        if torch.cuda.is_initialized():
            torch.cuda.set_device(current)
        if workspace is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@contextmanager
def compute_threads(options: TrainOptions) -> Iterator[None]:
    """Compute on the CPU with the threads of a run; restores their number and the state of torch's generator."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    use_threads(options)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)


def choose_device(name: str, processes: SingleProcess = SINGLE) -> torch.device:
    """Return the device of --device (auto, cpu, cuda or cuda:N) and make it deterministic (`make_deterministic`).

    Each process of a machine gets its own CUDA device; with `cuda_backend` gloo they share those that there are.
    Raises UsageError if there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"--device {name}: expected auto, cpu, cuda or cuda:N", code="E06"
        ) from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if processes.is_distributed:
            if device.index is not None and local_world_size() > 1:
                raise UsageError(
                    f"--device {name}: the processes of a machine need one each; cuda", code="E06"
                )
            if device.index is None:
                shared = cuda_backend() == "gloo" and count > 0
                index = processes.local_rank % count if shared else processes.local_rank
                device = torch.device("cuda", index)
        if (device.index or 0) >= count:
            devices = f"{count} CUDA device(s)" if count else "no CUDA device"
            needed = f" for {local_world_size()} processes" if local_world_size() > 1 else ""
            raise UsageError(
                f"--device {name}: this machine has {devices}{needed}; use --device cpu", code="E06"
            )
        make_deterministic(device)
    elif device.type == "mps":
        # Exact sums and own units need float64, which Metal does not have.
        raise UsageError(
            "--device mps: not supported, metrics need float64; use --device cpu", code="E06"
        )
    elif device.type != "cpu":
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N", code="E06")
    return device


def describe_gpu(device: torch.device) -> dict[str, str]:
    """Return the facts that decide the last digits of a run on a CUDA device: the GPU, and the versions of CUDA and cuDNN;
    empty for a CPU."""
    if device.type != "cuda":
        return {}
    name = _query_driver(lambda: torch.cuda.get_device_name(device))
    return {
        "gpu": "unknown" if name is None else str(name),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
    }


def device_label(device: torch.device) -> str:
    """The device for a message: cpu, or cuda with the name of the GPU."""
    return f"cuda ({describe_gpu(device)['gpu']})" if device.type == "cuda" else device.type


def gpu_multiplies_bf16(device: torch.device) -> bool:
    """Whether this CUDA device, which need not be the current one, multiplies bfloat16 itself."""
    before = torch.cuda.current_device() if device.index is not None else None
    if before is not None:
        torch.cuda.set_device(device)
    try:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    finally:
        if before is not None:
            torch.cuda.set_device(before)


def check_precision(options: TrainOptions, device: torch.device) -> None:
    """Raise ConfigError if a new run asks for TF32 where there is none; trained elsewhere, a network computes in
    float32 there."""
    if options.precision == "tf32" and not (device.type == "cuda" and gpu_has_tf32(device)):
        raise ConfigError.at(
            "train.precision",
            f"tf32 is a mode of CUDA devices of compute capability 8.0 and above, and this run computes on "
            f"{device_label(device)}; use fp32, or auto",
            code="E06",
        )


def gpu_has_tf32(device: torch.device) -> bool:
    """Whether this CUDA device multiplies in TF32: those of compute capability 8.0 (Ampere) and above."""
    capability = _query_driver(lambda: torch.cuda.get_device_capability(device))
    return capability is not None and tuple(capability) >= (8, 0)


def gpu_memory(device: torch.device) -> tuple[int, int] | None:
    """Free and total bytes of a CUDA device; None if the driver does not report them."""
    free_and_total: tuple[int, int] | None = _query_driver(lambda: torch.cuda.mem_get_info(device))
    return free_and_total


def check_fits(size: int, device: torch.device, what: str, hint: str) -> None:
    """Raise DataError if `size` bytes do not fit into the free memory of a CUDA device."""
    free = gpu_memory(device) if device.type == "cuda" else None
    if free is not None and size > free[0]:
        raise DataError(
            f"{what} would take {size / 1e9:,.1f} GB of the memory of {device}, which has "
            f"{free[0] / 1e9:,.1f} of {free[1] / 1e9:,.1f} GB free; {hint}",
            code="E53",
        )


def _query_driver(question: Callable[[], Any]) -> Any:
    """Call the driver; None if it fails (builds of torch without CUDA raise AttributeError or NameError)."""
    try:
        return question()
    except (RuntimeError, AssertionError, AttributeError, NameError):
        return None
