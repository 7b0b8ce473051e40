"""The base of all tasks: loss of a batch, metrics, postprocessing of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Variable

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.dataset import Split
from nnzoo.errors import ConfigError
from nnzoo.evaluation.metrics import MetricState, WeightedMetrics
from nnzoo.kernels.step import NativeLoss, loss_and_grad, supports_loss

Reduction = Literal["sum", "none"]


# Kinds of targets that each loss is for.
LOSSES = {
    "cross_entropy": "classes",
    "binary_cross_entropy": "several labels per row",
    **dict.fromkeys(("mse", "mae", "huber"), "numbers"),
}


def check_loss(options: TrainOptions, allowed: Sequence[str], target: str) -> None:
    """Raise ConfigError unless `train.loss` is auto or allowed; target: what is predicted, as a clause."""
    if options.loss not in ("auto", *allowed):
        raise ConfigError.at(
            "train.loss", f"'{options.loss}' is for {LOSSES[options.loss]}, but {target}"
        )


class LossResult(NamedTuple):
    """Loss of a batch of one or several members, and where backpropagation starts."""

    output: Tensor
    """The network's outputs if `gradient` is given, else the sum of the members' mean losses."""
    gradient: Tensor | None
    """Gradient of the sum of the members' mean losses with respect to `output`."""
    loss_sums: Tensor | list[float]
    """(members,) losses summed over the rows."""
    num_correct: Tensor | list[int]
    """(members,) rows predicted correctly; zeros for regression."""

    def backward(self) -> None:
        """Accumulate the gradients of all weights."""
        if self.gradient is None:
            self.output.backward()
        else:
            # Tensor.backward with a gradient imports sympy to check its shape: 0.3 s and 25 MB.
            Variable._execution_engine.run_backward(
                (self.output,),
                (self.gradient,),
                False,
                False,
                (),
                allow_unreachable=True,
                accumulate_grad=True,
            )

    def to_lists(self) -> tuple[list[float], list[int]]:
        """Return `loss_sums` and `num_correct` as lists; on a GPU this synchronizes."""
        loss_sums, num_correct = self.loss_sums, self.num_correct
        return (
            loss_sums if isinstance(loss_sums, list) else loss_sums.tolist(),
            num_correct if isinstance(num_correct, list) else num_correct.tolist(),
        )


class Task(nn.Module):
    """Meaning of a network's outputs (batch, outputs): loss, metrics and predictions.

    names: the class or the target of each output. metric_names: the metrics of an epoch that can be
    monitored. A batch's mean loss is `loss` divided by `denominator`.
    """

    is_classification: bool
    """Whether one class of several is predicted."""
    correct_metric = ""
    """The name of the fraction of rows that are predicted correctly; empty for numbers."""
    gives_probabilities = False
    """Whether predictions are probabilities."""
    targets_per_row = 1
    """Classes that are predicted for each row."""
    names: list[str]
    metric_names: tuple[str, ...]
    temperature: float | None = None
    """The divisor of logits where one is applied (`eval.temperature`); never while a network is trained."""
    use_native = False
    """Whether native losses may be used; set by the network."""

    @property
    def outputs(self) -> int:
        """The number of outputs per row."""
        return len(self.names)

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Return the loss summed over the batch, or of each row (batch,)."""
        raise NotImplementedError

    @property
    def native_loss(self) -> NativeLoss | None:
        """The native kernel's loss; None if there is none."""
        return None

    def correct(self, output: Tensor, target: Tensor) -> Tensor:
        """Return which rows (batch,) bool are predicted correctly."""
        return output.argmax(1) == target

    def denominator(self, target: Tensor, weights: Tensor | None = None) -> Tensor | float:
        """Return the divisor that makes the summed loss of these targets a mean. weights: (rows,) float64."""
        return float(len(target)) if weights is None else weights.sum()

    def postprocess(self, output: Tensor) -> Tensor:
        """Convert outputs to predictions (batch, outputs): probabilities, or values in original units."""
        raise NotImplementedError

    def outputs_of(self, predictions: Tensor) -> Tensor:
        """Return outputs that `postprocess` turns into these predictions."""
        raise NotImplementedError

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0, weighted: bool = False
    ) -> MetricState:
        """Return empty metrics for a split of `rows` rows, of which `first` is added first. weighted: whether each
        counts by its weight."""
        raise NotImplementedError

    def split_metrics(self, split: Split, device: torch.device, first: int = 0) -> MetricState:
        """Return empty metrics for a split, of which row `first` is added first; where its rows have weights, weighted
        ones too."""
        metrics = self.new_metrics(device, len(split), first)
        if split.weights is None:
            return metrics
        weighted = self.new_metrics(device, len(split), first, weighted=True)
        return WeightedMetrics(metrics, weighted, split.weights, first)

    def add_batch(self, metrics: MetricState, output: Tensor, target: Tensor) -> None:
        """Add the next rows of a split to its metrics."""
        if isinstance(metrics, WeightedMetrics):
            self.update(metrics.weighted, output, target, metrics.next_weights(len(target)))
            metrics = metrics.plain
        self.update(metrics, output, target)

    def update(
        self, metrics: MetricState, output: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> None:
        """Add a batch to metrics. weights: of its rows, float64, for weighted metrics."""
        raise NotImplementedError

    def epoch_metrics(self, report: dict[str, Any]) -> dict[str, float]:
        """Return the metrics of an epoch from the report on its validation rows, whose loss is weighted if they are."""
        weighted = report.get("weighted", {})
        return {name: report[name] for name in self.metric_names} | {
            name: weighted[name] for name in ("loss",) if name in weighted
        }

    def row_outcomes(self, output: Tensor, target: Tensor) -> Tensor:
        """Return how well each row of a batch is predicted: whether it is right (batch,), or its squared errors in original
        units (batch, outputs)."""
        return self.correct(output, target)

    def compute_metrics(self, metrics: MetricState) -> dict[str, Any]:
        """Return the metrics of `nnzoo eval --json`."""
        return metrics.compute(self.names)

    def compute_loss(
        self,
        output: Tensor,
        target: Tensor,
        denominators: Sequence[Tensor | float],
        weights: Tensor | None = None,
    ) -> LossResult:
        """Compute the loss of a batch of members, whose rows (members * rows, …) follow one another.

        denominators: per member, the divisor of its summed loss; weights: of the rows, float64.
        """
        members = len(denominators)
        loss = self.native_loss if self.use_native else None
        if loss is not None:
            targets = target if self.is_classification else target.to(output.dtype)
            if supports_loss(output, targets, loss):
                divisors = [float(divisor) for divisor in denominators]
                loss_sums, num_correct, gradient = loss_and_grad(
                    output.detach(), targets, loss, divisors, weights
                )
                return LossResult(output, gradient, loss_sums, num_correct)
        if weights is not None:
            losses, mean_loss = self._weighted_loss(output, target, denominators, weights)
        elif members == 1:
            losses = self.loss(output, target).view(1)
            mean_loss = (losses / denominators[0]).sum()
        else:
            losses = self.loss(output, target, "none").view(members, -1).sum(1)
            mean_loss = torch.stack(
                [a / b for a, b in zip(losses, denominators, strict=True)]
            ).sum()
        correct: Tensor | list[int] = [0] * members
        if self.correct_metric:
            correct = self.correct(output.detach(), target).view(members, -1).sum(1)
        return LossResult(mean_loss, None, losses.detach(), correct)

    def _weighted_loss(
        self,
        output: Tensor,
        target: Tensor,
        denominators: Sequence[Tensor | float],
        weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The weighted sum of each member's losses (members,), and the sum of their mean losses."""
        losses = self.loss(output, target, "none").double() * weights
        totals = losses.view(len(denominators), -1).sum(1)
        means = [a / b for a, b in zip(totals, denominators, strict=True)]
        return totals, torch.stack(means).sum()
