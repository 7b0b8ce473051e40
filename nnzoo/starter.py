"""A first configuration for your own file or folder of pictures (`nnzoo init FILE`)."""

from __future__ import annotations

import os
import re
import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.schema import NAME_PATTERN, CsvOptions, SeriesOptions
from nnzoo.config.show import quoted

if TYPE_CHECKING:
    import pandas

MIN_SERIES_ROWS = 30
MIN_GROUP_ROWS = 10  # on average
SAMPLED_PICTURES = 20


def starter_config(data: Path, out: Path) -> str:
    """The text of a configuration for a table, a series or a folder of pictures.

    Paths below the folder of `out` are relative to it. Raises DataError where nothing could train
    on the data as it is.
    """
    path = os.path.relpath(data.resolve(), out.resolve().parent)
    if path.startswith(".."):
        path = str(data.resolve())
    about, sections = _pictures(data, path) if data.is_dir() else _file(data, path)
    # Labels and names of columns come from the data: a line break in one would end the comment.
    about = "".join(each for each in " ".join(about.split()) if each.isprintable())
    name = ""
    if not re.fullmatch(NAME_PATTERN, out.stem):
        plain = re.sub("[^A-Za-z0-9]+", "-", out.stem).strip("-")[:100]
        name = f"name: {quoted(plain or 'mine')}\n"
    command = f"nnzoo train --config {shlex.quote(out.stem)}"
    return f"# {about}\n#   {command}\n{name}{sections}"


def _file(data: Path, path: str) -> tuple[str, str]:
    """(a sentence about the file, the sections) of a table or series."""
    from nnzoo.data.frames import looks_like_dates, looks_numeric, read_frame

    frame = read_frame(str(data), "auto")
    dates = [name for name in frame.columns if looks_like_dates(frame[name])]
    numbers = [name for name in frame.columns if looks_numeric(frame[name])]
    others = [name for name in frame.columns if name not in dates and name not in numbers]
    long_enough = len(frame) >= MIN_SERIES_ROWS
    if numbers and long_enough:
        if (dates and not others) or len(frame.columns) == 1:
            return _series(frame, data, path, dates, numbers)
        if dates and len(others) == 1 and _tells_series_apart(frame, dates[0], others[0]):
            return _series(frame, data, path, dates, numbers, group=others[0])
    return _table(frame, data, path, dates)


def _tells_series_apart(frame: pandas.DataFrame, time: str, group: str) -> bool:
    """Whether the dates are in order within each value of a column, but not in the whole file."""
    from nnzoo.data.frames import to_dates

    def in_order(dates: pandas.Series) -> bool:
        # A few equal times are the hour that a clock is set back.
        return bool(dates.is_monotonic_increasing and dates.nunique() >= 0.9 * len(dates))

    dates = to_dates(frame[time])
    few = frame[group].nunique() <= len(frame) / MIN_GROUP_ROWS
    if not few or frame[group].isna().any() or dates.isna().any() or in_order(dates):
        return False
    return all(in_order(each) for _, each in dates.groupby(frame[group]))


def _header(frame: pandas.DataFrame) -> str:
    from nnzoo.data.frames import unnamed

    return "  header: false\n" if unnamed(frame) else ""


def _table(frame: pandas.DataFrame, data: Path, path: str, dates: list[str]) -> tuple[str, str]:
    from nnzoo.data.tables import describe_columns, load_csv

    # A date is no category; the target, the last column, stays whatever it is.
    dropped = [name for name in dates if name != frame.columns[-1]]
    dataset = load_csv(CsvOptions(name="csv", path=str(data), drop=list(dropped)))
    spec = dataset.spec
    headless = _header(frame)
    target = "-1" if headless else quoted(spec["target"])
    if dataset.task == "classification":
        labels = ", ".join(spec["labels"][:6]) + (", …" if len(spec["labels"]) > 6 else "")
        what = f"{len(spec['labels'])} classes ({labels})"
    else:
        what = "a number"
    columns = describe_columns(spec["columns"])
    drop = f"  drop: [{', '.join(map(quoted, dropped))}]    # dates\n" if dropped else ""
    about = f"{data.name}: {len(frame):,} rows, {columns}; the target is {what}."
    return (
        about,
        f"""data:
  name: csv
  path: {quoted(path)}
{headless}  target: {target}    # another column? its name or position
{drop}model:
  name: mlp
  hidden: [128, 64]
  dropout: 0.1
optim:
  name: adamw
  lr: 1e-3
  schedule: cosine
  clip: {{norm: 1.0}}
train:
  epochs: 100
  batch_size: 32
""",
    )


def _series(
    frame: pandas.DataFrame,
    data: Path,
    path: str,
    dates: list[str],
    numbers: list[str],
    group: str | None = None,
) -> tuple[str, str]:
    from nnzoo.data.series import load_series, season_of

    series = [frame] if group is None else [each for _, each in frame.groupby(group)]
    season = season_of(series[0], dates[0] if dates else None)
    window = 2 * season if season else SeriesOptions(name="series", path="").window
    window = max(2, min(window, min(map(len, series)) // 6))
    headless = _header(frame)
    last = numbers[-1] == frame.columns[-1]
    load_series(
        SeriesOptions(name="series", path=str(data), target=numbers[-1], group=group, window=window)
    )
    target = "-1" if headless and last else quoted(numbers[-1])
    grouped = f"  group: {quoted(group)}    # tells the series apart\n" if group else ""
    covariates = ""
    if len(numbers) > 1:
        named = ", ".join(quoted(name) for name in numbers[:-1])
        covariates = f"  covariates: none    # or all, or a list: {named}\n"
    of_series = f" of {len(series):,} series" if group else ""
    distance = f", a season of {season} by its dates" if season else ""
    return (
        f"{data.name}: {len(frame):,} time steps{of_series}{distance}.",
        f"""data:
  name: series
  path: {quoted(path)}
{headless}  target: {target}
{grouped}{covariates}  window: {window}    # past time steps the network sees
  horizon: 1     # future time steps it predicts
model:
  name: lstm
  hidden_size: 64
optim:
  name: adam
  lr: 1e-3
  schedule: cosine
  clip: {{norm: 1.0}}
train:
  epochs: {200 if len(frame) < 2000 else 60 if len(frame) < 8000 else 20}
  batch_size: {16 if len(frame) < 2000 else 64}
  early_stopping: {{patience: {40 if len(frame) < 2000 else 10}}}
""",
    )


def _pictures(folder: Path, path: str) -> tuple[str, str]:
    from PIL import Image

    from nnzoo.data.images import find_pictures
    from nnzoo.data.pictures import FORMATS

    parts, _ = find_pictures(folder)
    files = [file for found in parts.values() for each in found.values() for file in each]
    sides, gray = [], True
    for file in files[:: max(1, len(files) // SAMPLED_PICTURES)][:SAMPLED_PICTURES]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(file, formats=FORMATS) as image:
                    sides.append(min(image.size))
                    gray = gray and image.mode in ("L", "1")
        except Exception:  # training will name the broken one
            continue
    middle = sorted(sides)[len(sides) // 2] if sides else 64
    size = next((known for known in (28, 32, 48, 64, 96) if middle <= known), 128)
    stages = {28: 2, 32: 3, 48: 3, 64: 4, 96: 4, 128: 5}[size]
    channels = [32 * 2**i for i in range(min(stages, 4))] + [256] * max(0, stages - 4)
    return (
        f"{folder.resolve().name}: {len(files):,} pictures, a folder a class.",
        f"""data:
  name: image_folder
  path: {quoted(path)}
  size: {size}
{"  color: false" + chr(10) if gray else ""}  augment: {{shift: {size // 10}, flip: horizontal}}
model:
  name: cnn
  channels: {channels}
  norm: batch
  head: {{pooling: average, dropout: 0.2}}
optim:
  name: adamw
  lr: 2e-3
  schedule: one_cycle
  clip: {{norm: 1.0}}
train:
  epochs: 30
  batch_size: 32
""",
    )
