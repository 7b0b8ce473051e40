"""Counters of training steps on a GPU: sums, the largest gradient, skipped steps, whether the run has diverged.

Steps change it there, so that the host does not wait for them. The host's own copies (TrainState, RunningLoss, the
optimizer's number of steps) are brought up to date when they are asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nnzoo.data.streaming import page_locked
from nnzoo.evaluation.diagnostics import layer_norms

if TYPE_CHECKING:
    from nnzoo.errors import DivergedError
    from nnzoo.training.trainer import Trainer

TOTALS = ("loss", "weight", "right", "rows")
COUNTERS = (
    *TOTALS,
    "norm_sum",
    "norm_max",
    "first_loss",
    "skipped",
    "skipped_in_row",
    "updates",
    "advanced",
    "ended",
    "last_norm",
    "bad_loss",
)
"""The elements of the vector. updates: steps of the optimizer; advanced: steps by which the position has moved since
the host's copies were sent; ended: 1 from the step on with which the run diverged; bad_loss: of the last step that
was not finite. What is not known yet is NaN."""


class DeviceState:
    """The counters of one trainer on its GPU.

    A step that is not finite changes no weight, and where it ends the run, neither does any later one.
    """

    def __init__(self, trainer: Trainer, names: list[str]) -> None:
        """names: of the parameters whose gradients' norms each step computes."""
        self.trainer = trainer
        self.names = names
        device, options = trainer.device, trainer.config.train
        self.limit = options.max_skipped if trainer.skips_bad_steps else 1
        """So many steps in a row that are not finite end the run."""
        self.vector = torch.zeros(len(COUNTERS), dtype=torch.float64, device=device)
        self.bad_norms = torch.zeros(len(names), device=device)
        """Norms of the gradients of the last step that was not finite, by parameter."""
        self.is_sent = False
        """Whether the device, not the host, has the current values."""
        self.launched = 0
        """Steps that were launched since the host's copies were sent."""
        self.without_gradient: list[int] = []
        """The parameters, by their place, that had no gradient in the launched steps."""
        self.error: DivergedError | None = None
        self._copy = page_locked((len(COUNTERS),), torch.float64)
        self._copied: Any = None

    @property
    def updates(self) -> Tensor:
        """The number of steps () float64 that the optimizer has taken, on the device."""
        return self.vector[COUNTERS.index("updates")]

    def launch(self, without_gradient: list[int] | None = None) -> None:
        """Prepare for a step, which is then one of the launched ones."""
        if without_gradient is not None and without_gradient != self.without_gradient:
            self.receive()
            self.without_gradient = without_gradient
        if not self.is_sent:
            self._send()
        self.launched += 1

    def _send(self) -> None:
        trainer, state = self.trainer, self.trainer.state
        totals = trainer.host_loss.totals
        values: dict[str, float | None] = {name: totals[name] for name in TOTALS}
        values |= {name: getattr(state, name) for name in COUNTERS if hasattr(state, name)}
        values |= {"updates": trainer.optimizer.counts[0].steps, "last_norm": trainer.last_norm}
        numbers = [values.get(name, 0.0) for name in COUNTERS]
        sent = [math.nan if number is None else float(number) for number in numbers]
        self.vector.copy_(torch.tensor(sent, dtype=torch.float64), non_blocking=True)
        self.is_sent, self.launched, self._copied = True, 0, None

    def count_step(
        self, loss: Tensor, denominator: Tensor, num_correct: Tensor, rows: int, norms: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Count a step, by tensors alone: its summed loss, the loss's denominator, correct predictions, rows, and the norms
        of its gradients by parameter.

        Returns whether it is to be taken (bool), and the norm of all gradients together.
        """
        norm = torch.linalg.vector_norm(norms)
        size, loss = norm.double(), loss.double()
        before, others = self.vector[:5], self.vector[5:].unbind()
        norm_max, first, skipped, in_row, updates, advanced, ended, last_norm, bad_loss = others
        runs = ended == 0
        finite = (size + loss).isfinite()
        taken, bad = finite & runs, runs & ~finite
        added = torch.stack([loss, denominator, num_correct, torch.full_like(loss, rows), size])
        in_row = torch.where(taken, 0.0, in_row + bad)
        ends = bad & (in_row >= self.limit)
        self.vector.copy_(
            torch.cat(
                [
                    before + torch.where(taken, added, 0.0),
                    torch.stack(
                        [
                            torch.where(taken, torch.maximum(norm_max, size), norm_max),
                            torch.where(taken & first.isnan(), loss / denominator, first),
                            skipped + bad,
                            in_row,
                            updates + taken,
                            advanced + (runs & ~ends),
                            ended + ends,
                            torch.where(taken, size, last_norm),
                            torch.where(bad, loss, bad_loss),
                        ]
                    ),
                ]
            )
        )
        self.bad_norms.copy_(torch.where(bad, norms, self.bad_norms))
        return taken, norm

    def peek(self) -> None:
        """Look at what a copy, begun by the last call, says of the run's end, and begin the next one; never waits."""
        if self._copied is not None:
            if not self._copied.query():
                return
            if self._copy[COUNTERS.index("ended")]:
                self.receive()
                return
        self._copy.copy_(self.vector, non_blocking=True)
        self._copied = torch.cuda.Event()
        self._copied.record(torch.cuda.current_stream(self.trainer.device))

    def receive(self) -> None:
        """Wait for the launched steps, and bring the host's copies up to date; where one has ended the run, `error` is
        set, and the position is that of this step."""
        if not self.is_sent:
            return
        self.is_sent = False
        values = dict(zip(COUNTERS, self.vector.tolist(), strict=True))
        trainer, state = self.trainer, self.trainer.state
        trainer.host_loss.totals = {name: values[name] for name in TOTALS}
        for name in ("norm_sum", "norm_max"):
            setattr(state, name, values[name])
        state.skipped, state.skipped_in_row = (
            int(values["skipped"]),
            int(values["skipped_in_row"]),
        )
        state.first_loss = None if math.isnan(values["first_loss"]) else values["first_loss"]
        last_norm = values["last_norm"]
        trainer.last_norm = None if math.isnan(last_norm) else last_norm
        count = trainer.optimizer.counts[0]
        taken, count.steps = int(values["updates"]) - count.steps, int(values["updates"])
        trainer.optimizer.note_missing(self.without_gradient, taken)
        if values["ended"]:
            later = self.launched - int(values["advanced"])
            state.step -= later
            state.step_in_epoch -= later
            norms = layer_norms(dict(zip(self.names, self.bad_norms.tolist(), strict=True)))
            lr = trainer.lr_at(state.step)
            self.error = trainer.divergence_error(lr, values["bad_loss"], norms)
