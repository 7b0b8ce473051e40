"""The note on a CPU that is faster than the GPU that `--device auto` takes; the GPU is emulated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nnzoo
from nnzoo.training import compare_devices
from nnzoo.training.autotune import ResolvedConfig, resolve_auto
from tests.cuda_cases import CNN, IMAGES, LSTM, SERIES, Case, settings, weights
from tests.emulated_cuda import EmulatedCuda, emulated
from tests.zoo import same


@pytest.fixture
def cuda(own_folder: Path) -> Iterator[EmulatedCuda]:
    with emulated() as devices:
        yield devices


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """Seconds of a step by type of device, in place of those that are measured."""
    seconds: dict[str, float | None] = {"cuda": 3e-3, "cpu": 1e-3}

    def resolve(config: Any, network: Any, splits: Any, cached: bool) -> ResolvedConfig:
        assert not cached
        resolved = resolve_auto(config, network, splits, cached=cached)
        assert resolved.step_seconds is not None and resolved.step_seconds > 0
        return replace(resolved, step_seconds=seconds[network.device.type])

    monkeypatch.setattr(compare_devices, "resolve_auto", resolve)
    return seconds


def notes(case: Case, out: str, device: str = "auto") -> list[str]:
    training = nnzoo.train(settings(case), out=out, device=device)
    return [note for note in training.notes if "--device" in note]


@pytest.mark.parametrize(
    "case", [(IMAGES | {"class_weights": "balanced"}, CNN, {}), (SERIES, LSTM, {})]
)
def test_a_faster_cpu_is_reported_for_a_device_that_was_not_asked_for(
    case: Case, cuda: EmulatedCuda, timed: dict[str, float | None]
) -> None:
    assert notes(case, "auto") == [
        "--device auto: a step takes 3 ms on cuda (Emulated 0) and 1 ms on the CPU; "
        "--device cpu trains this network 3.0 times as fast"
    ]
    assert notes(case, "asked", "cuda") == []
    timed["cpu"] = 2.9e-3
    assert notes(case, "as fast") == []


def test_timing_the_cpu_changes_no_bit_and_is_done_once(
    cuda: EmulatedCuda, timed: dict[str, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    case: Case = (IMAGES, CNN, {})
    for device in ("auto", "cuda"):
        nnzoo.train(settings(case), out=device, device=device).fit()
    assert same(weights("auto"), weights("cuda"))
    assert notes(case, "auto") == []
    monkeypatch.setattr(compare_devices, "MAX_PARAMETERS", 100)
    assert notes(case, "large") == []


def test_on_a_cpu_nothing_is_compared(own_folder: Path, timed: dict[str, float | None]) -> None:
    assert notes((IMAGES, CNN, {}), "cpu") == []
