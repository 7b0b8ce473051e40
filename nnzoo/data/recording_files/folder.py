"""Folders of recordings: a table per recording, in a folder per class; train/, val/ and test/ above where present."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.values import ValueOptions, column_name
from nnzoo.data.data_spec import NumberFormat
from nnzoo.data.image_files.split_names import parts_of, same_name
from nnzoo.data.image_files.tree import SYSTEM_NAMES
from nnzoo.data.recording_files.columns import NumberColumns, TableOptions, time_column
from nnzoo.data.recording_files.recording import (
    MAX_STEPS,
    Recordings,
    RecordingsBuilder,
    Shaping,
    too_long,
)
from nnzoo.data.table_files.table_io import Table, read_chunks
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, quoted_name, reworded, shorten

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
TABLES = re.compile(r"(?i)\.(csv|tsv|txt|parquet|pq|csv\.gz|tsv\.gz|txt\.gz)$")
# Files whose columns are looked at before all are read.
SAMPLED = 5
PLAIN_BYTES = 1 << 24


@dataclass
class Tree:
    """A folder: its tables and the folders in it that have some, by name; names of hidden or system files, and
    of files of other types, below it."""

    path: str
    tables: list[str] = field(default_factory=list)
    folders: dict[str, Tree] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def walk(self) -> Iterator[str]:
        """All tables in it and below it, in the natural order of their names."""
        yield from self.tables
        for folder in self.folders.values():
            yield from folder.walk()

    def left_out_notes(self) -> list[str]:
        """Lines on files that are not read."""
        notes: list[str] = []
        if self.others:
            kinds = Counter(
                os.path.splitext(file)[1] or "without extension" for file in self.others
            )
            shown = list_some([f"{kind} {count:,}" for kind, count in kinds.most_common(4)])
            text = f"left out: {plural(len(self.others), 'file')} of other types ({shown})"
            notes.append(Note("N17", text))
        if self.hidden:
            names = list_some(list(dict.fromkeys(map(os.path.basename, self.hidden))))
            count = plural(
                len(self.hidden),
                "hidden or system file or folder",
                "hidden or system files and folders",
            )
            notes.append(Note("N17", f"left out: {count} ({names})"))
        return notes


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key by which "b2" comes before "b10"."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p]


def scan_tables(path: str, links: bool = True, names: re.Pattern[str] = TABLES) -> Tree:
    """Read a folder and those below it; raises DataError where one cannot be read.

    names: of the files that are meant by "tables"; links: whether links to folders are followed in this one.
    """
    tree = Tree(path)
    try:
        with os.scandir(path) as listing:
            entries = sorted(listing, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", code="E31") from None
    for entry in entries:
        if entry.name[0] == "." or entry.name.lower() in SYSTEM_NAMES:
            tree.hidden.append(entry.path)
        elif entry.is_dir(follow_symlinks=links):
            below = scan_tables(entry.path, False, names)
            if below.tables or below.folders:
                tree.folders[entry.name] = below
            tree.hidden += below.hidden
            tree.others += below.others
        elif entry.is_file() and names.search(entry.name):
            tree.tables.append(entry.path)
        else:
            tree.others.append(entry.path)
    return tree


@dataclass
class FolderPlan:
    """The tables of each part, each with its class, None where none of them has one; notes: on the rest."""

    parts: dict[str, list[tuple[str, str | None]]]
    notes: list[str]


def plan_folder(root: str) -> FolderPlan:
    """Find parts and classes in a folder; raises DataError where it has no tables."""
    tree = scan_tables(root)
    notes = tree.left_out_notes()
    top = tree
    while len(top.folders) == 1 and not top.tables:
        (top,) = top.folders.values()
    if top is not tree and top.folders:
        notes.append(Note("N16", f"the recordings are in {os.path.relpath(top.path, root)}/"))
    elif top is not tree:
        top = tree
    if not top.folders and not top.tables:
        raise DataError.at("data.path", f"{root} has no CSV or Parquet files", code="E37")
    parts = parts_of(list(top.folders))
    holders = {name: part for name, part in parts.items() if top.folders[name].folders}
    if "train" not in holders.values():
        return FolderPlan({"train": _classes(top, root, notes)}, notes)
    result: dict[str, list[tuple[str, str | None]]] = {}
    for name, folder in top.folders.items():
        if name not in holders:
            why = "has no class folders" if name in parts else "is neither train, val nor test"
            notes.append(Note("N17", f"left out: {folder.path}/, which {why}"))
        elif holders[name] in result:
            raise DataError.at(
                "data.path", f"{root} has two folders for the {holders[name]} part", code="E50"
            )
        else:
            result[holders[name]] = _classes(folder, root, notes)
    if top.tables:
        text = f"left out: {plural(len(top.tables), 'file')} beside the parts ({list_some(top.tables)})"
        notes.append(Note("N17", text))
    return FolderPlan(
        {part: result[part] for part in ("train", "val", "test") if part in result}, notes
    )


def _classes(folder: Tree, root: str, notes: list[str]) -> list[tuple[str, str | None]]:
    """The tables in the class folders of a folder, each with its class."""
    if not folder.folders:
        return [(file, None) for file in folder.tables]
    if folder.tables:
        text = (
            f"left out: {plural(len(folder.tables), 'file')} beside the class folders "
            f"({list_some([os.path.relpath(file, root) for file in folder.tables])})"
        )
        notes.append(Note("N17", text))
    return [
        (file, same_name(name)) for name, below in folder.folders.items() for file in below.walk()
    ]


def read_folder(root: str, options: TableOptions, shaping: Shaping) -> dict[str, Recordings]:
    """Read the recordings of each part of a folder; raises DataError naming the file of what cannot be read."""
    plan = plan_folder(root)
    reader = FileReader(root, options, shaping)
    result = {}
    for part, files in plan.parts.items():
        builder = RecordingsBuilder(root, shaping)
        first_files = [file for file, _ in files[:SAMPLED]]
        for file, label in files:
            name = os.path.relpath(file, root)
            builder.add(reader.read(file, first_files), name, name, label)
        task = "classification" if builder.targets[0] is not None else None
        built = builder.build(
            reader.channels if reader.named else None,
            task=task,
            target="class",
            header=reader.named,
        )
        result[part] = built
    first = next(iter(result))
    result[first] = replace(result[first], notes=[*plan.notes, *reader.notes, *result[first].notes])
    return result


class FileReader:
    """Reads files with one recording each, as the first ones are written.

    channels: their names, once a file was read; named: whether the files have them. in_memory: a table that
    is read in place of a file.
    """

    def __init__(self, root: str, options: TableOptions, shaping: Shaping) -> None:
        self.root = root
        self.options = options
        self.shaping = shaping
        self.channels: list[str] = []
        self.named = False
        self.time: str | None = None
        self.plain: tuple[bytes, list[str]] | None = None
        self.in_memory: Table | None = None
        self.numbers = NumberColumns(root, options.values)
        self.notes: list[str] = []

    def read(self, file: str, others: list[str]) -> Array:
        """The values (time, channels) of a file; others: some, by which the time is found."""
        if not self.channels:
            self._learn(file, others)
        values = self._read_plain(file)
        if values is not None:
            return values
        frame = self._table(file).frame
        names = list(frame.columns)
        expected = [*self.channels, *([] if self.time is None else [self.time])]
        missing = [name for name in self.channels if name not in names]
        count = len([name for name in names if name != self.time])
        if missing or (self.options.channels is None and count != len(self.channels)):
            raise DataError.at(
                "data.path",
                f"{file} has the columns {_shown(names)}; {self.first} has {_shown(expected)}. All recordings need "
                "the same channels (data.channels)",
                code="E46",
            )
        if self.time is not None and self.time in names:
            frame = self._sorted(frame, file)
        self.numbers.source = file
        return self.numbers.read(frame[self.channels])

    def _read_plain(self, file: str) -> Array | None:
        """The values of a file that is numbers and commas under the first file's header, without a frame of texts,
        which takes ten times as long; None for any other."""
        if self.plain is None or not file.lower().endswith((".csv", ".txt")):
            return None
        header, names = self.plain
        with open(file, "rb") as opened:
            content = opened.read(PLAIN_BYTES)
        if len(content) == PLAIN_BYTES or not content.startswith(header):
            return None
        body = content[len(header) :].replace(b"\r\n", b"\n").strip(b"\n")
        lines = body.split(b"\n")
        if any(line.count(b",") != len(names) - 1 for line in lines):
            return None
        try:
            values = np.fromstring(body.replace(b"\n", b",").decode("ascii"), sep=",")
        except ValueError:
            return None
        if len(values) != len(lines) * len(names) or not np.isfinite(values).all():
            return None
        values = values.reshape(len(lines), len(names))
        if self.time is not None and (np.diff(values[:, names.index(self.time)]) < 0).any():
            return None
        return values[:, [names.index(name) for name in self.channels]]

    def _set_plain(self, file: str, table: Table) -> None:
        """Let files that begin as this one be read by `_read_plain`."""
        names, options = list(table.frame.columns), self.options
        usual = all(form == NumberFormat() for form in self.numbers.formats.values())
        asked = options.values != ValueOptions() or options.reading.skip_rows != "auto"
        if self.in_memory is not None or (table.notes and table.named) or not usual or asked:
            return
        with open(file, "rb") as opened:
            head = opened.read(PLAIN_BYTES)
        first, end, _ = head.partition(b"\n")
        header = first + end if self.named else b""
        if first.count(b",") == len(names) - 1:
            self.plain = header, names

    def _table(self, file: str) -> Table:
        """A file, with no more rows than a recording may have."""
        import pandas

        if self.in_memory is not None:
            return self.in_memory

        tables, rows = [], 0
        for table in read_chunks(file, self.options.reading):
            tables.append(table)
            rows += len(table.frame)
            if rows > MAX_STEPS and not self.shaping.is_bounded:
                raise too_long(file, MAX_STEPS, more=True)
        frames = [table.frame for table in tables]
        frame = frames[0] if len(frames) == 1 else pandas.concat(frames)
        return replace(tables[0], frame=frame)

    def _learn(self, file: str, others: list[str]) -> None:
        """Find the header, the time and the channels in the first files."""
        import pandas

        table = self._table(file)
        names = list(table.frame.columns)
        self.first, self.named = file, table.named
        reading = replace(self.options.reading, header=table.named)
        self.options = replace(self.options, reading=reading)
        self.notes += [reworded(note, f"{file}: {note}") for note in table.notes]
        frames = [table.frame]
        for other in others:
            if (
                other != file
                and self.in_memory is None
                and list((more := self._table(other)).frame.columns) == names
            ):
                frames.append(more.frame)
        frame = pandas.concat(frames)
        ids = np.repeat(np.arange(len(frames)), [len(one) for one in frames])
        if self.options.time is not None:
            self.time = column_name(frame, self.options.time, "data.time")
        elif time := time_column(frame, names, ids):
            self.time = time
            self.notes.append(
                Note("N09", f"column '{shorten(time)}' is the time, and no channel (data.time)")
            )
        channels = [name for name in names if name != self.time]
        if self.options.channels is not None:
            channels = [column_name(frame, one, "data.channels") for one in self.options.channels]
        if not channels:
            raise DataError.at("data.path", f"{file} has no column but '{self.time}'", code="E38")
        self.numbers.source = file
        self.numbers.learn(frame[channels])
        self.notes += self.numbers.notes
        self.channels = channels
        self._set_plain(file, table)

    def _sorted(self, frame: pandas.DataFrame, file: str) -> pandas.DataFrame:
        """The rows in order of time; a note where they were not."""
        import pandas

        times = pandas.to_numeric(frame[self.time], errors="coerce")
        if times.isna().any() or times.is_monotonic_increasing:
            return frame
        self.notes.append(
            Note("N13", f"{file}: sorted by '{shorten(str(self.time))}', which ran backwards")
        )
        return frame.loc[times.sort_values(kind="stable").index]


def _shown(names: list[str]) -> str:
    return list_some([quoted_name(name) for name in names], 6, counted=True)
