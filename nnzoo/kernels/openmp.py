"""The OpenMP runtime that torch has loaded: where it is, and how many threads it really gives.

`torch.get_num_threads()` is what is asked for. OMP_THREAD_LIMIT, OMP_DYNAMIC, OMP_MAX_ACTIVE_LEVELS or a
region around the caller can make a team smaller. torch's own kernels then divide their work among the
threads that there are; products of oneDNN that torch does not document compute a part of the result
only, or wait for ever.
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
    """Of this process."""

    used = (0, 0)
    """The number of threads that `use_threads` was last asked for, and that it gave."""
    is_forked = False


@cache
def runtime() -> Any:
    """The library, its names visible to what is loaded later: two sets of threads on the same cores wait
    for each other. None where torch has none that is known here (GNU's, on Linux)."""
    with contextlib.suppress(OSError):
        for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            # Address, access, offset, device, inode, path: the path may have spaces in it.
            *_, path = line.split(maxsplit=5)
            if os.path.basename(path).startswith("libgomp"):
                return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    return None


def team_size(threads: int) -> int:
    """How many threads a parallel region of the calling thread gets that asks for `threads`; measured."""
    if threads <= 1 or _State.is_forked:
        return 1
    if runtime() is None:
        return threads
    # Else the team depends on how busy the machine is, and sums on the team. Holds for this thread.
    runtime().omp_set_dynamic(0)
    team: list[None] = []
    runtime().GOMP_parallel(_REGION(lambda _: team.append(None)), None, ctypes.c_uint(threads), 0)
    return len(team)


def has_full_team() -> bool:
    """Whether a region of the calling thread gets as many threads as torch asks for; measured once per
    thread and number."""
    threads = torch.get_num_threads()
    if getattr(_checked, "threads", None) != threads:
        _checked.full = team_size(threads) == threads
        _checked.threads = threads
    return bool(_checked.full)


def use_threads(threads: int) -> None:
    """Let torch compute with so many threads, or with as many as OpenMP gives."""
    _State.used = threads, team_size(threads)
    torch.set_num_threads(_State.used[1])


def fit_threads() -> None:
    """Let torch ask for no more threads than the calling thread gets: also products of its own compute a part of
    the result else, those of bfloat16."""
    if not has_full_team():
        use_threads(torch.get_num_threads())


def partitions() -> int:
    """Into how many parts work is divided whose sums depend on that number: as many as `use_threads` was asked
    for, so that a smaller team computes the same bits, in more time."""
    threads = torch.get_num_threads()
    return _State.used[0] if threads == _State.used[1] else threads


def _after_fork() -> None:
    """Compute with one thread: the others of the parent's team do not exist in a child, whose first
    parallel region would wait for them for ever."""
    _State.is_forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
