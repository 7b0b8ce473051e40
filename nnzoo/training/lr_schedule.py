"""Learning rate schedules as pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from nnzoo.config.optim_options import (
    CosineOptions,
    CosLogOptions,
    LinearOptions,
    OneCycleOptions,
    ScheduleOptions,
    StepOptions,
)
from nnzoo.config.options import parse_duration


@cache
def steps_of(duration: str, steps_per_epoch: int) -> int:
    """A duration in epochs or steps as a number of steps."""
    number, unit = parse_duration(duration)
    assert unit != "s"
    return round(number * steps_per_epoch) if unit == "epoch" else round(number)


def constant(options: ScheduleOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    return 1.0


def cosine(options: CosineOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * progress)) / 2


def one_cycle(options: OneCycleOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    if progress < options.pct_start:
        return 1 - (1 - options.start) * (1 + math.cos(math.pi * progress / options.pct_start)) / 2
    fall = (progress - options.pct_start) / (1 - options.pct_start)
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * fall)) / 2


def step_decay(options: StepOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    step_size = max(1, steps_of(options.step_size, steps_per_epoch))
    return options.gamma ** (step // step_size)


def linear(options: LinearOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    return 1 - (1 - options.final) * progress


def coslog(options: CosLogOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    cycle = math.log2(1 + (2**options.cycles - 1) * progress)
    return (1 - math.cos(2 * math.pi * cycle)) / 2


_SHAPES: dict[str, Callable[[Any, float, int, int], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "step": step_decay,
    "linear": linear,
    "plateau": constant,
    "coslog": coslog,
}


def lr_factor(options: ScheduleOptions, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """Return the schedule's factor of the learning rate in a step (from 0) of `total_steps`.

    The warm-up comes first; the schedule's shape runs over the steps that follow it.
    """
    warmup = min(steps_of(options.warmup, steps_per_epoch), total_steps)
    if step < warmup:
        return (step + 1) / warmup * _SHAPES[options.name](options, 0.0, 0, steps_per_epoch)
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return _SHAPES[options.name](options, progress, step - warmup, steps_per_epoch)
