"""The `.ts` format of the UCR/UEA archive: header lines, then a recording per line, channels set apart by `:`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnzoo.data.columns.values import MISSING
from nnzoo.data.recording_files.recording import Recordings, RecordingsBuilder, Shaping
from nnzoo.data.table_files.file_format import find_source
from nnzoo.data.table_files.text_encoding import TextLines, find_encoding
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, shorten

Array = np.ndarray[Any, Any]
HEADER_KEYS = frozenset(
    [
        "problemname",
        "timestamps",
        "missing",
        "univariate",
        "dimension",
        "dimensions",
        "equallength",
        "serieslength",
        "classlabel",
        "targetlabel",
    ]
)
_STAMPED = re.compile(r"\(\s*([^(),]*)\s*,\s*([^(),]*)\s*\)")


@dataclass
class _Header:
    """The header lines, by key, each as its words."""

    words: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def says(self, key: str) -> bool | None:
        """The value of a yes/no line; None where the header lacks it."""
        words = self.words.get(key)
        return None if not words else words[0].lower() == "true"

    def number(self, key: str) -> int | None:
        words = self.words.get(key)
        return int(words[0]) if words and words[0].isdecimal() else None

    @property
    def dimensions(self) -> int | None:
        named = self.number("dimensions")
        return self.number("dimension") if named is None else named

    @property
    def task(self) -> Literal["classification", "regression"] | None:
        if self.says("classlabel"):
            return "classification"
        return "regression" if self.says("targetlabel") else None


def read_ts(path: str, encoding: str, shaping: Shaping) -> Recordings:
    """Read a `.ts` file; its header is only compared with the rows.

    Raises DataError naming the line of what cannot be read.
    """
    source = find_source(Path(path), bounded=False)
    codec, notes = find_encoding(source, encoding)
    builder = RecordingsBuilder(path, shaping)
    builder.notes += notes
    rows = _Rows(path, builder)
    header, in_data = _Header(), False
    lines = TextLines(source, codec)
    try:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text[0] in "#%":
                continue
            if in_data:
                rows.add(text, number, header)
            elif text[0] == "@":
                in_data = _read_header(header, text)
            else:
                raise DataError.at(
                    "data.path", f"{path}:{number}: a row before the line @data", code="E36"
                )
    finally:
        lines.close()
    if not in_data:
        raise DataError.at("data.path", f"{path} has no line @data", code="E36")
    notes = rows.doubts(header) if builder.names else []
    return builder.build(task=header.task, notes=notes)


def _read_header(header: _Header, text: str) -> bool:
    """Take up a header line; true for @data."""
    key, *words = text[1:].split()
    if key.lower() in HEADER_KEYS:
        header.words[key.lower()] = words
    elif key.lower() != "data":
        header.unknown.append(f"@{key}")
    return key.lower() == "data"


class _Rows:
    """Reads rows, and keeps what is compared with the header."""

    def __init__(self, path: str, builder: RecordingsBuilder) -> None:
        self.path = path
        self.builder = builder
        self.has_label: bool | None = None
        self.stamped = False
        self.gaps = False
        self.steps: set[int] = set()

    def add(self, text: str, number: int, header: _Header) -> None:
        """Add the recording of a line."""
        place = f"{self.path}:{number}"
        fields = text.split(":") if "(" not in text else _split_stamped(text)
        if self.has_label is None:
            extra = header.dimensions is not None and len(fields) == header.dimensions + 1
            self.has_label = header.task is not None or extra
        label = fields.pop().strip() if self.has_label else None
        if label is not None and ("," in label or not fields):
            raise DataError.at(
                "data.path",
                f"{place}: '{shorten(label)}' is no label; does the row lack its last value?",
                code="E36",
            )
        channels = [self._channel(one, place, i) for i, one in enumerate(fields)]
        for i, channel in enumerate(channels):
            if len(channel) != len(channels[0]):
                raise DataError.at(
                    "data.path",
                    f"{place}: channel {i} has {plural(len(channel), 'time step')}, channel 0 has "
                    f"{len(channels[0]):,}",
                    code="E36",
                )
        self.steps.add(len(channels[0]))
        count = len(self.builder.names) + 1
        name = f"recording {count} (line {number})"
        self.builder.add(np.stack(channels, 1), str(count), name, label)

    def _channel(self, text: str, place: str, channel: int) -> Array:
        """The values of one channel (time,)."""
        if not text.strip():
            raise DataError.at("data.path", f"{place}: channel {channel} is empty", code="E36")
        if "(" in text:
            self.stamped = True
            text = ",".join(value for _, value in _STAMPED.findall(text))
        values = with_gaps(text, f"{place}: channel {channel}")
        self.gaps = self.gaps or bool(np.isnan(values).any())
        return values

    def doubts(self, header: _Header) -> list[str]:
        """Lines on what the header says and the rows do not hold."""
        channels, labels = self.builder.channels or 0, dict.fromkeys(self.builder.targets)
        lies = []
        if header.dimensions not in (None, channels):
            lies.append(f"@dimensions {header.dimensions} and the rows have {channels}")
        if header.says("univariate") and channels > 1:
            lies.append(f"@univariate true and the rows have {channels} channels")
        if header.says("equallength") and len(self.steps) > 1:
            lies.append(
                f"@equalLength true and the rows have {min(self.steps):,} to {max(self.steps):,} time steps"
            )
        stated = header.number("serieslength")
        if stated is not None and len(self.steps) == 1 and stated not in self.steps:
            lies.append(f"@seriesLength {stated} and the rows have {min(self.steps):,} time steps")
        if header.says("missing") is False and self.gaps:
            lies.append("@missing false and there are missing numbers")
        if header.task is None and self.has_label:
            lies.append("@classLabel false and the rows have a value more, taken for the label")
        declared = header.words.get("classlabel", [])[1:]
        others = [label for label in labels if label is not None and label not in declared]
        if header.says("classlabel") and others:
            lies.append(f"@classLabel does not list {list_some(others, 6, counted=True)}")
        notes: list[str] = [
            Note(
                "N21",
                f"{self.path}: the header says otherwise than the rows, which count: {'; '.join(lies)}",
            )
        ]
        notes = notes if lies else []
        if header.unknown:
            notes.append(
                Note("N21", f"{self.path}: header lines not used: {list_some(header.unknown, 6)}")
            )
        if self.stamped:
            text = f"{self.path}: time stamps are left out; the order of the values counts"
            notes.append(Note("N21", text))
        return notes


def _split_stamped(text: str) -> list[str]:
    """The fields of a row of pairs (time stamp,value); a time stamp may have colons."""
    return re.split(r":(?![^(]*\))", text)


def with_gaps(text: str, place: str) -> Array:
    """Numbers set apart by commas (time,), NaN where one is missing; raises DataError for what is none."""
    try:
        values = np.fromstring(text, sep=",")
    except ValueError:
        values = np.empty(0)
    if len(values) == text.count(",") + 1 and not np.isinf(values).any():
        return values
    numbers = []
    for step, token in enumerate(text.split(",")):
        word = token.strip()
        try:
            number = np.nan if word in MISSING else float(word)
            if "_" in word or np.isinf(number):
                raise ValueError
        except ValueError:
            raise DataError.at(
                "data.path",
                f"{place}, time step {step + 1}: '{shorten(word)}' is no number",
                code="E39",
            ) from None
        numbers.append(number)
    return np.array(numbers)
