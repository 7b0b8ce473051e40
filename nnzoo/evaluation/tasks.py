"""Tasks: loss with class weights, metrics and postprocessing of outputs, for classes, numbers and forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import Variable
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.preprocess import Scale
from nnzoo.errors import ConfigError, DataError
from nnzoo.evaluation.language_model import LanguageModelMetrics, rates
from nnzoo.evaluation.metrics import (
    MAX_CLASSES,
    ClassificationMetrics,
    MetricState,
    RegressionMetrics,
)
from nnzoo.kernels.step import loss_and_grad, supports_loss

if TYPE_CHECKING:
    from nnzoo.data.tokenizer import Tokenizer

Reduction = Literal["sum", "none"]
CLASSIFICATION_METRICS = ("loss", "accuracy", "f1_macro", "precision_macro", "recall_macro")
RANKING_METRICS = ("auc", "average_precision")
REGRESSION_METRICS = ("loss", "mse", "rmse", "mae", "r2")


class LossResult(NamedTuple):
    """Loss of a batch of one or several members, and where backpropagation starts."""

    output: Tensor
    """The network's outputs if `gradient` is given, else the sum of the members' mean losses."""
    gradient: Tensor | None
    """Gradient of the sum of the members' mean losses with respect to `output`."""
    loss_sums: Tensor | list[float]
    """(members,) losses summed over the rows."""
    num_correct: Tensor | list[int]
    """(members,) correct predictions; zeros for regression."""

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
    targets_per_row = 1
    """Classes that are predicted for each row."""
    names: list[str]
    metric_names: tuple[str, ...]
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
    def native_loss(self) -> tuple[str, float, Tensor | None]:
        """Name, option and class weights of the native kernel's loss."""
        raise NotImplementedError

    def denominator(self, target: Tensor) -> Tensor | float:
        """Return the divisor that makes the summed loss of these targets a mean."""
        return float(len(target))

    def postprocess(self, output: Tensor) -> Tensor:
        """Convert outputs to predictions (batch, outputs): probabilities, or values in original units."""
        raise NotImplementedError

    def new_metrics(self, device: torch.device, rows: int = 0, first: int = 0) -> MetricState:
        """Return empty metrics for a split of `rows` rows, of which `first` is added first."""
        raise NotImplementedError

    def update(self, metrics: MetricState, output: Tensor, target: Tensor) -> None:
        """Add a batch to metrics."""
        raise NotImplementedError

    def compute_metrics(self, metrics: MetricState) -> dict[str, Any]:
        """Return the metrics of `nnzoo eval --json`."""
        return metrics.compute(self.names)

    def compute_loss(
        self, output: Tensor, target: Tensor, denominators: Sequence[Tensor | float]
    ) -> LossResult:
        """Compute the loss of a batch of members, whose rows (members * rows, …) follow one another.

        denominators: per member, the divisor of its summed loss.
        """
        members = len(denominators)
        if self.use_native:
            name, option, weights = self.native_loss
            targets = target if self.is_classification else target.to(output.dtype)
            if supports_loss(output, targets, name, weights):
                divisors = [float(divisor) for divisor in denominators]
                loss_sums, num_correct, gradient = loss_and_grad(
                    output.detach(), targets, name, option, weights, divisors
                )
                return LossResult(output, gradient, loss_sums, num_correct)
        if members == 1:
            losses = self.loss(output, target).view(1)
            mean_loss = (losses / denominators[0]).sum()
        else:
            losses = self.loss(output, target, "none").view(members, -1).sum(1)
            mean_loss = torch.stack(
                [a / b for a, b in zip(losses, denominators, strict=True)]
            ).sum()
        correct: Tensor | list[int] = [0] * members
        if self.is_classification:
            correct = (output.detach().argmax(1) == target).view(members, -1).sum(1)
        return LossResult(mean_loss, None, losses.detach(), correct)


class Classification(Task):
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
                f"{len(labels):,} classes; at most {MAX_CLASSES:,} are supported, as the confusion matrix "
                "has their square. Is the target an id, or a number (data.task: regression)?",
            )
        self.names = labels
        self.metric_names = CLASSIFICATION_METRICS + (RANKING_METRICS if len(labels) == 2 else ())
        self.label_smoothing = options.label_smoothing
        self.register_buffer("class_weights", class_weights)

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        return functional.cross_entropy(
            output,
            target,
            self.class_weights,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )

    @property
    def native_loss(self) -> tuple[str, float, Tensor | None]:
        return "cross_entropy", self.label_smoothing, self.class_weights

    def denominator(self, target: Tensor) -> Tensor | float:
        if self.class_weights is None:
            return float(len(target))
        return self.class_weights[target].sum()

    def postprocess(self, output: Tensor) -> Tensor:
        return output.softmax(1)

    def new_metrics(self, device: torch.device, rows: int = 0, first: int = 0) -> MetricState:
        return ClassificationMetrics(self.outputs, device, rows, first)

    def update(self, metrics: MetricState, output: Tensor, target: Tensor) -> None:
        cast(ClassificationMetrics, metrics).update(output, target)


class LanguageModel(Task):
    """Prediction of the next token at each step; outputs are logits (batch * window, vocabulary)."""

    is_classification = True

    def __init__(self, options: TrainOptions, tokenizer: Tokenizer, window: int) -> None:
        super().__init__()
        if options.loss not in ("auto", "cross_entropy"):
            raise ConfigError.at(
                "train.loss", f"'{options.loss}' is for numbers, but tokens are predicted"
            )
        self.names = list(tokenizer.vocabulary)
        self.unit = tokenizer.unit
        self.targets_per_row = window
        self.label_smoothing = options.label_smoothing
        self.metric_names = tuple(rates(0.0, 0.0, self.unit))

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        return functional.cross_entropy(
            output, target, reduction=reduction, label_smoothing=self.label_smoothing
        )

    @property
    def native_loss(self) -> tuple[str, float, Tensor | None]:
        return "cross_entropy", self.label_smoothing, None

    def denominator(self, target: Tensor) -> Tensor | float:
        return float(len(target))

    def postprocess(self, output: Tensor) -> Tensor:
        return output.softmax(1)

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0
    ) -> LanguageModelMetrics:
        return LanguageModelMetrics(self.unit, device)

    def update(self, metrics: MetricState, output: Tensor, target: Tensor) -> None:
        cast(LanguageModelMetrics, metrics).update(output, target)


class Regression(Task):
    """Regression and forecasting: targets are scaled for the network, metrics are in original units.

    Outputs are (batch, horizon * targets), time first; horizon is 1 unless a series is forecast.
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
        self.loss_name = "mse" if options.loss == "auto" else options.loss
        self.huber_delta = options.huber_delta
        self.horizon = horizon
        self.names = list(targets)
        if horizon > 1:
            self.names = [f"{name}+{h}" for h in range(1, horizon + 1) for name in targets]
        self.scale = scale
        # Means of the training targets, the offset of RegressionMetrics; checkpoints know it as "centre".
        self.register_buffer("centre", torch.zeros(self.outputs, dtype=torch.float64))

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Return the loss in scaled units, averaged over the outputs."""
        target = target.to(output.dtype)
        if self.loss_name == "mse":
            total = functional.mse_loss(output, target, reduction=reduction)
        elif self.loss_name == "mae":
            total = functional.l1_loss(output, target, reduction=reduction)
        else:
            total = functional.huber_loss(
                output, target, reduction=reduction, delta=self.huber_delta
            )
        return (total if reduction == "sum" else total.sum(1)) / self.outputs

    @property
    def native_loss(self) -> tuple[str, float, Tensor | None]:
        return self.loss_name, self.huber_delta, None

    def scaled(self, target: Tensor) -> Tensor:
        """Scale targets (..., targets) for the network, in float64: metrics see them unrounded."""
        return self.scale(target.double())

    def unscaled(self, output: Tensor) -> Tensor:
        """Convert outputs (batch, outputs) to original units, float64."""
        steps = output.unflatten(1, (self.horizon, -1))
        return self.scale.inverse(steps).flatten(1)

    def postprocess(self, output: Tensor) -> Tensor:
        return self.unscaled(output)

    def new_metrics(self, device: torch.device, rows: int = 0, first: int = 0) -> MetricState:
        return RegressionMetrics(self.centre, device)

    def update(self, metrics: MetricState, output: Tensor, target: Tensor) -> None:
        loss = self.loss(output.float(), target).double()
        output, target = self.unscaled(output), self.unscaled(target)
        cast(RegressionMetrics, metrics).update(output, target, loss)


def build_task(
    options: TrainOptions,
    spec: DataSpec,
    class_weights: Tensor | None,
    scale: Scale | None,
) -> Task:
    """Build the task of a data set; raises ConfigError if `train` has options of another task."""
    built: Task
    if spec.is_classification:
        built = Classification(options, spec.labels, class_weights)
    elif spec.task == "language_model":
        assert spec.tokenizer is not None
        built = LanguageModel(options, spec.tokenizer, spec.input.shape[0])
    else:
        built = Regression(options, spec.targets, spec.horizon, cast(Scale, scale))
    monitor = options.monitor.removeprefix("val_")
    if options.monitor != "auto" and (
        monitor not in built.metric_names or not options.monitor.startswith("val_")
    ):
        known = ", ".join(f"val_{name}" for name in built.metric_names)
        raise ConfigError.at(
            "train.monitor", f"'{options.monitor}' is not measured here; one of {known}"
        )
    return built


def balanced_weights(dataset: Dataset) -> Tensor:
    """Class weights of `data.class_weights: balanced`: rows / (classes * rows of the class), of training rows.

    Raises DataError if a class has no training row.
    """
    classes = dataset.splits["train"].targets()
    counts = torch.bincount(classes, minlength=len(dataset.spec.labels))
    if (counts == 0).any():
        missing = dataset.spec.labels[int((counts == 0).nonzero()[0])]
        raise DataError.at("data.class_weights", f"no training row has the label '{missing}'")
    return len(classes) / (len(counts) * counts.float())
