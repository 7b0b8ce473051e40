"""`nnzoo models`, `datasets`, `training`, `configs` and `schema`: listings, without torch."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import Any

from nnzoo.cli.common import DebugOption, JsonOption, NameArgument
from nnzoo.errors import UsageError


def _print_registry(registry: Any, only: str | None, json_: bool, noun: str) -> None:
    """The entries of a registry with each option, its default and its meaning."""
    from nnzoo.config.formatting import to_json
    from nnzoo.config.hints import did_you_mean, nearest_value
    from nnzoo.config.option_tables import align_options, first_paragraph, option_table

    names = registry.names()
    if only is not None and only not in names:
        hint = did_you_mean(nearest_value(only, names), f"one of {', '.join(names)}")
        raise UsageError(f"no {noun} '{only}'; {hint}", code="E03")
    chosen: dict[type, list[str]] = {}
    for name, entry in registry:
        if only in (None, name):
            chosen.setdefault(entry.options, []).append(name)
    if json_:
        listing = to_json(
            {
                name: {
                    "summary": first_paragraph(options),
                    "options": [
                        dict(zip(("key", "default", "meaning"), row, strict=True))
                        for row in option_table(options)
                    ],
                }
                for options, group in chosen.items()
                for name in group
            }
        )
        sys.stdout.write(f"{listing}\n")
        return
    for options, group in chosen.items():
        lines = [f"  {first_paragraph(options)}", *align_options(option_table(options), _width())]
        sys.stdout.write("\n".join([_heading(", ".join(group)), *lines, "", ""]))


def _width() -> int:
    """Columns of the terminal; 120 where stdout is none."""
    return shutil.get_terminal_size((120, 24)).columns


def _heading(text: str) -> str:
    """Bold on a terminal. Listings do without rich, which takes longer to load than they to print."""
    is_bold = sys.stdout.isatty() or os.environ.get("FORCE_COLOR")
    return f"\x1b[1m{text}\x1b[0m" if is_bold and not os.environ.get("NO_COLOR") else text


def models(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the models with their options and defaults."""
    from nnzoo.config.registry import MODELS

    _print_registry(MODELS, name, json_, "model")


def datasets(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the data sources with their options and defaults."""
    from nnzoo.config.registry import DATA

    _print_registry(DATA, name, json_, "data source")


def training(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the optimizers, schedules and options of the training loop."""
    from nnzoo.config.registry import DOCUMENTED_OPTIONS

    _print_registry(DOCUMENTED_OPTIONS, name, json_, "entry")


def configs(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the bundled configs, or the results of one."""
    from nnzoo.config.formatting import to_json
    from nnzoo.config.hints import did_you_mean, nearest
    from nnzoo.config.load import bundled_configs
    from nnzoo.config.option_tables import header_comment

    headers = {path.stem: header_comment(path) for path in bundled_configs()}
    if name is not None:
        stem = name.removesuffix(".yaml")
        if stem not in headers:
            hint = did_you_mean(nearest(stem, headers), "'nnzoo configs' lists them")
            raise UsageError(f"no bundled config '{name}'; {hint}", code="E03")
        headers = {stem: headers[stem]}
    if json_:
        sys.stdout.write(f"{to_json(headers)}\n")
    elif name is not None:
        for stem, lines in headers.items():
            sys.stdout.write("\n".join([_heading(stem), *(f"  {line}" for line in lines), ""]))
    else:
        margin = max(map(len, headers)) + 2
        for stem, lines in headers.items():
            wrapped = textwrap.wrap(lines[0], max(30, _width() - margin - 1))
            sys.stdout.write(_heading(stem) + " " * (margin - len(stem)))
            sys.stdout.write(f"\n{' ' * margin}".join(wrapped) + "\n")
        sys.stdout.write("\ndetails: nnzoo configs NAME; a copy to change: nnzoo init NAME\n")


def schema(debug: DebugOption = False) -> None:
    """Print the JSON Schema of the YAML language, for editors."""
    import json

    from nnzoo.config.json_schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
