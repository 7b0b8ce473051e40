"""Which configuration fits a file or folder: a table, a series or images."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.schema import NAME_PATTERN
from nnzoo.config.show import quoted, shell_word
from nnzoo.init_config.images import images_config
from nnzoo.init_config.series import series_config
from nnzoo.init_config.table import table_config

if TYPE_CHECKING:
    import pandas

MIN_SERIES_ROWS = 30
MIN_GROUP_ROWS = 10  # on average


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
    from nnzoo.data.columns import looks_numeric
    from nnzoo.data.dates import looks_like_dates
    from nnzoo.data.table_io import read_table

    frame = read_table(str(data)).frame
    dates = [name for name in frame.columns if looks_like_dates(frame[name])]
    numbers = [name for name in frame.columns if looks_numeric(frame[name])]
    others = [name for name in frame.columns if name not in dates and name not in numbers]
    long_enough = len(frame) >= MIN_SERIES_ROWS
    if numbers and long_enough:
        if (dates and not others) or len(frame.columns) == 1:
            return series_config(frame, data, path, dates, numbers)
        if dates and len(others) == 1 and _tells_series_apart(frame, dates[0], others[0]):
            return series_config(frame, data, path, dates, numbers, group=others[0])
    return table_config(frame, data, path, dates)


def _tells_series_apart(frame: pandas.DataFrame, time: str, group: str) -> bool:
    """Whether the dates are in order within each value of a column, but not in the whole file."""
    from nnzoo.data.dates import to_dates

    def in_order(dates: pandas.Series) -> bool:
        # A few equal times are the hour that a clock is set back.
        return bool(dates.is_monotonic_increasing and dates.nunique() >= 0.9 * len(dates))

    dates = to_dates(frame[time])
    few = frame[group].nunique() <= len(frame) / MIN_GROUP_ROWS
    if not few or frame[group].isna().any() or dates.isna().any() or in_order(dates):
        return False
    return all(in_order(each) for _, each in dates.groupby(frame[group]))
