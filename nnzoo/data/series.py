"""Your time series: columns in order of time, cut into windows, split by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nnzoo.config.data_options import SeriesOptions, SineOptions
from nnzoo.config.split_options import TimeSplit
from nnzoo.data.columns.description import describe_columns
from nnzoo.data.columns.values import ValueOptions, column_name, looks_numeric
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split, WindowSplit, check_memory
from nnzoo.data.row_split import split_time
from nnzoo.data.table_files.table_io import ReadOptions, read_table
from nnzoo.data.timestamps.axis import SEASON_MISSING, TimeAxis
from nnzoo.data.timestamps.describe import describe_time, group_columns
from nnzoo.data.timestamps.gaps import NumericColumns, fill_gaps, first_complete_steps, read_columns
from nnzoo.data.timestamps.index import TimeFormat, TimeIndex
from nnzoo.data.timestamps.time_columns import row_number
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
# At most so many series that are left out are named.
NAMED = 3


@dataclass(frozen=True)
class Series:
    """One series. values: (time, features) float64, the targets first; times: (time,) or None;
    name: "" for one without."""

    values: Array
    times: Array | None = None
    name: str = ""


def windows(
    series: Sequence[Series],
    columns: list[ColumnSpec],
    targets: list[str],
    options: SeriesOptions | SineOptions,
    seasonal_period: int = 0,
    time_format: TimeFormat = TimeFormat(),
) -> Dataset:
    """Build a dataset of windows from series.

    columns: those of the series, the targets first. A window belongs to the split that has all of its
    target time steps; its inputs may reach back into the split before, as they would in use. A
    series that is too short to train is left out with a note; raises DataError where all are.
    """
    window, horizon = options.window, options.horizon
    reasons = [_too_short(one, window, horizon, options.split) for one in series]
    kept = [one for one, reason in zip(series, reasons, strict=True) if reason is None]
    if not kept:
        raise DataError.at("data.window", str(reasons[0]), code="E45")
    starts, notes = _window_starts(kept, options)
    splits = _window_splits(kept, starts, len(targets), window, horizon)
    spec = DataSpec(
        InputSpec("series", (window, kept[0].values.shape[1])),
        "forecasting",
        targets=targets,
        columns=columns,
        horizon=horizon,
        seasonal_period=seasonal_period,
    )
    index = TimeIndex.of(
        [one.name for one in kept],
        [one.times for one in kept],
        [len(one.values) for one in kept],
        time_format,
    )
    short = [one for one, reason in zip(series, reasons, strict=True) if reason is not None]
    notes = _left_out(short, len(series), window, horizon) + notes
    return Dataset(spec, splits, notes, index)


def _window_splits(
    series: Sequence[Series], starts: dict[str, Array], num_targets: int, window: int, horizon: int
) -> dict[str, Split]:
    """The splits of windows; starts: their first time steps in the concatenated series, by split."""
    rows = sum(map(len, starts.values()))
    check_memory(
        16 * rows * horizon * num_targets,
        f"{rows:,} windows with {horizon:,} steps to predict",
        "data.horizon",
        "set a smaller data.horizon",
    )
    joined = np.concatenate([one.values for one in series])
    values = torch.from_numpy(joined)
    target_values = torch.from_numpy(np.ascontiguousarray(joined[:, :num_targets]))
    return {
        part: WindowSplit(values, target_values, torch.from_numpy(first_steps), window, horizon)
        for part, first_steps in starts.items()
    }


def _window_starts(
    series: Sequence[Series], options: SeriesOptions | SineOptions
) -> tuple[dict[str, Array], list[str]]:
    """Return the first time steps of the windows of each split, and notes on series without some.

    Steps are counted over the concatenated series. Raises DataError where no series has windows in a
    split that has time steps.
    """
    window, horizon = options.window, options.horizon
    starts: dict[str, list[Array]] = {"train": [], "val": [], "test": []}
    without: dict[str, list[tuple[str, str]]] = {"val": [], "test": []}
    offset = 0
    for one in series:
        for part, steps in split_time(len(one.values), options.split).items():
            first, last = max(steps.start, window), steps.stop - horizon
            if first <= last:
                starts[part].append(np.arange(first, last + 1) - window + offset)
            elif len(steps):
                reason = _few_steps(one, part, len(steps), window, horizon)
                without[part].append((one.name, reason))
        offset += len(one.values)
    notes: list[str] = []
    for part, reasons in without.items():
        if reasons and not starts[part]:
            raise DataError.at("data.window", reasons[0][1], code="E45")
        if reasons:
            names = _names([name for name, _ in reasons])
            text = (
                f"{len(reasons):,} of {len(series):,} series without {part} rows ({names}): too few time "
                f"steps there for window {window} and horizon {horizon}"
            )
            notes.append(Note("N19", text))
    return {part: np.concatenate(arrays) for part, arrays in starts.items() if arrays}, notes


def _too_short(series: Series, window: int, horizon: int, split: TimeSplit) -> str | None:
    """The reason why a series cannot be trained on; None where it can."""
    steps = len(series.values)
    if steps < window + horizon:
        which = f" '{shorten(series.name)}'" if series.name else ""
        return (
            f"series{which} has {steps} time steps, fewer than window + horizon "
            f"({window} + {horizon}); use a smaller window"
        )
    train = len(split_time(steps, split)["train"])
    if train < window + horizon:
        return _few_steps(series, "train", train, window, horizon)
    return None


def _few_steps(series: Series, part: str, steps: int, window: int, horizon: int) -> str:
    which = f" '{shorten(series.name)}'" if series.name else ""
    return (
        f"the {part} split of series{which} has {steps} time steps, too few for window {window} and "
        f"horizon {horizon}; change data.split or data.window"
    )


def _left_out(short: list[Series], total: int, window: int, horizon: int) -> list[str]:
    if not short:
        return []
    lengths = [f"{one.name} ({len(one.values)} time steps)" for one in short]
    verb = "is" if len(short) == 1 else "are"
    return [
        Note(
            "N19",
            f"{len(short):,} of {total:,} series {verb} left out, too short to train with window {window} "
            f"and horizon {horizon}: {_names(lengths)}",
        )
    ]


def _names(names: list[str]) -> str:
    shown = ", ".join(map(shorten, names[:NAMED]))
    return shown + f" and {len(names) - NAMED:,} more" * (len(names) > NAMED)


def load_series(options: SeriesOptions, spec: DataSpec | None = None) -> Dataset:
    """One or several series of a file. Targets are always among what the network sees.

    Rows without a target are gaps in time; missing covariates are filled (`fill_gaps`). Raises
    DataError.
    """
    table = read_table(options.path, ReadOptions.of(options))
    frame = table.frame
    expected = options.target if isinstance(options.target, list) else [options.target]
    targets = [column_name(frame, column, "data.target") for column in expected]
    axis = describe_time(frame, options, targets)
    axis.check()
    others, notes = _covariates(frame, options, axis, targets)
    names = [ColumnSpec(name) for name in [*targets, *others]]
    axis, series, columns = _read_series(
        frame, axis, names, len(targets), options.path, ValueOptions.of(options)
    )
    starts, cut = first_complete_steps(series, columns.specs)
    series = {name: item[starts[name] :] for name, item in series.items()}
    training = [
        len(split_time(len(one_series), options.split)["train"]) for one_series in series.values()
    ]
    filled = fill_gaps(series, columns.specs, training, options.path)
    seasonal_period, about_season = _season(options, axis)
    dataset = windows(
        [Series(item, axis.times(name, starts[name]), name) for name, item in series.items()],
        columns.specs,
        targets,
        options,
        seasonal_period,
        axis.time_format,
    )
    header = table.keeps_header(ReadOptions.of(options), [*targets, *others])
    dataset.spec = replace(dataset.spec, header=header)
    dataset.notes = [
        *table.notes,
        *axis.summary(),
        *axis.notes,
        *about_season,
        *columns.notes,
        *notes,
        *cut,
        *filled,
        *dataset.notes,
    ]
    return dataset


def _read_series(
    frame: pandas.DataFrame,
    axis: TimeAxis,
    columns: list[ColumnSpec],
    targets: int,
    source: str,
    options: ValueOptions | None = None,
) -> tuple[TimeAxis, dict[str, Array], NumericColumns]:
    """Read the columns of each series, (time, columns), in the rows that have all `targets`."""
    names = [column.name for column in columns[:targets]]
    axis = axis.without_missing(frame[names].isna().any(axis=1).to_numpy(), names, frame, source)
    rows = np.sort(np.concatenate(list(axis.series.values())))
    read = read_columns(frame.iloc[rows], columns, targets, source, options)
    values = np.full((len(frame), len(columns)), np.nan)
    values[rows] = read.values
    # Once more: words such as "n/a" are known to be gaps only after reading.
    axis = axis.without_missing(np.isnan(values[:, :targets]).any(axis=1), names, frame, source)
    return axis, {name: values[chosen] for name, chosen in axis.series.items()}, read


def _covariates(
    frame: pandas.DataFrame, options: SeriesOptions, axis: TimeAxis, targets: list[str]
) -> tuple[list[str], list[str]]:
    """The further columns that the network sees, and notes."""
    if options.covariates == "none":
        return [], []
    if options.covariates != "all":
        named = [column_name(frame, column, "data.covariates") for column in options.covariates]
        return [name for name in named if name not in targets], []
    taken = [*axis.columns, *group_columns(frame, options.group), *targets]
    others = [name for name in frame.columns if name not in taken]
    counting = [name for name in others if row_number(frame, name)]
    notes: list[str] = [
        Note("N08", f"column '{name}' counts the rows and is left out") for name in counting
    ]
    odd = [
        name
        for name in others
        if name not in counting and (not looks_numeric(frame[name]) or frame[name].isna().all())
    ]
    result = describe_columns(frame[odd], ValueOptions.of(options)) if odd else {}
    text = [name for name, column in result.items() if not column.numbers]
    if text:
        listed = ", ".join(f"'{shorten(name)}' ({result[name].role})" for name in text)
        notes.append(Note("N08", f"no numbers, and left out of the covariates: {listed}"))
    return [name for name in others if name not in (*counting, *text)], notes


def _season(options: SeriesOptions, axis: TimeAxis) -> tuple[int, list[str]]:
    """Time steps of a season for the baseline, and a note where the dates would tell a wrong one."""
    if isinstance(options.season, int):
        return options.season, []
    if axis.season and axis.missing > SEASON_MISSING:
        return 0, [
            f"{axis.season} rows are no season, with so many missing: no baseline of the last season "
            "(data.season)"
        ]
    return axis.season, []


@dataclass(frozen=True)
class History:
    """One series up to the present: values (time, features), and the axis that dates what follows."""

    values: Array
    name: str = ""
    axis: TimeAxis | None = None


@dataclass(frozen=True)
class Histories:
    """The series of a file by their names, and what should be known of them."""

    series: dict[str, History]
    notes: list[str] = field(default_factory=list)


def read_histories(
    frame: pandas.DataFrame,
    options: SeriesOptions,
    features: list[ColumnSpec],
    targets: int,
    window: int,
) -> Histories:
    """Each series of a frame by its name, which is "" where there is no data.group.

    features: specs of the columns that the network sees, of which the first `targets` are what it
    predicts; window: how many of the last time steps it reads. A series with fewer is left out with a
    note. Raises DataError as `load_series` does, and where all series are too short.
    """
    source = options.path
    for spec in features:
        if spec.name not in frame.columns:
            raise DataError(
                f"{source}: column '{spec.name}' is missing; the network was trained with it",
                code="E54",
            )
    axis = describe_time(frame, options, [spec.name for spec in features])
    axis.check()
    axis, series, _ = _read_series(frame, axis, features, targets, source)
    series, short_notes = _long_enough(series, window, source)
    notes = [*axis.notes, *short_notes, *_fill_histories(series, features, window, source)]
    return Histories({name: History(item, name, axis) for name, item in series.items()}, notes)


def _long_enough(
    series: dict[str, Array], window: int, source: str
) -> tuple[dict[str, Array], list[str]]:
    """The series of at least `window` time steps, and a note on the others.

    Raises DataError where all are shorter.
    """
    short = [f"{name} ({len(values)})" for name, values in series.items() if len(values) < window]
    if len(short) == len(series):
        name, values = next(iter(series.items()))
        which = f" of '{shorten(name)}'" if name else ""
        raise DataError(
            f"{source} has {len(values):,} time steps{which}; this network reads the last {window:,}",
            code="E54",
        )
    if not short:
        return series, []
    reason = f"left out, with fewer than the {window:,} time steps that the network reads"
    kept = {name: values for name, values in series.items() if len(values) >= window}
    return kept, [Note("N19", f"{reason}: {_names(short)}")]


def _fill_histories(
    series: dict[str, Array], features: list[ColumnSpec], window: int, source: str
) -> list[str]:
    """Fill the gaps of each series in place, with the last value before; notes on the last `window` rows.

    Raises DataError where a gap has no value before.
    """
    notes: list[str] = []
    for i, spec in enumerate(features):
        gaps = sum(int(np.isnan(values[-window:, i]).sum()) for values in series.values())
        if gaps:
            text = (
                f"covariate '{spec.name}' is missing in {gaps:,} of the last rows: they keep the "
                "last value before"
            )
            notes.append(Note("N06", text))
    specs = [spec if spec.fill is not None else replace(spec, fill=np.nan) for spec in features]
    fill_gaps(series, specs, [0] * len(series), source)
    for values in series.values():
        unknown = np.isnan(values[-window:]).any(0)
        if unknown.any():
            raise DataError(
                f"{source}: the covariate '{features[int(unknown.argmax())].name}' has no value "
                "before the rows where it is missing; fill it in",
                code="E42",
            )
    return notes
