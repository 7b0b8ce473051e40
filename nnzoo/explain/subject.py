"""The subject that the argument of `nnzoo explain` names: a code, a key, a config or a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnzoo.config.hints import did_you_mean, nearest
from nnzoo.config.load import bundled_configs
from nnzoo.errors import UsageError
from nnzoo.explain.codes import CODE, Code, all_codes
from nnzoo.explain.keys import all_keys, find_keys
from nnzoo.explain.languages import LANGUAGES
from nnzoo.file_io import SUMMARY
from nnzoo.text import list_some

Kind = Literal["code", "key", "config", "run"]


@dataclass(frozen=True)
class Subject:
    """kind, and the code's id, the dotted key, the config (a file or a bundled name) or the run's folder."""

    kind: Kind
    name: str


def find_subject(argument: str) -> Subject:
    """Return what an argument names: a code, else a run folder, else a key of the language, else a config.

    Raises UsageError with the nearest name if it is none of them.
    """
    codes = all_codes("en")
    if CODE.fullmatch(argument.upper()) and argument.upper() in codes:
        return Subject("code", argument.upper())
    path = Path(argument)
    if any((path / name).is_file() for name in ("config.yaml", SUMMARY)) or path.suffix == ".pt":
        return Subject("run", argument)
    if path.suffix in (".yaml", ".yml") or argument in {file.stem for file in bundled_configs()}:
        return Subject("config", argument)
    if (Path("configs") / f"{argument}.yaml").is_file():
        return Subject("config", argument)
    keys = find_keys(argument)
    if len(keys) == 1:
        return Subject("key", keys[0])
    if keys:
        raise UsageError(
            f"'{argument}' is a key in several places: {', '.join(keys)}; give one of them",
            code="E03",
        )
    named = _codes_named(argument)
    if len(named) == 1:
        return Subject("code", named[0].id)
    if named:
        listed = list_some([f"{code.id} {code.name}" for code in named], 6)
        raise UsageError(f"'{argument}' is in the names of several codes: {listed}", code="E03")
    raise UsageError(f"no code, key, config or run '{argument}'; {_hint(argument)}", code="E03")


def _codes_named(words: str) -> list[Code]:
    """The codes whose name, in either language, is these words, else contains them."""
    words = words.casefold()
    codes = [code for language in LANGUAGES for code in all_codes(language).values()]
    exact = [code for code in codes if code.name.casefold() == words]
    return exact or [code for code in codes if len(words) > 1 and words in code.name.casefold()]


def _hint(argument: str) -> str:
    """The nearest code, key or config; a wrong part of a dotted key is corrected by itself."""
    keys = all_keys()
    last_words = {key.rpartition(".")[2]: key for key in reversed(keys)}
    names = [*all_codes("en"), *keys, *(file.stem for file in bundled_configs())]
    near = nearest(argument, names)
    if near is None and "." not in argument:
        near = last_words.get(nearest(argument, last_words) or "")
    return did_you_mean(near, "'nnzoo explain' lists the codes, docs/reference.md the keys")
