"""The device: memory settings, processors, threads, precision flags."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo import api, cache, device


def test_glibc_is_set_to_keep_memory_and_others_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, what: int, value: int) -> None:
            asked.append((what, value))

    for library, expected in ((Library(), [(-1, 2**31 - 1), (-4, 0)]), (object(), [])):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=library: library)
        asked.clear()
        device.disable_malloc_trim.__wrapped__()
        assert asked == expected


def test_code_that_start_has_touched_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is there again when it is called; nothing but code is dropped."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs Linux")
    asked: list[tuple[int, int]] = []
    madvise = ctypes.CDLL(None).madvise

    class Library:
        def madvise(self, first: Any, size: Any, advice: int) -> None:
            asked.append((first.value, size.value))
            assert advice == 4 and madvise(first, size, advice) == 0

    for library, some in ((Library(), True), (object(), False)):
        asked.clear()
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=library: library)
        device.drop_torch_code_pages.__wrapped__()
        assert bool(asked) == some
        for first, size in asked:
            line = next(
                line
                for line in maps.read_text().splitlines()
                if line.startswith(f"{first:x}-{first + size:x} ")
            )
            assert "r-xp" in line and "libtorch" in line
    x = torch.randn(50, 50)
    assert torch.allclose(x @ torch.linalg.inv(x), torch.eye(50), atol=1e-2)


def test_the_processor_is_named_where_the_system_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> str:
        raise OSError

    messages = {}
    for name, read in {
        "amd": lambda *_, **__: (
            "processor\t: 0\nmodel name\t: EPYC\nflags\t\t: avx2 avx512f\nmodel name\t: x"
        ),
        "arm": lambda *_, **__: "processor\t: 0\nFeatures\t: asimd\n",
        "none": refuse,
    }.items():
        cache.cpu_id.cache_clear()
        monkeypatch.setattr(Path, "read_text", read)
        messages[name] = cache.cpu_id()
    cache.cpu_id.cache_clear()
    assert messages == {"amd": "EPYC avx2 avx512f", "arm": "asimd", "none": platform.processor()}


def test_older_torch_has_one_set_of_flags_for_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    class Backend:
        allow_tf32 = True

    cudnn, matmul = Backend(), Backend()
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    for _ in range(2):
        with device.process_restored():
            device.make_deterministic(torch.device("cuda"))
            assert not cudnn.allow_tf32 and not matmul.allow_tf32
        assert cudnn.allow_tf32 and matmul.allow_tf32
        assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None) in (":16:8", None)


def test_memory_habits_are_changed_by_the_command_alone(
    nnzoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that calls nnzoo.train keeps its malloc and torch's code pages as they are."""
    asked: list[str] = []
    for name in ("disable_malloc_trim", "drop_torch_code_pages"):
        monkeypatch.setattr(device, name, lambda name=name: asked.append(name))
    fast = {"epochs": 1, "threads": 1}
    api.train({"name": "run", "data": "iris", "model": "mlp", "train": fast}).fit()
    api.load("checkpoints/run").evaluate()
    assert not asked
    once = ["disable_malloc_trim", "drop_torch_code_pages"]
    words = ("train", "--config", "mlp", "--set", "train.epochs=1", "--verbose", "0")
    for more in ((), ("--seeds", "2")):
        asked.clear()
        assert nnzoo(*words, *more).code == 0
        assert asked == once


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, AttributeError, NameError])
def test_what_the_driver_does_not_know_is_none(error: type[Exception]) -> None:
    def ask() -> int:
        raise error

    assert device._query_driver(ask) is None
    assert device._query_driver(lambda: 3) == 3
