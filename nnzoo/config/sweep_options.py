"""Options of the section `sweep`: the search space of `nnzoo sweep`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nnzoo.config.options import Options, Positive, PositiveInt, field_error, option, sanity_limit

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
