"""The subject that the argument of `nnzoo explain` names: a code, a key, a config or a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnzoo.config.load import bundled_configs
from nnzoo.errors import UsageError
from nnzoo.explain.codes import CODE, all_codes
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
    raise UsageError(
        f"no code, key, config or run '{argument}'; 'nnzoo explain' lists the codes", code="E03"
    )
