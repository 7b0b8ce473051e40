"""The values of trials: the search space as Optuna's distributions, drawn, and as they are in a file."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nnzoo.config.formatting import flow_yaml
from nnzoo.config.sweep_space import Sweep, range_end
from nnzoo.data.sampling import derive_seed


class TrialValues:
    """The search space of a study; keys are config keys, such as "optim.lr"."""

    def __init__(self, sweep: Sweep, seed: int) -> None:
        self.sweep = sweep
        self.seed = seed
        self.distributions = {key: self._distribution(key) for key in sweep.options.space}

    def _distribution(self, key: str) -> BaseDistribution:
        """A range, or a choice among values; choices as texts, which every storage keeps."""
        space = self.sweep.options.space[key]
        if isinstance(space, list):
            return CategoricalDistribution([flow_yaml(choice) for choice in space])
        low, high, step = space.low, range_end(space), space.step
        if key in self.sweep.integer_keys:
            return IntDistribution(int(low), int(high), space.log, int(step or 1))
        return FloatDistribution(float(low), float(high), space.log, step)

    @property
    def combinations(self) -> float:
        """The number of different trials; infinite where a range is continuous."""
        space = self.sweep.options.space.items()
        if all(
            isinstance(values, list) or values.step or key in self.sweep.integer_keys
            for key, values in space
        ):
            return self.sweep.grid_size
        return math.inf

    def suggest(self, trial: optuna.Trial) -> None:
        """Let the sampler draw the values of a trial, or keep those that it has."""
        for key, distribution in self.distributions.items():
            if isinstance(distribution, CategoricalDistribution):
                trial.suggest_categorical(key, distribution.choices)
                continue
            draw: Any = trial.suggest_float
            if isinstance(distribution, IntDistribution):
                draw = trial.suggest_int
            ends: Any = distribution
            draw(key, ends.low, ends.high, step=ends.step, log=ends.log)

    def sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of a trial, seeded by the trial's number: it has no memory of its own."""
        seed = derive_seed(self.seed, "sweep", number) % 2**32
        sampler = self.sweep.options.sampler
        if sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        random = optuna.samplers.RandomSampler(seed)
        if sampler != "grid":
            return random
        points = self.sweep.grid_point(number)
        values = {key: self._grid_value(key, point) for key, point in points.items()}
        return optuna.samplers.PartialFixedSampler(values, random)

    def _grid_value(self, key: str, point: int) -> Any:
        """The value at a point of the grid, as Optuna keeps it."""
        space = self.sweep.options.space[key]
        if isinstance(space, list):
            return flow_yaml(space[point])
        value = Decimal(str(space.low)) + point * Decimal(str(space.step or 1))
        return int(value) if key in self.sweep.integer_keys else float(value)

    def from_stored(self, params: dict[str, Any]) -> dict[str, Any]:
        """Values as they are in a file, from those that Optuna keeps."""
        return {
            key: self._from_stored(key, params[key]) for key in self.distributions if key in params
        }

    def _from_stored(self, key: str, stored: Any) -> Any:
        space = self.sweep.options.space[key]
        if isinstance(space, list):
            return next(choice for choice in space if flow_yaml(choice) == stored)
        if space.step is not None and key not in self.sweep.integer_keys:
            # 0.1 + 2 × 0.1 is 0.3 to whoever wrote the file.
            low, step = Decimal(str(space.low)), Decimal(str(space.step))
            return float(low + round((Decimal(str(stored)) - low) / step) * step)
        return stored
