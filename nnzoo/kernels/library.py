"""The native layers' C, compiled once for a machine by its own C compiler, and loaded."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nnzoo.cache import cpu_id
from nnzoo.kernels import build, openmp

# The library of a type, or None and why there is none.
_loaded: dict[torch.dtype, tuple[Any, str]] = {}


def library(dtype: torch.dtype = torch.float32) -> Any:
    """The C of this folder compiled for float32 or float64; None where there is none: `why_not` says why.

    Kept in the cache folder by source, compiler and processor: compiling takes three seconds.
    """
    if dtype not in _loaded:
        _loaded[dtype] = _load(dtype)
    return _loaded[dtype][0]


def why_not() -> str:
    """Why there are no native layers here, in one line; empty where there are."""
    library()
    return _loaded[torch.float32][1]


def compiler() -> str | None:
    """The machine's C compiler."""
    return shutil.which("cc") or shutil.which("gcc")


def _load(dtype: torch.dtype) -> tuple[Any, str]:
    """The library of a type, or None and why there is none."""
    if platform.system() != "Linux":
        return None, "they need Linux"
    path_of_compiler = compiler()
    if path_of_compiler is None:
        return None, "there is no C compiler (cc or gcc)"
    if openmp.runtime() is None:
        return None, "torch's OpenMP (libgomp) was not found"
    real = "double" if dtype == torch.float64 else "float"
    try:
        path = build.folder_of_mine() / f"{_key(path_of_compiler, real)}.so"
        if not build.is_sound(path):
            build.compile_sealed(path_of_compiler, real, path)
        return ctypes.CDLL(str(path)), ""
    except (OSError, build.BuildError) as error:
        return None, str(error)


def _key(compiler_path: str, real: str) -> str:
    """What decides what compiling gives, as a hash."""
    key = hashlib.sha256()
    for part in sorted(build.FOLDER.glob("*.[ch]")):
        key.update(part.read_bytes())
    facts = f"{build.FLAGS} {real} {compiler_path} {os.stat(compiler_path).st_mtime} {cpu_id()}"
    key.update(facts.encode())
    return key.hexdigest()[:32]


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


def product_type(weight: Tensor) -> torch.dtype:
    """What the products of a layer run in: under autocast, its type in place of float32."""
    lower = weight.dtype == torch.float32 and torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if lower else weight.dtype


@cache
def lanes_of(dtype: torch.dtype) -> int:
    """How many numbers of a type a vector of its library has."""
    return int(library(dtype).vector_length())


def padded(count: int, lanes: int) -> int:
    """`count` numbers as whole vectors."""
    return -(-count // lanes) * lanes
