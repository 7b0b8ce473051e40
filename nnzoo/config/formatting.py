"""Configurations and options as text: YAML, JSON, and tables of options."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.config.json_schema import describe_type, value_text
from nnzoo.config.options import Options, nested_options
from nnzoo.config.run_config import RunConfig


def resolved_lines(config: RunConfig) -> list[str]:
    """The configuration as YAML, with a comment on each line that says where the value came from."""
    pairs = [
        (text, path and _origin(config, path)) for text, path in _lines(config_with_sweep(config))
    ]
    width = min(60, max(len(text) for text, _ in pairs))
    return [f"{text:<{width}}  # {origin}" if origin else text for text, origin in pairs]


def config_with_sweep(config: RunConfig) -> dict[str, Any]:
    """All plain values of a file: those of the run and, if there is one, of its sweep."""
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


def first_paragraph(options: type[Options]) -> str:
    """The first paragraph of a class's docstring on one line."""
    return " ".join((options.__doc__ or "").strip().split("\n\n")[0].split())


def option_table(options: type[Options]) -> list[tuple[str, str, str]]:
    """(key, default, meaning) of each option; the keys of sections inside it are dotted."""
    root = options.model_json_schema()
    rows = []
    for key, info in options.model_fields.items():
        if key == "name":
            continue
        nested = nested_options(info.annotation)
        meaning = info.description or ""
        if len(nested) == 1:
            if info.default is None:
                rows.append((key, "null", meaning))
            values = info.default.model_dump() if isinstance(info.default, Options) else {}
            for name, default, text in option_table(nested[0]):
                shown = value_text(values[name]) if name in values else default
                rows.append((f"{key}.{name}", shown, text))
            continue
        words = describe_type(root["properties"][key], root)
        if words.startswith("one of ") and words.removeprefix("one of ") not in meaning:
            meaning += f" ({words})"
        former = root["properties"][key].get("formerly")
        meaning += f" (formerly `{former}`)" if former else ""
        required = info.is_required()
        default = "required" if required else value_text(_plain(info.default))
        rows.append((key, default, meaning))
    return rows


def align_options(rows: list[tuple[str, str, str]], width: int) -> list[str]:
    """Rows of `option_table` as aligned columns, meanings wrapped to the width of the terminal."""
    keys = max((len(key) for key, _, _ in rows), default=0)
    defaults = max((len(default) for _, default, _ in rows), default=0)
    margin = 2 + keys + 2 + defaults + 2
    lines = []
    for key, default, meaning in rows:
        wrapped = textwrap.wrap(meaning, max(30, width - margin - 1)) or [""]
        lines.append(f"  {key:<{keys}}  {default:<{defaults}}  {wrapped[0]}".rstrip())
        lines += [" " * margin + line for line in wrapped[1:]]
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        dumped = value.model_dump()
        return dumped.get("name", dumped)
    return value


def header_comment(path: Path) -> list[str]:
    """The lines of the comment at the top of a config."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ").rstrip())
    return lines
