"""`nnzoo explain`: a code, a key, a config or a run in words."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nnzoo.cli.common import DebugOption, DeviceOption, JsonOption, SetOption, load_torch
from nnzoo.cli.completion import complete_subject

if TYPE_CHECKING:
    from nnzoo.explain.languages import Language
    from nnzoo.explain.page import Page
    from nnzoo.explain.subject import Subject
    from nnzoo.explain.walk import Walk

SubjectArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="CODE|KEY|CONFIG|RUN",
        autocompletion=complete_subject,
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
    from nnzoo.explain.languages import default_language
    from nnzoo.explain.page import render_page
    from nnzoo.explain.subject import find_subject

    language = lang or default_language()
    named = None if subject is None else find_subject(subject)
    if named is not None and named.kind in ("config", "run"):
        from nnzoo.explain.walk import render

        walk = _walk(named, set_ or [], device)
        _write(walk.figures if json_ else _with_bold_headings(render(walk, language, _width())))
        return
    page = _page(named, language)
    _write(page.figures if json_ else render_page(page, _width(), _is_colored()))


def _page(named: Subject | None, language: Language) -> Page:
    """The page of a code or a key; without either the list of codes."""
    from nnzoo.explain.code_page import code_page, codes_page

    if named is None:
        return codes_page(language)
    if named.kind == "code":
        return code_page(named.name, language)
    from nnzoo.explain.key_page import key_page

    return key_page(named.name, language)


def _write(content: list[str] | dict[str, Any]) -> None:
    from nnzoo.config.formatting import to_json

    text = to_json(content) if isinstance(content, dict) else "\n".join(content)
    sys.stdout.write(f"{text}\n")


def _with_bold_headings(lines: list[str]) -> list[str]:
    """The lines of a walk-through, on a terminal with its headings, which are not indented, in bold."""
    if not _is_colored():
        return lines
    return [f"\x1b[1m{line}\x1b[0m" if line.strip() == line != "" else line for line in lines]


def _width() -> int:
    return min(100, shutil.get_terminal_size((100, 24)).columns)


def _is_colored() -> bool:
    is_color = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return (is_color or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")


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
