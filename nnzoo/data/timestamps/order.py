"""The order of times: whether they rise, whether sorting may help, and clocks that are set back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnzoo.data.timestamps.frequency import HOUR, describe_spacing, usual_distance

Array = np.ndarray[Any, Any]

# Neighbours one step apart, where sorting a file shall make a series of it.
SORTED_NEIGHBOURS = 0.9
# Clocks are set back once a year.
DAYS_BETWEEN_CHANGES = 300


def falls(times: Array) -> int:
    """How many times are earlier than the one before."""
    return int((times[1:] < times[:-1]).sum())


def ordered_fraction(times: Array) -> float:
    """The fraction of neighbours that rise, or that fall; 0 where all times are the same."""
    known = times[~np.isnan(times)] if times.dtype.kind == "f" else times[~np.isnat(times)]
    jumps = np.diff(known)
    zero = np.zeros(1, jumps.dtype)
    if not (jumps != zero).any():
        return 0.0
    return float(max((jumps >= zero).mean(), (jumps <= zero).mean()))


def why_not_sorted(values: Sequence[Array]) -> str | None:
    """Why a file is not sorted by nnzoo: "sort" where that would be a guess, "date" where a date seems
    wrong; None where sorting makes even steps, each time once."""
    distinct = [np.unique(times) for times in values]
    if sum(map(len, distinct)) < sum(map(len, values)):
        return "sort"
    spacing = describe_spacing(distinct)
    if spacing.frequency is None or spacing.neighbours < SORTED_NEIGHBOURS:
        return "sort"
    late = np.concatenate([v < np.maximum.accumulate(v) for v in values])
    if late.mean() <= 0.05:
        # A few rows at the wrong place: each has to fit in somewhere, else its date is wrong.
        for times, ordered in zip(values, distinct, strict=True):
            jumps = np.diff(spacing.frequency.positions(ordered))
            alone = np.append(True, jumps > 1.5) & np.append(jumps > 1.5, True)
            behind = times[times < np.maximum.accumulate(times)]
            if len(ordered) > 1 and np.isin(behind, ordered[alone]).any():
                return "date"
    return None


def clocks_set_back(times: Array) -> Array:
    """The steps, int64, at which a clock is set back by an hour, as where summer time ends, in times that
    rise otherwise; none where they fall in any other manner."""
    nothing = np.zeros(0, np.int64)
    jumps = np.diff(times)
    if times.dtype.kind != "M" or not len(jumps):
        return nothing
    micros = jumps.astype("m8[us]").astype(np.int64)
    falls = np.flatnonzero(micros < 0)
    between = np.diff(times[falls]).astype("m8[D]").astype(np.int64)
    is_hour = micros[falls] == int(usual_distance(micros)) - HOUR
    return falls + 1 if is_hour.all() and (between >= DAYS_BETWEEN_CHANGES).all() else nothing
