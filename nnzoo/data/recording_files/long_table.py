"""Long tables: a time step per row, recordings told apart by the column `id`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.roles import ROLE_KEYS, role_texts
from nnzoo.data.columns.values import column_name, looks_numeric, mark_missing, to_numbers, to_text
from nnzoo.data.recording_files.columns import (
    NumberColumns,
    TableOptions,
    find_roles,
    named_target,
    texts_of,
    time_column,
)
from nnzoo.data.recording_files.recording import (
    MAX_STEPS,
    Recordings,
    RecordingsBuilder,
    Shaping,
    too_long,
)
from nnzoo.data.table_files.limits import MAX_CELLS
from nnzoo.data.table_files.table_io import Table, read_chunks
from nnzoo.data.timestamps.parse import read_dates
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Plan:
    """The roles of the columns of a long table."""

    ids: list[str]
    time: str | None
    target: str | None
    roles: dict[str, str]
    channels: list[str]
    notes: list[str]


def plan_long(frame: pandas.DataFrame, options: TableOptions, has_targets: bool) -> _Plan:
    """The roles of the columns by the first rows; has_targets: whether the targets are in another file."""
    ids = [column_name(frame, column, "data.id") for column in options.id]
    notes: list[str] = []
    target = None
    rest = [name for name in frame.columns if name not in ids]
    if has_targets:
        pass
    elif options.target is not None:
        if options.need_target or options.target in rest:
            target = column_name(frame, options.target, "data.target")
    elif (target := named_target(rest)) or options.need_target:
        target = target or rest[-1]
        notes.append(Note("N01", f"target: column '{shorten(target)}' (data.target)"))
    roles = find_roles(frame, options)
    rest = [name for name in rest if name not in (target, *roles.values())]
    codes = np.unique(_joined(frame, ids).to_numpy(dtype=str), return_inverse=True)[1]
    if options.time is not None:
        time: str | None = column_name(frame, options.time, "data.time")
    elif time := time_column(frame, rest, codes):
        text = f"column '{shorten(time)}' orders the time steps, and is no channel (data.time)"
        notes.append(Note("N09", text))
    rest = [name for name in rest if name != time]
    if options.channels is not None:
        rest = [column_name(frame, column, "data.channels") for column in options.channels]
    else:
        texts = [name for name in rest if not looks_numeric(mark_missing(frame[[name]])[name], 0.5)]
        texts = [name for name in texts if frame[name].map(_has_no_digit).all()]
        if texts:
            listed = list_some([quoted_name(name) for name in texts], 6, counted=True)
            notes.append(Note("N08", f"no numbers, and left out of the channels: {listed}"))
        rest = [name for name in rest if name not in texts]
    if not rest:
        raise DataError.at(
            "data.channels", "no column of numbers is left for a channel", code="E38"
        )
    return _Plan(ids, time, target, roles, rest, notes)


def _has_no_digit(value: Any) -> bool:
    return not any(character.isdigit() for character in str(value))


def _joined(frame: pandas.DataFrame, names: list[str]) -> pandas.Series:
    """The id of each row, of several columns joined; None where one is missing."""
    texts = to_text(frame[names[0]])
    for name in names[1:]:
        texts = texts.str.cat(to_text(frame[name]), sep=" / ")
    return texts


@dataclass
class _Rows:
    """The rows that were read, and what each recording has: its id, its target and group, and where it began."""

    path: str
    plan: _Plan
    numbers: NumberColumns
    codes: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    times: list[Any] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    targets: list[str | None] = field(default_factory=list)
    roles: dict[str, list[str | None]] = field(default_factory=dict)
    first_rows: list[int] = field(default_factory=list)
    counts: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    size: int = 0

    def add(self, frame: pandas.DataFrame) -> None:
        """Add the rows of a chunk; raises DataError."""
        import pandas

        ids = _joined(frame, self.plan.ids)
        if ids.isna().any():
            row = int(ids.isna().to_numpy().argmax())
            raise DataError.at(
                "data.id",
                f"{self.path}: data row {frame.index[row] + 1} has no "
                f"{' or '.join(map(quoted_name, self.plan.ids))}",
                code="E42",
            )
        local, unique = pandas.factorize(ids)
        starts = np.full(len(unique), len(local))
        np.minimum.at(starts, local, np.arange(len(local)))
        targets, roles = texts_of(frame, self.plan.target), role_texts(frame, self.plan.roles)
        for text, start in zip(unique.tolist(), starts.tolist(), strict=True):
            if text not in self.index:
                self.index[text] = len(self.index)
                self.first_rows.append(int(frame.index[start]))
                self.targets.append(targets[start])
                for role, texts in roles.items():
                    self.roles.setdefault(role, []).append(texts[start])
        of_unique = np.array([self.index[text] for text in unique.tolist()], dtype=np.int32)
        codes = of_unique[local]
        rows = _ChunkRows(local, of_unique, frame.index.to_numpy())
        if self.plan.target is not None:
            self._check_constant(rows, targets, self.targets, self.plan.target, "data.target")
        for role, name in self.plan.roles.items():
            self._check_constant(rows, roles[role], self.roles[role], name, ROLE_KEYS[role])
        self.codes.append(codes)
        self.values.append(self.numbers.read(frame[self.plan.channels]))
        self.size += self.values[-1].size
        if self.plan.time is not None:
            self.times.append(_times(frame[self.plan.time]))
        counts = np.bincount(codes, minlength=len(self.index))
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def check_size(self, shaping: Shaping) -> None:
        """Raise DataError as soon as a recording, or all together, are too long."""
        if not shaping.is_bounded and self.counts.max(initial=0) > MAX_STEPS:
            name = list(self.index)[int(self.counts.argmax())]
            raise too_long(f"{self.path}: recording '{shorten(name)}'", MAX_STEPS, more=True)
        if self.size > MAX_CELLS:
            raise DataError.at(
                "data.path",
                f"{self.path} has more than {MAX_CELLS:,} values; keep fewer rows",
                code="E34",
            )

    def _check_constant(
        self,
        rows: _ChunkRows,
        texts: list[str | None],
        known: list[str | None],
        name: str,
        key: str,
    ) -> None:
        """Raise DataError where a column is not constant within a recording; one whose first rows have no text
        gets the first that comes.

        texts: (rows,) of the column; known: of each recording so far.
        """
        import pandas

        places, words = pandas.factorize(np.array(texts, dtype=object))
        code_of = {word: i for i, word in enumerate(words.tolist())}
        expected = [known[code] for code in rows.of_unique.tolist()]
        known_codes = np.array([code_of.get(word, -2) for word in expected])[rows.local]
        for row in np.flatnonzero((places >= 0) & (known_codes != places)).tolist():
            code = int(rows.of_unique[rows.local[row]])
            if known[code] is None:
                known[code] = texts[row]
            if known[code] == texts[row]:
                continue
            recording = list(self.index)[code]
            raise DataError.at(
                key,
                f"{self.path}: '{shorten(name)}' is not the same in all of recording '{shorten(recording)}': "
                f"'{shorten(str(known[code]))}' from data row {self.first_rows[code] + 1}, "
                f"'{shorten(str(texts[row]))}' in data row {rows.index[row] + 1}",
                code="E46",
            )


@dataclass(frozen=True)
class _ChunkRows:
    """The rows of a chunk. local: (rows,) which of the chunk's recordings each belongs to; of_unique: the codes of
    these; index: the numbers of the rows in the file."""

    local: Array
    of_unique: Array
    index: Array


def _times(column: pandas.Series) -> Any:
    """Times as they are kept until all are read: numbers, or texts."""
    if looks_numeric(column):
        return to_numbers(column)
    return to_text(column).to_numpy(dtype=object)


def read_long(
    path: str,
    options: TableOptions,
    shaping: Shaping,
    has_targets: bool = False,
    tables: Iterable[Table] | None = None,
) -> Recordings:
    """Read a long table chunk by chunk; rows with one id are one recording, wherever they stand.

    has_targets: whether the targets are in another file; tables: its chunks, where it is in memory. Raises DataError naming the row or recording.
    """
    rows: _Rows | None = None
    notes: list[str] = []
    for table in tables or read_chunks(path, options.reading):
        notes += table.notes
        if rows is None:
            named = table.named
            plan = plan_long(table.frame, options, has_targets)
            rows = _Rows(path, plan, NumberColumns(path, options.values))
            notes += plan.notes
        rows.add(table.frame)
        rows.check_size(shaping)
    assert rows is not None
    builder = RecordingsBuilder(path, shaping)
    builder.notes += [*notes, *rows.numbers.notes]
    codes, values = np.concatenate(rows.codes), np.concatenate(rows.values)
    rows.codes, rows.values = [], []
    order, more = _in_order(rows, codes, options.date_format)
    builder.notes += more
    values = values[order]
    ends = np.cumsum(rows.counts)
    for i, name in enumerate(rows.index):
        part = values[ends[i] - rows.counts[i] : ends[i]]
        roles = {role: texts[i] for role, texts in rows.roles.items()}
        builder.add(part, name, f"recording '{shorten(name)}'", rows.targets[i], roles)
    return builder.build(rows.plan.channels, target=rows.plan.target or "target", header=named)


def _in_order(rows: _Rows, codes: Array, date_format: str) -> tuple[Array, list[str]]:
    """The rows, recording after recording, each in the order of its times; and notes."""
    names = list(rows.index)
    starts = np.flatnonzero(np.diff(codes)) + 1
    runs = codes[np.concatenate([[0], starts])]
    first = np.unique(runs, return_index=True)[1]
    again = np.setdiff1d(np.arange(len(runs)), first)
    by_code = np.argsort(codes, kind="stable")
    notes = []
    if rows.plan.time is None:
        if len(again):
            notes.append(_returns(rows, names, runs, starts, again))
        return by_code, notes
    times = _read_times(rows, codes, date_format)
    order = np.lexsort((np.arange(len(codes)), times, codes))
    same = codes[order][1:] == codes[order][:-1]
    repeated = same & (times[order][1:] == times[order][:-1])
    back = set(runs[again].tolist())
    if repeated.any():
        doubled = np.unique(codes[order][1:][repeated])
        both = [code for code in doubled.tolist() if code in back]
        if both:
            row = int(starts[next(i for i in again if runs[i] == both[0]) - 1])
            raise DataError.at(
                "data.id",
                f"{rows.path}: recording '{shorten(names[both[0]])}' comes back in data row {row + 1} with times "
                "that it had before: if it is another recording, tell them apart by several columns "
                "(data.id: [subject, trial]); if not, remove the repeated rows",
                code="E46",
            )
        shown = list_some([f"'{shorten(names[code])}'" for code in doubled.tolist()])
        text = (
            f"{plural(len(doubled), 'recording')} with a time more than once, whose steps keep the order of the "
            f"file ({shown})"
        )
        notes.append(Note("N13", text))
    if len(again):
        notes.append(_returns(rows, names, runs, starts, again))
    falls = (np.diff(times[by_code].astype(np.float64)) < 0) & same
    if falls.any():
        disordered = np.unique(codes[by_code][1:][falls])
        shown = list_some([f"'{shorten(names[code])}'" for code in disordered.tolist()])
        text = (
            f"{plural(len(disordered), 'recording')} sorted by '{shorten(rows.plan.time)}', which ran backwards "
            f"({shown})"
        )
        notes.append(Note("N13", text))
    return order, notes


def _returns(rows: _Rows, names: list[str], runs: Array, starts: Array, again: Array) -> str:
    """A note on recordings whose rows are not all together."""
    returning = np.unique(runs[again])
    row = int(starts[again[0] - 1])
    return (
        f"{plural(len(returning), 'recording')} whose id comes back later in the file, put together "
        f"('{shorten(names[runs[again[0]]])}' in data row {row + 1})"
    )


def _read_times(rows: _Rows, codes: Array, date_format: str) -> Array:
    """The time of every row as a number; raises DataError where one is none."""
    import pandas

    name = rows.plan.time or ""
    if all(part.dtype.kind == "f" for part in rows.times):
        times = np.concatenate(rows.times)
        missing = np.isnan(times)
    else:
        texts = pandas.Series(np.concatenate([part.astype(object) for part in rows.times]))
        dates = read_dates(to_text(texts), date_format).times
        missing = np.isnat(dates)
        times = dates.astype(np.int64).astype(np.float64)
    if missing.any():
        row = int(missing.argmax())
        recording = list(rows.index)[int(codes[row])]
        raise DataError.at(
            "data.time",
            f"{rows.path}: '{shorten(name)}' has no time that can be read in data row {row + 1} (recording "
            f"'{shorten(recording)}')",
            code="E45",
        )
    rows.times = []
    return times
