"""RunConfig: a valid configuration with every default filled in, and the places of its values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from nnzoo.config.data_options import DataOptions
from nnzoo.config.model_options import ModelOptions
from nnzoo.config.sweep_space import Sweep
from nnzoo.config.train_options import OptimOptions, TrainOptions
from nnzoo.config.yaml_parser import Position
from nnzoo.errors import NnzooError

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class RunConfig:
    """A valid configuration; every default is filled in.

    source: the file it was read from, for messages; origins: dotted path -> line and column in the
    file, None for --set (what is not in it is a default); notes: lines about renamed keys;
    sweep: the search of `nnzoo sweep`, no part of the run itself.
    """

    name: str
    seed: int
    data: DataOptions
    model: ModelOptions
    optim: OptimOptions
    train: TrainOptions
    source: str = field(default="configuration", compare=False)
    origins: Mapping[str, Position | None] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    sweep: Sweep | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the order of a file; `from_dict` of them gives this config again."""
        result: dict[str, Any] = {"name": self.name, "seed": self.seed}
        for key in ("data", "model", "optim", "train"):
            result[key] = getattr(self, key).model_dump(mode="json")
        return result

    def flat(self) -> dict[str, Any]:
        """Dotted path -> value; a list is one value."""
        return dict(_flatten(self.to_dict(), ""))

    def location(self, path: str) -> str:
        """The place that a key has its value from: "cnn.yaml:7:3" or "--set"; for a default the place of
        the section that could hold it, else the file."""
        below = [key for key in self.origins if path and key.startswith((f"{path}.", f"{path}["))]
        if path not in self.origins and any(self.origins[key] is None for key in below):
            return "--set"
        while path:
            if path in self.origins:
                position = self.origins[path]
                return f"{self.source}:{position[0]}:{position[1]}" if position else "--set"
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.source


def locates_errors(
    function: Callable[Concatenate[RunConfig, _P], _T],
) -> Callable[Concatenate[RunConfig, _P], _T]:
    """Decorate a function of a RunConfig, so that errors that blame a key (`NnzooError.at`) name its
    place in the file."""

    @functools.wraps(function)
    def locating(config: RunConfig, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(config, *args, **kwargs)
        except NnzooError as error:
            error.locate(config.location)
            raise

    return locating


def _flatten(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        return [(prefix, value)]
    pairs = []
    for key, item in value.items():
        pairs += _flatten(item, f"{prefix}.{key}" if prefix else key)
    return pairs
