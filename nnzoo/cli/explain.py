"""`nnzoo explain`: a code, a key, a config or a run in words."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from nnzoo.cli.common import DebugOption, JsonOption
from nnzoo.errors import UsageError
from nnzoo.explain.languages import default_language
from nnzoo.explain.subject import find_subject

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
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Explain a code, a key, a config or a run; without any, list the codes."""
    from nnzoo.explain.codes import all_codes

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
    raise UsageError(f"no explanation of a {named.kind} in '{language}' yet")
