"""Options of the section `train`: the training loop."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nnzoo.config.options import (
    HalfOpenFraction,
    NonNegative,
    OpenFraction,
    Options,
    Positive,
    PositiveInt,
    SaveInterval,
    field_error,
    option,
)


class EarlyStopping(Options):
    patience: PositiveInt = option(10, "epochs without improvement of `monitor`")
    min_delta: NonNegative = option(0.0, "smaller improvements do not count")


MonitorName = Literal[
    "auto",
    "val_loss",
    "val_accuracy",
    "val_f1_macro",
    "val_precision_macro",
    "val_recall_macro",
    "val_auc",
    "val_average_precision",
    "val_exact_match",
    "val_hamming_loss",
    "val_f1_micro",
    "val_precision_micro",
    "val_recall_micro",
    "val_auc_macro",
    "val_average_precision_macro",
    "val_mse",
    "val_rmse",
    "val_mae",
    "val_r2",
]


_HIGHER_IS_BETTER = (
    "accuracy",
    "f1_macro",
    "precision_macro",
    "recall_macro",
    "auc",
    "average_precision",
    "exact_match",
    "f1_micro",
    "precision_micro",
    "recall_micro",
    "auc_macro",
    "average_precision_macro",
    "r2",
)


def higher_is_better(metric: str) -> bool:
    """Whether larger values of a metric, such as "val_accuracy" or "r2", are better."""
    return metric.removeprefix("val_").removeprefix("test_") in _HIGHER_IS_BETTER


def _check_quantiles(quantiles: list[float]) -> list[float]:
    if any(a >= b for a, b in pairwise(quantiles)):
        raise field_error("", "expected ascending numbers")
    if 0.5 not in quantiles:
        raise field_error("", "expected 0.5 among them: the median is the prediction")
    return quantiles


class TrainOptions(Options):
    """The training loop."""

    epochs: PositiveInt = option(20, "passes over the training rows")
    batch_size: PositiveInt = option(64, "batch size: rows per batch")
    accumulate_grad_batches: PositiveInt = option(
        1, "gradient accumulation: batches per optimizer step", formerly="accumulate"
    )
    loss: Literal[
        "auto", "cross_entropy", "binary_cross_entropy", "mse", "mae", "huber", "quantile"
    ] = option(
        "auto",
        "auto: cross_entropy (softmax included) for classes, binary_cross_entropy for several labels "
        "per row, mse for numbers; quantile: several quantiles of a number by the pinball loss, of "
        "which the median is its prediction",
    )
    huber_delta: Positive = option(
        1.0, "with huber: where the loss changes from quadratic to linear, in scaled units"
    )
    quantiles: Annotated[
        list[OpenFraction], Field(min_length=1, max_length=99), AfterValidator(_check_quantiles)
    ] = option([0.05, 0.5, 0.95], "with quantile: which ones, ascending, 0.5 among them")
    label_smoothing: HalfOpenFraction = option(
        0.0, "with cross_entropy: probability mass spread over all classes"
    )
    monitor: MonitorName = option(
        "auto",
        "what decides the best epoch; auto: val_loss, or the last epoch where nothing validates",
    )
    early_stopping: EarlyStopping | None = option(None, "patience, min_delta")
    save_every: SaveInterval = option(
        "0.5 %",
        "checkpoint interval in epochs, steps or seconds, or the fraction of time that saving "
        "may take; also saved at the end",
    )
    buckets: bool = option(
        True, "where sequences have different lengths: those of like lengths share a batch"
    )
    precision: Literal["auto", "fp32", "tf32", "bf16"] = option(
        "auto",
        "of the matrix products; auto: for classes, bf16 (on CUDA also tf32) where the processor has "
        "instructions for it and a few timed steps are faster, else fp32; tf32: only on CUDA",
    )
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = option(
        "auto",
        "CPU threads, by whose number sums are divided; auto: all, of which as many compute as is fastest, "
        "measured while it trains; where torch's operators divide sums, one or all, as a few timed steps say",
    )
    kernels: Literal["auto", "native", "torch"] = option(
        "auto",
        "implementation of layers, losses and Adam on a CPU: native, which this machine's C "
        "compiler compiles once, or torch's; auto: native if there is a compiler",
    )
    compile: bool | Literal["auto"] = option(
        "auto", "torch.compile the model: needs a C++ compiler and about 15 s at start; auto: no"
    )
    norm_statistics: Literal["auto", "running", "exact"] = option(
        "auto",
        "batch norm's mean and variance in evaluation: running averages over the steps, or taken "
        "anew from training rows after each epoch (exact); auto: exact where an epoch has fewer "
        "than 20 batches",
    )
    on_nan: Literal["stop", "skip"] = option(
        "stop", "where loss or gradient is not finite: end the run, or skip the step and continue"
    )
    max_skipped: PositiveInt = option(
        10, "with skip: the run ends after so many such steps in a row"
    )
    tensorboard: bool = option(
        False,
        "write the curves into tensorboard/ of the run's folder; needs pip install "
        "'nnzoo[tensorboard]'",
    )
    history: Literal["auto", "none"] | Annotated[int, Field(ge=2, le=1000)] = option(
        "auto",
        "how many epochs' weights are kept for `nnzoo watch`, the start among them; auto: up to 50 and 64 MB while "
        "writing them takes less than 0.5 % of the time, none in groups and sweeps",
    )
