"""The native layers' C, compiled once for a machine by its own C compiler."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnzoo.cache import cache_folder, processor

FOLDER = Path(__file__).parent
# Not fast-math: what is not a number has to stay so. Without errno roots are taken of whole vectors.
FLAGS = ("-O3", "-march=native", "-fPIC", "-fopenmp", "-std=gnu11", "-fno-math-errno")
COMPILE_SECONDS = 60


@cache
def library(dtype: torch.dtype = torch.float32) -> Any:
    """The C of this folder compiled for float32 or float64; None where there is no compiler, or what it made
    cannot be loaded.

    Kept in the cache folder by source, compiler and processor: compiling takes three seconds.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or platform.system() != "Linux" or not _openmp():
        return None
    real = "double" if dtype == torch.float64 else "float"
    key = hashlib.sha256()
    for part in sorted(FOLDER.glob("*.[ch]")):
        key.update(part.read_bytes())
    key.update(f"{FLAGS} {real} {compiler} {os.stat(compiler).st_mtime} {processor()}".encode())
    path = cache_folder() / "native" / f"{key.hexdigest()[:32]}.so"
    try:
        if not path.exists():
            _compile(compiler, real, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


def available() -> bool:
    """Whether there are native layers here."""
    return library() is not None


def usable(device: torch.device) -> bool:
    """Whether what lies on this device can be computed natively."""
    return device.type == "cpu" and available()


def supports(dtype: torch.dtype) -> bool:
    """Whether their products take this type."""
    if dtype == torch.bfloat16:
        return available() and bool(library().has_bfloat16())
    return dtype in (torch.float32, torch.float64) and library(dtype) is not None


def _compile(compiler: str, real: str, path: Path) -> None:
    """Raises OSError or SubprocessError where that does not work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sources = sorted(FOLDER.glob("*.c"))
        made, linked = [f"{folder}/{each.stem}.o" for each in sources], f"{folder}/native.so"

        def run(*words: str) -> None:
            command = [compiler, *words]
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)

        with ThreadPoolExecutor() as threads:  # half the time on two cores
            list(threads.map(
                lambda each, to: run(*FLAGS, f"-DREAL={real}", "-c", str(each), "-o", to),
                sources, made,
            ))  # fmt: skip
        # Without -fopenmp, which would bring a second OpenMP beside torch's.
        run("-shared", *made, "-o", linked, "-lm")
        os.replace(linked, path)  # whoever else compiles it makes the same


@cache
def _openmp() -> bool:
    """Let what is loaded later find the OpenMP that torch has loaded, so that both share its
    threads: two sets of them on the same cores wait for each other."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            path = line.rpartition(" ")[2]
            if "libgomp" in os.path.basename(path):
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
                return True
    return False


def product_type(weight: Tensor) -> torch.dtype:
    """What the products of a layer run in: under autocast, its type in place of float32."""
    lower = weight.dtype == torch.float32 and torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if lower else weight.dtype


def takes(x: Tensor, weight: Tensor) -> bool:
    """Whether native layers with such weights take this input: on a CPU, of a type they know."""
    low = torch.is_autocast_enabled("cpu")
    return bool(
        x.device.type == "cpu" and x.numel() and not torch.compiler.is_compiling()
        and (low or x.dtype == weight.dtype) and supports(product_type(weight))
    )  # fmt: skip


def padded(count: int, lanes: int) -> int:
    """`count` numbers as whole vectors."""
    return -(-count // lanes) * lanes
