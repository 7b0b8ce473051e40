"""Sections of a config as parameters of an estimator: nested mappings, and single options as `optim__schedule__final`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Mappings of which one key excludes another: chosen ones replace a default instead of joining it.
_ALTERNATIVES = ("clip",)


def as_mapping(value: Any, what: str) -> dict[str, Any]:
    """A section as a mapping, where a text is its name and None is empty; raises TypeError."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{what}: expected a mapping of options or a name, got {type(value).__name__}")


def flat_options(value: Any, prefix: str) -> dict[str, Any]:
    """The options of nested mappings by their paths: {"optim__schedule__final": 0.1}."""
    if not isinstance(value, Mapping):
        return {}
    result: dict[str, Any] = {}
    for key, item in value.items():
        path = f"{prefix}__{key}"
        result[path] = item
        result |= flat_options(item, path)
    return result


def with_option(value: Any, path: Sequence[str], option: Any) -> Any:
    """A copy of nested mappings in which the option at a path has another value."""
    if not path:
        return option
    mapping = as_mapping(value, path[0])
    return mapping | {path[0]: with_option(mapping.get(path[0]), path[1:], option)}


def merge_options(default: Any, chosen: Any) -> Any:
    """Chosen options before the default ones; nothing is taken from a default of another `name`."""
    if not isinstance(chosen, Mapping):
        return plain_value(chosen)
    base = {"name": default} if isinstance(default, str) else default
    if not isinstance(base, Mapping) or chosen.get("name", base.get("name")) != base.get("name"):
        base = {}
    merged = {
        key: merge_options(None if key in _ALTERNATIVES else base.get(key), value)
        for key, value in chosen.items()
    }
    return {**base, **merged}


def plain_value(value: Any) -> Any:
    """numpy's numbers and arrays, and tuples, as the plain values that a file would have."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return value
