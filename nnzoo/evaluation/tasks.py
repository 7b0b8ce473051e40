"""What the network's outputs mean: the loss, the metrics, and answers in the target's own units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import Variable
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.dataset import TaskName
from nnzoo.data.preprocess import Scale
from nnzoo.errors import ConfigError, DataError
from nnzoo.evaluation.metrics import MAX_CLASSES, ClassificationMetrics, RegressionMetrics
from nnzoo.kernels.loss import judge, takes

Reduction = Literal["sum", "none"]
CLASSIFICATION_METRICS = ("loss", "accuracy", "f1_macro", "precision_macro", "recall_macro")
RANKING_METRICS = ("auc", "average_precision")
REGRESSION_METRICS = ("loss", "mse", "rmse", "mae", "r2")


class LossResult(NamedTuple):
    """What a batch of one or several members has lost."""

    output: Tensor
    gradient: Tensor | None
    """From where, and with what, to go back: the gradient of the sum of the members' mean losses."""
    loss_sums: Tensor | list[float]
    """Of each member, summed over its rows."""
    num_correct: Tensor | list[int]
    """Of classes, how many of its answers are."""

    def backward(self) -> None:
        """Add to the gradients of all weights."""
        if self.gradient is None:
            self.output.backward()
        else:
            # Tensor.backward with a gradient loads sympy to check its shape: 0.3 s and 25 MB.
            Variable._execution_engine.run_backward(
                (self.output,), (self.gradient,), False, False, (), allow_unreachable=True,
                accumulate_grad=True,
            )  # fmt: skip

    def to_lists(self) -> tuple[list[float], list[int]]:
        """Losses and right answers; on a GPU a wait for what they come from."""
        losses, right = self.loss_sums, self.num_correct
        return (
            losses if isinstance(losses, list) else losses.tolist(),
            right if isinstance(right, list) else right.tolist(),
        )


class _Task(nn.Module):
    """What both tasks have in common: how a step of training looks at outputs."""

    is_classification: bool
    use_native = False
    """Whether native losses may be used; the network sets it."""

    def compute_loss(
        self, output: Tensor, target: Tensor, totals: Sequence[Tensor | float]
    ) -> LossResult:
        """What members lose whose rows follow each other; totals: by what each one's summed loss is
        divided to be its mean."""
        task, members = cast(Task, self), len(totals)
        if self.use_native:
            kind, option, weights = task.native_loss
            numbers = target if self.is_classification else target.to(output.dtype)
            if takes(output, numbers, kind, weights):
                by = [float(total) for total in totals]
                losses, right, gradient = judge(output.detach(), numbers, kind, option, weights, by)
                return LossResult(output, gradient, losses, right)
        if members == 1:
            each = task.loss(output, target).view(1)
            root = (each / totals[0]).sum()
        else:
            each = task.loss(output, target, "none").view(members, -1).sum(1)
            root = torch.stack([a / b for a, b in zip(each, totals, strict=True)]).sum()
        hits: Tensor | list[int] = [0] * members
        if self.is_classification:
            hits = (output.detach().argmax(1) == target).view(members, -1).sum(1)
        return LossResult(root, None, each.detach(), hits)


class Classification(_Task):
    """Cross entropy over classes; outputs are logits (batch, classes)."""

    is_classification = True
    class_weights: Tensor | None

    def __init__(
        self, options: TrainOptions, labels: list[str], class_weights: Tensor | None
    ) -> None:
        super().__init__()
        if options.loss not in ("auto", "cross_entropy"):
            raise ConfigError.at(
                "train.loss", f"'{options.loss}' is for numbers, but the target has classes"
            )
        if len(labels) > MAX_CLASSES:
            raise DataError.at(
                "data.target",
                f"{len(labels):,} classes; at most {MAX_CLASSES:,} can be told apart, by a matrix of all "
                "pairs. Is the target an id, or a number (data.task: regression)?",
            )
        self.labels = labels
        self.outputs = len(labels)
        self.metric_names = CLASSIFICATION_METRICS + (RANKING_METRICS if self.outputs == 2 else ())
        self.label_smoothing = options.label_smoothing
        self.register_buffer("class_weights", class_weights)

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Summed over the batch, or of each row; the mean divides by `denominator`."""
        return functional.cross_entropy(
            output,
            target,
            self.class_weights,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )

    @property
    def native_loss(self) -> tuple[str, float, Tensor | None]:
        """Kind, option and weights of the native loss."""
        return "cross_entropy", self.label_smoothing, self.class_weights

    def denominator(self, target: Tensor) -> Tensor | float:
        """What the summed loss of these targets is divided by."""
        if self.class_weights is None:
            return float(len(target))
        return self.class_weights[target].sum()

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0
    ) -> ClassificationMetrics:
        """Empty sums for `rows` rows of a split, of which `first` is added first."""
        return ClassificationMetrics(self.outputs, device, rows, first)

    def update(self, sums: ClassificationMetrics, output: Tensor, target: Tensor) -> None:
        sums.add(output, target)

    def postprocess(self, output: Tensor) -> Tensor:
        """Outputs as answers: the probability of each class (batch, classes)."""
        return output.softmax(1)

    def compute_metrics(self, sums: ClassificationMetrics) -> dict[str, Any]:
        return sums.compute(self.labels)


class Regression(_Task):
    """Numbers; targets are scaled for the network, metrics are in their own units.

    Outputs are (batch, horizon * targets), time first; horizon is 1 where nothing is forecast.
    """

    metric_names = REGRESSION_METRICS
    is_classification = False
    centre: Tensor

    def __init__(
        self, options: TrainOptions, targets: list[str], horizon: int, scale: Scale
    ) -> None:
        super().__init__()
        if options.loss == "cross_entropy":
            raise ConfigError.at(
                "train.loss", "'cross_entropy' is for classes, but the target is a number"
            )
        if options.label_smoothing:
            raise ConfigError.at(
                "train.label_smoothing", "is for classes, but the target is a number"
            )
        self.kind = "mse" if options.loss == "auto" else options.loss
        self.huber_delta = options.huber_delta
        self.horizon = horizon
        self.outputs = horizon * len(targets)
        self.names = list(targets)
        if horizon > 1:
            self.names = [f"{name}+{h}" for h in range(1, horizon + 1) for name in targets]
        self.scale = scale
        # Near the mean of each output, so that the variance of the truth keeps its digits.
        self.register_buffer("centre", torch.zeros(self.outputs, dtype=torch.float64))

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Summed over the batch, or of each row, in scaled units; the mean divides by `denominator`."""
        target = target.to(output.dtype)
        if self.kind == "mse":
            total = functional.mse_loss(output, target, reduction=reduction)
        elif self.kind == "mae":
            total = functional.l1_loss(output, target, reduction=reduction)
        else:
            total = functional.huber_loss(
                output, target, reduction=reduction, delta=self.huber_delta
            )
        return (total if reduction == "sum" else total.sum(1)) / self.outputs

    @property
    def native_loss(self) -> tuple[str, float, Tensor | None]:
        """Kind, option and weights of the native loss."""
        return self.kind, self.huber_delta, None

    def denominator(self, target: Tensor) -> Tensor | float:
        """What the summed loss of these targets is divided by."""
        return float(len(target))

    def scaled(self, target: Tensor) -> Tensor:
        """Targets (..., targets) in the network's units, float64: metrics see them unrounded."""
        return self.scale(target.double())

    def unscaled(self, output: Tensor) -> Tensor:
        """Outputs (batch, outputs) in the target's own units, float64."""
        steps = output.unflatten(1, (self.horizon, -1))
        return self.scale.inverse(steps).flatten(1)

    def postprocess(self, output: Tensor) -> Tensor:
        """Outputs as answers: values in the target's own units (batch, outputs), float64."""
        return self.unscaled(output)

    def new_metrics(self, device: torch.device, rows: int = 0, first: int = 0) -> RegressionMetrics:
        """Empty sums; `rows` and `first` make no difference to numbers."""
        return RegressionMetrics(self.centre, device)

    def update(self, sums: RegressionMetrics, output: Tensor, target: Tensor) -> None:
        loss = self.loss(output.float(), target).double()
        sums.add(self.unscaled(output), self.unscaled(target), loss)

    def compute_metrics(self, sums: RegressionMetrics) -> dict[str, Any]:
        return sums.compute(self.names)


Task = Classification | Regression


def build_task(
    options: TrainOptions,
    task: TaskName,
    spec: dict[str, Any],
    class_weights: Tensor | None,
    scale: Scale | None,
) -> Task:
    """The task of a data set; raises ConfigError where `train` asks for what it cannot have."""
    built: Task
    if task == "classification":
        built = Classification(options, spec["labels"], class_weights)
    else:
        built = Regression(options, spec["targets"], spec.get("horizon", 1), cast(Scale, scale))
    monitor = options.monitor.removeprefix("val_")
    if options.monitor != "auto" and (
        monitor not in built.metric_names or not options.monitor.startswith("val_")
    ):
        known = ", ".join(f"val_{name}" for name in built.metric_names)
        raise ConfigError.at(
            "train.monitor", f"'{options.monitor}' is not measured here; one of {known}"
        )
    return built
