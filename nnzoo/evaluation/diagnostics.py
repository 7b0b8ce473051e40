"""Diagnostics of training: vanishing and exploding gradients, dead units, slow epochs; each in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnzoo.config import RunConfig
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Split, max_input_size
from nnzoo.evaluation.evaluate import eval_batch_size
from nnzoo.evaluation.layer_stats import LayerStats, NetworkStats, collect_layer_stats
from nnzoo.evaluation.thresholds import (
    DEAD_FRACTION,
    EXPLODING,
    LOSS_GROWTH,
    SLOW_SECONDS,
    SLOWDOWN,
    STATS_SAMPLES,
    STEPS_BETWEEN,
    VANISHING,
    VANISHING_IN_TIME,
)
from nnzoo.models.network import Network
from nnzoo.text import plural

BASELINE_ROWS = 4096
_KINDS = {"W01": "exploding", "W02": "dead", "W03": "vanishing", "W04": "vanishing"}


@dataclass(frozen=True)
class Finding:
    """A problem. kind: vanishing, exploding, dead, slow or no gradient; layer: its name, or "" for all; code:
    what `nnzoo explain` explains."""

    kind: str
    layer: str
    message: str
    code: str

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


def is_due(epoch: int, steps: int) -> bool:
    """Whether statistics are due after an epoch (from 1) of `steps` steps: the first, and every 400
    steps."""
    return epoch == 1 or epoch * steps // STEPS_BETWEEN > (epoch - 1) * steps // STEPS_BETWEEN


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Return the gradient norm of each layer that has gradients, by its name."""
    return layer_norms(
        {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    )


def layer_norms(norms: Mapping[str, float]) -> dict[str, float]:
    """Return the norm of each layer's gradients together from those of its parameters, by their names."""
    layers: dict[str, float] = {}
    for name, norm in norms.items():
        layer = name.rpartition(".")[0]
        layers[layer] = math.hypot(layers.get(layer, 0.0), norm)
    return layers


def linspace_rows(length: int, rows: int, device: torch.device) -> torch.Tensor:
    """Return at most `rows` row numbers (int64), evenly spaced: neighbors are often of one class."""
    return torch.linspace(0, length - 1, min(rows, length), device=device).round().long()


def first_of_classes(split: Split, spec: DataSpec, count: int) -> torch.Tensor:
    """Return at most `count` row numbers (int64): the first row of each class, or evenly spaced ones."""
    if spec.is_classification:
        targets = split.targets()
        firsts = [(targets == i).nonzero()[:1, 0] for i in range(len(spec.labels))]
        return torch.cat(firsts)[:count]
    return linspace_rows(len(split), count, torch.device("cpu"))


def max_rows(split: Split, rows: int) -> int:
    """Limit a number of rows to the batch size of evaluation."""
    return min(rows, eval_batch_size(max_input_size(split)))


def collect_split_stats(network: Network, split: Split, rows: int = STATS_SAMPLES) -> NetworkStats:
    """Collect layer statistics on evenly spaced rows of a prepared split; on fewer if they are large,
    as the outputs of every layer are kept."""
    chosen = linspace_rows(len(split), max_rows(split, rows), network.device)
    return collect_layer_stats(network, *split.batch(chosen))


def baseline_loss(network: Network, split: Split) -> float:
    """Return the training loss of equal probabilities, or of predicting the mean."""
    if network.task.is_classification:
        return math.log(network.task.outputs)
    if network.data_spec.task == "multilabel":
        return math.log(2)
    rows = max_rows(split, BASELINE_ROWS)
    y = split.batch(linspace_rows(len(split), rows, network.device))[1]
    repeats = network.task.outputs // y.shape[1]
    mean = y.float().mean(0).repeat(len(y), repeats)
    return float(network.task.loss(mean, y) / network.task.denominator(y))


def diagnose(stats: NetworkStats, config: RunConfig) -> list[Finding]:
    """Return the problems of the layers, the most important first."""
    # On a few rows many units are silent that other rows activate.
    enough = stats.samples >= STATS_SAMPLES // 2
    findings = [_dead(stats, layer, config) for layer in stats.layers] if enough else []
    findings += [_vanishing(stats, config), _vanishing_in_time(stats, config)]
    for layer in stats.layers:
        if layer.gradient is not None and not math.isfinite(layer.gradient):
            text = f"the gradient of {stats.describe(layer)} is not finite"
            findings.append(_exploding(layer.name, text, config))
            break
    return [finding for finding in findings if finding is not None]


def diagnose_epoch(row: dict[str, Any], start: float, config: RunConfig) -> list[Finding]:
    """Return the problems of an epoch's steps. row: its line of metrics.jsonl; start: the initial loss."""
    norm, loss = row["gradient_norm_max"], row["train_loss"]
    if norm > EXPLODING:
        return [_exploding("", f"a step's gradient had norm {norm:.3g}", config)]
    if loss > LOSS_GROWTH * start > 0:
        return [_exploding("", f"the loss has grown from {start:.3g} to {loss:.3g}", config)]
    return []


def diagnose_speed(seconds: float, timed: float, waits: bool) -> list[Finding]:
    """Return a finding if an epoch took far longer than its steps were timed at when threads were chosen.

    waits: whether its steps are always computed by several threads, which wait for each other.
    """
    if seconds < SLOW_SECONDS or seconds < SLOWDOWN * timed:
        return []
    hint = "; threads wait for each other then, try train.threads=1 in a new run"
    message = f"{seconds / max(timed, 1e-9):.0f} times slower than timed: another program is busy on this machine"
    return [Finding("slow", "", message + hint * waits, "W06")]


def diagnose_missing_gradients(names: list[str]) -> list[Finding]:
    """Return a finding on parameters that had no gradient in a step, by name."""
    if not names:
        return []
    shown = ", ".join(f"'{name}'" for name in names[:5]) + (" …" if len(names) > 5 else "")
    message = (
        f"no gradient: {shown} had none in some step, which left "
        f"{plural(len(names), 'weight tensor')} as they were; the loss does not depend on them"
    )
    return [Finding("no gradient", "", message, "W05")]


def _dead(stats: NetworkStats, layer: LayerStats, config: RunConfig) -> Finding | None:
    if not layer.units or not layer.dead or layer.dead < DEAD_FRACTION * layer.units:
        return None
    activation = getattr(config.model, "activation", getattr(config.model, "nonlinearity", ""))
    suggestions = [f"a lower optim.lr (now {config.optim.lr:g})"]
    suggestions += ["model.activation: leaky_relu"] if activation == "relu" else []
    message = (
        f"dead units: {layer.dead:,} of {layer.units:,} in {stats.describe(layer)} give the same "
        "output for every row and no longer learn"
    )
    return _finding("W02", layer.name, message, suggestions + _suggest_norm(config))


def _vanishing(stats: NetworkStats, config: RunConfig) -> Finding | None:
    """Find the lowest layer whose gradient is a tiny fraction of the gradient of a layer above it."""
    # The few factors of a norm layer do not count.
    layers = [x for x in stats.layers if x.multiply_adds and x.gradient is not None]
    for i, layer in enumerate(layers):
        above = max(layers[i:], key=lambda x: x.gradient or 0.0)
        norms = layer.gradient or 0.0, above.gradient or 0.0
        if not all(map(math.isfinite, norms)) or norms[0] >= VANISHING * norms[1]:
            continue
        options: Any = config.model
        saturates = getattr(options, "activation", "") in ("sigmoid", "tanh")
        suggestions = ["model.activation: relu"] if saturates else []
        suggestions += _suggest_norm(config)
        suggestions += ["model.init: xavier_uniform"] if options.init == "torch" else []
        no_residual = getattr(options, "residual", True) is False
        suggestions += ["model.residual: true"] if no_residual else []
        message = (
            f"vanishing gradient: {stats.describe(layer)} gets {layer.gradient:.1e}, "
            f"{stats.describe(above)} {above.gradient:.1e}; the layers near the input barely train"
        )
        return _finding("W03", layer.name, message, [*suggestions, "fewer layers"])
    return None


def _vanishing_in_time(stats: NetworkStats, config: RunConfig) -> Finding | None:
    norms = stats.time_gradients
    if not norms:
        return None
    first, largest = max(norms[: max(1, len(norms) // 10)]), max(norms)
    if not first < VANISHING_IN_TIME * largest:
        return None
    suggestions = ["model.name: lstm or gru"] if config.model.name == "rnn" else []
    suggestions += ["a shorter sequence or window", "model.readout: mean", "model.init: orthogonal"]
    message = (
        f"vanishing gradient over time: the first time steps get {first:.1e}, the strongest "
        f"{largest:.1e}; what is far back is barely learned"
    )
    return _finding("W04", "time", message, suggestions)


def _exploding(layer: str, reason: str, config: RunConfig) -> Finding:
    suggestions = ["optim.clip={norm: 1.0}"] if config.optim.clip is None else []
    suggestions += [f"a lower optim.lr (now {config.optim.lr:g})", "optim.schedule.warmup"]
    suggestions += _suggest_norm(config)
    preprocess = getattr(config.data, "preprocess")
    suggestions += [
        f"data.preprocess.{key}: standardize"
        for key in ("scale", "target")
        if getattr(preprocess, key, "") == "none"
    ]
    return _finding("W01", layer, f"exploding gradient: {reason}", suggestions)


def _suggest_norm(config: RunConfig) -> list[str]:
    return ["model.norm: batch"] if getattr(config.model, "norm", "") == "none" else []


def _finding(code: str, layer: str, message: str, suggestions: list[str]) -> Finding:
    text = f"{message}; what usually helps: {', '.join(suggestions)}"
    return Finding(_KINDS[code], layer, text, code)
