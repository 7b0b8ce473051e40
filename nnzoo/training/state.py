"""The state of a training run: its position, what it counts, and its best epoch so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch

from nnzoo.config.optim_options import PlateauOptions, ScheduleOptions
from nnzoo.config.train_options import EarlyStopping, TrainOptions, higher_is_better
from nnzoo.errors import CheckpointError


@dataclass(frozen=True)
class Monitor:
    """The validation metric that decides which epoch is the best."""

    name: str
    higher_is_better: bool

    @classmethod
    def from_options(cls, options: TrainOptions) -> Monitor:
        name = "val_loss" if options.monitor == "auto" else options.monitor
        return cls(name, higher_is_better(name))

    def improvement(self, value: float, reference: float | None) -> float:
        """Return by how much `value` is better; infinite where the reference is None or NaN."""
        if reference is None or math.isnan(reference):
            return math.inf
        return value - reference if self.higher_is_better else reference - value


# Keys in checkpoints of format 1 that differ from the attributes' names.
_CHECKPOINT_KEYS = {
    "step_in_epoch": "group",
    "lr_scale": "rate_scale",
    "plateau_epochs": "flat_epochs",
    "epochs_without_improvement": "stale_epochs",
    "reference_value": "stale_value",
}


@dataclass
class TrainState:
    """Position and counters of a run, which a checkpoint keeps beside weights and optimizer."""

    epoch: int = 0
    """Complete epochs."""
    step_in_epoch: int = 0
    step: int = 0
    elapsed: float = 0.0
    """Seconds that the steps of this epoch have taken."""
    lr_scale: float = 1.0
    """Factor that a plateau schedule has put on the learning rate."""
    plateau_epochs: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    epochs_without_improvement: int = 0
    reference_value: float | None = None
    """The monitored value that an epoch has to beat by `min_delta`."""
    skipped: int = 0
    """Steps of this epoch that were skipped because they were not finite."""
    skipped_in_row: int = 0
    norm_sum: float = 0.0
    norm_max: float = 0.0
    first_loss: float | None = None

    def start_next_epoch(self) -> None:
        """Move to the first step of the next epoch and reset the counts per epoch."""
        self.epoch += 1
        self.step_in_epoch = self.skipped = 0
        self.elapsed = self.norm_sum = self.norm_max = 0.0

    def record_step(self, norm: float, mean_loss: float) -> None:
        """Count a step that was taken on a gradient of this norm."""
        self.skipped_in_row = 0
        self.norm_sum += norm
        self.norm_max = max(self.norm_max, norm)
        if self.first_loss is None:
            self.first_loss = mean_loss

    def record_epoch(
        self,
        value: float | None,
        monitor: Monitor,
        early_stopping: EarlyStopping | None,
        schedule: ScheduleOptions,
    ) -> bool:
        """Compare the epoch's monitored value with the best; returns whether it is the new best.

        Without a value (no validation rows) the last epoch is the best. A NaN is worse than any value.
        """
        if value is None:
            self.best_epoch, self.best_value = self.epoch, None
            return True
        is_best = monitor.improvement(value, self.best_value) > 0
        is_number = not math.isnan(value)
        # Compared with the last value that counted: small improvements may add up to one that does.
        min_delta = early_stopping.min_delta if early_stopping else 0.0
        if is_number and monitor.improvement(value, self.reference_value) > min_delta:
            self.reference_value, self.epochs_without_improvement = value, 0
        else:
            self.epochs_without_improvement += 1
        if isinstance(schedule, PlateauOptions):
            self._update_plateau(schedule, is_best and is_number)
        if is_best:
            self.best_epoch, self.best_value = self.epoch, value if is_number else None
        return is_best

    def _update_plateau(self, schedule: PlateauOptions, is_better: bool) -> None:
        self.plateau_epochs = 0 if is_better else self.plateau_epochs + 1
        if self.plateau_epochs >= schedule.patience:
            self.lr_scale = max(self.lr_scale * schedule.factor, schedule.min_factor)
            self.plateau_epochs = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            _CHECKPOINT_KEYS.get(field.name, field.name): getattr(self, field.name)
            for field in fields(self)
        }

    def load_state_dict(self, state: Any, steps_per_epoch: int, source: str) -> None:
        """Set all attributes; raises CheckpointError if the content is not a position."""
        if (
            not same_structure(state, TrainState().state_dict())
            or not 0 <= state["group"] <= steps_per_epoch
        ):
            raise CheckpointError(f"{source}: its position does not fit this run", code="E65")
        for field in fields(self):
            setattr(self, field.name, state[_CHECKPOINT_KEYS.get(field.name, field.name)])


def same_structure(value: Any, pattern: Any) -> bool:
    """Whether two trees have the same keys, and tensors and numbers of the same shape and type."""
    if isinstance(pattern, dict):
        return (
            isinstance(value, dict)
            and value.keys() == pattern.keys()
            and all(same_structure(value[key], pattern[key]) for key in pattern)
        )
    if isinstance(pattern, torch.Tensor):
        return (
            isinstance(value, torch.Tensor)
            and value.shape == pattern.shape
            and value.dtype == pattern.dtype
        )
    # None stands for a number that is not known yet.
    return type(value) is type(pattern) or (pattern is None and type(value) is float)
