"""The loop. It yields what happened; saving, logging and the terminal are readers of its events.

The position of a run is three integers (epoch, batch group, step): the order of an epoch follows
from (seed, epoch), dropout and augmentation from (seed, step), the learning rate from the step.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nnzoo.config import RunConfig
from nnzoo.config.optim_options import PlateauOptions
from nnzoo.config.train_options import higher_is_better
from nnzoo.data.augment import Draws, augment
from nnzoo.data.dataset import Split
from nnzoo.data.sampling import Share, batch_sizes, derive, epoch_order, seed_all, sharing
from nnzoo.distributed import SINGLE, ProcessGroup, SingleProcess
from nnzoo.errors import CheckpointError, DivergedError
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.evaluate import evaluate
from nnzoo.evaluation.metrics import RunningLoss
from nnzoo.kernels.build import available
from nnzoo.models.ensemble import uses_randomness
from nnzoo.models.network import Network, check_state_dict
from nnzoo.training.norm_statistics import renew_statistics, resolve_statistics
from nnzoo.training.optim import Optimizer, lr_factor


@dataclass(frozen=True)
class StepEnd:
    """One optimizer step was taken. `step` counts from 1 over the run, `step_in_epoch` within the epoch."""

    epoch: int
    step_in_epoch: int
    steps_per_epoch: int
    step: int


@dataclass(frozen=True)
class EpochEnd:
    """One epoch is over; `row` is its line of metrics.jsonl; `best` tells whether it is the best;
    `findings`: what is wrong with gradients or units and was not told before."""

    row: dict[str, Any]
    best: bool
    findings: list[diagnostics.Finding]


@contextmanager
def gc_frozen() -> Iterator[None]:
    """What stands before training is left out of Python's searches for unreachable objects, each of which
    takes 50 ms where torch is loaded: 1 % of an LSTM's steps."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Trainer:
    """One network in training.

    network: a batch to outputs, with its parts `model` (what is trained), `task` (loss and
    metrics) and `device`; splits: prepared for it, on its device; processes: with which it shares
    every batch. Whatever there are, the course of training is the same.
    """

    def __init__(
        self, config: RunConfig, network: Network, splits: dict[str, Split],
        processes: SingleProcess = SINGLE,
    ) -> None:  # fmt: skip
        self.config = config
        self.processes = processes
        self.network = network
        self.model = network.model
        self.task = network.task
        self.device = network.device
        self.splits = splits
        self.draws = uses_randomness(self.model)
        self.parameters = list(self.model.parameters())
        native = network.native and available(self.device)
        self.optimizer = Optimizer(config.optim, self.model, native)
        train = config.train
        self.rows = len(splits["train"])
        self.step_sizes = batch_sizes(self.rows, train.batch_size * train.accumulate_grad_batches)
        statistics = resolve_statistics(
            train.norm_statistics, self.model, self.rows, train.batch_size
        )
        self.renews_statistics = statistics == "exact"
        self.augment = getattr(config.data, "augment", None)
        self.sums = RunningLoss(self.task.is_classification)
        self.epoch = 0
        self.step_in_epoch = 0
        self.step = 0
        self.elapsed = 0.0
        self.lr_scale = 1.0
        self.plateau_epochs = 0
        self.best_epoch = 0
        self.best_value: float | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.epochs_without_improvement = 0
        self.reference_value: float | None = None
        self.skipped = 0
        self.skipped_in_row = 0
        self.norm: float | None = None
        self.norm_sum = 0.0
        self.norm_max = 0.0
        self.first_loss: float | None = None
        self.trivial_loss: float | None = None
        self.reported: set[tuple[str, str]] = set()
        self.is_placeholder = False
        """Whether nothing of it is kept: see `together.events`."""
        # Seconds of a step as it was timed when the run's threads were chosen.
        self.timed_step: float | None = None

    @property
    def total_steps(self) -> int:
        return self.config.train.epochs * len(self.step_sizes)

    @property
    def stopped_early(self) -> bool:
        early = self.config.train.early_stopping
        return early is not None and self.epochs_without_improvement >= early.patience

    @property
    def finished(self) -> bool:
        return self.epoch >= self.config.train.epochs or self.stopped_early

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        optim = self.config.optim
        factor = lr_factor(optim.schedule, step, self.total_steps, len(self.step_sizes))
        return optim.lr * factor * self.lr_scale

    def events(self) -> Iterator[StepEnd | EpochEnd]:
        """Train from the current position to the end. Stopping between events loses nothing."""
        with gc_frozen():
            while not self.finished:
                started = time.perf_counter() - self.elapsed
                order = epoch_order(self.rows, self.config.seed, self.epoch).to(self.device)
                groups = order.split(self.step_sizes)
                self.network.train()
                while self.step_in_epoch < len(groups):
                    self.train_step(groups[self.step_in_epoch])
                    self.elapsed = time.perf_counter() - started
                    yield StepEnd(self.epoch + 1, self.step_in_epoch, len(groups), self.step)
                yield self.finish_epoch()

    def train_step(self, rows: Tensor) -> None:
        """One optimizer step on the rows (int64), in as many batches as `accumulate_grad_batches` asks for; of
        several processes each takes its share of every batch.

        Raises DivergedError before the weights are touched, unless `on_nan` says to skip the step.
        """
        if self.draws:
            seed_all(derive(self.config.seed, "step", self.step), self.device)
        rate = self.lr_at(self.step)
        self.optimizer.zero_grad()
        parts = rows.split(batch_sizes(len(rows), self.config.train.batch_size))
        shares = [Share(*self.processes.shard_range(len(part)), len(part)) for part in parts]
        batches = [self.splits["train"].batch(share.of(part))
                   for share, part in zip(shares, parts, strict=True)]  # fmt: skip
        weights = [self.task.denominator(y) for _, y in batches]
        total = sum(weights) if not self.processes.is_distributed else self.weight(rows)
        buffers = [buffer.clone() for buffer in self.model.buffers()] if self.skips else []
        outcomes = []
        for i, (x, y) in enumerate(batches):
            if self.augment is not None:
                seed = derive(self.config.seed, "augment", self.step, i)
                generator = torch.Generator().manual_seed(seed)
                share = None if not self.processes.is_distributed else shares[i]
                x = augment(x, self.augment, Draws(generator, share=share))
            with nullcontext() if not self.processes.is_distributed else sharing(shares[i]):
                output = self.network(x)
            outcome = self.task.compute_loss(output, y, [total])
            outcome.backward()
            outcomes.append(outcome)
        numbers = [outcome.to_lists() for outcome in outcomes]
        loss: float = sum(losses[0] for losses, _ in numbers)
        right: float = sum(hits[0] for _, hits in numbers)
        if isinstance(self.processes, ProcessGroup):
            loss, right = self.processes.add_gradients(self.parameters, loss, right)
        (norm,) = self.optimizer.norms()
        if math.isfinite(norm) and math.isfinite(loss):
            self.optimizer.step(rate, [norm])
            self.note(norm, loss, float(total), right, len(rows))
        else:
            self.skip(rate, loss, buffers)
        self.step += 1
        self.step_in_epoch += 1

    def weight(self, rows: Tensor) -> Tensor | float:
        """What the summed loss of some training rows, whoever has them, is divided by."""
        if not self.task.is_classification:
            return float(len(rows))
        return self.task.denominator(self.splits["train"].targets().index_select(0, rows))

    def note(self, norm: float, loss: float, total: float, right: float, rows: int) -> None:
        """A step was taken on a gradient of this norm; the rest: what `RunningLoss.add` takes of it."""
        self.sums.update(loss, total, right, rows)
        self.norm, self.skipped_in_row = norm, 0
        self.norm_sum += norm
        self.norm_max = max(self.norm_max, norm)
        if self.first_loss is None:
            self.first_loss = loss / total

    def try_step(self) -> None:
        """One step on the first rows of the first epoch, and an answer to the first rows of the other
        splits: whatever fails in a run fails here."""
        order = epoch_order(self.rows, self.config.seed, self.epoch).to(self.device)
        self.network.train()
        self.train_step(order.split(self.step_sizes)[0])
        first = torch.zeros(1, dtype=torch.int64, device=self.device)
        for name, split in self.splits.items():
            if name != "train":
                x, y = split.batch(first)
                self.network.eval()
                sums: Any = self.task.new_metrics(self.device)
                self.task.update(sums, self.network(x), y)

    @property
    def skips(self) -> bool:
        return self.config.train.on_nan == "skip"

    def skip(self, rate: float, loss: float, buffers: list[Tensor]) -> None:
        """Leave everything as it was before a step that is not finite; raises DivergedError where
        that is not wanted, or has happened too often in a row."""
        self.skipped += 1
        self.skipped_in_row += 1
        if not self.skips or self.skipped_in_row >= self.config.train.max_skipped:
            raise self.diverged(rate, loss)
        for buffer, before in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def diverged(self, rate: float, loss: float) -> DivergedError:
        """What is known of a step whose loss or gradient is not finite."""
        layers: dict[str, float] = {}
        for name, parameter in self.model.named_parameters():
            layer = name.rpartition(".")[0]
            if parameter.grad is None:
                continue
            layers[layer] = math.hypot(layers.get(layer, 0.0), float(parameter.grad.norm()))
        largest = sorted(layers, key=lambda layer: (math.isfinite(layers[layer]), -layers[layer]))
        shown = ", ".join(f"{layer} {layers[layer]:.3g}" for layer in largest[:3])
        before = "" if self.norm is None else f" (norm {self.norm:.3g} at the last good step)"
        what = "the gradient" if math.isfinite(loss) else "the loss"
        exploded = "exploding gradients; " if self.norm_max > diagnostics.EXPLODING else ""
        many = f", {self.skipped_in_row} times in a row" if self.skips else ""
        return DivergedError(
            f"training diverged at step {self.step + 1} (epoch {self.epoch + 1}), learning rate "
            f"{rate:g}: {what} is not a finite number{many}\n"
            f"{exploded}largest gradients by layer: {shown}{before}\n"
            "try a lower optim.lr, optim.clip={norm: 1.0}, a warm-up (optim.schedule.warmup), or "
            "train.on_nan=skip where single batches are at fault"
        )

    def check_weights(self) -> None:
        """Raise DivergedError where a step has left a weight that is not finite, and RuntimeError where
        steps no longer reach a weight, which is an internal error."""
        if strays := self.optimizer.strays(self.model):
            raise RuntimeError(
                f"'{strays[0]}' is no longer the tensor that the optimizer changes "
                f"({len(strays)} of {len(self.parameters)} parameters)"
            )
        state = {name: t for name, t in self.model.state_dict().items() if t.is_floating_point()}
        # One look at all: of a tensor that is not finite the norm is not.
        if torch.stack(torch._foreach_norm(list(state.values()))).isfinite().all():
            return
        for name, tensor in state.items():
            if not tensor.isfinite().all():
                raise DivergedError(
                    f"training diverged: after step {self.step} (epoch {self.epoch + 1}) "
                    f"'{name}' is not finite\ntry a lower optim.lr or optim.clip={{norm: 1.0}}"
                )

    def finish_epoch(self, validated: dict[str, Any] | None = None) -> EpochEnd:
        """Validate, compare with the best, and move to the start of the next epoch.

        validated: what `evaluate` gives of the validation rows, where that was done already.
        """
        self.check_weights()
        if validated is None:
            self.renew_statistics()
        seconds = self.elapsed
        self.epoch += 1
        self.step_in_epoch = 0
        self.elapsed = 0.0
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.lr_at(self.step - 1),
        }
        row |= {f"train_{name}": value for name, value in self.sums.compute().items()}
        self.sums = RunningLoss(self.task.is_classification)
        row["gradient_norm"] = self.norm_sum / max(1, len(self.step_sizes) - self.skipped)
        row["gradient_norm_max"] = self.norm_max
        self.norm_sum = self.norm_max = 0.0
        if self.skips:
            row["skipped"] = self.skipped
        self.skipped = 0
        findings = self.look(row, seconds)
        if "val" in self.splits:
            report = validated or evaluate(
                self.network, self.splits["val"], self.task, self.device, self.processes
            )
            row |= {f"val_{name}": report[name] for name in self.task.metric_names}
        row |= {
            "samples_per_second": round(self.rows / seconds, 1) if seconds else None,
            "seconds": round(seconds, 4),
        }
        # What follows from it is decided alike, also where processors round otherwise.
        row = self.processes.broadcast_object(lambda: row)
        best = self.compare(row)
        return EpochEnd(row, best, findings)

    def renew_statistics(self) -> None:
        """Give batch norm, where the run does so, statistics of the weights as they are now. They are
        part of the model, and follow from it: going on from before or behind this is exact."""
        if self.renews_statistics:
            rows = epoch_order(self.rows, self.config.seed, self.epoch).to(self.device)
            batch_size = self.config.train.batch_size
            renew_statistics(self.network, self.splits["train"], rows, batch_size)
            self.processes.broadcast(list(self.model.buffers()))

    def look(self, row: dict[str, Any], seconds: float) -> list[diagnostics.Finding]:
        """What is newly found wrong; where it is time, gradient norms by layer go into the row. seconds:
        of the epoch's steps."""
        if self.trivial_loss is None:
            self.trivial_loss = diagnostics.trivial_loss(self.network, self.splits["train"])
        start = max(self.trivial_loss, self.first_loss or 0.0)
        found = diagnostics.diagnose_epoch(row, start, self.config)
        found += diagnostics.without_gradient(sorted(self.optimizer.without_gradient))
        if self.timed_step is not None:
            timed = len(self.step_sizes) * self.timed_step
            found += diagnostics.diagnose_speed(seconds, timed, self.config)
        if diagnostics.due(self.epoch, len(self.step_sizes)):
            seen = diagnostics.look_at(self.network, self.splits["train"])
            row["gradient_norms"] = seen.gradients()
            found += diagnostics.diagnose(seen, self.config)
        if self.epoch == 1 < self.config.train.epochs:
            # A gate that forgets at first learns not to.
            found = [each for each in found if each.layer != "time"]
        found = [each for each in found if (each.kind, each.layer) not in self.reported]
        self.reported |= {(each.kind, each.layer) for each in found}
        return found

    def compare(self, row: dict[str, Any]) -> bool:
        """Whether this epoch is the best so far; keeps its weights and counts stale epochs."""
        value = row.get(self.monitor)
        if value is None:
            self.keep_best(None)  # nothing validates: the last epoch is what there is
            return True
        better = self.gain(value, self.best_value) > 0
        measured = not math.isnan(value)
        early = self.config.train.early_stopping
        # Compared with the last value that counted: small gains may add up to one that does.
        threshold = early.min_delta if early else 0.0
        if measured and self.gain(value, self.reference_value) > threshold:
            self.reference_value, self.epochs_without_improvement = value, 0
        else:
            self.epochs_without_improvement += 1
        self.plateau(better and measured)
        if better:
            # Anything is better than nan, which compares with nothing.
            self.keep_best(value if measured else None)
        return better

    def gain(self, value: float, before: float | None) -> float:
        """By how much the monitored value has become better; infinite where there was none, or nan,
        which compares with nothing."""
        if before is None or math.isnan(before):
            return math.inf
        higher = higher_is_better(self.monitor)
        return value - before if higher else before - value

    @property
    def monitor(self) -> str:
        monitor = self.config.train.monitor
        return "val_loss" if monitor == "auto" else monitor

    def keep_best(self, value: float | None) -> None:
        self.best_value = value
        self.best_epoch = self.epoch
        self.best_weights = {
            name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()
        }

    def plateau(self, better: bool) -> None:
        schedule = self.config.optim.schedule
        if not isinstance(schedule, PlateauOptions):
            return
        self.plateau_epochs = 0 if better else self.plateau_epochs + 1
        if self.plateau_epochs >= schedule.patience:
            self.lr_scale = max(self.lr_scale * schedule.factor, schedule.min_factor)
            self.plateau_epochs = 0

    # Position, for checkpoints.

    _POSITION: ClassVar = {
        "epoch": "epoch",
        "group": "step_in_epoch",
        "step": "step",
        "elapsed": "elapsed",
        "lr_scale": "lr_scale",
        "plateau_epochs": "plateau_epochs",
        "best_epoch": "best_epoch",
        "best_value": "best_value",
        "epochs_without_improvement": "epochs_without_improvement",
        "reference_value": "reference_value",
        "skipped": "skipped",
        "skipped_in_row": "skipped_in_row",
        "norm_sum": "norm_sum",
        "norm_max": "norm_max",
        "first_loss": "first_loss",
    }
    """The checkpoint's key of each attribute."""

    def state(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, but the weights."""
        return {
            "position": {key: getattr(self, name) for key, name in self._POSITION.items()},
            "optimizer": self.optimizer.state_dict(self.lr_at(self.step)),
            "sums": self.sums.state(),
        }

    def load(self, state: Any, best_weights: Any, source: str) -> None:
        """Go to a saved position; the model's weights are loaded by the caller.

        Raises CheckpointError where the state is not one of this run: it may be anyone's.
        """
        state = state if isinstance(state, dict) else {}
        position, sums = state.get("position"), state.get("sums")
        optimizer = state.get("optimizer")
        own = {key: getattr(self, name) for key, name in self._POSITION.items()}
        if not same_structure(position, own) or not 0 <= position["group"] <= len(self.step_sizes):
            raise CheckpointError(f"{source}: its position does not fit this run")
        if not same_structure(optimizer, self.optimizer.state_dict(self.config.optim.lr)):
            raise CheckpointError(f"{source}: the optimizer's state does not fit this run")
        if not same_structure(sums, self.sums.state()):
            raise CheckpointError(f"{source}: its running sums do not fit this run")
        best_weights = best_weights if isinstance(best_weights, dict) else {}
        if best_weights or position["best_epoch"]:
            check_state_dict(self.model, best_weights, f"{source}, best_model")
        for key, name in self._POSITION.items():
            setattr(self, name, position[key])
        self.optimizer.load_state_dict(optimizer)
        self.sums.load(state["sums"])
        self.best_weights = {name: t.to(self.device) for name, t in best_weights.items()}


def same_structure(value: Any, pattern: Any) -> bool:
    """Whether two trees have the same keys, and tensors and numbers of the same shape and type."""
    if isinstance(pattern, dict):
        return (
            isinstance(value, dict)
            and value.keys() == pattern.keys()
            and all(same_structure(value[key], pattern[key]) for key in pattern)
        )
    if isinstance(pattern, Tensor):
        return isinstance(value, Tensor) and (value.shape, value.dtype) == (
            pattern.shape,
            pattern.dtype,
        )
    # Not set yet: None, or a number.
    return type(value) is type(pattern) or (pattern is None and type(value) is float)
