"""The series and the time of each time step of a data set, for messages and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TimeFormat:
    """The text format of times: datetime64[us] with the resolution `unit` ("M", "D", "s", "ms"), or
    numbers; offset: from UTC, written after a time of day; clock: write only the time of day."""

    unit: str = "D"
    offset: str = ""
    clock: bool = False

    def texts(self, times: Array) -> list[str]:
        if times.dtype.kind != "M":
            return [f"{value:.10g}" for value in times.tolist()]
        if self.clock:
            return [text[11:19] for text in times.astype("M8[s]").astype(str).tolist()]
        unit = self.unit
        micros = times.astype("M8[us]").astype(np.int64)
        if unit == "D" and (micros % 86_400_000_000).any():
            unit = "s"
        offset = "" if unit in ("M", "D") else self.offset
        texts = times.astype(f"M8[{unit}]").astype(str).tolist()
        return [text.replace("T", " ") + offset for text in texts]


@dataclass(frozen=True)
class TimeIndex:
    """The series of a data set, concatenated. names: [""] for one without a name; starts: (series,) the
    first time step of each; times: (time steps,), None where no column holds them."""

    names: list[str]
    starts: Array
    times: Array | None = None
    format: TimeFormat = TimeFormat()

    def series_numbers(self, steps: Array) -> Array:
        """The index into `names` of the series of each time step."""
        return np.asarray(np.searchsorted(self.starts, steps, side="right")) - 1

    def series(self, step: int) -> str:
        """The name of the series of a time step; "" for one without."""
        return self.names[int(self.series_numbers(np.array([step]))[0])]

    def describe(self, steps: Array) -> dict[str, Any]:
        """The period and the series of some time steps, as plain values."""
        described: dict[str, Any] = {}
        if self.times is not None:
            times = self.times[steps]
            first, last = self.format.texts(np.array([times.min(), times.max()]))
            described["period"] = {"from": first, "to": last}
        if self.names != [""]:
            described["series"] = [self.names[i] for i in np.unique(self.series_numbers(steps))]
        return described

    def time(self, step: int) -> str | None:
        """The time of a step as text."""
        return None if self.times is None else self.format.texts(self.times[step : step + 1])[0]

    def label(self, step: int) -> str:
        """A time step in words: "Bern, 2021-06-18"; "step 372" where neither is known."""
        parts = [part for part in (self.series(step), self.time(step)) if part]
        return ", ".join(parts) or f"step {step + 1}"

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        times: Sequence[Array | None],
        lengths: Sequence[int],
        time_format: TimeFormat = TimeFormat(),
    ) -> TimeIndex:
        """The index of concatenated series."""
        starts = np.cumsum([0, *lengths[:-1]])
        known = [time for time in times if time is not None]
        joined = np.concatenate(known) if len(known) == len(lengths) else None
        return cls(list(names), starts, joined, time_format)
