"""Tables of options for `nnzoo models`, `nnzoo datasets`, `nnzoo training` and the reference."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from nnzoo.config.formatting import value_text
from nnzoo.config.json_schema import describe_type
from nnzoo.config.options import Options, nested_options


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
