"""Training in the walk-through of a config: steps, learning rate over time, clipping, options, an estimate of the time."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.config.options import Options
from nnzoo.config.registry import RUN_SECTIONS
from nnzoo.data.dataset import Split, max_input_size
from nnzoo.data.sampling import batch_sizes
from nnzoo.evaluation.evaluate import eval_batch_size
from nnzoo.evaluation.layer_stats import eval_in_fp32
from nnzoo.explain.walk import Section, Statement, Walk
from nnzoo.models.network import Network
from nnzoo.training.lr_schedule import lr_factor

# Steps at which the learning rate is looked at to find its largest value.
SAMPLED_STEPS = 20_000


def describe_training(
    section: Section, config: RunConfig, rows: dict[str, int], step_sizes: list[int]
) -> dict[str, Any]:
    """Add statements on the loop; returns their figures. step_sizes: rows of each step, empty where rows are unknown."""
    train, optim = config.train, config.optim
    figures: dict[str, Any] = {"epochs": train.epochs, "batch_size": train.batch_size}
    accumulated = train.accumulate_grad_batches
    if step_sizes:
        steps = len(step_sizes)
        figures |= {"steps_per_epoch": steps, "steps": steps * train.epochs}
        section.add(
            "training.steps",
            rows=rows["train"],
            batch=train.batch_size * accumulated,
            steps=steps,
            epochs=train.epochs,
            total=steps * train.epochs,
        )
        if step_sizes[-1] != step_sizes[0]:
            section.add("training.last_step", 1, rows=step_sizes[-1])
    else:
        section.add("training.epochs", epochs=train.epochs, batch=train.batch_size)
    if accumulated > 1:
        section.add("training.accumulated", 1, batches=accumulated, batch=train.batch_size)
    name = optim.name if optim.name in ("sgd", "adam", "adamw", "rmsprop") else "other"
    section.add(f"optimizer.{name}", name=optim.name, momentum=getattr(optim, "momentum", 0.0))
    figures |= _describe_schedule(section, config, len(step_sizes))
    if optim.clip is not None and optim.clip.norm is not None:
        section.add("training.clip_norm", norm=optim.clip.norm)
    elif optim.clip is not None:
        section.add("training.clip_value", value=optim.clip.value)
    else:
        section.add("training.no_clip")
    _describe_best(section, config, rows)
    return figures


def _describe_schedule(section: Section, config: RunConfig, steps: int) -> dict[str, Any]:
    """The learning rate in words, and its values at the start, at its largest, and at the end."""
    schedule, lr = config.optim.schedule, config.optim.lr
    values = schedule.model_dump() | {"lr": lr}
    values["percent"] = 100 * values.get("pct_start", 0.0)
    values |= {f"lr_{key}": lr * values[key] for key in ("start", "final") if key in values}
    section.add(f"schedule.{schedule.name}", **values)
    total = steps * config.train.epochs
    if not total:
        return {"schedule": schedule.name, "lr": lr}
    stride = max(1, total // SAMPLED_STEPS)
    sampled = [*range(0, total, stride), total - 1]
    rates = [lr * lr_factor(schedule, step, total, steps) for step in sampled]
    peak = max(range(len(rates)), key=rates.__getitem__)
    figures = {"lr_start": rates[0], "lr_peak": rates[peak], "lr_end": rates[-1]}
    if schedule.warmup != "0 steps":
        section.add("schedule.warmup", 1, warmup=schedule.warmup)
    if min(rates) < max(rates):
        step = sampled[peak] + 1
        section.add("schedule.rates", 1, start=rates[0], peak=rates[peak], step=step, end=rates[-1])
        figures["lr_peak_step"] = step
    return {"schedule": schedule.name, "lr": lr} | figures


def _describe_best(section: Section, config: RunConfig, rows: dict[str, int]) -> None:
    """Add the metric that chooses the weights, and when training ends."""
    train = config.train
    if rows and not rows.get("val"):
        section.add("training.no_validation")
    else:
        section.add(
            "training.best", monitor="val_loss" if train.monitor == "auto" else train.monitor
        )
    if train.early_stopping is not None:
        section.add("training.early_stopping", patience=train.early_stopping.patience)


def changed_options(config: RunConfig) -> list[tuple[str, Any, Any, str]]:
    """Options that are not at their default: dotted key, value, default, and meaning in English."""
    changed: list[tuple[str, Any, Any, str]] = []
    for section in RUN_SECTIONS:
        changed += _changed(getattr(config, section), section)
    return changed


def _changed(options: Options, prefix: str) -> list[tuple[str, Any, Any, str]]:
    changed: list[tuple[str, Any, Any, str]] = []
    for key, info in type(options).model_fields.items():
        value, default = getattr(options, key), info.get_default(call_default_factory=True)
        if key == "name" or value == default:
            continue
        path, meaning = f"{prefix}.{key}", info.description or ""
        if isinstance(value, Options) and isinstance(default, type(value)):
            changed += _changed(value, path)
        else:
            required = info.is_required()
            plain = value.model_dump(exclude_defaults=True) if isinstance(value, Options) else value
            base = (
                default.model_dump(exclude_defaults=True)
                if isinstance(default, Options)
                else default
            )
            changed.append((path, plain, None if required else base, meaning))
    return changed


def describe_options(walk: Walk, config: RunConfig) -> None:
    """Add a section of the options that differ from their defaults, each with its meaning."""
    from nnzoo.config.formatting import value_text

    changed = changed_options(config)
    walk.figures["options"] = [
        {"key": key, "value": value, "default": default} for key, value, default, _ in changed
    ]
    if not changed:
        return
    section = walk.add("options")
    for key, value, default, meaning in changed:
        shown = {"key": key, "value": value_text(value), "default": value_text(default)}
        section.add("options.key" if default is not None else "options.set", **shown)
        section.add("options.meaning", 1, meaning=meaning)


def describe_time(
    section: Section, network: Network, splits: dict[str, Split], step_seconds: float | None
) -> dict[str, Any]:
    """Add an estimate of the training time from the seconds of a timed step; returns its figures."""
    assert step_seconds is not None
    train = network.config.train
    rows = len(splits["train"])
    steps = len(batch_sizes(rows, train.batch_size * train.accumulate_grad_batches))
    evaluated = [splits["val"]] if "val" in splits else []
    # Statistics of batch norm that are taken anew read all training rows once more.
    evaluated += [splits["train"]] if train.norm_statistics == "exact" else []
    validation = sum(len(split) * _seconds_per_row(network, split) for split in evaluated)
    epoch = steps * step_seconds + validation
    seconds = train.epochs * epoch
    machine = {"machine": machine_name(), "threads": torch.get_num_threads()}
    section.add(
        "time.estimate",
        total=duration(seconds),
        epoch=duration(epoch),
        step=1000 * step_seconds,
        precision=train.precision,
        **machine,
    )
    section.add("time.caution")
    figures = {"seconds": seconds, "step_seconds": step_seconds, "epoch_seconds": epoch}
    return figures | machine | {"precision": train.precision, "kernels": train.kernels}


def _seconds_per_row(network: Network, split: Split) -> float:
    """The time to evaluate a row, by one timed batch of at most 2,048."""
    count = min(len(split), eval_batch_size(max_input_size(split)), 2048)
    x, _ = split.batch(torch.arange(count, device=network.device))
    with eval_in_fp32(network), torch.no_grad():
        network(x)  # caches are cold at first
        started = time.perf_counter()
        network(x)
        return (time.perf_counter() - started) / count


def machine_name() -> str:
    """The processor's name as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def duration(seconds: float) -> Statement:
    """A time as a statement with two significant digits."""
    if seconds < 60:
        return Statement("duration.seconds", {"value": f"{seconds:.2g}"})
    if seconds < 5400:
        return Statement("duration.minutes", {"value": f"{seconds / 60:.2g}"})
    return Statement("duration.hours", {"value": f"{seconds / 3600:.2g}"})
