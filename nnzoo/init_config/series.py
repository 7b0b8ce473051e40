"""A first configuration for one or several time series."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nnzoo.config.data_options import SeriesOptions
from nnzoo.config.formatting import quote_yaml
from nnzoo.errors import DataError
from nnzoo.init_config.table import reading_lines
from nnzoo.text import list_some

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription
    from nnzoo.data.table_files.table_io import ReadOptions, Table
    from nnzoo.data.timestamps.axis import TimeAxis

# A shorter table with a column of time stays a table.
MIN_ROWS = 10
MIN_GROUP_ROWS = 10  # on average
MIN_PANEL_ROWS = 20  # where the time of several series is a number, such as a year
MIN_WIDE = 6
MAX_KEYS = 8  # columns that may tell series apart
HOURS_OF_A_WEEK = 168


@dataclass(frozen=True)
class SeriesPlan:
    """A table seen as series: what to predict, the columns that tell the series apart, further
    numbers, columns that cannot be used, and the time axis."""

    target: str
    groups: list[str]
    covariates: list[str]
    unused: list[str]
    axis: TimeAxis
    named_time: bool = False
    doubts: list[str] = field(default_factory=list)


def plan_series(
    frame: pandas.DataFrame, source: str, target: str | None = None, drop: Collection[str] = (),
    forced: bool = False,
) -> SeriesPlan | None:  # fmt: skip
    """What makes a table a series; None where it is none, which `forced` does not accept.

    A series is one column of numbers, or numbers beside a time that is in order, or that sorting
    brings into even steps, if need be within each value of one or two other columns.
    """
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.timestamps.columns import find_time, row_number
    from nnzoo.data.timestamps.dates import MIN_DATES, looks_like_dates

    kept = frame[[name for name in frame.columns if name not in drop]]
    alone = len(kept.columns) == 1
    exclude = [target] if target is not None else list(kept.columns) if alone else []
    time = find_time(kept, exclude)
    columns = time.columns if time else []
    described = describe_columns(kept[[name for name in kept.columns if name not in columns]])
    numbers = [name for name, column in described.items() if column.numbers]
    counting = [name for name in described if row_number(kept, name)]
    numbers = [name for name in numbers if name not in counting] or numbers
    doubts: list[str] = []
    if target is None:
        target = numbers[-1] if numbers else None
        if len(numbers) > 1:
            doubts = [f"target: '{target}', the last column of numbers (--target NAME for another)"]
    if target is None or target not in described:
        return None
    if not forced and (len(frame) < MIN_ROWS or time is None) and not (alone and len(frame) > 3):
        return None
    others = [name for name in numbers if name != target]
    text = [name for name in described if name not in numbers and name not in counting]
    text = [name for name in text if name != target and not _is_idle(described[name], len(kept))]
    text = [name for name in text if not looks_like_dates(kept[name], MIN_DATES)]
    groups: list[str] = []
    axis = _axis(kept, source, target, groups, columns)
    if axis.disordered:
        groups = _find_groups(kept, source, target, [*text, *others], columns)
        axis = _axis(kept, source, target, groups, columns) if groups else axis
    useful = bool(text or others)  # to a table
    if not forced and (
        (axis.disordered and useful and not axis.nearly_ordered) or (text and not groups)
    ):
        return None
    if (
        time is not None
        and time.times.dtype.kind == "f"
        and groups
        and len(frame) < MIN_PANEL_ROWS * len(axis.series)
    ):
        return None
    covariates = [name for name in others if name not in groups]
    unused = [
        f"'{name}' ({'counts the rows' if name in counting else _unused_reason(column)})"
        for name, column in described.items()
        if name not in (target, *covariates, *groups)
    ]
    return SeriesPlan(target, groups, covariates, unused, axis, doubts=doubts)


def _unused_reason(column: ColumnDescription) -> str:
    """Why a column is no covariate."""
    if column.role == "empty":
        return "no values"
    return column.reason or {"date": "dates", "category": "text"}.get(column.role, column.role)


def _is_idle(column: ColumnDescription, rows: int) -> bool:
    """Whether a column says nothing of a row: one text alone, or hardly any."""
    return column.distinct <= 1 or column.rows < rows / 2


def _axis(
    frame: pandas.DataFrame, source: str, target: str, groups: list[str], time: list[str]
) -> TimeAxis:
    from nnzoo.data.timestamps.axis import describe_time

    options = SeriesOptions(
        name="series",
        path=source,
        target=target,
        group=cast(Any, groups or None),
        time=cast(Any, time or None),
    )
    return describe_time(frame, options, [target])


def _find_groups(
    frame: pandas.DataFrame, source: str, target: str, candidates: list[str], time: list[str]
) -> list[str]:
    """The one or two columns within whose values the time is in order; the first that will do."""
    keys = [
        name for name in candidates
        if frame[name].notna().all() and 2 <= frame[name].nunique() <= len(frame) / MIN_GROUP_ROWS
    ][:MAX_KEYS]  # fmt: skip
    for count in (1, 2):
        for columns in combinations(keys, count):
            groups = frame.groupby(list(columns)).ngroups
            if groups > len(frame) / MIN_GROUP_ROWS:
                continue
            if not _axis(frame, source, target, list(columns), time).disordered:
                return list(columns)
    return []


def series_config(
    plan: SeriesPlan, table: Table, reading: ReadOptions, data: Path, path: str
) -> tuple[str, str, list[str]]:
    """A sentence about the file, the sections of a configuration, and lines for the caller."""
    axis = _without_gaps(plan, table.frame, path)
    lengths = sorted(map(len, axis.series.values()))
    rows = sum(lengths)
    window = _window(axis, lengths)
    group = [quote_yaml(name) for name in plan.groups]
    options = SeriesOptions(
        name="series", path=str(data), target=plan.target, window=window,
        group=cast(Any, plan.groups or None),
        header="auto" if table.named else False, encoding=reading.encoding,
    )  # fmt: skip
    doubts = [
        *plan.doubts,
        *axis.notes,
        *_refusal(options, axis),
        *_wide(list(table.frame.columns)),
    ]
    if plan.unused:
        doubts.append(f"not used: {list_some(plan.unused, 6, counted=True)}")
    lines = [f"  {line}" for line in map(_comment, doubts)]
    last = not table.named and plan.target == table.frame.columns[-1]
    lines += [
        *reading_lines(table, reading),
        f"  target: {-1 if last else quote_yaml(plan.target)}",
    ]
    if len(axis.columns) > 1:
        lines.append(f"  time: [{', '.join(map(quote_yaml, axis.columns))}]")
    if group:
        names = group[0] if len(group) == 1 else f"[{', '.join(group)}]"
        lines.append(f"  group: {names}    # tells the series apart")
    if plan.covariates:
        named = ", ".join(map(quote_yaml, plan.covariates[:12]))
        lines.append(f"  covariates: none    # or all, or a list: {named}")
    lines += [
        f"  window: {window}    # past time steps the network sees (n_steps)",
        "  horizon: 1     # future time steps it predicts",
    ]
    validates = round(SeriesOptions(name="series", path="").split.val * lengths[-1]) > 0
    patience = 40 if rows < 2000 else 10
    stopping = f"  early_stopping: {{patience: {patience}}}\n" if validates else ""
    of_series = f" of {len(lengths):,} series" if group else ""
    distance = f", a season of {axis.season} by its dates" if axis.season else ""
    text = "\n".join(lines)
    return (
        f"{data.name}: {rows:,} time steps{of_series}{distance}.",
        f"""data:
  name: series
  path: {quote_yaml(path)}
{text}
model:
  name: lstm
  hidden_size: 64
optim:
  name: adam
  lr: 1e-3
  schedule: cosine
  clip: {{norm: 1.0}}
train:
  epochs: {200 if rows < 2000 else 60 if rows < 8000 else 20}
  batch_size: {16 if rows < 2000 else 64}
{stopping}""",
        doubts,
    )


def _without_gaps(plan: SeriesPlan, frame: pandas.DataFrame, path: str) -> TimeAxis:
    """The time axis without the rows that have no target, as training reads it."""
    from nnzoo.data.columns.values import mark_missing

    missing = mark_missing(frame)[plan.target].isna().to_numpy()
    if plan.axis.faults or missing.all():
        return plan.axis
    return plan.axis.without_missing(missing, [plan.target], frame, path)


def _wide(names: list[str]) -> list[str]:
    """A line on a table with a column for each month or year, which is a series lying on its side."""
    from nnzoo.data.timestamps.date_forms import MONTHS, plain

    months = [name for name in names if plain(name) in MONTHS]
    years = [name for name in names if name.isdecimal() and len(name) == 4]
    times = max(months, years, key=len)
    if len(times) < MIN_WIDE:
        return []
    return [
        f"columns '{times[0]}' to '{times[-1]}' look like the times of one series: it is read where each "
        "time has a row of its own"
    ]


def _window(axis: TimeAxis, lengths: list[int]) -> int:
    """Two seasons, or a week of hours, as far as the series that hold nine tenths of the rows are long
    enough."""
    season = axis.season
    window = 2 * season if season else SeriesOptions(name="series", path="").window
    if season == 24 and axis.frequency is not None and axis.frequency.name() == "hour":
        window = HOURS_OF_A_WEEK
    usual, below = lengths[-1], 0
    for length in lengths:
        below += length
        if below > sum(lengths) / 10:
            usual = length
            break
    return max(2, min(window, usual // 6 if usual >= 30 else usual // 3))


def _refusal(options: SeriesOptions, axis: TimeAxis) -> list[str]:
    """What training would refuse, if anything."""
    from nnzoo.data.series import load_series

    try:
        axis.check()
        load_series(options)
    except DataError as error:
        return [f"'nnzoo train' stops here: {error}"]
    return []


def _comment(text: str) -> str:
    """A line that names and values from the file cannot end."""
    return "# " + "".join(each for each in " ".join(text.split()) if each.isprintable())
