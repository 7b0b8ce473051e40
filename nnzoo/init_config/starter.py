"""Which configuration fits a file or folder: a table, a series or images."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nnzoo.config.schema import NAME_PATTERN
from nnzoo.config.show import quoted
from nnzoo.errors import shell_word
from nnzoo.init_config.images import images_config
from nnzoo.init_config.series import plan_series, series_config
from nnzoo.init_config.table import table_config


def starter_config(data: Path, out: Path) -> str:
    """The text of a configuration for a table, a series or a folder of pictures.

    Paths below the folder of `out` are relative to it. Raises DataError where nothing could train
    on the data as it is.
    """
    path = os.path.relpath(data.resolve(), out.resolve().parent)
    if path.startswith(".."):
        path = str(data.resolve())
    about, sections = images_config(data, path) if data.is_dir() else _file(data, path)
    # Labels and names of columns come from the data: a line break in one would end the comment.
    about = "".join(each for each in " ".join(about.split()) if each.isprintable())
    name = ""
    if not re.fullmatch(NAME_PATTERN, out.stem):
        plain = re.sub("[^A-Za-z0-9]+", "-", out.stem).strip("-")[:100]
        name = f"name: {quoted(plain or 'mine')}\n"
    command = f"nnzoo train --config {shell_word(out.stem)}"
    return f"# {about}\n#   {command}\n{name}{sections}"


def _file(data: Path, path: str) -> tuple[str, str]:
    """(a sentence about the file, the sections) of a table or series."""
    from nnzoo.data.dates import looks_like_dates
    from nnzoo.data.table_io import read_table
    from nnzoo.data.time_axis import time_note

    frame = read_table(str(data)).frame
    plan = plan_series(frame, data.name)
    if plan is not None:
        return series_config(plan, frame, data, path)
    dates = [name for name in frame.columns if looks_like_dates(frame[name])]
    about, sections = table_config(frame, data, path, dates)
    note = time_note(frame, [str(frame.columns[-1])])
    return about, sections if note is None else f"# {note}\n{sections}"
