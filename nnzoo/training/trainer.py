"""State of one network in training: its optimizer, early stopping, the end of an epoch.

The position of a run is three integers (epoch, step in the epoch, step): the order of an epoch follows
from (seed, epoch), dropout and augmentation from (seed, step), the learning rate from the step. The steps
themselves are taken by `nnzoo.training.train_step`, for one network or several at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nnzoo.config import RunConfig
from nnzoo.data.dataset import Split
from nnzoo.data.sampling import (
    batch_sizes,
    bucketed_permutation,
    epoch_permutation,
    stream_order,
)
from nnzoo.distributed import SINGLE, SingleProcess
from nnzoo.errors import CheckpointError, DivergedError
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.evaluate import evaluate
from nnzoo.evaluation.metrics import RunningLoss
from nnzoo.evaluation.tasks.language_model import LanguageModel
from nnzoo.evaluation.thresholds import EXPLODING
from nnzoo.kernels.build import available
from nnzoo.models.network import Network
from nnzoo.runs.checkpoint import check_state_dict
from nnzoo.training.carried_state import CarriedState
from nnzoo.training.lr_schedule import lr_factor
from nnzoo.training.norm_statistics import recompute_statistics, resolve_statistics
from nnzoo.training.optim import Optimizer
from nnzoo.training.state import Monitor, TrainState, same_structure

if TYPE_CHECKING:
    from nnzoo.data.streaming import RowStream
    from nnzoo.training.device_state import DeviceState


@dataclass(frozen=True)
class StepEnd:
    """One optimizer step was taken. `step` counts from 1 over the run, `step_in_epoch` within the epoch."""

    epoch: int
    step_in_epoch: int
    steps_per_epoch: int
    step: int


@dataclass(frozen=True)
class EpochEnd:
    """One epoch is complete. row: its line of metrics.jsonl; best: whether it is the best so far;
    findings: problems with gradients or units that were not reported before."""

    row: dict[str, Any]
    best: bool
    findings: list[diagnostics.Finding]
    threads: str = ""
    """How steps are computed since this epoch, if that has changed (see thread_tuner.py)."""


class Trainer:
    """A network, its data and optimizer, and the state of its training.

    splits: prepared for the network, on its device. processes: the processes that share every batch;
    however many there are, the course of training is the same.
    """

    def __init__(
        self,
        config: RunConfig,
        network: Network,
        splits: dict[str, Split],
        processes: SingleProcess = SINGLE,
    ) -> None:
        options = config.train
        self.config = config
        self.network = network
        self.model = network.model
        self.task = network.task
        self.device = network.device
        self.splits = splits
        self.processes = processes
        self.num_samples = len(splits["train"])
        self.step_sizes = batch_sizes(
            self.num_samples, options.batch_size * options.accumulate_grad_batches
        )
        """Rows of each step of an epoch."""
        self.state = TrainState()
        self.monitor = Monitor.from_options(options)
        self.row_stream = self._open_row_stream()
        """The stream of training rows to a GPU that has no room for them; else None."""
        self.optimizer = Optimizer(
            config.optim, self.model, native=network.native and available(self.device)
        )
        self.host_loss = RunningLoss(self.task.correct_metric)
        """`running_loss`, which on a GPU is behind the steps that were launched."""
        self.counters: DeviceState | None = None
        """Counters of the steps on a GPU."""
        self.carried: CarriedState | None = None
        if isinstance(self.task, LanguageModel):
            self.carried = CarriedState(self.model, self.is_stateful)
        self.best_weights: dict[str, Tensor] = {}
        self.last_norm: float | None = None
        """Gradient norm of the last step that was taken by this process."""
        self.baseline_loss: float | None = None
        self.reported: set[tuple[str, str]] = set()
        """(kind, layer) of the findings reported by this process."""
        self.benchmarked_step: float | None = None
        """Seconds per step in the benchmark that chose the threads."""
        self.tunes_threads = False
        """Whether the number of threads that compute its steps may be chosen while it trains."""
        self.has_fixed_team = True
        """Whether steps are always computed by `train.threads` threads."""
        self.is_placeholder = False
        """Whether its results are discarded (see `lockstep`)."""

    def _open_row_stream(self) -> RowStream | None:
        if self.device.type != "cuda":
            return None
        from nnzoo.data.streaming import row_stream

        return row_stream(self.splits["train"], self.step_sizes)

    @property
    def running_loss(self) -> RunningLoss:
        """Sums over the steps of this epoch so far."""
        self.synchronize()
        return self.host_loss

    @running_loss.setter
    def running_loss(self, value: RunningLoss) -> None:
        self.synchronize()
        self.host_loss = value

    def synchronize(self) -> None:
        """Bring what steps on a GPU have counted to the host; the position too, if one of them has ended the run."""
        if self.counters is not None:
            self.counters.receive()

    @property
    def parameters(self) -> list[Tensor]:
        return self.optimizer.parameters

    @property
    def total_steps(self) -> int:
        return self.config.train.epochs * len(self.step_sizes)

    @property
    def stopped_early(self) -> bool:
        early = self.config.train.early_stopping
        return early is not None and self.state.epochs_without_improvement >= early.patience

    @property
    def finished(self) -> bool:
        return self.state.epoch >= self.config.train.epochs or self.stopped_early

    @property
    def is_stateful(self) -> bool:
        """Whether each row of a step continues that row of the step before."""
        return getattr(self.config.data, "stateful", False)

    @property
    def skips_bad_steps(self) -> bool:
        return self.config.train.on_nan == "skip"

    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        optim, steps = self.config.optim, len(self.step_sizes)
        factor = lr_factor(optim.schedule, step, self.config.train.epochs * steps, steps)
        return optim.lr * factor * self.state.lr_scale

    def epoch_rows(self) -> Tensor:
        """Return the training row numbers (rows,) int64 of the current epoch in their order."""
        if self.is_stateful:
            return stream_order(self.step_sizes)
        lengths = self.splits["train"].lengths
        if lengths is None or not self.config.train.buckets:
            return epoch_permutation(self.num_samples, self.config.seed, self.state.epoch)
        return bucketed_permutation(lengths, self.step_sizes, self.config.seed, self.state.epoch)

    def record_step(
        self, norm: float, loss: float, denominator: float, num_correct: float, rows: int
    ) -> None:
        """Count a step that was taken; loss: summed over the rows."""
        self.host_loss.update(loss, denominator, num_correct, rows)
        self.last_norm = norm
        self.state.record_step(norm, loss / denominator)

    def skip_step(self, lr: float, loss: float, buffers: list[Tensor]) -> None:
        """Restore the buffers after a step that is not finite; raises DivergedError unless `on_nan` allows it.

        buffers: copies from before the step.
        """
        self.state.skipped += 1
        self.state.skipped_in_row += 1
        if self.carried is not None:
            self.carried.reset()
        if not self.skips_bad_steps or self.state.skipped_in_row >= self.config.train.max_skipped:
            raise self.divergence_error(lr, loss, diagnostics.gradient_norms(self.model))
        for buffer, before in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def divergence_error(self, lr: float, loss: float, norms: dict[str, float]) -> DivergedError:
        """Return the error of the next step, which is not finite: its learning rate, its loss and the norm of each layer's
        gradients."""
        state = self.state
        largest = sorted(norms, key=lambda layer: (math.isfinite(norms[layer]), -norms[layer]))
        layers = ", ".join(f"{layer} {norms[layer]:.3g}" for layer in largest[:3])
        before = (
            "" if self.last_norm is None else f" (norm {self.last_norm:.3g} at the last good step)"
        )
        what = "the gradient" if math.isfinite(loss) else "the loss"
        exploded = "exploding gradients; " if state.norm_max > EXPLODING else ""
        many = f", {state.skipped_in_row} times in a row" if self.skips_bad_steps else ""
        return DivergedError(
            f"training diverged at step {state.step + 1} (epoch {state.epoch + 1}), learning rate "
            f"{lr:g}: {what} is not a finite number{many}\n"
            f"{exploded}largest gradients by layer: {layers}{before}\n"
            "try a lower optim.lr, optim.clip={norm: 1.0}, a warm-up (optim.schedule.warmup), or "
            "train.on_nan=skip if single batches are the cause"
        )

    def check_weights(self) -> None:
        """Raise DivergedError if a weight is not finite, RuntimeError if the optimizer lost a parameter."""
        self.synchronize()
        if self.counters is not None and self.counters.error is not None:
            raise self.counters.error
        if detached := self.optimizer.detached_parameters(self.model):
            raise RuntimeError(
                f"'{detached[0]}' is no longer the tensor that the optimizer changes "
                f"({len(detached)} of {len(self.parameters)} parameters)"
            )
        tensors = {name: t for name, t in self.model.state_dict().items() if t.is_floating_point()}
        # A fast check first: the norm of a tensor that is not finite is not finite.
        if torch.stack(torch._foreach_norm(list(tensors.values()))).isfinite().all():
            return
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise DivergedError(
                    f"training diverged: after step {self.state.step} (epoch {self.state.epoch + 1}) "
                    f"'{name}' is not finite\ntry a lower optim.lr or optim.clip={{norm: 1.0}}"
                )

    def finish_epoch(self, val_metrics: dict[str, Any] | None = None) -> EpochEnd:
        """Validate, compare with the best epoch, and move to the start of the next one.

        val_metrics: the result of `evaluate` on the validation rows, if it is known already.
        """
        self.check_weights()
        if self.carried is not None:
            self.carried.reset()
        if val_metrics is None:
            self.recompute_statistics()
        state, ended = self.state, replace(self.state)
        state.start_next_epoch()
        row: dict[str, Any] = {
            "epoch": state.epoch,
            "step": state.step,
            "lr": self.lr_at(state.step - 1),
        }
        row |= {f"train_{name}": value for name, value in self.running_loss.compute().items()}
        self.running_loss = RunningLoss(self.task.correct_metric)
        row["gradient_norm"] = ended.norm_sum / max(1, len(self.step_sizes) - ended.skipped)
        row["gradient_norm_max"] = ended.norm_max
        if self.skips_bad_steps:
            row["skipped"] = ended.skipped
        findings = self.run_diagnostics(row, ended.elapsed)
        if "val" in self.splits:
            report = val_metrics or evaluate(
                self.network, self.splits["val"], self.task, self.device, self.processes
            )
            row |= {f"val_{name}": x for name, x in self.task.epoch_metrics(report).items()}
        row |= {
            "samples_per_second": round(
                self.num_samples * self.task.targets_per_row / ended.elapsed, 1
            )
            if ended.elapsed
            else None,
            "seconds": round(ended.elapsed, 4),
        }
        # Decisions follow from the main process's row, since other processors may round differently.
        row = self.processes.broadcast_object(lambda: row)
        value = row.get(self.monitor.name)
        is_best = state.record_epoch(
            value, self.monitor, self.config.train.early_stopping, self.config.optim.schedule
        )
        if is_best:
            self.best_weights = {
                name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()
            }
        return EpochEnd(row, is_best, findings)

    def recompute_statistics(self) -> None:
        """Recompute batch norm statistics from the current weights, where the run does so.

        They follow from the weights, so resuming from before or after this is exact.
        """
        options = self.config.train
        statistics = resolve_statistics(
            options.norm_statistics, self.model, self.num_samples, options.batch_size
        )
        if statistics == "exact":
            rows = self.epoch_rows().to(self.device)
            recompute_statistics(self.network, self.splits["train"], rows, options.batch_size)
            self.processes.broadcast(list(self.model.buffers()))

    def run_diagnostics(self, row: dict[str, Any], seconds: float) -> list[diagnostics.Finding]:
        """Return new findings about the epoch; adds gradient norms per layer to its row from time to time.

        seconds: of the epoch's steps.
        """
        epoch, network, train_split = self.state.epoch, self.network, self.splits["train"]
        if self.baseline_loss is None:
            self.baseline_loss = diagnostics.baseline_loss(network, train_split)
        start = max(self.baseline_loss, self.state.first_loss or 0.0)
        findings = diagnostics.diagnose_epoch(row, start, self.config)
        findings += diagnostics.diagnose_missing_gradients(sorted(self.optimizer.without_gradient))
        if self.benchmarked_step is not None:
            expected = len(self.step_sizes) * self.benchmarked_step
            waits = self.config.train.threads != 1 and self.has_fixed_team
            findings += diagnostics.diagnose_speed(seconds, expected, waits)
        if diagnostics.is_due(epoch, len(self.step_sizes)):
            stats = diagnostics.collect_split_stats(network, train_split)
            row["gradient_norms"] = stats.gradients()
            findings += diagnostics.diagnose(stats, self.config)
        if epoch == 1 < self.config.train.epochs:
            # Gates that forget at first learn not to.
            findings = [finding for finding in findings if finding.layer != "time"]
        new = [f for f in findings if (f.kind, f.layer) not in self.reported]
        self.reported |= {(finding.kind, finding.layer) for finding in new}
        return new

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the run continues, except the weights."""
        self.synchronize()
        content = {
            "position": self.state.state_dict(),
            "optimizer": self.optimizer.state_dict(self.lr_at(self.state.step)),
            "sums": self.running_loss.state(),
        }
        return content if self.carried is None else content | {"hidden": self.carried.state_dict()}

    def load_state_dict(self, content: Any, best_weights: Any, source: str) -> None:
        """Resume from a checkpoint's content, which may be anyone's; the caller loads the model's weights.

        Raises CheckpointError if it does not fit this run.
        """
        content = content if isinstance(content, dict) else {}
        state = TrainState()
        state.load_state_dict(content.get("position"), len(self.step_sizes), source)
        optimizer = content.get("optimizer")
        if not same_structure(optimizer, self.optimizer.state_dict(self.config.optim.lr)):
            raise CheckpointError(
                f"{source}: the optimizer's state does not fit this run", code="E65"
            )
        if not same_structure(content.get("sums"), self.running_loss.state()):
            raise CheckpointError(f"{source}: its running sums do not fit this run", code="E65")
        if self.carried is not None and not self.carried.fits(content.get("hidden")):
            raise CheckpointError(f"{source}: its hidden state does not fit this run", code="E65")
        best_weights = best_weights if isinstance(best_weights, dict) else {}
        if best_weights or state.best_epoch:
            check_state_dict(self.model, best_weights, f"{source}, best_model")
        self.synchronize()
        self.state = state
        self.optimizer.load_state_dict(content["optimizer"])
        self.running_loss.load(content["sums"])
        if self.carried is not None:
            self.carried.load_state_dict(content["hidden"], self.device)
        self.best_weights = {name: t.to(self.device) for name, t in best_weights.items()}
