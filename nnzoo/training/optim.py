"""Optimizers with their parameter groups, schedules as pure functions of the step, and clipping."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.config.schema import (
    ClipOptions,
    CosineOptions,
    LinearOptions,
    OneCycleOptions,
    OptimOptions,
    ScheduleOptions,
    StepOptions,
    parse_duration,
)
from nnzoo.config.shelf import OPTIMIZERS


def build_optimizer(
    options: OptimOptions, model: nn.Module, device: torch.device
) -> torch.optim.Optimizer:
    """The optimizer of `optim.name`. Weight decay acts on weights alone: biases and the factors of
    norms have one dimension."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": options.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    entry = OPTIMIZERS.get(options.name)
    assert entry is not None
    arguments = options.model_dump(exclude={"name", "schedule", "clip", "weight_decay"})
    if "betas" in arguments:
        arguments["betas"] = tuple(arguments["betas"])
    if options.name != "rmsprop" and device.type in ("cpu", "cuda"):
        arguments["fused"] = True
    return entry.load()(groups, **arguments)


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
    if progress < options.rise:
        return 1 - (1 - options.start) * (1 + math.cos(math.pi * progress / options.rise)) / 2
    fall = (progress - options.rise) / (1 - options.rise)
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * fall)) / 2


def step(options: StepOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    every = max(1, steps_of(options.every, steps_per_epoch))
    return options.gamma ** (step // every)


def linear(options: LinearOptions, progress: float, step: int, steps_per_epoch: int) -> float:
    return 1 - (1 - options.final) * progress


_SHAPES: dict[str, Callable[[Any, float, int, int], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "step": step,
    "linear": linear,
    "plateau": constant,
}


def rate_factor(
    options: ScheduleOptions, step: int, total_steps: int, steps_per_epoch: int
) -> float:
    """By what the learning rate is multiplied in a step (from 0) of `total_steps`.

    The warm-up comes first; the schedule's shape runs over the steps that follow it.
    """
    warmup = min(steps_of(options.warmup, steps_per_epoch), total_steps)
    if step < warmup:
        return (step + 1) / warmup * _SHAPES[options.name](options, 0.0, 0, steps_per_epoch)
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return _SHAPES[options.name](options, progress, step - warmup, steps_per_epoch)


def clip_gradients(parameters: list[nn.Parameter], clip: ClipOptions | None) -> Tensor:
    """Clip in place; returns the gradient's norm before, a tensor without dimensions."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if clip is not None and clip.norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, clip.norm, norm)
    elif clip is not None and clip.value is not None:
        nn.utils.clip_grad_value_(parameters, clip.value)
    return norm
