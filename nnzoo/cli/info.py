"""The commands that compute nothing: what there is, and files to begin with. No torch here."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import Any

from nnzoo.cli.common import DebugOption, JsonOption, NameArgument
from nnzoo.errors import UsageError


def _list_shelf(shelf: Any, only: str | None, json_: bool, noun: str) -> None:
    """The entries of a shelf with each option, its default and its meaning."""
    from nnzoo.config.hints import nearest_value
    from nnzoo.config.show import entry_options, option_lines, summary, to_json

    names = shelf.names()
    if only is not None and only not in names:
        near = nearest_value(only, names)
        hint = f"did you mean '{near}'?" if near else f"one of {', '.join(names)}"
        raise UsageError(f"no {noun} '{only}'; {hint}")
    chosen: dict[type, list[str]] = {}
    for name, entry in shelf:
        if only in (None, name):
            chosen.setdefault(entry.options, []).append(name)
    if json_:
        listing = to_json(
            {
                name: {
                    "summary": summary(options),
                    "options": [
                        dict(zip(("key", "default", "meaning"), row, strict=True))
                        for row in entry_options(options)
                    ],
                }
                for options, group in chosen.items()
                for name in group
            }
        )
        sys.stdout.write(f"{listing}\n")
        return
    for options, group in chosen.items():
        lines = [f"  {summary(options)}", *option_lines(entry_options(options), _width())]
        sys.stdout.write("\n".join([_heading(", ".join(group)), *lines, "", ""]))


def _width() -> int:
    """Columns of the terminal; 120 where stdout is none."""
    return shutil.get_terminal_size((120, 24)).columns


def _heading(text: str) -> str:
    """Bold on a terminal. Listings do without rich, which takes longer to load than they to print."""
    wanted = sys.stdout.isatty() or os.environ.get("FORCE_COLOR")
    plain = not wanted or os.environ.get("NO_COLOR")
    return text if plain else f"\x1b[1m{text}\x1b[0m"


def models(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the models with their options and defaults."""
    from nnzoo.config.registry import MODELS

    _list_shelf(MODELS, name, json_, "model")


def datasets(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the data sources with their options and defaults."""
    from nnzoo.config.registry import DATA

    _list_shelf(DATA, name, json_, "data source")


def training(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the optimizers, schedules and options of the training loop."""
    from nnzoo.config.registry import TRAINING

    _list_shelf(TRAINING, name, json_, "entry")


def configs(
    name: NameArgument = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the bundled configs, or what one of them reaches."""
    from nnzoo.config.hints import nearest
    from nnzoo.config.load import bundled_configs
    from nnzoo.config.show import header_lines, to_json

    headers = {path.stem: header_lines(path) for path in bundled_configs()}
    if name is not None:
        stem = name.removesuffix(".yaml")
        if stem not in headers:
            near = nearest(stem, headers)
            hint = f"did you mean '{near}'?" if near else "'nnzoo configs' lists them"
            raise UsageError(f"no bundled config '{name}'; {hint}")
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

    from nnzoo.config.describe import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
