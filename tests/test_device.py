"""The device: memory settings, processors, threads, precision flags."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import nnzoo
from nnzoo import api, cache, device
from nnzoo.errors import ConfigError
from nnzoo.training import autotune
from tests.emulated_cuda import emulated


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


def classifier(precision: str) -> dict[str, Any]:
    train = {"epochs": 1, "batch_size": 128, "precision": precision, "threads": 1}
    data = {"name": "digits", "split": {"val": 64, "test": 1300}}
    return {"name": "run", "data": data, "model": {"name": "cnn", "channels": [4]}, "train": train}


def tf32_flags() -> list[Any]:
    return [getattr(place, name) for place, name, _ in device._float32_flags()]


def test_tf32_is_used_where_it_is_asked_for_and_nowhere_else(own_folder: Path) -> None:
    before = tf32_flags()
    with emulated() as cuda:
        inside = {}
        for precision in ("fp32", "tf32", "fp32"):
            cuda.counts.clear()
            training = nnzoo.train(classifier(precision), out=precision, device="cuda")
            for _ in training:
                inside[precision] = tf32_flags()
            recorded = yaml.safe_load(Path(precision, "run", "config.yaml").read_text())
            assert recorded["train"]["precision"] == recorded["environment"]["precision"]
            assert (cuda.counts["tf32"] > 0) == (precision == "tf32")
        assert inside["fp32"][:2] == [False, False] and inside["tf32"][:2] == [True, True]
        assert all(flag in (False, "ieee") for flag in inside["fp32"])
        assert all(flag in (True, "tf32") for flag in inside["tf32"])
        assert tf32_flags() == before
    # On a CPU such a network computes in float32, and its run goes on.
    assert nnzoo.load("tf32/run", device="cpu").evaluate("test")["n"] == 1300
    continued = nnzoo.train(classifier("tf32"), out="tf32", device="cpu")
    assert continued.run.state == "complete"


def test_tf32_is_refused_where_there_is_none(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "tf32 is a mode of CUDA devices .* computes on cpu; use fp32, or auto"
    with pytest.raises(ConfigError, match=message):
        nnzoo.train(classifier("tf32"), device="cpu")
    with emulated():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
        with pytest.raises(ConfigError, match=r"computes on cuda \(Emulated 0\); use fp32"):
            nnzoo.train(classifier("tf32"), device="cuda")


def test_auto_times_all_precisions_of_a_gpu_and_reports_its_choice(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = []

    def times(choices: list[Any], step: Any) -> dict[Any, float]:
        for choice in choices:
            step(choice)
            timed.append((choice[0], torch.backends.cuda.matmul.allow_tf32))
        return {choice: 0.5 if choice[0] == "tf32" else 1.0 for choice in choices}

    monkeypatch.setattr(autotune, "native_bf16", device.gpu_multiplies_bf16)
    monkeypatch.setattr(autotune, "_benchmark_choices", times)
    with emulated():
        training = nnzoo.train(classifier("auto"), device="cuda").fit()
        resumed = nnzoo.train(classifier("auto"), device="cuda")
    assert timed == [("fp32", False), ("tf32", True), ("bf16", False)]
    note = "precision auto on cuda (Emulated 0): tf32; recorded for this run"
    assert note in training.notes and note not in resumed.notes
    assert training.run.network.precision == resumed.run.network.precision == "tf32"


def test_a_cpu_needs_no_flags_of_cuda() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    device.make_deterministic(torch.device("cpu"))
    assert torch.are_deterministic_algorithms_enabled() == before
