"""`nnzoo explain`: a code, a key, a config or a run in words."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nnzoo.cli.common import DebugOption, DeviceOption, JsonOption, SetOption, load_torch
from nnzoo.errors import UsageError
from nnzoo.explain.languages import default_language
from nnzoo.explain.subject import Subject, find_subject

if TYPE_CHECKING:
    from nnzoo.explain.walk import Walk

SubjectArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="CODE|KEY|CONFIG|RUN",
        show_default=False,
        help="A code such as W03, a key such as optim.schedule, a config or a run folder.",
    ),
]
LanguageOption = Annotated[
    Literal["en", "zh"] | None,
    typer.Option(
        "--lang", metavar="en|zh", show_default=False, help="Default: the locale's language."
    ),
]


def explain(
    subject: SubjectArgument = None,
    lang: LanguageOption = None,
    set_: SetOption = None,
    device: DeviceOption = "auto",
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Explain a code, a key, a config or a run; without any, list the codes."""
    from nnzoo.config.formatting import to_json
    from nnzoo.explain.codes import all_codes
    from nnzoo.explain.walk import render

    language = lang or default_language()
    codes = all_codes("en")
    if subject is None:
        sys.stdout.write("".join(f"{code.id}  {code.name}\n" for code in codes.values()))
        return
    named = find_subject(subject)
    if named.kind == "code":
        code = codes[named.name]
        sys.stdout.write(f"{code.id} {code.name}\n\n{code.meaning}\n")
        return
    if named.kind == "key":
        raise UsageError(f"no explanation of a {named.kind} in '{language}' yet", code="E03")
    walk = _walk(named, set_ or [], device)
    if json_:
        sys.stdout.write(f"{to_json(walk.figures)}\n")
    else:
        width = min(100, shutil.get_terminal_size((100, 24)).columns)
        sys.stdout.write("\n".join(render(walk, language, width)) + "\n")


def _walk(named: Subject, sets: list[str], device: str) -> Walk:
    """The walk-through of a config or a run; a config is read before torch is loaded, as its errors need none."""
    if named.kind == "config":
        from nnzoo.config.load import load_config

        config = load_config(named.name, sets)
        load_torch()
        from nnzoo.device import choose_device
        from nnzoo.explain.walk_config import walk_config

        return walk_config(config, choose_device(device), named.name, sets)
    load_torch()
    from nnzoo.device import choose_device
    from nnzoo.explain.walk_run import walk_run

    return walk_run(Path(named.name), choose_device(device), sets)
