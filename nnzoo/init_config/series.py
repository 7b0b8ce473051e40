"""A first configuration for one or several time series."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, cast

from nnzoo.config.data_options import SeriesOptions
from nnzoo.config.formatting import quote_yaml
from nnzoo.errors import DataError
from nnzoo.init_config.config_text import ConfigText, DataFile, comment_lines, join_sections
from nnzoo.text import Note, list_some

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription
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
    doubts: list[str] = field(default_factory=list)


def plan_series(
    frame: pandas.DataFrame,
    source: str,
    target: str | None = None,
    drop: Collection[str] = (),
    forced: bool = False,
) -> SeriesPlan | None:
    """How a table is read as a series; None if it is none, or, if `forced`, has no numbers.

    A series is one column of numbers, or numbers beside a time that is in order, or that sorting
    brings into even steps, if need be within each value of one or two other columns.
    """
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.timestamps.time_columns import find_time, row_number

    kept = frame[[name for name in frame.columns if name not in drop]]
    is_single = len(kept.columns) == 1
    targets = [target] if target is not None else list(kept.columns) if is_single else []
    time = find_time(kept, targets)
    time_columns = time.columns if time else []
    columns = describe_columns(kept[[name for name in kept.columns if name not in time_columns]])
    counting = [name for name in columns if row_number(kept, name)]
    numbers = [name for name, column in columns.items() if column.numbers]
    numbers = [name for name in numbers if name not in counting] or numbers
    doubts: list[str] = []
    if target is None and len(numbers) > 1:
        text = f"target: '{numbers[-1]}', the last column of numbers (--target NAME for another)"
        doubts = [Note("N01", text)]
    target = target if target is not None else numbers[-1] if numbers else None
    if target is None or target not in columns:
        return None
    long_enough = (len(frame) >= MIN_ROWS and time is not None) or (is_single and len(frame) > 3)
    if not (forced or long_enough):
        return None
    others = [name for name in numbers if name != target]
    texts = _text_columns(kept, columns, {target, *numbers, *counting})
    axis, groups = _ordered_axis(kept, source, target, [*texts, *others], time_columns)
    if not forced and ((texts and not groups) or _is_disordered(axis, bool(texts or others))):
        return None
    counts_time = time is not None and time.times.dtype.kind == "f"
    if counts_time and groups and len(frame) < MIN_PANEL_ROWS * len(axis.series):
        return None
    covariates = [name for name in others if name not in groups]
    unused = [
        f"'{name}' ({'counts the rows' if name in counting else _unused_reason(column)})"
        for name, column in columns.items()
        if name not in (target, *covariates, *groups)
    ]
    return SeriesPlan(target, groups, covariates, unused, axis, doubts)


def _ordered_axis(
    frame: pandas.DataFrame, source: str, target: str, keys: list[str], time: list[str]
) -> tuple[TimeAxis, list[str]]:
    """The time axis, and the columns among `keys` within whose values it is in order, if needed."""
    axis = _axis(frame, source, target, [], time)
    groups = _find_groups(frame, source, target, keys, time) if axis.disordered else []
    return (_axis(frame, source, target, groups, time) if groups else axis), groups


def _is_disordered(axis: TimeAxis, has_inputs: bool) -> bool:
    """Whether the time is so out of order that a table, which has inputs, is the better reading."""
    return axis.disordered and has_inputs and not axis.nearly_ordered


def _text_columns(
    frame: pandas.DataFrame, columns: Mapping[str, ColumnDescription], others: Collection[str]
) -> list[str]:
    """The columns of texts that may name the series of a row: no dates, and not idle."""
    from nnzoo.data.timestamps.parse import MIN_DATES, looks_like_dates

    return [
        name
        for name, column in columns.items()
        if name not in others
        and not _is_idle(column, len(frame))
        and not looks_like_dates(frame[name], MIN_DATES)
    ]


def _unused_reason(column: ColumnDescription) -> str:
    """Why a column is no covariate."""
    if column.role == "empty":
        return "no values"
    return column.reason or {"date": "dates", "category": "text"}.get(column.role, column.role)


def _is_idle(column: ColumnDescription, rows: int) -> bool:
    """Whether a column does not distinguish rows: it holds a single text, or hardly any."""
    return column.distinct <= 1 or column.rows < rows / 2


def _axis(
    frame: pandas.DataFrame, source: str, target: str, groups: list[str], time: list[str]
) -> TimeAxis:
    from nnzoo.data.timestamps.describe import describe_time

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
        name
        for name in candidates
        if frame[name].notna().all() and 2 <= frame[name].nunique() <= len(frame) / MIN_GROUP_ROWS
    ][:MAX_KEYS]
    for count in (1, 2):
        for columns in combinations(keys, count):
            groups = frame.groupby(list(columns)).ngroups
            if groups > len(frame) / MIN_GROUP_ROWS:
                continue
            if not _axis(frame, source, target, list(columns), time).disordered:
                return list(columns)
    return []


def series_config(file: DataFile, plan: SeriesPlan) -> ConfigText:
    """The configuration of a series; also where it cannot train yet: comments say why."""
    axis = _without_gaps(plan, file)
    lengths = sorted(map(len, axis.series.values()))
    rows = sum(lengths)
    window = _window(axis, lengths)
    options = SeriesOptions(
        name="series",
        path=str(file.path),
        target=plan.target,
        window=window,
        group=cast(Any, plan.groups or None),
        header=file.header,
        encoding=file.reading.encoding,
    )
    notes = [
        *plan.doubts,
        *axis.notes,
        *_refusal(options, axis),
        *_wide(list(file.table.frame.columns)),
    ]
    if plan.unused:
        notes.append(Note("N09", f"not used: {list_some(plan.unused, 6, counted=True)}"))
    head = file.head_lines("series")
    last = not file.table.named and plan.target == file.table.frame.columns[-1]
    lines = [*head[:3], *comment_lines(notes), *head[3:]]
    lines.append(f"  target: {-1 if last else quote_yaml(plan.target)}")
    if len(axis.columns) > 1:
        lines.append(f"  time: [{', '.join(map(quote_yaml, axis.columns))}]")
    groups = [quote_yaml(name) for name in plan.groups]
    if groups:
        value = groups[0] if len(groups) == 1 else f"[{', '.join(groups)}]"
        lines.append(f"  group: {value}    # names the series that a row belongs to")
    if plan.covariates:
        names = ", ".join(map(quote_yaml, plan.covariates[:12]))
        lines.append(f"  covariates: none    # or all, or a list: {names}")
    lines.append(f"  window: {window}    # past time steps that the network sees (n_steps)")
    lines.append("  horizon: 1     # future time steps that it predicts")
    validates = round(SeriesOptions(name="series", path="").split.val * lengths[-1]) > 0
    count = f" of {len(lengths):,} series" if groups else ""
    season = f", a season of {axis.season} by its dates" if axis.season else ""
    about = f"{file.path.name}: {rows:,} time steps{count}{season}."
    return ConfigText(about, join_sections(lines, _recipe(rows, validates)), notes)


def _recipe(rows: int, validates: bool) -> dict[str, dict[str, Any]]:
    """The sections `model`, `optim` and `train` for series of `rows` time steps in total."""
    few = rows < 2000
    stop = {"early_stopping": {"patience": 40 if few else 10}} if validates else {}
    epochs = 200 if few else 60 if rows < 8000 else 20
    return {
        "model": {"name": "lstm", "hidden_size": 64},
        "optim": {"name": "adam", "lr": 1e-3, "schedule": "cosine", "clip": {"norm": 1.0}},
        "train": {"epochs": epochs, "batch_size": 16 if few else 64, **stop},
    }


def _without_gaps(plan: SeriesPlan, file: DataFile) -> TimeAxis:
    """The time axis without the rows that have no target, as training reads it."""
    from nnzoo.data.columns.values import mark_missing

    frame = file.table.frame
    missing = mark_missing(frame)[plan.target].isna().to_numpy()
    if plan.axis.issues or missing.all():
        return plan.axis
    return plan.axis.without_missing(missing, [plan.target], frame, file.config_path)


def _wide(names: list[str]) -> list[str]:
    """A line on a table with a column for each month or year, which is a series lying on its side."""
    from nnzoo.data.timestamps.date_formats import MONTHS, plain

    months = [name for name in names if plain(name) in MONTHS]
    years = [name for name in names if name.isdecimal() and len(name) == 4]
    times = max(months, years, key=len)
    if len(times) < MIN_WIDE:
        return []
    return [
        f"columns '{times[0]}' to '{times[-1]}' look like the times of one series: write it with one "
        "row per time"
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
    """The error of training, if it would refuse the file."""
    from nnzoo.data.series import load_series

    try:
        axis.check()
        load_series(options)
    except DataError as error:
        return [f"cannot train yet: {error}"]
    return []
