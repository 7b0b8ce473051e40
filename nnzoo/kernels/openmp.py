"""OpenMP runtime of torch: find it, and measure how many threads a parallel region really gets.

`torch.get_num_threads()` is the number that torch asks for. OMP_THREAD_LIMIT, OMP_DYNAMIC, OMP_MAX_ACTIVE_LEVELS or an
enclosing parallel region can make the team smaller. torch's own kernels then divide their work among the threads of
the team; oneDNN's undocumented products compute only a part of the result, or never return.

Threads of a team wait for each other by spinning, for some milliseconds. That is the fastest where each has a core, and
several times slower than one thread where another process takes one of them.
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
    held: tuple[threading.Thread, threading.Event] | None = None
    """The thread that `wait_briefly` holds, and what ends it."""


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
    known: dict[int, bool] = _checked.__dict__.setdefault("full", {})
    if threads not in known:
        known[threads] = team_size(threads) == threads
    return known[threads]


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


def set_team(threads: int) -> None:
    """Let so many threads compute what `partitions` divides, from now on: the parts stay as many as they are."""
    _State.used = partitions(), threads
    torch.set_num_threads(threads)


def wait_briefly(briefly: bool) -> None:
    """Let the threads of a team sleep at once where they would wait for each other, or again after some milliseconds.

    GNU's runtime spins for 100 turns instead of 300,000 while it manages more threads than there are processors; there
    is no call to ask for that. So a thread is held that owns a team as large as the machine, which sleeps. Without that
    runtime nothing changes.
    """
    if not briefly and _State.held is not None:
        thread, end = _State.held
        _State.held = None
        end.set()
        thread.join()
    elif briefly and _State.held is None and runtime() is not None:
        is_asleep, end = threading.Event(), threading.Event()

        def own_a_team() -> None:
            team_size((os.cpu_count() or 1) + 1)
            is_asleep.set()
            end.wait()

        thread = threading.Thread(target=own_a_team, name="nnzoo-idle-team", daemon=True)
        thread.start()
        is_asleep.wait()
        _State.held = thread, end


def _after_fork() -> None:
    """Use one thread in a forked child: the other threads of the parent's team do not exist there, and its first
    parallel region would wait for them forever."""
    _State.is_forked, _State.held = True, None
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
