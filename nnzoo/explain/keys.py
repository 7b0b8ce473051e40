"""Every key of the YAML language, with the entries that have it, from the classes that define the language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from nnzoo.config.eval_options import EvalOptions
from nnzoo.config.hints import KEY_SYNONYMS
from nnzoo.config.options import Options, nested_options
from nnzoo.config.registry import REGISTRIES
from nnzoo.config.sweep_options import SweepOptions
from nnzoo.config.train_options import TrainOptions

SECTIONS: dict[str, type[Options]] = {
    "train": TrainOptions,
    "eval": EvalOptions,
    "sweep": SweepOptions,
}
TOP = ("name", "seed", "data", "model", "optim", "train", "eval", "sweep")


@dataclass(frozen=True)
class KeyUse:
    """A key in one class of options. owner: the entry that has it, "cnn", "train"; variant: of a key inside a choice
    such as `optim.schedule`, the name that has it."""

    owner: str
    variant: str
    options: type[Options]
    field: str

    @property
    def info(self) -> Any:
        return self.options.model_fields[self.field]


@cache
def all_keys() -> dict[str, list[KeyUse]]:
    """The uses of each dotted key, sections first; the keys at the top of a file have none."""
    keys: dict[str, list[KeyUse]] = {key: [] for key in TOP}
    for section, registry in REGISTRIES.items():
        for name, entry in registry:
            _add(keys, entry.options, section, (name, ""))
    for section, options in SECTIONS.items():
        _add(keys, options, section, (section, ""))
    return keys


def _add(
    keys: dict[str, list[KeyUse]], options: type[Options], prefix: str, place: tuple[str, str]
) -> None:
    owner, variant = place
    for field, info in options.model_fields.items():
        path = f"{prefix}.{field}"
        keys.setdefault(path, []).append(KeyUse(owner, variant, options, field))
        nested = nested_options(info.annotation)
        for inner in nested:
            name = variant_name(inner) if len(nested) > 1 else variant
            _add(keys, inner, path, (owner, name))


def variant_name(options: type[Options]) -> str:
    """The name by which a class is chosen among others, such as "cosine"; "" if it has none."""
    info = options.model_fields.get("name")
    names = get_args(info.annotation) if info else ()
    return str(names[0]) if names else ""


def find_keys(word: str) -> list[str]:
    """The dotted keys that a word means: itself, those that end in it, or those that other tools call so."""
    keys = all_keys()
    word = word.casefold().replace("-", "_")
    if word in keys:
        return [word]
    ends = [key for key in keys if key.endswith(f".{word}")]
    if ends:
        # A key of a section comes before one of an option inside of it.
        least = min(key.count(".") for key in ends)
        return [key for key in ends if key.count(".") == least]
    return [key for key in KEY_SYNONYMS.get(word.rpartition(".")[2], ()) if key in keys]


def synonyms(key: str) -> list[str]:
    """Words of other tools and of textbooks for a key."""
    return [
        word for word, keys in KEY_SYNONYMS.items() if key in keys and not key.endswith(f".{word}")
    ]


def former_names(key: str) -> list[str]:
    """The names that a key had before."""
    extras = (use.info.json_schema_extra or {} for use in all_keys()[key])
    return list(dict.fromkeys(str(extra["formerly"]) for extra in extras if "formerly" in extra))


def inner_keys(key: str) -> Iterator[str]:
    """The keys of the options that a key holds."""
    depth = key.count(".") + 1
    for other in all_keys():
        if (
            other.startswith(f"{key}.")
            and other.count(".") == depth
            and not other.endswith(".name")
        ):
            yield other
