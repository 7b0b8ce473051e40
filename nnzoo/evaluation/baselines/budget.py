"""The time that baselines may take beside a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

# Baselines may take a third of the time of a run; the rest of that third is for what follows the fit.
BUDGET_FRACTION = 0.3
START_SECONDS = 2.0
"""What every run takes beside its training: to load torch and the data."""
UNKNOWN_BUDGET = 10.0
"""Seconds that baselines may take where the training time is not recorded."""


class OverBudgetError(Exception):
    """A baseline would take longer than it may. seconds: the estimate of the whole fit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"about {seconds:.1f} s")
        self.seconds = seconds


class Budget:
    """A stopwatch that ends a fit early: what does not fit is left out whole, since a fit that is cut short at the
    whim of the clock gives other numbers each time."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.seconds = seconds
        self.start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    def require(self, seconds: float) -> None:
        """Raise OverBudgetError unless so many further seconds, an estimate, are left."""
        total = self.elapsed + seconds
        if total > self.seconds:
            raise OverBudgetError(total)

    def progress(self, fraction: float) -> None:
        """Raise OverBudgetError if the whole, of which this fraction is done, would take too long."""
        elapsed = self.elapsed
        if elapsed > self.seconds or elapsed / fraction > self.seconds:
            raise OverBudgetError(elapsed / min(fraction, 1.0))


@dataclass(frozen=True)
class RunTime:
    """The record of a run's folder: the seconds of its training, None where they are not recorded, and what was decided
    about baselines at its end: the names of those that are shown, and the seconds of those that are left out."""

    seconds: float | None = None
    shown: Sequence[str] | None = None
    left_out: dict[str, float] = field(default_factory=dict)

    def budget(self) -> float:
        """Seconds that baselines may take together."""
        if self.seconds is None:
            return UNKNOWN_BUDGET
        return BUDGET_FRACTION * (START_SECONDS + self.seconds)
