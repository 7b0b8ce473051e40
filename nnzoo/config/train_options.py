"""Options of the sections `optim` (optimizers, schedules, clipping), `train` (the training loop) and `sweep`."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nnzoo.config.options import (
    HalfOpenFraction,
    NonNegative,
    OpenFraction,
    Options,
    Positive,
    PositiveInt,
    SaveInterval,
    StepDuration,
    StepInterval,
    field_error,
    option,
    sanity_limit,
)

DEFAULT_OPTIMIZER = "adam"


class ScheduleOptions(Options):
    name: str
    warmup: StepDuration = option("0 steps", "linear rise from zero at the start")


class ConstantOptions(ScheduleOptions):
    """Constant learning rate."""

    name: Literal["constant"]


class CosineOptions(ScheduleOptions):
    """Half a cosine from the learning rate down to `final` times it (Loshchilov & Hutter 2017)."""

    name: Literal["cosine"]
    final: HalfOpenFraction = option(0.0, "fraction of the learning rate at the end")


class OneCycleOptions(ScheduleOptions):
    """Up from `start` to the learning rate, then down to `final`, by half cosines (Smith & Topin 2018)."""

    name: Literal["one_cycle"]
    pct_start: OpenFraction = option(
        0.3, "fraction of the steps in which the learning rate rises", formerly="rise"
    )
    start: HalfOpenFraction = option(
        0.04, "fraction of the learning rate at the start (torch: 1 / div_factor)"
    )
    final: HalfOpenFraction = option(
        0.0001,
        "fraction of the learning rate at the end (torch: 1 / (div_factor * final_div_factor))",
    )


class StepOptions(ScheduleOptions):
    """The learning rate is multiplied by `gamma` at regular intervals."""

    name: Literal["step"]
    step_size: StepInterval = option("10 epochs", "interval", formerly="every")
    gamma: OpenFraction = option(0.1, "the learning rate is multiplied by this")


class LinearOptions(ScheduleOptions):
    """A straight line from the learning rate down to `final` times it."""

    name: Literal["linear"]
    final: HalfOpenFraction = option(0.0, "fraction of the learning rate at the end")


class PlateauOptions(ScheduleOptions):
    """The learning rate is multiplied by `factor` when `train.monitor` has not improved for a while."""

    name: Literal["plateau"]
    patience: PositiveInt = option(5, "epochs without improvement")
    factor: OpenFraction = option(0.1, "the learning rate is multiplied by this", formerly="gamma")
    min_factor: HalfOpenFraction = option(
        0.0, "lowest fraction of the learning rate", formerly="floor"
    )


class CosLogOptions(ScheduleOptions):
    """Up and down `cycles` times by cosines over the logarithm of time, each cycle twice as long as the one before, from
    and to zero (Holzmüller et al. 2024, "coslog")."""

    name: Literal["coslog"]
    cycles: Annotated[PositiveInt, sanity_limit(30)] = option(4, "number of cycles")


def _expand_name(value: Any) -> Any:
    """`schedule: cosine` is short for `schedule: {name: cosine}`."""
    return {"name": value} if isinstance(value, str) else value


ScheduleName = Literal["constant", "cosine", "one_cycle", "step", "linear", "plateau", "coslog"]
AnySchedule = Annotated[
    ConstantOptions
    | CosineOptions
    | OneCycleOptions
    | StepOptions
    | LinearOptions
    | PlateauOptions
    | CosLogOptions,
    Field(discriminator="name"),
]
Schedule = Annotated[
    AnySchedule, BeforeValidator(_expand_name, json_schema_input_type=ScheduleName | AnySchedule)
]


class ClipOptions(Options):
    """Gradient clipping, by one of the two."""

    norm: Positive | None = option(None, "scale the gradient to at most this norm")
    value: Positive | None = option(None, "cut every entry into [-value, value]")

    @model_validator(mode="after")
    def _exactly_one(self) -> ClipOptions:
        if (self.norm is None) == (self.value is None):
            raise field_error("", "give either 'norm' or 'value'")
        return self


class LrFactors(Options):
    """Factors of the learning rate of some parameters, and with it of their weight decay."""

    bias: Positive = option(1.0, "of the biases of all layers")
    norm: Positive = option(1.0, "of the weights and biases of normalization layers")
    embedding: Positive = option(1.0, "of the embeddings of tokens, numbers and categories")
    input_scale: Positive = option(1.0, "of the factors of `model.input_scale`")
    activation: Positive = option(1.0, "of the strengths of `model.learn_activation`")


class OptimOptions(Options):
    name: str
    lr: Positive = option(0.001, "learning rate")
    weight_decay: NonNegative = option(0.0, "L2 penalty on weights; not on biases and norms")
    schedule: Schedule = option(
        ConstantOptions(name="constant"),
        "how the learning rate changes: constant, cosine, one_cycle, step, linear, plateau, "
        "coslog; its "
        "name, or a mapping with its name and options",
    )
    clip: ClipOptions | None = option(None, "{norm: 1.0} or {value: 0.5}")
    lr_factors: LrFactors | None = option(
        None,
        "bias, norm, embedding, input_scale, activation: factors of the learning rate of some parameters",
    )


class SgdOptions(OptimOptions):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: Positive = option(0.01, "learning rate")
    momentum: HalfOpenFraction = option(
        0.9, "momentum factor: fraction of the last update that is kept"
    )
    nesterov: bool = option(False, "look ahead along the momentum")

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SgdOptions:
        if self.nesterov and self.momentum == 0:
            raise field_error("nesterov", "needs momentum above 0")
        return self


class AdamOptions(OptimOptions):
    """Adam (Kingma & Ba 2015); weight decay is added to the gradient."""

    name: Literal["adam"]
    betas: Annotated[list[HalfOpenFraction], Field(min_length=2, max_length=2)] = option(
        [0.9, 0.999], "decay of the averages of gradient and square"
    )
    eps: Positive = option(1e-8, "added to the denominator for numerical stability")


class AdamWOptions(AdamOptions):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: NonNegative = option(0.01, "decoupled weight decay; not on biases and norms")


class RmspropOptions(OptimOptions):
    """RMSprop (Hinton 2012)."""

    name: Literal["rmsprop"]
    alpha: HalfOpenFraction = option(0.99, "decay of the average of squares")
    eps: Positive = option(1e-8, "added to the denominator for numerical stability")
    momentum: HalfOpenFraction = option(
        0.0, "momentum factor: fraction of the last update that is kept"
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
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto",
        "of the matrix products; auto: bf16 for classes where the processor has instructions for "
        "it and a few timed steps are faster, else fp32",
    )
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = option(
        "auto", "CPU threads; auto: one or all, whichever is faster in a few timed steps"
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


MAX_CHOICES = 100
MAX_TRIALS = 100_000

Number = Annotated[int | float, Field(allow_inf_nan=False)]


class RangeOptions(Options):
    """The numbers from `low` to `high`."""

    low: Number = option(..., "the smallest value")
    high: Number = option(..., "the largest value")
    log: bool = option(False, "sample on a log scale")
    step: Positive | None = option(None, "only low, low + step, low + 2 step, …")

    @model_validator(mode="after")
    def _check_bounds(self) -> RangeOptions:
        if self.low >= self.high:
            raise field_error(
                "high", f"expected a number above 'low' ({self.low:g}), got {self.high:g}"
            )
        if self.log and self.low <= 0:
            raise field_error("low", f"with 'log': expected a number above 0, got {self.low:g}")
        if self.step is not None and self.log:
            raise field_error("step", "not with 'log'; list the values instead")
        if self.step is not None and self.step > self.high - self.low:
            raise field_error("step", f"larger than the range ({self.high - self.low:g})")
        return self


class SweepOptions(Options):
    """Search space for `nnzoo sweep`; ignored by `nnzoo train`."""

    trials: Literal["auto"] | Annotated[PositiveInt, sanity_limit(MAX_TRIALS)] = option(
        "auto", "runs to be made, by all processes together; auto: 30, or the whole grid"
    )
    sampler: Literal["tpe", "random", "grid"] = option(
        "tpe",
        "which values come next: tpe learns from those before (Bergstra et al. 2011), random "
        "does not, grid tries every combination",
    )
    pruner: Literal["median", "halving", "none"] = option(
        "median",
        "which trials end early: median, those worse than half of the others were at that epoch; "
        "halving, all but the best quarter at each rung (Li et al. 2020)",
    )
    grace: PositiveInt = option(5, "epochs that every trial gets before it may be pruned")
    storage: str = option(
        "auto",
        "where the study is kept; auto: sweep.db in the run's folder (SQLite, processes of one "
        "machine); a file *.log: a journal, also on a disk that machines share; the URL of a "
        "database server",
        min_length=1,
    )
    space: dict[
        str,
        RangeOptions
        | Annotated[list[Any], Field(min_length=1), sanity_limit(MAX_CHOICES, "values")],
    ] = option(
        ...,
        "key: [values], or key: {low, high, log, step}, with keys such as optim.lr",
        min_length=1,
    )
