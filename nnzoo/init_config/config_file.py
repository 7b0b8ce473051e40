"""Which configuration fits a file or folder: a table, a series or images."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnzoo.config.formatting import quote_yaml
from nnzoo.config.options import NAME_PATTERN
from nnzoo.errors import DataError, shell_word
from nnzoo.init_config.images import images_config
from nnzoo.init_config.series import plan_series, series_config
from nnzoo.init_config.table import table_config
from nnzoo.init_config.target import Choices, position_or_name


@dataclass(frozen=True)
class Starter:
    """A configuration as text, and lines on what was decided for the caller."""

    text: str
    notes: list[str] = field(default_factory=list)


def starter_config(
    data: Path, out: Path, choices: Choices = Choices(), schema: str = ""
) -> Starter:
    """A configuration for a table, a series or a folder of pictures.

    Paths below the folder of `out` are relative to it; schema: where an editor finds the language.
    Raises DataError where a file has no rows that can be read, or lacks a column of `choices`.
    """
    path = os.path.relpath(data.resolve(), out.resolve().parent)
    if path.startswith(".."):
        path = str(data.resolve())
    notes: list[str] = []
    if data.is_dir():
        about, sections, notes = images_config(data, path)
    else:
        about, sections, notes = _file(data, path, choices)
    # Labels and names of columns come from the data: a line break in one would end the comment.
    about = "".join(each for each in " ".join(about.split()) if each.isprintable())
    name = ""
    if not re.fullmatch(NAME_PATTERN, out.stem):
        plain = re.sub("[^A-Za-z0-9]+", "-", out.stem).strip("-")[:100]
        name = f"name: {quote_yaml(plain or 'mine')}\n"
    command = f"nnzoo train --config {shell_word(out.stem)}"
    editor = f"# yaml-language-server: $schema={schema}\n" if schema else ""
    return Starter(f"{editor}# {about}\n#   {command}\n{name}{sections}", notes)


def _file(data: Path, path: str, choices: Choices) -> tuple[str, str, list[str]]:
    """(a sentence about the file, the sections, lines for the caller) of a table or series."""
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.columns.values import column_name, mark_missing
    from nnzoo.data.table_files.table_io import ReadOptions, read_anyhow, without_stray_rows

    table, reading = read_anyhow(str(data), ReadOptions(keep_words=True))
    frame = mark_missing(table.frame)
    if choices.kind != "table" and choices.task is None:
        target = choices.target
        if target is not None:
            target = column_name(frame, position_or_name(target), "--target")
        drop = [column_name(frame, position_or_name(each), "--drop") for each in choices.drop]
        plan = plan_series(frame, data.name, target, drop, forced=choices.kind == "series")
        if plan is not None:
            about, sections, notes = series_config(plan, table, reading, data, path)
            return about, sections, [*table.notes, *notes]
        if choices.kind == "series":
            raise DataError(f"{data}: --series: no column of numbers to forecast")
    kept, strays = without_stray_rows(table.frame, table.named)
    table = replace(table, frame=kept, notes=[*table.notes, *strays])
    found = describe_columns(table.frame)
    about, sections, notes = table_config(table, reading, found, data, path, choices)
    return about, sections, [*table.notes, *notes]
