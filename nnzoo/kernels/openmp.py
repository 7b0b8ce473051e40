"""OpenMP runtime of torch: find it, and measure how many threads a parallel region really gets.

`torch.get_num_threads()` is the number that torch asks for. OMP_THREAD_LIMIT, OMP_DYNAMIC, OMP_MAX_ACTIVE_LEVELS or an
enclosing parallel region can make the team smaller. torch's own kernels then divide their work among the threads of
the team; oneDNN's undocumented products compute only a part of the result, or never return.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import torch

_MAPS = Path("/proc/self/maps")
_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_checked = threading.local()


class _State:
    """State of this process."""

    used = (0, 0)
    """Threads that `use_threads` was last asked for, and threads that it set."""
    is_forked = False


@cache
def runtime() -> Any:
    """Load the runtime of torch with its names visible to libraries loaded later: two thread pools on the same cores
    would wait for each other. None if torch does not use GNU's (Linux)."""
    with contextlib.suppress(OSError):
        for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            # Address, access, offset, device, inode, path; the path may contain spaces.
            *_, path = line.split(maxsplit=5)
            if os.path.basename(path).startswith("libgomp"):
                return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    return None


def team_size(threads: int) -> int:
    """Measure how many threads a parallel region of the calling thread gets that asks for `threads`."""
    if threads <= 1 or _State.is_forked:
        return 1
    if runtime() is None:
        return threads
    # Otherwise the team would depend on the load of the machine. Applies to the calling thread.
    runtime().omp_set_dynamic(0)
    team: list[None] = []
    runtime().GOMP_parallel(_REGION(lambda _: team.append(None)), None, ctypes.c_uint(threads), 0)
    return len(team)


def has_full_team() -> bool:
    """Whether a region of the calling thread gets as many threads as torch asks for; measured once per thread and
    number."""
    threads = torch.get_num_threads()
    if getattr(_checked, "threads", None) != threads:
        _checked.full = team_size(threads) == threads
        _checked.threads = threads
    return bool(_checked.full)


def use_threads(threads: int) -> None:
    """Set torch's number of threads, to fewer if OpenMP gives fewer."""
    is_full = getattr(_checked, "threads", None) == threads and _checked.full  # measured before
    _State.used = threads, threads if is_full else team_size(threads)
    torch.set_num_threads(_State.used[1])


def fit_threads() -> None:
    """Set torch's number of threads to the number that the calling thread gets.

    With any other number torch's bfloat16 products, too, compute only a part of the result.
    """
    if not has_full_team():
        use_threads(torch.get_num_threads())


def partitions() -> int:
    """Number of parts for work whose sums depend on it: the threads that `use_threads` was asked for, so that a smaller
    team computes the same bits in more time."""
    threads = torch.get_num_threads()
    return _State.used[0] if threads == _State.used[1] else threads


def _after_fork() -> None:
    """Use one thread in a forked child: the other threads of the parent's team do not exist there, and its first
    parallel region would wait for them forever."""
    _State.is_forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
