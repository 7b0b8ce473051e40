"""The commands that compute nothing: what there is, and files to begin with. No torch here."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nnzoo.cli.common import (
    ConfigOption,
    DebugOption,
    JsonOption,
    SeedOption,
    SetOption,
    config_of,
)
from nnzoo.errors import UsageError


def check(
    source: Annotated[str | None, typer.Argument(metavar="CONFIG", show_default=False)] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Every fault of a file, or each value and its origin."""
    run_config = config_of(source, config, set_, seed)
    from nnzoo.config.show import checked, resolved_lines, to_json

    if json_:
        sys.stdout.write(f"{to_json(checked(run_config))}\n")
        return
    sys.stdout.write("\n".join(resolved_lines(run_config)) + "\n")


def _list_shelf(shelf: Any, only: str | None, json_: bool, noun: str) -> None:
    """The entries of a shelf with each option, its default and its meaning."""
    from difflib import get_close_matches

    from nnzoo.config.show import entry_options, option_lines, summary, to_json

    names = shelf.names()
    if only is not None and only not in names:
        near = get_close_matches(only, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(names)}"
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
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The networks: options, defaults, meanings."""
    from nnzoo.config.shelf import MODELS

    _list_shelf(MODELS, name, json_, "model")


def datasets(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The data sources: options, defaults, meanings."""
    from nnzoo.config.shelf import DATA

    _list_shelf(DATA, name, json_, "data source")


def training(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The optimizers, schedules and the loop's options."""
    from nnzoo.config.shelf import TRAINING

    _list_shelf(TRAINING, name, json_, "entry")


def configs(json_: JsonOption = False, debug: DebugOption = False) -> None:
    """The bundled configs, each with what it reaches."""
    from nnzoo.config.load import bundled_configs
    from nnzoo.config.show import header_lines, to_json

    found = {path.stem: header_lines(path) for path in bundled_configs()}
    if json_:
        sys.stdout.write(f"{to_json(found)}\n")
        return
    for name, lines in found.items():
        sys.stdout.write("\n".join([_heading(name), *(f"  {line}" for line in lines), ""]))


def init(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|DATA", help="A bundled config, or your data file or folder."),
    ],
    file: Annotated[
        Path | None, typer.Argument(help="Where to write.", show_default="NAME.yaml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    debug: DebugOption = False,
) -> None:
    """Copy a bundled config, or write one for your data."""
    from nnzoo.config.load import bundled_configs, bundled_folder, find_config
    from nnzoo.config.show import shell_word

    data = Path(source)
    own = data.exists() and data.suffix not in (".yaml", ".yml")
    if own and source in {path.stem for path in bundled_configs()}:
        # A plain word is what the help calls it; a path, as in ./cnn, can only be a file's.
        sys.stderr.write(
            f"'{source}' is a bundled config; for the data of that name: nnzoo init {shell_word(f'./{source}')}\n"
        )
        own = False
    if not own and data.suffix in (".csv", ".parquet", ".pq"):
        raise UsageError(f"no file {data}")
    stem = data.resolve().stem if own else Path(source).stem
    target = file or Path(f"{stem}.yaml")
    if target.is_dir():
        target = target / f"{stem}.yaml"
    copies = {}
    if own:
        from nnzoo.init_config.starter import starter_config

        text = starter_config(data, target)
    else:
        path = find_config(source)
        text = path.read_text(encoding="utf-8")
        companion = path.with_suffix(".csv")
        if companion.is_file() and path.parent == bundled_folder():
            copies[companion] = target.with_name(companion.name)
    for written in (target, *copies.values()):
        if written.exists() and not force:
            raise UsageError(f"{written} exists already; name another file, or --force replaces it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        for companion, copy in copies.items():
            shutil.copyfile(companion, copy)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    sys.stdout.write(f"{target}\n")
    sys.stderr.write(f"next: nnzoo train --config {shell_word(target)}\n")


def schema(debug: DebugOption = False) -> None:
    """JSON Schema of the YAML language, for editors."""
    import json

    from nnzoo.config.describe import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
