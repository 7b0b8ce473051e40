"""The numbers of series: read from the columns of a file, with gaps of covariates filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.checks import sentinel_notes
from nnzoo.data.columns.description import describe_columns, format_notes, gap_notes
from nnzoo.data.columns.values import ValueOptions, looks_numeric, parse_numbers, refuse_huge
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


@dataclass
class NumericColumns:
    """NumericColumns of a table as numbers.

    values: (rows, columns) float64, NaN where a covariate is missing. specs: of each column its name,
    with `format` where its numbers are not written as programs write them, and `fill` where the
    first values of a series are missing. notes: what was guessed.
    """

    values: Array
    specs: list[ColumnSpec]
    notes: list[str] = field(default_factory=list)


def read_columns(
    frame: pandas.DataFrame,
    specs: list[ColumnSpec],
    targets: int,
    source: str,
    options: ValueOptions | None = None,
) -> NumericColumns:
    """Read columns as numbers, of which the first `targets` are the targets.

    specs: of each column its name, and its format where it is known. options: how texts are read;
    None to read all as the specs say. Raises DataError naming the row.
    """
    odd = [spec.name for spec in specs if not looks_numeric(frame[spec.name])]
    described = {} if options is None or not odd else describe_columns(frame[odd], options)
    read = NumericColumns(np.empty((len(frame), len(specs))), [], [])
    for i, spec in enumerate(specs):
        name = spec.name
        column = frame[name]
        role = "target" if i < targets else "covariate"
        key = "data.target" if i < targets else "data.covariates"
        if name in described and described[name].numbers:
            description = described[name]
            if description.problem:
                raise DataError.at(
                    key, f"{source}: the {role} '{name}' has {description.problem}", code="E39"
                )
            spec = replace(spec, format=description.format)
        values, unread = parse_numbers(column, spec.format)
        if unread.any():
            row = int(unread.argmax())
            raise DataError.at(
                key,
                f"{source}: the {role} '{name}' should be a number, but data row "
                f"{frame.index[row] + 1} has '{shorten(str(column.iloc[row]))}'",
                code="E39",
            )
        refuse_huge(column, values, source)
        read.values[:, i] = values
        read.specs.append(spec)
        if options is not None:
            known = values[~np.isnan(values)]
            if role == "target" and len(known) > 1 and (known == known[0]).all():
                text = f"the target '{shorten(name)}' is {known[0]:g} in all rows: there is nothing to learn"
                read.notes.append(Note("W44", text))
            remarks = described[name].remarks if name in described else sentinel_notes(values)
            read.notes += [Note("N04", f"'{shorten(name)}': {remark}") for remark in remarks]
    read.notes[:0] = [*format_notes(list(described.values())), *gap_notes(list(described.values()))]
    return read


def first_complete_steps(
    series: dict[str, Array], specs: list[ColumnSpec]
) -> tuple[dict[str, int], list[str]]:
    """For each series, the first step at which no covariate is missing (0 if more than half would be cut), and
    notes."""
    starts = {
        name: max((_leading(values[:, i]) for i in range(values.shape[1])), default=0)
        for name, values in series.items()
    }
    starts = {name: n if 2 * n <= len(series[name]) else 0 for name, n in starts.items()}
    notes: list[str] = []
    for i, spec in enumerate(specs):
        cut = [name for name, start in starts.items() if start and np.isnan(series[name][0, i])]
        if cut:
            missing = sum(_leading(series[name][:, i]) for name in cut)
            rows = sum(starts[name] for name in cut)
            where = f" of {len(cut):,} series" if len(series) > 1 else ""
            text = (
                f"covariate '{spec.name}' is missing in the first {missing:,} rows{where}: the "
                f"{rows:,} rows up to the first with all values are left out"
            )
            notes.append(Note("N07", text))
    return starts, notes


def fill_gaps(
    series: dict[str, Array], specs: list[ColumnSpec], training: Sequence[int], source: str
) -> list[str]:
    """Fill what a covariate misses, in place: with the last value before, and where there is none,
    with the mean of its training steps, which becomes `fill` of its spec, replaced in `specs`. Gives notes.

    series: (time, columns) of each series in order of time; training: its number of training steps.
    A later value is never used: that would be a look into the future. Raises DataError for a
    column without a value to train on.
    """
    notes: list[str] = []
    for i, spec in enumerate(specs):
        columns = [values[:, i] for values in series.values()]
        if not any(np.isnan(column).any() for column in columns):
            continue
        leading = sum(_leading(column) for column in columns)
        if leading and spec.fill is None:
            seen = np.concatenate(
                [column[:count] for column, count in zip(columns, training, strict=True)]
            )
            seen = seen[~np.isnan(seen)]
            if not len(seen):
                raise DataError.at(
                    "data.covariates",
                    f"{source}: the covariate '{spec.name}' has no value in the training time "
                    "steps; leave it out (data.covariates)",
                    code="E42",
                )
            spec = specs[i] = replace(spec, fill=float(seen.mean()))
        missing, longest = 0, 0
        for column in columns:
            missing += int(np.isnan(column).sum())
            longest = max(longest, _fill(column, np.nan if spec.fill is None else spec.fill))
        parts = []
        if leading:
            parts.append(
                f"{leading:,} at the start are the mean of the training steps ({spec.fill:.6g})"
            )
        if missing > leading:
            steps = f"up to {longest:,} steps" if longest > 1 else "one step"
            parts.append(f"{missing - leading:,} keep the last value before ({steps} long)")
        total = sum(map(len, columns))
        text = f"covariate '{spec.name}' is missing in {missing:,} of {total:,} rows: " + "; ".join(
            parts
        )
        notes.append(Note("N06", text))
    return notes


def _leading(column: Array) -> int:
    """The number of missing values before the first."""
    there = ~np.isnan(column)
    return int(there.argmax()) if there.any() else len(column)


def _fill(column: Array, first: float) -> int:
    """Fill one series in place; gives the length of the longest gap that is not at the start."""
    missing = np.isnan(column)
    steps = np.arange(len(column))
    last = np.maximum.accumulate(np.where(missing, -1, steps))
    gaps = (steps - last)[missing & (last >= 0)]
    column[:] = np.where(last < 0, first, column[np.maximum(last, 0)])
    return int(gaps.max()) if len(gaps) else 0
