"""Configurations and plain values as text: YAML and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from nnzoo.config import yaml_parser

if TYPE_CHECKING:
    from nnzoo.config.run_config import RunConfig


def resolved_lines(config: RunConfig) -> list[str]:
    """The configuration as YAML, with a comment on each line that says where the value came from."""
    pairs = [
        (text, path and _origin(config, path)) for text, path in _lines(config_with_sweep(config))
    ]
    width = min(60, max(len(text) for text, _ in pairs))
    return [f"{text:<{width}}  # {origin}" if origin else text for text, origin in pairs]


def config_with_sweep(config: RunConfig) -> dict[str, Any]:
    """All plain values of a file: of the run and, if there is one, of its sweep."""
    sweep = config.sweep
    search = {} if sweep is None else {"sweep": sweep.options.model_dump(exclude_none=True)}
    return config.to_dict() | search


def to_yaml(tree: dict[str, Any]) -> str:
    """Plain values as YAML: sections as blocks, lists on one line."""
    return "".join(f"{text}\n" for text, _ in _lines(tree))


def to_json(value: Any) -> str:
    """Plain values as JSON on one line; nan and infinities, which JSON lacks, become null."""

    def finite(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: finite(inner) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [finite(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(finite(value))


def _lines(tree: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(line, dotted path of its value); a section's own line has no path."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        indent = "  " * depth
        if isinstance(value, dict) and value:
            yield f"{indent}{flow_yaml(key)}:", ""
            yield from _lines(value, f"{path}.", depth + 1)
        else:
            yield f"{indent}{flow_yaml(key)}: {flow_yaml(value)}", path


def _origin(config: RunConfig, path: str) -> str:
    """The origin of a value; that of optim.name may be the place of `optim: adam`."""
    parent, _, key = path.rpartition(".")
    for candidate in (path, *([parent] if key == "name" else [])):
        if candidate in config.origins:
            position = config.origins[candidate]
            return f"{config.source}:{position[0]}" if position else "--set"
    return "from the file's name" if path == "name" else "default"


def value_text(value: Any, quote: Callable[[str], str] = str) -> str:
    """Plain values as YAML on one line; quote: maps text to how it is written."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        pairs = (f"{quote(key)}: {value_text(item, quote)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(value_text(item, quote) for item in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    return str(value)


def flow_yaml(value: Any) -> str:
    """Plain values as YAML on one line, with quotes where they are needed."""
    return value_text(value, _quote_if_needed)


def _quote_if_needed(text: str) -> str:
    plain = yaml_parser.scalar(text) == text and text == text.strip() and text[0] != "-"
    safe = all(character.isalnum() or character in "_./+ -" for character in text)
    return text if plain and safe else quote_yaml(text)


def quote_yaml(text: str) -> str:
    """Text in double quotes, escaped so that every YAML parser reads it back unchanged."""
    characters = []
    for character in text:
        if character in '"\\':
            characters.append(f"\\{character}")
        else:
            printable = character.isprintable()
            characters.append(character if printable else f"\\U{ord(character):08X}")
    return f'"{"".join(characters)}"'
