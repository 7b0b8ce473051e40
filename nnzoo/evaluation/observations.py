"""Observations on learning curves in words: over-fitting, not converged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nnzoo.config import RunConfig
from nnzoo.evaluation.thresholds import MIN_CURVE, NEGLIGIBLE_LOSS, OVERFIT_RISE, STILL_FALLING
from nnzoo.text import Note, format_metric


def curve_observations(
    rows: Sequence[dict[str, Any]], best_epoch: int, config: RunConfig
) -> list[str]:
    """Return lines on over-fitting and convergence. rows: those of metrics.jsonl."""
    pairs = [(row.get("val_loss"), row.get("train_loss")) for row in rows]
    finite = all(isinstance(v, int | float) and math.isfinite(v) for pair in pairs for v in pair)
    if len(pairs) < MIN_CURVE or not finite:
        return []
    val: list[float] = [pair[0] for pair in pairs]  # type: ignore[misc]
    train: list[float] = [pair[1] for pair in pairs]  # type: ignore[misc]
    best = min(range(len(val)), key=val.__getitem__)
    lines: list[str] = []
    if val[-1] > (1 + OVERFIT_RISE) * val[best] and train[-1] < train[best]:
        text = (
            f"Over-fitting: since epoch {best + 1} the validation loss has risen from {format_metric(val[best])} "
            f"to {format_metric(val[-1])}, while the training loss went on falling. The best weights are from "
            f"epoch {best_epoch}. What usually helps: {', '.join(_overfitting_remedies(config))}."
        )
        lines.append(Note("W10", text))
    late = max(1, len(val) // 10)
    falls = best >= len(val) - late and val[-1] < STILL_FALLING * val[-1 - late]
    if falls and val[-1] > NEGLIGIBLE_LOSS * max(val):
        text = (
            f"Not converged yet: the validation loss still fell by {1 - val[-1] / val[-1 - late]:.0%} over "
            f"the last {late} epoch{'s' if late > 1 else ''}. More epochs may bring more."
        )
        lines.append(Note("W11", text))
    return lines


def _overfitting_remedies(config: RunConfig) -> list[str]:
    """Return what usually reduces over-fitting and this config does not do yet."""
    remedies = ["model.dropout=0.3"] if getattr(config.model, "dropout", None) == 0 else []
    if hasattr(config.data, "augment") and config.data.augment is None:
        remedies.append("data.augment={shift: 2}")
    remedies += ["optim.weight_decay"] if config.optim.weight_decay == 0 else []
    remedies += ["fewer units", "more data"]
    if config.train.early_stopping is None:
        remedies.append("train.early_stopping={patience: 10}, which saves the time")
    return remedies
