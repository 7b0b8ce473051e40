"""The subject that the argument of `nnzoo explain` names: a code, a key, a config or a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnzoo.config.hints import did_you_mean, nearest
from nnzoo.config.load import bundled_configs
from nnzoo.errors import UsageError
from nnzoo.explain.codes import CODE, all_codes
from nnzoo.explain.keys import all_keys, find_keys
from nnzoo.file_io import SUMMARY

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
    raise UsageError(f"no code, key, config or run '{argument}'; {_hint(argument)}", code="E03")


def _hint(argument: str) -> str:
    """The nearest code, key or config; a wrong part of a dotted key is corrected by itself."""
    keys = all_keys()
    last_words = {key.rpartition(".")[2]: key for key in reversed(keys)}
    names = [*all_codes("en"), *keys, *(file.stem for file in bundled_configs())]
    near = nearest(argument, names)
    if near is None and "." not in argument:
        near = last_words.get(nearest(argument, last_words) or "")
    return did_you_mean(near, "'nnzoo explain' lists the codes, docs/reference.md the keys")
