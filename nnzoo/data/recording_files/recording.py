"""Recordings in memory, one behind the other, and what is made of each before a network sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nnzoo.config.options import MAX_MAGNITUDE
from nnzoo.data.columns.roles import RoleTexts, select_texts
from nnzoo.data.table_files.limits import MAX_CELLS
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, shorten

Array = np.ndarray[Any, Any]
# Steps of one recording; a network would take hours for a single one that is longer.
MAX_STEPS = 1_000_000


@dataclass(frozen=True)
class Shaping:
    """The options by which each recording is cut, resampled and scaled, alike in training and `predict`.

    scale: "none" unless each recording is scaled by its own statistics.
    """

    max_length: int | None = None
    keep: Literal["start", "end"] = "start"
    length: int | None = None
    scale: Literal["standardize", "minmax", "none"] = "none"

    @classmethod
    def of(cls, data: Any) -> Shaping:
        """The options of a config's `data` section, which may lack these keys."""
        preprocess = getattr(data, "preprocess", None)
        per_recording = getattr(preprocess, "per", "channel") == "recording"
        return cls(
            getattr(data, "max_length", None),
            getattr(data, "keep", "start"),
            getattr(data, "length", None),
            getattr(preprocess, "scale", "none") if per_recording else "none",
        )

    @property
    def is_bounded(self) -> bool:
        """Whether recordings of any length become short."""
        return self.max_length is not None or self.length is not None

    def apply(self, values: Array) -> Array:
        """The recording (time, channels) float64 without gaps as the network reads it."""
        if self.max_length is not None and len(values) > self.max_length:
            kept = slice(self.max_length) if self.keep == "start" else slice(-self.max_length, None)
            values = values[kept]
        if self.length is not None and len(values) != self.length:
            values = resample(values, self.length)
        if self.scale != "none":
            values = _scaled(values, self.scale)
        return values


def resample(values: Array, length: int) -> Array:
    """A recording (time, channels) at `length` evenly spaced times of its own span, by linear interpolation."""
    times = np.linspace(0, len(values) - 1, length)
    steps = np.arange(len(values))
    return np.stack([np.interp(times, steps, channel) for channel in values.T], 1)


def _scaled(values: Array, scale: str) -> Array:
    """A recording by its own statistics; a constant channel is only centered."""
    if scale == "minmax":
        center = values.min(0)
        divisor = values.max(0) - center
    else:
        center = values.mean(0)
        divisor = np.sqrt(((values - center) ** 2).mean(0))
    tiny = 1e-12 * np.maximum(np.abs(center), 1e-300)
    return (values - center) / np.where(divisor > tiny, divisor, 1.0)


@dataclass(frozen=True)
class Recordings:
    """A set of recordings as they were read.

    values: (steps, channels) float64 of all, without gaps; lengths: (recordings,) int64. ids: what the file
    calls each, its number where it has no name; names: the same for messages. targets: a text per recording,
    None where it has none; None where the file has no such thing. roles: texts of columns by role. channels: names, positions
    where `named` is false. task: where the form states it; target: the name of the target; form: as
    `find_form` names it. header, width: whether a table names its columns, and how many it has if not. notes:
    on what was guessed, filled or left out; cuts: on what `max_length` and `length` changed.
    """

    source: str
    values: Array
    lengths: Array
    ids: list[str]
    names: list[str]
    channels: list[str]
    targets: list[str | None] | None = None
    roles: RoleTexts = field(default_factory=dict)
    named: bool = False
    task: Literal["classification", "regression"] | None = None
    target: str = "target"
    header: bool | None = None
    width: int | None = None
    form: str = ""
    notes: list[str] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def offsets(self) -> Array:
        """(recordings + 1,) int64: where each begins in `values`, and the last ends."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def __iter__(self) -> Iterator[Array]:
        """The values of each, (time, channels)."""
        for start, length in zip(self.offsets[:-1].tolist(), self.lengths.tolist(), strict=True):
            yield self.values[start : start + length]

    def select(self, rows: Array) -> Recordings:
        """Some recordings (int64), in their order."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        moves = np.repeat(self.offsets[rows] - (ends - lengths), lengths)
        chosen = rows.tolist()
        return replace(
            self,
            values=self.values[np.arange(len(moves)) + moves],
            lengths=lengths,
            ids=[self.ids[i] for i in chosen],
            names=[self.names[i] for i in chosen],
            targets=None if self.targets is None else [self.targets[i] for i in chosen],
            roles=select_texts(self.roles, chosen),
        )

    def with_channels(self, chosen: list[str]) -> Recordings:
        """Some channels, in this order."""
        index = [self.channels.index(name) for name in chosen]
        return replace(self, channels=chosen, values=np.ascontiguousarray(self.values[:, index]))

    def hashes(self) -> list[bytes]:
        """The hash of each recording's values, equal where all values are."""
        return [hashlib.blake2b(values.tobytes(), digest_size=16).digest() for values in self]

    def order(self) -> Array:
        """The recordings (int64) in an order that follows from their values, so that neither the order in a file,
        nor the names of files, nor the form of a file changes what a network learns."""
        columns = [
            self.targets or [""] * len(self),
            *(self.roles[role] for role in sorted(self.roles)),
        ]
        keys = [
            (key, *(text or "" for text in texts))
            for key, *texts in zip(self.hashes(), *columns, strict=True)
        ]
        return np.array(sorted(range(len(self)), key=keys.__getitem__), dtype=np.int64)


class RecordingsBuilder:
    """Takes recordings one by one; checks, fills and shapes them.

    source: the file or folder, for messages. padded: whether the form fills recordings up to one length, so that
    missing steps at the end of one are none.
    """

    def __init__(self, source: str, shaping: Shaping, padded: bool = False) -> None:
        self.source = source
        self.shaping = shaping
        self.padded = padded
        self.values: list[Array] = []
        self.ids: list[str] = []
        self.names: list[str] = []
        self.targets: list[str | None] = []
        self.roles: dict[str, list[str | None]] = {}
        self.notes: list[str] = []
        self.channels: int | None = None
        self.cut = self.cut_steps = self.resampled = 0
        self.filled: list[str] = []
        self.num_filled = 0
        self.ended: list[str] = []
        self.size = 0

    def add(
        self,
        values: Array,
        id_: str,
        name: str,
        target: str | None = None,
        roles: Mapping[str, str | None] | None = None,
    ) -> None:
        """Add a recording (time, channels), NaN where a number is missing; name: for messages, as in
        "recording 3 (line 12)"; roles: texts of columns by role. Raises DataError for one that cannot be used."""
        place = f"{self.source}: {name}"
        if self.channels is None:
            self.channels = values.shape[1]
        if values.shape[1] != self.channels:
            raise DataError.at(
                "data.path",
                f"{place} has {plural(values.shape[1], 'channel')}, {self.names[0]} has {self.channels}; all "
                "recordings need the same channels",
                code="E46",
            )
        values = self._filled(np.array(values, dtype=np.float64, order="C"), place, name)
        steps = len(values)
        if steps > MAX_STEPS and not self.shaping.is_bounded:
            raise too_long(place, steps)
        most = self.shaping.max_length
        if most is not None and steps > most:
            self.cut, self.cut_steps = self.cut + 1, self.cut_steps + steps - most
        if self.shaping.length is not None and min(steps, most or steps) != self.shaping.length:
            self.resampled += 1
        values = self.shaping.apply(values)
        self.size += values.size
        if self.size > MAX_CELLS:
            raise DataError.at(
                "data.path",
                f"{self.source} has more than {MAX_CELLS:,} values; keep fewer recordings or channels, or cut "
                "recordings (data.max_length)",
                code="E34",
            )
        values = values + 0.0  # -0.0 and 0.0 are the same number, however a file has it
        self.values.append(values)
        self.ids.append(id_)
        self.names.append(name)
        self.targets.append(target)
        for role, text in (roles or {}).items():
            self.roles.setdefault(role, []).append(text)

    def _filled(self, values: Array, place: str, name: str) -> Array:
        """The values without gaps; raises DataError where a channel has none, or one is too large."""
        missing = np.isnan(values)
        if missing.any():
            empty = np.asarray(missing.all(1))
            if empty.any() and not empty.all() and empty[-1]:
                end = len(empty) - int(empty[::-1].argmin())
                values, missing = values[:end], missing[:end]
                if not self.padded:
                    self.ended.append(name)
        if not len(values) or missing.all():
            raise DataError.at("data.path", f"{place} is empty; leave it out", code="E37")
        if missing.any():
            without = missing.all(0)
            if without.any():
                raise DataError.at(
                    "data.path",
                    f"{place} has no number in channel {int(without.argmax())} (counted from 0); "
                    "leave it out, or the channel (data.channels)",
                    code="E37",
                )
            steps = np.arange(len(values))
            for channel in np.flatnonzero(missing.any(0)):
                gaps = missing[:, channel]
                known = values[~gaps, channel]
                values[gaps, channel] = np.interp(steps[gaps], steps[~gaps], known)
            self.filled.append(name)
            self.num_filled += int(missing.sum())
        if not np.abs(values).max() <= MAX_MAGNITUDE:
            raise DataError.at("data.path", f"{place} has a value beyond ±1e30", code="E39")
        return values

    def build(self, channels: Sequence[str] | None = None, **further: Any) -> Recordings:
        """All of them; raises DataError if there are none. channels: their names; further: fields of `Recordings`."""
        if not self.values:
            raise DataError.at("data.path", f"{self.source} has no recordings", code="E37")
        assert self.channels is not None
        names = [str(i) for i in range(self.channels)] if channels is None else list(channels)
        lengths = np.array([len(values) for values in self.values], dtype=np.int64)
        notes = self.notes + further.pop("notes", [])
        values, self.values = np.concatenate(self.values), []
        has_targets = any(target is not None for target in self.targets)
        return Recordings(
            self.source,
            values,
            lengths,
            self.ids,
            self.names,
            names,
            self.targets if has_targets else None,
            self.roles,
            named=channels is not None,
            notes=[*notes, *self._gap_notes()],
            cuts=self.cuts(),
            **further,
        )

    def _gap_notes(self) -> list[str]:
        notes: list[str] = []
        if self.filled:
            text = (
                f"{plural(self.num_filled, 'missing number')} in {plural(len(self.filled), 'recording')} "
                f"filled by linear interpolation ({_listed(self.filled)})"
            )
            notes.append(Note("N06", text))
        if self.ended:
            text = (
                f"{plural(len(self.ended), 'recording')} cut where no channel has a number up to the end "
                f"({_listed(self.ended)})"
            )
            notes.append(Note("N19", text))
        return notes

    def cuts(self) -> list[str]:
        """Lines on what `max_length` and `length` changed."""
        notes: list[str] = []
        total = plural(len(self.names), "recording")
        if self.cut:
            text = (
                f"{self.cut:,} of {total} cut to the {'first' if self.shaping.keep == 'start' else 'last'} "
                f"{plural(self.shaping.max_length or 0, 'time step')}, {self.cut_steps:,} left out (data.max_length)"
            )
            notes.append(Note("N19", text))
        if self.resampled:
            text = (
                f"{self.resampled:,} of {total} resampled to {plural(self.shaping.length or 0, 'time step')} "
                "(data.length)"
            )
            notes.append(Note("N19", text))
        return notes


def too_long(place: str, steps: int, more: bool = False) -> DataError:
    """The error of a recording of too many steps; more: whether it may have even more."""
    return DataError.at(
        "data.max_length",
        f"{place} has {'more than ' * more}{steps:,} time steps; at most {MAX_STEPS:,} are read. Cut "
        "recordings (data.max_length), or resample them (data.length)",
        code="E34",
    )


def _listed(names: Sequence[str]) -> str:
    return list_some([shorten(name, 60) for name in names])
