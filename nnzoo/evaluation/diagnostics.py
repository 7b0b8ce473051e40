"""Vanishing and exploding gradients and dead units, found in numbers and named in words.

A run that learns keeps far from each limit: over the bundled configs the layer with the smallest
gradient has at least 0.06 of that of the layers above it, the first time step 0.05 of the strongest,
no step has a gradient above 28, no layer more than 5 % dead units. A sigmoid network of ten layers
has 2e-6 in its first one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnzoo.config import RunConfig
from nnzoo.data.dataset import Split
from nnzoo.evaluation.evaluate import eval_batch_size
from nnzoo.evaluation.layer_stats import LayerStats, NetworkStats, collect_layer_stats
from nnzoo.models.network import Network

VANISHING = 1e-3
VANISHING_IN_TIME = 1e-4
EXPLODING = 100.0
# Times the loss at the start, or of an answer that knows nothing where that is larger.
LOST = 5.0
DEAD = 1 / 3
# Times the seconds that an epoch's steps should take, and of how many seconds on it matters.
SLOW, SLOW_SECONDS = 4.0, 1.0
ROWS = 64
TRIVIAL_ROWS = 4096
# A look costs about a step and a half.
STEPS_BETWEEN = 400


@dataclass(frozen=True)
class Finding:
    """kind: vanishing, exploding, dead, slow or no gradient; layer: its name, "" for the whole network."""

    kind: str
    layer: str
    message: str

    def __str__(self) -> str:
        return self.message


def due(epoch: int, steps: int) -> bool:
    """Whether to look after this epoch (from 1) of so many steps: the first, and every 400 steps."""
    return epoch == 1 or epoch * steps // STEPS_BETWEEN > (epoch - 1) * steps // STEPS_BETWEEN


def look_at(network: Network, split: Split, rows: int = ROWS) -> NetworkStats:
    """What the layers do with some rows of a prepared split, evenly from all of it; fewer where they
    are large, as the look holds every layer's output of all of them."""
    return collect_layer_stats(
        network, *split.batch(spread_rows(len(split), rows_at_once(split, rows), network.device))
    )


def rows_at_once(split: Split, rows: int) -> int:
    """So many rows, or as many as `evaluate` takes at once."""
    x, _ = split.batch(torch.zeros(1, dtype=torch.int64, device=split.targets().device))
    return min(rows, eval_batch_size(x.numel()))


def spread_rows(length: int, rows: int, device: torch.device) -> torch.Tensor:
    """At most `rows` row numbers (int64), evenly spaced: neighbours are often of one class."""
    return torch.linspace(0, length - 1, min(rows, length), device=device).round().long()


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Return the gradient norm of each layer that has gradients, by its name."""
    norms: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            layer = name.rpartition(".")[0]
            norms[layer] = math.hypot(norms.get(layer, 0.0), float(parameter.grad.norm()))
    return norms


def trivial_loss(network: Network, split: Split) -> float:
    """The training loss of an answer that knows nothing: equal probabilities, or the mean."""
    if network.task.is_classification:
        return math.log(network.task.outputs)
    rows = rows_at_once(split, TRIVIAL_ROWS)
    y = split.batch(spread_rows(len(split), rows, network.device))[1]
    mean = y.float().mean(0, keepdim=True).expand_as(y)
    return float(network.task.loss(mean, y) / network.task.denominator(y))


def diagnose(seen: NetworkStats, config: RunConfig) -> list[Finding]:
    """What is wrong with the layers, most telling first; empty where nothing is."""
    # A few rows leave many units silent that others wake.
    enough = seen.samples >= ROWS // 2
    found = [_dead(seen, each, config) for each in seen.layers] if enough else []
    found += [_vanishing(seen, config), _vanishing_in_time(seen, config)]
    infinite = [
        each
        for each in seen.layers
        if each.gradient is not None and not math.isfinite(each.gradient)
    ]
    if infinite:
        text = f"the gradient of {seen.describe(infinite[0])} is not finite"
        found.append(_exploding(infinite[0].name, text, config))
    return [each for each in found if each is not None]


def diagnose_epoch(row: dict[str, Any], start: float, config: RunConfig) -> list[Finding]:
    """What the steps of an epoch tell, from its line of metrics.jsonl; start: the loss to begin with."""
    norm, loss = row["gradient_norm_max"], row["train_loss"]
    if norm > EXPLODING:
        return [_exploding("", f"a step's gradient had norm {norm:.3g}", config)]
    if loss > LOST * start > 0:
        return [_exploding("", f"the loss has grown from {start:.3g} to {loss:.3g}", config)]
    return []


def diagnose_speed(seconds: float, timed: float, config: RunConfig) -> list[Finding]:
    """Whether an epoch's steps took far longer than they were timed for when threads were chosen."""
    if seconds < SLOW_SECONDS or seconds < SLOW * timed:
        return []
    threads = config.train.threads
    help_ = (
        ""
        if threads == 1
        else "; threads wait for each other then, try train.threads=1 in a new run"
    )
    times = seconds / max(timed, 1e-9)
    message = f"{times:.0f} times slower than timed: another program is busy on this machine{help_}"
    return [Finding("slow", "", message)]


def without_gradient(names: list[str]) -> list[Finding]:
    """Parameters that had no gradient in a step, by name."""
    if not names:
        return []
    shown = ", ".join(f"'{name}'" for name in names[:5]) + (" …" if len(names) > 5 else "")
    return [
        Finding(
            "no gradient", "",
            f"no gradient: {shown} had none in some step, which left {len(names):,} weight "
            f"tensor{'s' if len(names) > 1 else ''} as they were; the loss does not depend on them",
        )
    ]  # fmt: skip


def _dead(seen: NetworkStats, layer: LayerStats, config: RunConfig) -> Finding | None:
    if not layer.units or not layer.dead or layer.dead < DEAD * layer.units:
        return None
    activation = getattr(config.model, "activation", getattr(config.model, "nonlinearity", ""))
    help_ = [f"a lower optim.lr (now {config.optim.lr:g})"]
    help_ += ["model.activation: leaky_relu"] if activation == "relu" else []
    help_ += _more_norm(config)
    return Finding(
        "dead", layer.name,
        f"dead units: {layer.dead:,} of {layer.units:,} in {seen.describe(layer)} give the same output for "
        f"every row and no longer learn; {_helps(help_)}",
    )  # fmt: skip


def _vanishing(seen: NetworkStats, config: RunConfig) -> Finding | None:
    """The lowest layer whose gradient is a tiny part of that of a layer above it."""
    # Not the factors of a norm, which are few.
    layers = [each for each in seen.layers if each.multiply_adds and each.gradient is not None]
    for i, layer in enumerate(layers):
        above = max(layers[i:], key=lambda each: each.gradient or 0.0)
        norms = layer.gradient or 0.0, above.gradient or 0.0
        if not all(map(math.isfinite, norms)) or norms[0] >= VANISHING * norms[1]:
            continue
        options: Any = config.model
        saturates = getattr(options, "activation", "") in ("sigmoid", "tanh")
        help_ = ["model.activation: relu"] if saturates else []
        help_ += _more_norm(config)
        help_ += ["model.init: xavier_uniform"] if options.init == "torch" else []
        help_ += ["model.residual: true"] if getattr(options, "residual", True) is False else []
        help_ += ["fewer layers"]
        return Finding(
            "vanishing", layer.name,
            f"vanishing gradient: {seen.describe(layer)} gets {layer.gradient:.1e}, {seen.describe(above)} "
            f"{above.gradient:.1e}; the layers near the input barely train; {_helps(help_)}",
        )  # fmt: skip
    return None


def _vanishing_in_time(seen: NetworkStats, config: RunConfig) -> Finding | None:
    if not seen.time_gradients:
        return None
    start, most = (
        max(seen.time_gradients[: max(1, len(seen.time_gradients) // 10)]),
        max(seen.time_gradients),
    )
    if not start < VANISHING_IN_TIME * most:
        return None
    help_ = ["model.name: lstm or gru"] if config.model.name == "rnn" else []
    help_ += ["a shorter sequence or window", "model.readout: mean", "model.init: orthogonal"]
    return Finding(
        "vanishing", "time",
        f"vanishing gradient over time: the first time steps get {start:.1e}, the strongest "
        f"{most:.1e}; what is far back is barely learned; {_helps(help_)}",
    )  # fmt: skip


def _exploding(layer: str, what: str, config: RunConfig) -> Finding:
    help_ = ["optim.clip={norm: 1.0}"] if config.optim.clip is None else []
    help_ += [
        f"a lower optim.lr (now {config.optim.lr:g})",
        "optim.schedule.warmup",
        *_more_norm(config),
    ]
    preprocess = getattr(config.data, "preprocess")
    help_ += [
        f"data.preprocess.{key}: standardize"
        for key in ("scale", "target")
        if getattr(preprocess, key, "") == "none"
    ]
    return Finding("exploding", layer, f"exploding gradient: {what}; {_helps(help_)}")


def _more_norm(config: RunConfig) -> list[str]:
    return ["model.norm: batch"] if getattr(config.model, "norm", "") == "none" else []


def _helps(suggestions: list[str]) -> str:
    return f"what usually helps: {', '.join(suggestions)}"
