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
from nnzoo.kernels.step import NativeLoss

REGRESSION_METRICS = ("loss", "mse", "rmse", "mae", "r2")


class Regression(Task):
    """Regression and forecasting: targets are scaled for the network, metrics are in original units.

    Outputs are (batch, horizon * targets), time first; horizon is 1 unless a series is forecast. With the loss
    `quantile` there are as many for each quantile, (batch, quantiles * horizon * targets), smallest
    quantile first; predictions are then sorted, and the median is the one that metrics compare.
    """

    metric_names = REGRESSION_METRICS
    is_classification = False
    centre: Tensor

    def __init__(
        self, options: TrainOptions, targets: list[str], horizon: int, scale: Scale
    ) -> None:
        super().__init__()
        check_loss(options, ("mse", "mae", "huber", "quantile"), "the target is a number")
        if options.label_smoothing:
            raise ConfigError.at(
                "train.label_smoothing", "is for classes, but the target is a number"
            )
        self.loss_name = "mse" if options.loss == "auto" else options.loss
        self.huber_delta = options.huber_delta
        self.quantiles = options.quantiles if self.loss_name == "quantile" else []
        self.horizon = horizon
        self.names = list(targets)
        if horizon > 1:
            self.names = [f"{name}+{h}" for h in range(1, horizon + 1) for name in targets]
        self.scale = scale
        # Means of the training targets, the offset of RegressionMetrics; checkpoints know it as "centre".
        self.register_buffer("centre", torch.zeros(len(self.names), dtype=torch.float64))

    @property
    def outputs(self) -> int:
        return len(self.names) * max(1, len(self.quantiles))

    def loss(self, output: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Return the loss in scaled units, averaged over the outputs."""
        target = target.to(output.dtype)
        if self.loss_name == "mse":
            total = functional.mse_loss(output, target, reduction=reduction)
        elif self.loss_name == "mae":
            total = functional.l1_loss(output, target, reduction=reduction)
        elif self.loss_name == "quantile":
            total = self._pinball(output, target)
            total = total.sum() if reduction == "sum" else total
        else:
            total = functional.huber_loss(
                output, target, reduction=reduction, delta=self.huber_delta
            )
        return (total if reduction == "sum" else total.sum(1)) / self.outputs

    def _pinball(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the pinball loss of each quantile (Koenker & Bassett 1978), (batch, outputs)."""
        width = target.shape[1]
        # Filled there, for a GPU would wait for a copy from the host.
        levels = torch.cat([output.new_full((width,), level) for level in self.quantiles])
        error = target.repeat(1, len(self.quantiles)) - output
        return torch.maximum(levels * error, (levels - 1) * error)

    @property
    def native_loss(self) -> NativeLoss:
        return NativeLoss(self.loss_name, self.huber_delta)

    def scaled(self, target: Tensor) -> Tensor:
        """Scale targets (..., targets) for the network, in float64: metrics see them unrounded."""
        return self.scale(target.double())

    def unscaled(self, output: Tensor) -> Tensor:
        """Convert outputs (batch, outputs) to original units, float64."""
        steps = output.unflatten(1, (-1, len(self.names) // self.horizon))
        return self.scale.inverse(steps).flatten(1)

    def postprocess(self, output: Tensor) -> Tensor:
        values = self.unscaled(output)
        return self.by_quantile(values).sort(1).values.flatten(1) if self.quantiles else values

    def by_quantile(self, values: Tensor) -> Tensor:
        """Return predictions (batch, outputs) as (batch, quantiles, horizon * targets)."""
        return values.unflatten(1, (-1, len(self.names)))

    def point(self, values: Tensor) -> Tensor:
        """Return the point predictions (batch, horizon * targets) among those of `postprocess`: the medians."""
        if not self.quantiles:
            return values
        return self.by_quantile(values)[:, self.quantiles.index(0.5)]

    def ends(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return what calibration turns into intervals, (batch, horizon * targets) float64 in original units each:
        the smallest and the largest quantile (Romano et al. 2019), or twice the prediction."""
        predicted = self.by_quantile(self.postprocess(output))
        return predicted[:, 0], predicted[:, -1]

    def outputs_of(self, predictions: Tensor) -> Tensor:
        steps = predictions.unflatten(1, (-1, len(self.scale.shift)))
        return self.scaled(steps).flatten(1)

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0, weighted: bool = False
    ) -> MetricState:
        return RegressionMetrics(self.centre, device, weighted)

    def update(
        self, metrics: MetricState, output: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> None:
        if weights is None:
            loss = self.loss(output.float(), target).double()
        else:
            loss = (self.loss(output.float(), target, "none").double() * weights).sum()
        output, target = self.point(self.postprocess(output)), self.unscaled(target)
        cast(RegressionMetrics, metrics).update(output, target, loss, weights)

    def row_outcomes(self, output: Tensor, target: Tensor) -> Tensor:
        return (self.point(self.postprocess(output)) - self.unscaled(target)) ** 2
