"""Configurations and options as text, for `check`, `models`, `datasets`, `configs` and the docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from nnzoo.config import reader
from nnzoo.config.describe import default_text, words_for
from nnzoo.config.load import RunConfig
from nnzoo.config.schema import Options


def resolved_lines(config: RunConfig) -> list[str]:
    """The configuration as YAML, with a comment on each line that says where the value came from."""
    pairs: list[tuple[str, str]] = []

    def walk(value: Any, path: str, depth: int) -> None:
        indent = "  " * depth
        key = path.rpartition(".")[2]
        if isinstance(value, dict):
            pairs.append((f"{indent}{key}:", ""))
            for name, item in value.items():
                walk(item, f"{path}.{name}", depth + 1)
        else:
            pairs.append((f"{indent}{key}: {_yaml(value)}", _origin(config, path)))

    for key, value in config.to_dict().items():
        walk(value, key, 0)
    width = min(60, max(len(text) for text, _ in pairs))
    return [f"{text:<{width}}  # {origin}" if origin else text for text, origin in pairs]


def _origin(config: RunConfig, path: str) -> str:
    """Where a value came from; `optim: adam` is where optim.name came from."""
    if path in config.origins:
        return config.origins[path]
    parent, _, key = path.rpartition(".")
    if key == "name" and parent in config.origins:
        return config.origins[parent]
    return "from the file's name" if path == "name" else "default"


def _yaml(value: Any) -> str:
    """A value as it stands in a file."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, str):
        plain = value and reader.scalar(value) == value and value == value.strip()
        safe = all(character.isalnum() or character in "_./+ -" for character in value)
        return value if plain and safe and value[0] not in "-" else json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    return default_text(value)


def summary(options: type[Options]) -> str:
    """The first paragraph of a class's docstring on one line."""
    return " ".join((options.__doc__ or "").strip().split("\n\n")[0].split())


def entry_options(options: type[Options], prefix: str = "") -> list[tuple[str, str, str]]:
    """(key, default, meaning) of each option, sections inside it with dotted keys."""
    rows = []
    root = options.model_json_schema()
    for key, info in options.model_fields.items():
        if key == "name":
            continue
        node = root["properties"][key]
        inner = _section(info.annotation)
        if inner is not None and prefix.count(".") < 2:
            if info.default is None:
                rows.append((f"{prefix}{key}", "none", info.description or ""))
            nested = entry_options(inner, f"{prefix}{key}.")
            instance = info.default
            if isinstance(instance, Options):
                values = {name: value for name, value in instance.model_dump().items()}
                nested = [
                    (name, default_text(values.get(name.rpartition(".")[2], default)), meaning)
                    if name.count(".") == prefix.count(".") + 1
                    else (name, default, meaning)
                    for name, default, meaning in nested
                ]
            rows += nested
            continue
        default = "required" if info.default is PydanticUndefined else default_text(_plain(info.default))
        words = words_for(node, root)
        meaning = info.description or ""
        if "one of" in words and words[7:] not in meaning:
            meaning += f" ({words})"
        rows.append((f"{prefix}{key}", default, meaning))
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        dumped = value.model_dump()
        return dumped["name"] if "name" in dumped else dumped
    return value


def _section(annotation: Any) -> type[Options] | None:
    """The options class behind `X` or `X | None`; None for plain values and for a choice of many."""
    from typing import get_args

    candidates = [annotation, *get_args(annotation)]
    found = [each for each in candidates if isinstance(each, type) and issubclass(each, Options)]
    return found[0] if len(found) == 1 else None


def header_lines(path: Path) -> list[str]:
    """The comment that a config opens with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ").rstrip())
    return lines
