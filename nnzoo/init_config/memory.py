"""The configuration for a table in memory: what `nnzoo init` writes for such a table, changed by given sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config import RunConfig
from nnzoo.config.nested_options import as_mapping, merge_options
from nnzoo.config.run_config import from_dict
from nnzoo.data.columns.description import describe_columns
from nnzoo.data.columns.values import ValueOptions, column_name
from nnzoo.errors import ConfigError
from nnzoo.init_config.table import table_recipe
from nnzoo.init_config.target import unfit_reason
from nnzoo.text import Note, list_some

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.memory import MemoryTable

SECTIONS = ("model", "optim", "train", "data")
"""The sections of a config that can be given."""
DATA_KEYS = (
    *("preprocess", "class_weights", "numbers", "categories", "drop", "max_categories"),
    *("missing", "decimal", "thousands", "split"),
)
"""Keys of `data` that have a meaning without a file."""
SPLIT_KEYS = ("val", "stratify")
FOLDER_KEYS = ("save_every", "tensorboard")
"""Keys of `train` that are about the run folder."""
# A search has its own processes, and a timed choice could differ between two fits.
_COMPUTE = {"threads": 1, "precision": "fp32"}


def memory_config(
    chosen: Mapping[str, Any], table: MemoryTable, seed: int, source: str
) -> RunConfig:
    """The configuration of a table in memory.

    chosen: the sections `SECTIONS` as mappings, names or None. source: what they belong to, for messages.
    Raises ConfigError for wrong options, TypeError for what is no section.
    """
    sections = {section: as_mapping(chosen[section], section) for section in SECTIONS}
    _refuse_keys(sections)
    no_numbers = {
        *(sections["data"].get("categories") or ()),
        *(sections["data"].get("drop") or ()),
    }
    kinds = table.frame.dtypes.items()
    numbers = sum(kind.kind in "iuf" and name not in no_numbers for name, kind in kinds)
    recipe = table_recipe(len(table.frame), numbers, table.task)
    read = {"name": "csv", "path": "the table", "task": table.task}
    defaults = {
        **recipe,
        "data": recipe.get("data", {}) | read | {"split": {"test": 0, "seed": seed}},
        "train": recipe["train"] | _COMPUTE,
    }
    merged = {section: merge_options(defaults[section], sections[section]) for section in SECTIONS}
    return from_dict({"name": source.lower(), "seed": seed, **merged}, source)


def _refuse_keys(sections: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ConfigError for keys that are about files."""
    for key in sections["data"]:
        if key not in DATA_KEYS:
            raise _not_in_memory(f"data.{key}", DATA_KEYS)
    for key in as_mapping(sections["data"].get("split"), "data.split"):
        if key not in SPLIT_KEYS:
            raise _not_in_memory(f"data.split.{key}", SPLIT_KEYS)
    for key in sections["train"]:
        if key in FOLDER_KEYS:
            raise ConfigError.at(
                f"train.{key}", "is about a run folder, and there is none", code="E11"
            )


def _not_in_memory(key: str, known: Sequence[str]) -> ConfigError:
    return ConfigError.at(
        key, f"is no option of a table in memory, which has {', '.join(known)}", code="E11"
    )


@dataclass(frozen=True)
class ColumnChoice:
    """The columns of a table in memory by name: those with a stated role, those that are dropped, and of these, with
    the reason, the texts that `nnzoo init` would leave out, too."""

    numbers: list[str]
    categories: list[str]
    dropped: list[str]
    left_out: dict[str, str]

    def notes(self) -> list[str]:
        """A line on what is left out."""
        reasons = [f"{name} ({reason})" for name, reason in self.left_out.items()]
        return [Note("N08", f"left out: {list_some(reasons, 6, counted=True)}")] if reasons else []


def choose_columns(frame: pandas.DataFrame, categorical: Sequence[str], data: Any) -> ColumnChoice:
    """Choose by the options `data`; categorical: columns of pandas's type category, which are categories.

    Raises DataError for a column that is not there.
    """
    stated = {
        key: [column_name(frame, column, f"data.{key}") for column in getattr(data, key)]
        for key in ("numbers", "categories", "drop")
    }
    known = {*categorical, *(name for names in stated.values() for name in names)}
    texts = [name for name in frame if frame[name].dtype != np.float64 and name not in known]
    described = describe_columns(frame[texts], ValueOptions.of(data))
    reasons = {name: unfit_reason(text, data.max_categories) for name, text in described.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    dropped = [*stated["drop"], *left_out]
    categories = [
        name
        for name in dict.fromkeys([*stated["categories"], *categorical])
        if name not in {*dropped, *stated["numbers"]}
    ]
    return ColumnChoice(stated["numbers"], categories, dropped, left_out)
