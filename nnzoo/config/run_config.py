"""RunConfig: a valid configuration with every default filled in, and the places of its values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from nnzoo.config.data_options import DataOptions
from nnzoo.config.eval_options import EvalOptions
from nnzoo.config.model_options import ModelOptions
from nnzoo.config.optim_options import OptimOptions
from nnzoo.config.registry import RUN_SECTIONS
from nnzoo.config.renamed_keys import rename_former_keys, rename_note
from nnzoo.config.sections import validate_sections
from nnzoo.config.train_options import TrainOptions
from nnzoo.config.yaml_parser import Position, dotted
from nnzoo.errors import ConfigError, ConfigIssue, NnzooError

if TYPE_CHECKING:
    from nnzoo.config.sweep_space import Sweep

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
    eval: EvalOptions = field(default_factory=EvalOptions)
    source: str = field(default="configuration", compare=False)
    origins: Mapping[str, Position | None] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    sweep: Sweep | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the order of a file; `from_dict` of them gives this config again."""
        result: dict[str, Any] = {"name": self.name, "seed": self.seed}
        for key in RUN_SECTIONS:
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


def from_dict(values: dict[str, Any] | None, source: str) -> RunConfig:
    """The configuration in plain values, as `RunConfig.to_dict` makes them.

    source: their origin, for messages. Raises ConfigError with every issue.
    """
    tree = {} if values is None else deepcopy(values)
    if not isinstance(tree, dict):
        text = "expected sections (data, model, optim, train) with their keys"
        raise ConfigError(source, [ConfigIssue(source, "", text, code="E10")])
    renamed = [pair for key in (*RUN_SECTIONS, "sweep") for pair in rename_former_keys(tree, key)]
    options, issues = validate_sections(tree)
    sweep = None
    if tree.get("sweep") is not None:
        from nnzoo.config.sweep_space import validate_sweep

        sweep, sweep_issues = validate_sweep(tree, source)
        issues += sweep_issues
    if issues:
        raise ConfigError(
            source,
            [
                ConfigIssue(source, dotted(issue.path), issue.message, code=issue.code)
                for issue in issues
            ],
        )
    notes = tuple(rename_note(source, *pair) for pair in renamed)
    return RunConfig(**options, source=source, notes=notes, sweep=sweep)


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
