"""Checks of a network before its first step: what the first batch says about inputs, outputs, loss and gradients.

They work on copies: network, data and the random numbers of a run are left as they are.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from nnzoo.config import RunConfig
from nnzoo.config.optim_options import ConstantOptions
from nnzoo.data.dataset import Split
from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.errors import DivergedError
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.layer_stats import eval_in_fp32
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.thresholds import (
    ENOUGH_STEPS,
    LEARNED,
    MAX_INPUT_RMS,
    MAX_OUTPUT_STD,
    MIN_INPUT_RMS,
    OVERFIT_ROWS,
    OVERFIT_SECONDS,
    OVERFIT_STEPS,
    OVERFIT_TARGETS,
)
from nnzoo.explain.walk import Verdict
from nnzoo.models.layers import flatten_layers
from nnzoo.models.network import Network
from nnzoo.training.train_step import TrainerStack
from nnzoo.training.trainer import Trainer

# Random orders of the targets by which the loss of outputs that are unrelated to them is estimated.
SHUFFLES = 20


@dataclass(frozen=True)
class Check:
    """A check with its verdict. name: the beginning of the key of its text; outcome: the rest; code: of the warning."""

    name: str
    verdict: Verdict
    outcome: str
    values: dict[str, Any] = field(default_factory=dict)
    code: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        values = {key: x for key, x in self.values.items() if isinstance(x, str | int | float)}
        result = {"check": self.name, "verdict": self.verdict, "outcome": self.outcome}
        return result | {"code": self.code or None, **values}


@dataclass(frozen=True)
class FirstBatch:
    """The first batch of a run: prepared inputs, targets, and the network's outputs before the first step, with dropout
    and augmentation off."""

    network: Network
    split: Split
    rows: Tensor
    x: Inputs
    y: Tensor
    output: Tensor

    @classmethod
    def of(cls, trainer: Trainer) -> FirstBatch:
        """The batch that the first step of a trainer would take."""
        split = trainer.splits["train"]
        size = min(trainer.config.train.batch_size, trainer.step_sizes[0])
        rows = trainer.epoch_rows()[:size].to(trainer.device)
        x, y = split.batch(rows)
        network = trainer.network
        with eval_in_fp32(network), torch.no_grad():
            output = network(x)
        return cls(network, split, rows, x, y, output)


def check_inputs(batch: FirstBatch) -> Check:
    """Whether inputs are scaled: their root mean square as the network sees them is about 1."""
    network, x = batch.network, batch.x
    if network.data_spec.input.kind == "tokens":
        return Check("inputs", "skipped", "tokens")
    values = network.preprocess(x) if network.data_spec.input.kind == "image" else x
    if isinstance(values, PaddedSequences):
        values = values.values[values.mask]
    values = cast(Tensor, values).double()
    rms = float(values.square().mean().sqrt())
    figures = {"rms": rms, "mean": float(values.mean()), "std": float(values.std(correction=0))}
    figures |= {"low": float(values.min()), "high": float(values.max())}
    if not math.isfinite(rms):
        return Check("inputs", "look", "not_finite", figures, "W30")
    if MIN_INPUT_RMS <= rms <= MAX_INPUT_RMS:
        return Check("inputs", "ok", "ok", figures)
    return Check("inputs", "look", "large" if rms > 1 else "small", figures, "W30")


def check_outputs(batch: FirstBatch) -> Check:
    """Whether outputs differ between rows, and are small enough that the network is not confident of anything yet."""
    output = batch.output.double()
    std = float(output.std(correction=0))
    between = float(output.std(0, correction=0).max()) if len(output) > 1 else std
    figures = {"std": std, "between_rows": between, "limit": MAX_OUTPUT_STD}
    if batch.network.origin:
        return Check("outputs", "skipped", "trained", figures)
    if not math.isfinite(std):
        return Check("outputs", "look", "not_finite", figures, "W31")
    if between < 1e-6 * max(1.0, float(output.abs().max())):
        return Check("outputs", "look", "same", figures, "W31")
    if std > MAX_OUTPUT_STD:
        return Check("outputs", "look", "large", figures, "W31")
    return Check("outputs", "ok", "ok", figures)


def check_loss(batch: FirstBatch) -> Check:
    """Whether the loss of the first batch is that of a network that knows nothing.

    Expected is the loss of its outputs with the batch's targets in random order, to which they are unrelated: of classes
    that is about ln C + s²/2 with outputs of variance s². It may differ by chance (three standard errors) and by as much
    as outputs vary, since inputs of one class resemble each other.
    """
    network = batch.network
    task, deviation = network.task, _deviation(batch)
    losses = task.loss(batch.output, batch.y, "none").double().flatten()
    loss = float(losses.sum() / task.denominator(batch.y))
    baseline = diagnostics.baseline_loss(network, batch.split)
    expected = _shuffled_loss(batch)
    error = float(losses.std()) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
    is_regression = isinstance(task, Regression)
    related = 2 * deviation if is_regression else deviation
    tolerance = 3 * error + related + 0.05 * baseline
    figures = {"loss": loss, "baseline": baseline, "expected": expected, "tolerance": tolerance}
    figures |= {"std": deviation, "added": expected - baseline, "chance": 3 * error}
    figures |= {"classes": task.outputs, "rows": len(batch.y)}
    if network.origin:
        return Check("loss", "skipped", "trained", figures)
    if not math.isfinite(loss):
        return Check("loss", "look", "not_finite", figures, "W32")
    kind = _loss_kind(network)
    if loss > expected + tolerance:
        return Check("loss", "look", f"high.{kind}", figures, "W32")
    if loss < expected - tolerance and not is_regression:
        return Check("loss", "look", f"low.{kind}", figures, "W32")
    if is_regression and loss > 2 * baseline + tolerance:
        return Check("loss", "skipped", "offset", figures)
    is_below = is_regression and loss < baseline / 2
    return Check("loss", "ok", f"below.{kind}" if is_below else f"ok.{kind}", figures)


def _deviation(batch: FirstBatch) -> float:
    """The standard deviation of the outputs; of classes around the mean of each row, which softmax ignores."""
    output = batch.output.double()
    if batch.network.task.gives_probabilities and output.shape[-1] > 2:
        output = output - output.mean(-1, keepdim=True)
    return float(output.std(correction=0))


def _shuffled_loss(batch: FirstBatch) -> float:
    """The mean loss of the batch's outputs with its targets in random orders."""
    task, y = batch.network.task, batch.y
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for _ in range(SHUFFLES):
        shuffled = y[torch.randperm(len(y), generator=generator).to(y.device)]
        total += float(task.loss(batch.output, shuffled) / task.denominator(shuffled))
    return total / SHUFFLES


def _loss_kind(network: Network) -> str:
    """Return the kind of targets, as the texts distinguish them: classes, tokens, labels or numbers."""
    kinds = {"classification": "classes", "language_model": "tokens", "multilabel": "labels"}
    return kinds.get(network.data_spec.task, "numbers")


def check_gradients(network: Network, split: Split, config: RunConfig) -> list[Check]:
    """Whether gradients reach every layer, and whether units are dead at the start, by the diagnostics of training."""
    stats = diagnostics.collect_split_stats(network, split)
    findings = diagnostics.diagnose(stats, config)
    of_units = [finding for finding in findings if finding.kind == "dead"]
    of_gradients = [finding for finding in findings if finding.kind != "dead"]
    gradients = stats.gradients()
    layers = {layer.name: layer for layer in stats.layers if layer.multiply_adds}
    norms = [gradients[name] for name in layers if name in gradients]
    missing = [name for name in layers if gradients.get(name) == 0.0]
    figures: dict[str, Any] = {"rows": stats.samples, "layers": len(norms), "missing": len(missing)}
    if norms:
        figures |= {"smallest": min(norms), "largest": max(norms)}
    first = _time_ratio(stats.time_gradients)
    if first is not None:
        figures["first_step"] = first
    if not norms:
        checks = [Check("gradients", "skipped", "frozen", figures)]
    elif of_gradients:
        checks = [
            Check("gradients", _verdict(f, config), _outcome(f), figures, f.code)
            for f in of_gradients
        ]
    elif missing:
        checks = [Check("gradients", "look", "missing", figures | {"names": missing}, "W05")]
    else:
        checks = [Check("gradients", "ok", "ok" if first is None else "ok_time", figures)]
    return [*checks, *_unit_checks(stats.layers, of_units, stats.samples)]


def _outcome(finding: diagnostics.Finding) -> str:
    return "vanishing_time" if finding.layer == "time" else finding.kind


def _verdict(finding: diagnostics.Finding, config: RunConfig) -> Verdict:
    """Gates that forget at first learn not to: what vanishes over time in them is no problem yet."""
    is_gated = config.model.name in ("lstm", "gru")
    return "skipped" if finding.layer == "time" and is_gated else "look"


def _time_ratio(norms: list[float] | None) -> float | None:
    """The gradient at the first time steps as a fraction of the strongest one; None without time or gradient."""
    if not norms or not max(norms) > 0:
        return None
    return max(norms[: max(1, len(norms) // 10)]) / max(norms)


def _unit_checks(
    layers: list[Any], findings: list[diagnostics.Finding], samples: int
) -> list[Check]:
    counted = [layer for layer in layers if layer.units]
    if not counted:
        return [Check("units", "skipped", "none")]
    dead = sum(layer.dead or 0 for layer in counted)
    figures = {"dead": dead, "units": sum(layer.units for layer in counted), "rows": samples}
    if not findings:
        return [Check("units", "ok", "ok", figures)]
    return [Check("units", "look", "dead", figures, finding.code) for finding in findings[:1]]


def check_overfit(config: RunConfig, network: Network, split: Split) -> Check:
    """Whether a copy of the network can memorize a few rows, with the run's optimizer at a constant rate.

    Dropout, augmentation, label smoothing and early stopping are off. It trains for at most OVERFIT_SECONDS and OVERFIT_STEPS.
    """
    trainer = _overfitting_trainer(config, network, split)
    few = max(2, OVERFIT_TARGETS // trainer.task.targets_per_row)
    count = min(OVERFIT_ROWS, few, trainer.step_sizes[0])
    rows = trainer.epoch_rows()[:count].to(trainer.device)[None]
    stack = TrainerStack([trainer])
    trainer.network.train()
    losses: list[float] = []
    # A first loss far above that of knowing nothing would make even worse than that count as memorized.
    known, target = diagnostics.baseline_loss(network, split) / 2, math.inf
    end = time.perf_counter() + OVERFIT_SECONDS
    while len(losses) < OVERFIT_STEPS and (time.perf_counter() < end or len(losses) < 2):
        trainer.running_loss = type(trainer.running_loss)(trainer.task.correct_metric)
        event = stack.train_step(rows)[0]
        if isinstance(event, DivergedError):
            figures = {"rows": count, "steps": len(losses) + 1, "lr": config.optim.lr}
            return Check("overfit", "look", "diverged", figures, "W01")
        losses.append(float(trainer.running_loss.compute()["loss"]))
        target = min(LEARNED * losses[0], known)
        if losses[-1] <= 0.5 * target:
            break
    best = min(losses)
    figures = {"rows": count, "steps": len(losses), "start": losses[0], "end": losses[-1]}
    figures |= {"best": best, "lr": config.optim.lr, "target": target}
    if best <= target:
        return Check("overfit", "ok", "ok", figures)
    if len(losses) < ENOUGH_STEPS:
        return Check("overfit", "skipped", "time", figures)
    return Check("overfit", "look", "failed", figures, "W33")


def _overfitting_trainer(config: RunConfig, network: Network, split: Split) -> Trainer:
    """A trainer of a copy of the network without dropout, augmentation, label smoothing and schedule."""
    data: Any = config.data
    updates: dict[str, Any] = {}
    updates |= {"augment": None} if getattr(data, "augment", None) is not None else {}
    updates |= {"stateful": False} if getattr(data, "stateful", False) else {}
    schedule = ConstantOptions(name="constant")
    options = {"accumulate_grad_batches": 1, "on_nan": "stop"}
    config = replace(
        config,
        data=data.model_copy(update=updates),
        optim=config.optim.model_copy(update={"schedule": schedule}),
        train=config.train.model_copy(update=options),
    )
    network = copy.deepcopy(network)
    task: Any = network.task
    # Smoothed labels would keep the loss above their entropy, however well the rows are memorized.
    if hasattr(task, "label_smoothing"):
        task.label_smoothing = 0.0
    for module in network.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.RNNBase):
            module.dropout = 0.0
    flatten_layers(network.model)
    return Trainer(config, network, {"train": split})
