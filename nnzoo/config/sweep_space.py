"""The space of a sweep: which keys of a file take which values, and a file with some of them in it."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from nnzoo.config.train_options import RangeOptions, SweepOptions
from nnzoo.config.yaml_parser import Path

DEFAULT_TRIALS = 30
StorageType = Literal["auto", "sqlite", "journal", "server"]


@dataclass(frozen=True)
class Sweep:
    """base: the file's plain values without the sweep; whole: the keys whose range is one of whole
    numbers, as the language has it; source: the file, for messages."""

    options: SweepOptions
    base: dict[str, Any]
    source: str
    whole: set[str] = field(default_factory=set)

    @property
    def trials(self) -> int:
        """How many there are to be."""
        wanted = self.options.trials
        if self.options.sampler != "grid":
            return DEFAULT_TRIALS if wanted == "auto" else wanted
        return self.grid_size if wanted == "auto" else min(wanted, self.grid_size)

    @property
    def grid_size(self) -> int:
        """How many combinations a grid has."""
        return math.prod(self.count(key) for key in self.options.space)

    def count(self, key: str) -> int:
        """How many values a key has in a grid."""
        given = self.options.space[key]
        if isinstance(given, list):
            return len(given)
        low, step = Decimal(str(given.low)), Decimal(str(given.step or 1))
        return int((Decimal(str(given.high)) - low) / step) + 1

    def grid(self, number: int) -> dict[str, int]:
        """The combination of a trial: key -> which of its values. The last key changes fastest."""
        places = {}
        for key in reversed(self.options.space):
            number, places[key] = divmod(number, self.count(key))
        return places

    def companies(self, key: str) -> Iterator[tuple[tuple[str, Any], ...]]:
        """What a key may come together with: the choices of the keys that it lies in, (key, value) of
        each; once () where there are none."""
        outer = [
            [(other, choice) for choice in given]
            for other, given in self.options.space.items()
            if key.startswith((f"{other}.", f"{other}[")) and isinstance(given, list)
        ]
        return itertools.product(*sorted(outer, key=lambda pairs: len(pairs[0][0])))

    @property
    def checks(self) -> int:
        """How many values there are to look at, each in every company."""
        space = self.options.space
        return sum(
            (len(given) if isinstance(given, list) else 2)
            * math.prod(
                len(outer) for other, outer in space.items()
                if key.startswith((f"{other}.", f"{other}[")) and isinstance(outer, list)
            )
            for key, given in space.items()
        )  # fmt: skip

    def tree(self, values: dict[str, Any]) -> dict[str, Any]:
        """The base with a value for each key, of whole sections first."""
        tree = deepcopy(self.base)
        for key in sorted(values, key=lambda key: len(key_path(key))):
            set_at_path(tree, key_path(key), deepcopy(values[key]))
        return tree


def range_end(given: RangeOptions) -> float | Decimal:
    """The last value of a range: of one with a step the last that a step comes to."""
    if given.step is None:
        return given.high
    low, step = Decimal(str(given.low)), Decimal(str(given.step))
    return low + (Decimal(str(given.high)) - low) // step * step


def storage_kind(storage: str) -> StorageType | None:
    """What a storage is, by its text; None where that cannot be told."""
    if storage == "auto":
        return "auto"
    if re.match(r"[a-z][a-z0-9+]*://.", storage):
        return "server"
    if storage.endswith((".db", ".sqlite", ".sqlite3")):
        return "sqlite"
    return "journal" if storage.endswith((".log", ".journal")) else None


def key_path(key: str) -> Path:
    """A key as --set takes it: "model.hidden[0]" as ("model", "hidden", 0); () where it is none."""
    if not re.fullmatch(r"[^.\[\]]+(\.[^.\[\]]+|\[[0-9]{1,6}\])*", key):
        return ()
    first, *others = re.findall(r"[^.\[\]]+", key)
    return (first, *(int(part) if re.fullmatch("[0-9]{1,6}", part) else part for part in others))


def set_at_path(tree: dict[str, Any], path: Path, value: Any) -> list[Path] | None:
    """Put a value into a tree of plain values, making the sections that it lies in.

    Returns the paths of what gave way to a section; None where there is no such place, which is so
    for items that a list has not.
    """
    replaced = []
    target: Any = tree
    for i, part in enumerate(path[:-1]):
        if isinstance(target, dict) and isinstance(part, str):
            following = target.get(part)
            if not isinstance(following, dict | list):
                if isinstance(path[i + 1], int):
                    return None
                # `schedule: cosine` is short for {name: cosine}; else what is there gives way.
                if isinstance(following, str):
                    following = {"name": following}
                else:
                    following = {}
                    replaced.append(path[: i + 1])
            target[part] = following
            target = following
        elif isinstance(target, list) and isinstance(part, int) and part < len(target):
            target = target[part]
        else:
            return None
    last = path[-1]
    if (isinstance(target, dict) and isinstance(last, str)) or (
        isinstance(target, list) and isinstance(last, int) and last < len(target)
    ):
        target[last] = value  # type: ignore[index]
        return replaced
    return None
