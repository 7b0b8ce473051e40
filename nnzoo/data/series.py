"""Your time series: columns in order of time, cut into windows, split by time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nnzoo.config.schema import SeriesOptions, TimeSplit
from nnzoo.data.columns import column_name, looks_numeric, refuse_huge, shorten, to_numbers
from nnzoo.data.dataset import Dataset, Kind, WindowSplit, check_memory
from nnzoo.data.dates import looks_like_dates, to_dates
from nnzoo.data.splitting import split_time
from nnzoo.data.table_io import ReadOptions, read_table
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas


def windows(
    values: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    *,
    features: list[str],
    targets: list[str],
    window: int,
    horizon: int,
    split: TimeSplit,
    season: int,
    names: Sequence[str] = (),
) -> Dataset:
    """Series as a dataset of windows.

    values: one (time, features) array a series; wanted: one (time, targets) array a series.
    features, targets: the names of their columns. season: time steps, 0 for none.
    names: of the series, for messages, where there are several.
    A window belongs to the split in which all of its target time steps lie; its past may reach
    back into the split before, as it would in use. Raises DataError where a series is too short.
    """
    starts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    offset = 0
    for i, series in enumerate(values):
        which = f" '{shorten(names[i])}'" if names else ""
        if len(series) < window + horizon:
            raise DataError(
                f"series{which} has {len(series)} time steps, fewer than window + horizon "
                f"({window} + {horizon}); use a smaller window"
            )
        for part, steps in split_time(len(series), split).items():
            first = max(steps.start, window)
            last = steps.stop - horizon
            if first > last:
                if len(steps):
                    raise DataError(
                        f"the {part} split of series{which} has {len(steps)} time steps, too few "
                        f"for window {window} and horizon {horizon}; change data.split or data.window"
                    )
                continue
            starts[part].append(np.arange(first, last + 1) - window + offset)
        offset += len(series)
    rows = sum(len(each) for part in starts.values() for each in part)
    check_memory(
        16 * rows * horizon * len(targets), f"{rows:,} windows with {horizon:,} steps to predict",
        "set a smaller data.horizon",
    )  # fmt: skip
    whole = torch.from_numpy(np.concatenate(values))
    goal = torch.from_numpy(np.concatenate(wanted))
    splits: dict[str, Any] = {
        part: WindowSplit(whole, goal, torch.from_numpy(np.concatenate(each)), window, horizon)
        for part, each in starts.items()
        if each
    }
    spec = {"columns": [{"name": name} for name in features], "targets": targets,
            "horizon": horizon}  # fmt: skip
    kind = Kind("series", (window, whole.shape[1]))
    return Dataset(kind, "forecasting", splits, spec, season)


def load_series(options: SeriesOptions, spec: dict[str, Any] | None = None) -> Dataset:
    """One or several series of a file. Targets are always among what the network sees.

    Missing covariates keep their last value; a missing target is an error. Raises DataError.
    """
    table = read_table(options.path, ReadOptions.of(options))
    frame = table.frame
    time = _time_column(frame, options)
    groups = _groups(frame, options)
    group = None if groups is None else groups.name
    wanted = options.target if isinstance(options.target, list) else [options.target]
    targets = [column_name(frame, column, "data.target") for column in wanted]
    if options.covariates == "all":
        others = [name for name in frame.columns if name not in (time, group, *targets)]
    elif options.covariates == "none":
        others = []
    else:
        others = [column_name(frame, column, "data.covariates") for column in options.covariates]
        others = [name for name in others if name not in targets]
    features = targets + others
    pieces = _pieces(frame, groups)
    values = [_numbers(each, features, len(targets), options.path) for each in pieces.values()]
    goals = [each[:, : len(targets)] for each in values]
    season = (
        options.season
        if isinstance(options.season, int)
        else season_of(next(iter(pieces.values())), time)
    )
    dataset = windows(
        values, goals, features=features, targets=targets, window=options.window,
        horizon=options.horizon, split=options.split, season=season,
        names=list(pieces) if groups is not None else (),
    )  # fmt: skip
    dataset.notes += table.notes
    return dataset


@dataclass(frozen=True)
class Past:
    """One series up to the present: values (time, features), and its dates where it has any."""

    values: np.ndarray
    dates: pandas.Series | None


def read_past(
    frame: pandas.DataFrame, options: SeriesOptions, features: list[str], targets: int
) -> dict[str, Past]:
    """Each series of a frame by its name, which is "" where there is no data.group.

    features: the columns that the network sees, of which the first `targets` are what it predicts.
    Raises DataError as `load_series` does.
    """
    for name in features:
        if name not in frame.columns:
            raise DataError(
                f"{options.path}: column '{name}' is missing; the network was trained with it"
            )
    time = _time_column(frame, options)
    return {
        name: Past(
            _numbers(piece, features, targets, options.path), None if time is None else piece[time]
        )
        for name, piece in _pieces(frame, _groups(frame, options)).items()
    }


# Behind the time of a date.
_OFFSET = r":\d\d(\.\d+)? *(Z|[+-]\d\d(:?\d\d)?)$"


def next_dates(past: pandas.Series, steps: int) -> list[str] | None:
    """The dates that follow, as text; None where they are not at equal distances.

    A distance is equal where 9 of 10 are: a gap or a leap day left out changes nothing. Months
    stay months, and the last days of months stay last days. Dates with an offset come in UTC.
    """
    import pandas

    dates = to_dates(past)
    if len(dates) < 3 or dates.isna().any():
        return None
    last = dates.iloc[-1]
    months = dates.dt.year * 12 + dates.dt.month
    ends, of_day = dates.dt.is_month_end, dates - dates.dt.normalize()
    monthly = of_day.nunique() == 1 and (ends.all() or dates.dt.day.nunique() == 1)
    count = _distance(months) if monthly else None
    distance = _distance(dates)
    if not count and not distance:
        return None

    def ahead(step: int) -> Any:
        if not count:
            return last + distance * step
        month = last + pandas.DateOffset(months=int(count) * step)
        return month + pandas.offsets.MonthEnd(0) if ends.all() else month

    try:
        if ahead(steps).year > 9999:
            return None
    except (OverflowError, ValueError):
        return None
    future = [ahead(step) for step in range(1, steps + 1)]
    days = not any(each != each.normalize() for each in (*dates.iloc[-10:], *future))
    zone = "+00:00" if re.search(_OFFSET, str(past.iloc[-1])) else ""
    return [each.strftime("%Y-%m-%d" if days else f"%Y-%m-%d %H:%M:%S{zone}") for each in future]


def _distance(times: pandas.Series) -> Any:
    """The usual distance from one to the next; None where fewer than 9 of 10 are."""
    steps = times.diff().iloc[1:]
    usual = steps.median()
    return usual if usual and (steps == usual).mean() >= 0.9 else None


def _time_column(frame: pandas.DataFrame, options: SeriesOptions) -> str | None:
    """The column of dates (or of rising numbers), checked to be in order; None without one."""
    if options.time is not None:
        name = column_name(frame, options.time, "data.time")
    else:
        name = next((str(n) for n in frame.columns if looks_like_dates(frame[n])), "")
        if not name:
            return None
    times = _times(frame[name])
    if options.time is not None and times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        raise DataError(
            f"data.time: '{shorten(str(frame[name].iloc[row]))}' in data row {row + 1} is neither date nor number"
        )
    for piece in _pieces(times.dropna(), _groups(frame, options)).values():
        if not piece.is_monotonic_increasing:
            late = piece.index[1:][piece.to_numpy()[1:] < piece.to_numpy()[:-1]][0]
            hint = "" if options.group is not None else (
                "; or, where it holds several series, name the column that tells them apart "
                "(data.group)"
            )  # fmt: skip
            raise DataError(
                f"{options.path}: not in order of time: '{shorten(str(frame[name].iloc[late]))}' (data row "
                f"{late + 1}) is earlier than the row before; sort the file{hint}"
            )
        # A few equal times are the hour that a clock is set back.
        if len(piece) > 2 and piece.nunique() < 0.9 * len(piece):
            twice = piece.index[piece.duplicated()][0]
            raise DataError(
                f"{options.path}: the time '{shorten(str(frame[name].iloc[twice]))}' (data row {twice + 1}) and "
                "many others come more than once; where the file holds several series, name the "
                "column that tells them apart (data.group)"
            )
    return name


def _groups(frame: pandas.DataFrame, options: SeriesOptions) -> pandas.Series | None:
    """Which series each row belongs to."""
    if options.group is None:
        return None
    name = column_name(frame, options.group, "data.group")
    missing = frame[name].isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{options.path}: '{name}' (data.group) is missing in data row {int(missing.argmax()) + 1}"
        )
    return frame[name]


def _pieces(whole: Any, groups: pandas.Series | None) -> dict[str, Any]:
    """A frame or column cut into its series, by their names and in their order."""
    if groups is None:
        return {"": whole}
    return {str(name): piece for name, piece in whole.groupby(groups, sort=True)}


def _times(column: pandas.Series) -> pandas.Series:
    """Dates, or numbers where all are: in an order that can be compared; NaT or NaN for others."""
    import pandas

    if looks_numeric(column):
        return pandas.Series(to_numbers(column), index=column.index)
    return to_dates(column)


def _numbers(frame: pandas.DataFrame, names: list[str], targets: int, path: str) -> np.ndarray:
    """Columns as float64 (time, columns); gaps of covariates keep the last value."""
    columns = []
    for i, name in enumerate(names):
        numbers = to_numbers(frame[name])
        bad = np.isnan(numbers)
        present = frame[name].notna().to_numpy()
        role = "target" if i < targets else "covariate"
        if (bad & present).any():
            row = int((bad & present).argmax())
            raise DataError(
                f"{path}: the {role} '{name}' should be a number, but data row "
                f"{frame.index[row] + 1} has '{shorten(str(frame[name].iloc[row]))}'"
            )
        if role == "target" and bad.any():
            raise DataError(
                f"{path}: the target '{name}' is missing in data row "
                f"{frame.index[int(bad.argmax())] + 1}; fill it in"
            )
        refuse_huge(frame[name], numbers, path)
        if bad.any():
            # Forward only: a later value would be a look into the future.
            last = np.maximum.accumulate(np.where(bad, -1, np.arange(len(numbers))))
            numbers = np.where(last < 0, 0.0, numbers[np.maximum(last, 0)])
        columns.append(numbers)
    return np.stack(columns, 1)


def season_of(frame: pandas.DataFrame, time: str | None) -> int:
    """Time steps of a season by the distance of the dates; 0 where it cannot be told."""
    import pandas

    if time is None:
        return 0
    dates = to_dates(frame[time]).dropna()
    if len(dates) < 3:
        return 0
    days = dates.diff().median() / pandas.Timedelta(days=1)
    for low, high, season in (
        (1 / 25, 1 / 23, 24), (0.9, 1.1, 7), (6.9, 7.1, 52), (27, 32, 12), (88, 93, 4),
    ):  # fmt: skip
        if low <= days <= high:
            return season
    per_day = round(1 / days) if 0 < days < 0.5 else 0
    return per_day if per_day <= 288 else 0
