"""Read recordings in whatever form they come: a folder, `.ts`, `.arff`, a long or a wide table."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.data.columns.roles import no_columns
from nnzoo.data.columns.values import column_name, to_text
from nnzoo.data.recording_files.arff import read_arff
from nnzoo.data.recording_files.columns import TableOptions, named_target
from nnzoo.data.recording_files.folder import read_folder
from nnzoo.data.recording_files.long_table import read_long
from nnzoo.data.recording_files.ragged import ragged_delimiter, read_ragged
from nnzoo.data.recording_files.recording import Recordings, Shaping
from nnzoo.data.recording_files.ts import HEADER_KEYS, read_ts
from nnzoo.data.recording_files.wide_table import read_wide
from nnzoo.data.table_files.file_format import find_source
from nnzoo.data.table_files.table_io import read_table
from nnzoo.data.table_files.text_encoding import find_encoding, read_head
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, note_line, plural, reworded, shorten

Form = Literal["folder", "ts", "arff", "long", "wide", "ragged"]


def find_form(path: str, has_ids: bool, key: str = "data.path") -> Form:
    """The form of a file or folder by its first lines; has_ids: whether a column of ids is stated.

    Raises DataError if it is missing or no regular file.
    """
    if os.path.isdir(path):
        return "folder"
    if not os.path.isfile(path):
        what = "not a regular file:" if os.path.exists(path) else "no file or folder"
        raise DataError.at(key, f"{what} {path}", code="E30")
    mark = _first_mark(path)
    if mark is not None and not (mark == "ragged" and has_ids):
        return mark
    return "long" if has_ids else "wide"


def _first_mark(path: str) -> Literal["ts", "arff", "ragged"] | None:
    """The format of a text that begins with lines of @, below comments, or has rows of their own lengths; None for
    others."""
    source = find_source(Path(path), bounded=False)
    if source.format != "text":
        return None
    codec, _ = find_encoding(source, "auto")
    head = read_head(source, codec if path.lower().endswith((".ts", ".arff")) else "latin-1")
    if ragged_delimiter(head) is not None:
        return "ragged"
    for line in head:
        text = line.strip().lstrip("\ufeff").lower()
        if text and text[0] not in "#%":
            arff = text.startswith(("@relation", "@attribute"))
            key = text[1:].split()[:1]
            known = text[0] == "@" and bool({*key} & {*HEADER_KEYS, "data"})
            return "arff" if arff else "ts" if known or path.lower().endswith(".ts") else None
    return None


def read_recordings(
    path: str, data: Any, need_target: bool = True, key: str = "data.path"
) -> dict[str, Recordings]:
    """The recordings of a file, as its "train" part, or of each part of a folder.

    data: a config's `data` section, which may lack keys of tables; need_target: whether each needs a
    target, as for training. Raises DataError.
    """
    options, shaping = TableOptions.of(data, need_target, key == "data.path"), Shaping.of(data)
    targets = getattr(data, "targets", None) if need_target else None
    form = find_form(path, bool(options.id), key)
    if form not in ("long", "wide") and options.need_roles:
        no_columns(options.roles, f"{path}: only long and wide tables have columns")
    if form == "folder":
        parts = read_folder(path, options, shaping)
    elif form == "ts":
        parts = {"train": read_ts(path, options.reading.encoding, shaping)}
    elif form == "arff":
        parts = {"train": read_arff(path, options.reading.encoding, shaping, options.target)}
    elif form == "ragged":
        parts = {"train": read_ragged(path, options.reading.encoding, shaping, options.target)}
    elif form == "long":
        parts = {"train": read_long(path, options, shaping, targets is not None)}
    else:
        parts = {"train": read_wide(path, options, shaping)}
    parts = {part: replace(one, form=form) for part, one in parts.items()}
    if targets is not None:
        parts = {part: _with_targets(one, targets, options) for part, one in parts.items()}
    if options.channels is not None and form in ("ts", "arff", "wide"):
        parts = {part: choose_channels(one, options.channels) for part, one in parts.items()}
    return parts


def description(data: RecordingsOptions) -> list[str]:
    """Lines on the recordings that a config names, for `nnzoo check`; raises DataError where they cannot be read."""
    if not os.path.exists(data.path):
        return [f"data.path: no file or folder {data.path} yet"]
    parts = read_recordings(data.path, data)
    lines = []
    for part, one in parts.items():
        low, high = int(one.lengths.min()), int(one.lengths.max())
        steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        name = f"{part}: " if len(parts) > 1 else ""
        channels = plural(len(one.channels), "channel")
        lines.append(f"{name}{plural(len(one), 'recording')} of {steps} time steps, {channels}")
        lines += [" ".join(note_line(note).split()) for note in [*one.notes, *one.cuts]]
    return lines


def choose_channels(recordings: Recordings, names_or_positions: Any) -> Recordings:
    """The channels that a config names, by name or position."""
    names = recordings.channels
    chosen = []
    for one in names_or_positions:
        name = str(one)
        if name not in names and isinstance(one, int) and -len(names) <= one < len(names):
            name = names[one]
        if name not in names:
            shown = list_some(names, 12, counted=True)
            raise DataError.at(
                "data.channels",
                f"{recordings.source}: no channel '{name}'; it has {shown}",
                code="E38",
            )
        chosen.append(name)
    return recordings.with_channels(chosen)


def _with_targets(recordings: Recordings, path: str, options: TableOptions) -> Recordings:
    """The targets of a second file, joined on the ids; raises DataError naming recordings without one."""
    table = read_table(path, options.reading, "data.targets")
    frame = table.frame
    names = list(frame.columns)
    asked = [column for column in options.id if column in names]
    ids = [column_name(frame, one, "data.id") for one in asked] if asked else names[:1]
    if options.target is not None:
        target = column_name(frame, options.target, "data.target")
    else:
        rest = [name for name in names if name not in ids]
        target = named_target(rest) or (rest or names)[-1]
    keys = to_text(frame[ids[0]])
    for name in ids[1:]:
        keys = keys.str.cat(to_text(frame[name]), sep=" / ")
    texts = to_text(frame[target])
    known: dict[str, str] = {}
    for row, key, text, there in zip(frame.index, keys, texts, texts.notna(), strict=True):
        if there and known.setdefault(key, text) != text:
            raise DataError.at(
                "data.targets",
                f"{path}: recording '{shorten(str(key))}' has two targets, '{shorten(known[key])}' and "
                f"'{shorten(text)}' (data row {row + 1})",
                code="E46",
            )
    matches = [_of_recording(one, known) for one in recordings.ids]
    lacking = [name for name, one in zip(recordings.names, matches, strict=True) if one is None]
    if lacking:
        raise DataError.at(
            "data.targets",
            f"{path} has no target of {plural(len(lacking), 'recording')} of {recordings.source}: "
            f"{list_some(lacking, 5, counted=True)}",
            code="E46",
        )
    notes = [*recordings.notes, *(reworded(note, f"{path}: {note}") for note in table.notes)]
    unused = len(known) - len({*known} & {one[0] for one in matches if one})
    if unused:
        notes.append(
            Note("N09", f"{path}: {plural(unused, 'target')} of no recording here, not used")
        )
    return replace(
        recordings,
        targets=[one[1] if one else None for one in matches],
        target=target,
        task=None,
        notes=notes,
    )


def _of_recording(id_: str, known: dict[str, str]) -> tuple[str, str] | None:
    """The key and target of a recording, by its id, or as a file by its name with or without the extension."""
    base = os.path.basename(id_)
    for key in (id_, base, os.path.splitext(id_)[0], os.path.splitext(base)[0]):
        if key in known:
            return key, known[key]
    return None
