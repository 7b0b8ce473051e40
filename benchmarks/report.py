"""Output of the benchmarks around their numbers: tables, the machine, versions, the command."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


def number(value: float | None) -> str:
    """Three digits, thousands apart; a dash for what was not measured."""
    if value is None:
        return "–"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> str:
    """Processor, the cores this process may use, memory, system."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
        match = re.search(r"model name\s*:\s*(.*)", cpuinfo)
        cpu = match[1] if match else platform.processor()
        flags = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in cpuinfo]
    except OSError:
        cpu, flags = platform.processor() or platform.machine(), []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cpu} ({', '.join(flags) or 'no vector flags known'}), {cores()} cores, "
        f"{memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def all_used() -> float:
    """Seconds of processor time of the whole machine, and what its host took; 0 without /proc."""
    try:
        values = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, soft, steal = map(int, values)
    return (user + nice + system + irq + soft + steal) / TICKS


def installed(packages: Iterable[str]) -> str:
    """The versions of those that are here."""
    result = []
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            result.append(f"{package} {version(package)}")
    return ", ".join(result)


def command() -> str:
    return shlex.join(["python", *sys.argv])
