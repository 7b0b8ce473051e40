"""Numbers and forecasts: losses in scaled units, metrics and values in original units."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.preprocess import Scale
from nnzoo.errors import ConfigError
from nnzoo.evaluation.metrics import MetricState, RegressionMetrics
from nnzoo.evaluation.tasks.task import Reduction, Task, check_loss

REGRESSION_METRICS = ("loss", "mse", "rmse", "mae", "r2")


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
        check_loss(options, ("mse", "mae", "huber"), "the target is a number")
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
