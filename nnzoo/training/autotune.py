"""Resolve `auto` of the `train` keys that speed or hardware decides, once per run.

These are kernels, compile and norm_statistics, which follow from the network and the machine, and precision and
threads, which a short benchmark chooses. The choice decides the last bits of a
run, so it must not depend on momentary load: it is cached by network, data, batch size and machine, and a later run of
the same kind reads it. A benchmark during which another program was busy is used once and not cached.

If no bit of a step depends on the number of threads that compute it, `threads` is all of them: it is the number of
parts of sums then, and thread_tuner.py chooses while it trains how many threads compute them.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nnzoo import __version__, file_io
from nnzoo.cache import cache_dir, cpu_id
from nnzoo.config import RunConfig
from nnzoo.data.dataset import Split
from nnzoo.device import (
    ALL_THREADS,
    describe_gpu,
    gpu_has_tf32,
    gpu_multiplies_bf16,
    seconds_of_others,
)
from nnzoo.errors import CheckpointError, ConfigError
from nnzoo.file_io import parse_json, read_plain
from nnzoo.kernels import build, openmp
from nnzoo.kernels.torch_operators import operators_of, thread_dependent
from nnzoo.models.layers import Conv2d, flatten_layers
from nnzoo.models.network import Network
from nnzoo.status import status
from nnzoo.text import Note
from nnzoo.training.norm_statistics import resolve_statistics
from nnzoo.training.train_step import TrainerStack
from nnzoo.training.trainer import Trainer

# A choice that is less simple (half precision, more threads) has to be worth it.
MIN_SPEEDUP = 1.05
# A network whose convolutions one thread computes in all parts in less than so many times the time of one part is divided
# into all; a small one, of which the merging of sums is a third, only if all threads are faster.
MAX_COST = 1.1
# Seconds per choice in each round; the median round counts, since the fastest step of several threads is fast also
# where another program takes a core, and the others are not. A choice slower than the best by DROP_RATIO is not
# tried again: at a ratio of 1.3 a moment's disturbance dropped good ones.
SECONDS, ROUNDS, DROP_RATIO = 0.02, 4, 2.0

# If the benchmarking thread ran for a smaller fraction of the time, another program was busy; or if others had more than
# OTHERS of a core: a thread that waits for one that is held up runs all the time.
BUSY, OTHERS = 0.85, 0.25

Precision = Literal["fp32", "tf32", "bf16"]
Kernels = Literal["torch", "native"]
Choice = tuple[Precision, int]


class BenchmarkResult(NamedTuple):
    """A choice, the seconds of a step with it (None: unknown), whether the bits of a step are the same with any number of
    threads, and a note for the user."""

    choice: Choice
    step_seconds: float | None = None
    any_threads: bool = False
    note: str = ""


@dataclass(frozen=True)
class ResolvedConfig:
    """A config without `auto` in these keys; if steps were timed, the seconds and the note of `BenchmarkResult`."""

    config: RunConfig
    step_seconds: float | None = None
    note: str = ""


def resolve_auto(
    config: RunConfig,
    network: Network,
    splits: dict[str, Split],
    processes: int = 1,
    cached: bool = True,
) -> ResolvedConfig:
    """Return the config with every `train` key set that speed or hardware decides; network and splits are unchanged.

    processes: the number of processes that share each batch; the shard of one of them is timed. cached: whether a
    benchmark of an earlier run is read, and this one's is written; else steps are always timed.
    """
    train = config.train
    kernels = _kernels(train.kernels, network)
    network.configure(train.model_copy(update={"kernels": kernels}), compiled=False)
    choices = _choices(config, network)
    result = BenchmarkResult(choices[0])
    if not cached:
        seconds = _benchmark(config, network, splits, choices, processes)
        result = BenchmarkResult(choice := _fastest(seconds), seconds[choice])
    elif len(choices) > 1:
        result = _choose(
            _key(config, network, splits, choices, kernels, (processes, 1)),
            choices,
            "timing threads and precisions, once for this network on this machine",
            lambda: _benchmark(config, network, splits, choices, processes),
            lambda choice: (
                processes == 1
                and _any_threads(_copied_stack(config, network, splits, choice[0]), choice[1])
            ),
        )
    precision, count = result.choice
    count = max(c for _, c in choices) if result.any_threads else count
    statistics = resolve_statistics(
        train.norm_statistics, network.model, len(splits["train"]), train.batch_size
    )
    update = {
        "precision": precision,
        "threads": count,
        "kernels": kernels,
        "compile": train.compile is True,
        "norm_statistics": statistics,
    }
    config = replace(config, train=train.model_copy(update=update))
    return ResolvedConfig(config, result.step_seconds, result.note)


def _choices(config: RunConfig, network: Network) -> list[Choice]:
    """Return the precisions and numbers of threads that a config leaves to `auto`, the simplest first."""
    train = config.train
    precisions: list[Precision] = [train.precision] if train.precision != "auto" else ["fp32"]
    if train.precision == "auto" and network.task.is_classification:
        is_gpu = network.device.type == "cuda"
        precisions += ["tf32"] if is_gpu and gpu_has_tf32(network.device) else []
        precisions += ["bf16"] if native_bf16(network.device) else []
    threads = [train.threads] if train.threads != "auto" else [ALL_THREADS]
    if train.threads == "auto" and ALL_THREADS > 1 and network.device.type == "cpu":
        threads.insert(0, 1)
    return [(p, t) for p in precisions for t in threads]


def _choose(
    key: str,
    choices: list[Choice],
    doing: str,
    times: Callable[[], dict[Choice, float]],
    any_threads: Callable[[Choice], bool],
) -> BenchmarkResult:
    """Return the cached choice, or the fastest by the seconds per step that `times` returns.

    doing: the text shown to the user meanwhile. any_threads: returns whether all numbers of threads give the same
    bits with a choice's precision.
    """
    path = cache_dir() / "tuned" / f"{key}.json"
    cached = _read_cache(path, choices)
    if cached is not None:
        return cached
    started, ran, others = time.perf_counter(), time.thread_time(), seconds_of_others()
    with status(doing):
        seconds = times()
    passed = max(time.perf_counter() - started, 1e-9)
    is_busy = (time.thread_time() - ran) / passed < BUSY
    is_busy |= (seconds_of_others() - others) / passed > OTHERS
    choice, is_free = _fastest(seconds), len({threads for _, threads in choices}) > 1
    result = BenchmarkResult(choice, seconds[choice], is_free and any_threads(choice))
    if not (is_free and is_busy):
        _write_cache(path, result)
        return result
    key_name, value = ("precision", choice[0]) if result.any_threads else ("threads", choice[1])
    text = (
        f"another program was busy while steps were timed: train.{key_name}={value} is this run's, and the next one "
        "times again"
    )
    is_guess = not result.any_threads or len({precision for precision, _ in choices}) > 1
    return result._replace(note=Note("N30", text) if is_guess else "")


def _kernels(asked: str, network: Network) -> Kernels:
    """Choose native kernels if available; raises ConfigError if they were requested and are not."""
    is_possible = (
        asked != "torch" and network.device.type == "cpu" and bool(network.native_layers())
    )
    if is_possible and build.available():
        return "native"
    if asked == "native":
        missing = (
            build.unavailable_reason() if is_possible else "this network has none on this device"
        )
        raise ConfigError.at("train.kernels", missing, code="E23")
    return "torch"


def native_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return gpu_multiplies_bf16(device)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _benchmark(
    config: RunConfig,
    network: Network,
    splits: dict[str, Split],
    choices: list[Choice],
    processes: int = 1,
) -> dict[Choice, float]:
    """Seconds of a training step with each choice, on a copy of the network."""
    stack = _copied_stack(config, network, splits)
    trainer, network = stack.trainers[0], stack.network
    # Batch norm takes no batch of one row.
    count = min(trainer.step_sizes[0], max(2, trainer.step_sizes[0] // processes))
    rows = torch.arange(count, device=network.device)[None]

    def step(choice: Choice) -> None:
        network.precision = choice[0]
        stack.train_step(rows)
        if network.device.type == "cuda":
            torch.cuda.synchronize(network.device)

    return _benchmark_choices(choices, step)


def _copied_stack(
    config: RunConfig, network: Network, splits: dict[str, Split], precision: Precision = "fp32"
) -> TrainerStack:
    """The stack of a run's trainer, on a copy of its network."""
    network = copy.deepcopy(network)
    network.precision = precision
    flatten_layers(network.model)
    return TrainerStack([Trainer(config, network, splits)])


def _any_threads(stack: TrainerStack, fastest: int) -> bool:
    """Whether no bit of the steps of an epoch depends on the number of threads, and one thread computes the parts of all
    threads at little cost, or all are the fastest. Takes the first and the last step, and some more."""
    steps = stack.start_epoch()
    for rows in {len(rows[0]): rows for rows in (steps[0], steps[-1])}.values():
        _, calls = operators_of(lambda rows=rows: stack.train_step(rows))  # type: ignore[misc]
        if calls is None or thread_dependent(calls):
            return False
    has_parts = any(isinstance(module, Conv2d) for module in stack.network.modules())
    return fastest == ALL_THREADS or not has_parts or _cost_of_parts(stack, steps[0]) < MAX_COST


def _cost_of_parts(stack: TrainerStack, rows: Tensor) -> float:
    """How many times as long one thread computes a step in as many parts as there are threads, as it does in one.

    It is measured in its processor time, which other programs change little.
    """
    seconds: dict[int, list[float]] = {1: [], ALL_THREADS: []}
    before = torch.get_num_threads()
    for _ in range(2 * ROUNDS):  # the ratio is to be right to some hundredths
        for parts, rounds in seconds.items():
            openmp.use_threads(parts)
            openmp.set_team(1)
            stack.train_step(rows)
            started, steps = time.thread_time(), 0
            while time.thread_time() - started < SECONDS:
                stack.train_step(rows)
                steps += 1
            rounds.append((time.thread_time() - started) / steps)
    torch.set_num_threads(before)
    return min(seconds[ALL_THREADS]) / min(seconds[1])


def _benchmark_choices(
    choices: list[Choice], step: Callable[[Choice], object]
) -> dict[Choice, float]:
    """Seconds of a step with each choice."""

    def seconds_of(choice: Choice) -> float:
        started = time.perf_counter()
        step(choice)
        return time.perf_counter() - started

    before = torch.get_num_threads()
    rounds: dict[Choice, list[float]] = {choice: [] for choice in choices}
    seconds = dict.fromkeys(choices, math.inf)
    for _ in range(ROUNDS):  # in turns, so that whatever else the machine does hits all alike
        best = min(seconds.values())
        for choice in choices:
            if seconds[choice] > DROP_RATIO * best and best < math.inf:
                continue
            openmp.use_threads(choice[1])
            step(choice)  # other threads and other kernels have to be woken first
            spent, steps = 0.0, 0
            while spent < SECONDS:
                spent, steps = spent + seconds_of(choice), steps + 1
            rounds[choice].append(spent / steps)
            seconds[choice] = median(rounds[choice])
    torch.set_num_threads(before)
    return seconds


def stack_threads(trainers: Sequence[Trainer]) -> int:
    """Return the number of threads for several trainers in one batch: one or all, whichever is faster.

    It is timed and cached as in `resolve_auto`. The trainers are unchanged.
    """
    first = trainers[0]
    if ALL_THREADS == 1 or first.device.type != "cpu":
        return ALL_THREADS
    choices: list[Choice] = [(first.network.precision, threads) for threads in (1, ALL_THREADS)]  # type: ignore[misc]
    key = _key(
        first.config,
        first.network,
        first.splits,
        choices,
        first.config.train.kernels,
        (1, len(trainers)),
    )

    def copied() -> TrainerStack:
        return TrainerStack(
            [Trainer(t.config, copy.deepcopy(t.network), t.splits) for t in trainers]
        )

    def times() -> dict[Choice, float]:
        group = copied()
        rows = torch.arange(first.step_sizes[0], device=first.device).repeat(len(trainers), 1)
        return _benchmark_choices(choices, lambda choice: group.train_step(rows))

    doing = "timing threads, once for these networks on this machine"
    result = _choose(key, choices, doing, times, lambda choice: _any_threads(copied(), choice[1]))
    return ALL_THREADS if result.any_threads else result.choice[1]


def _fastest(seconds: dict[Choice, float]) -> Choice:
    """The simplest choice (they come in that order) that no other beats by more than MIN_SPEEDUP."""
    best = min(seconds.values())
    return next(choice for choice, value in seconds.items() if value <= best * MIN_SPEEDUP)


def _key(
    config: RunConfig,
    network: Network,
    splits: dict[str, Split],
    choices: list[Choice],
    kernels: str,
    sharing: tuple[int, int] = (1, 1),
) -> str:
    """Hash everything that decides how long a step takes; sharing: how many processes and members take it together."""
    spec = network.data_spec.input
    parts = [
        config.model.model_dump(mode="json"),
        config.optim.name,
        str(getattr(config.data, "augment", None)),
        [config.train.batch_size, config.train.accumulate_grad_batches, len(splits["train"])],
        list(sharing),
        [spec.kind, list(spec.shape), network.task.outputs],
        [choices, kernels],
        str(network.device),
        describe_gpu(network.device) or cpu_id(),
        [__version__, str(torch.__version__)],
    ]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def _read_cache(path: Path, choices: list[Choice]) -> BenchmarkResult | None:
    """Read a result written by `_write_cache`; an earlier version wrote less."""
    try:
        content: Any = parse_json(read_plain(path, 10_000))
    except (OSError, ValueError):
        return None
    if not isinstance(content, list):
        return None
    seconds, any_threads, *_ = [*content[2:], None, None]
    seconds = seconds if isinstance(seconds, float) else None
    same = (known for known in choices if list(known) == content[:2])
    return next((BenchmarkResult(known, seconds, any_threads is True) for known in same), None)


def _write_cache(path: Path, result: BenchmarkResult) -> None:
    """Keep it, where that is possible: a cache that cannot be written is no reason to stop."""
    # Two runs that write at once share the temporary file; a broken one is measured again.
    with contextlib.suppress(OSError, CheckpointError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file_io.write(path, json.dumps([*result.choice, *result[1:3]]).encode())
