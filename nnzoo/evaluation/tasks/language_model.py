"""Language models: cross entropy of the next token at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.evaluation.language_model import LanguageModelMetrics, rates
from nnzoo.evaluation.metrics import MetricState
from nnzoo.evaluation.tasks.task import Reduction, Task, check_loss
from nnzoo.kernels.step import NativeLoss

if TYPE_CHECKING:
    from nnzoo.data.tokenizer import Tokenizer


class LanguageModel(Task):
    """Prediction of the next token at each step; outputs are logits (batch * window, vocabulary)."""

    is_classification = True
    correct_metric = "accuracy"
    gives_probabilities = True

    def __init__(self, options: TrainOptions, tokenizer: Tokenizer, window: int) -> None:
        super().__init__()
        check_loss(options, ("cross_entropy",), "tokens are predicted")
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
    def native_loss(self) -> NativeLoss:
        return NativeLoss("cross_entropy", self.label_smoothing)

    def postprocess(self, output: Tensor) -> Tensor:
        return output.softmax(1)

    def new_metrics(
        self, device: torch.device, rows: int = 0, first: int = 0, weighted: bool = False
    ) -> LanguageModelMetrics:
        return LanguageModelMetrics(self.unit, device)

    def update(
        self, metrics: MetricState, output: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> None:
        cast(LanguageModelMetrics, metrics).update(output, target)
