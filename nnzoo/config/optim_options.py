"""Options of the section `optim`: optimizers, learning rate schedules, clipping."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from nnzoo.config.options import (
    HalfOpenFraction,
    NonNegative,
    OpenFraction,
    Options,
    Positive,
    PositiveInt,
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
