"""The `.arff` format: a recording per row, of one channel as attributes, of several in a relational attribute."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnzoo.data.recording_files.recording import Recordings, RecordingsBuilder, Shaping
from nnzoo.data.recording_files.ts import with_gaps
from nnzoo.data.table_files.file_format import find_source
from nnzoo.data.table_files.text_encoding import TextLines, find_encoding
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, shorten

Array = np.ndarray[Any, Any]
_ATTRIBUTE = re.compile(r"""(?i)@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s*(.*)""")
_NUMERIC = ("numeric", "real", "integer")
_TARGETS = ("target", "class", "classattribute", "label", "y")


@dataclass
class _Attributes:
    """The attributes of the header: names, and types, "{…}" for one with listed values."""

    names: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    inside: int = 0
    relational: int | None = None

    def add(self, line: str) -> None:
        """Take up an @attribute or @end line."""
        match = _ATTRIBUTE.match(line)
        if match is None:
            self.inside -= line.lower().startswith("@end") and self.inside > 0
            return
        if self.inside:  # the steps of one channel, which the rows count anew
            return
        kind = match[2].strip()
        if kind.lower() == "relational":
            self.inside, self.relational = 1, len(self.names)
            kind = "relational"
        self.names.append(match[1].strip("'\""))
        self.types.append(kind)

    def target(self, asked: str | int | None, path: str) -> int | None:
        """The position of the target: as asked, by its listed values, or by its name."""
        if isinstance(asked, int) and -len(self.names) <= asked < len(self.names):
            return asked % len(self.names)
        if asked is not None:
            if asked not in self.names:
                shown = list_some(self.names, 6, counted=True)
                raise DataError.at(
                    "data.target", f"{path}: no attribute '{asked}'; it has {shown}", code="E38"
                )
            return self.names.index(str(asked))
        nominal = [i for i, kind in enumerate(self.types) if kind.startswith("{")]
        named = [i for i, name in enumerate(self.names) if name.lower() in _TARGETS]
        text = [i for i, kind in enumerate(self.types) if kind.lower() == "string"]
        positions = nominal[-1:] or named[-1:] or text[-1:]
        if not positions and self.relational is not None and len(self.names) == 2:
            positions = [1 - self.relational]
        return positions[0] if positions else None


def read_arff(
    path: str, encoding: str, shaping: Shaping, target: str | int | None = None
) -> Recordings:
    """Read an `.arff` file; `?` at the end of a row, in all channels, is a shorter recording.

    target: name or position of an attribute. Raises DataError naming the line of what cannot be read.
    """
    source = find_source(Path(path), bounded=False)
    codec, notes = find_encoding(source, encoding)
    builder = RecordingsBuilder(path, shaping, padded=True)
    builder.notes += notes
    attributes, rows = _Attributes(), None
    lines = TextLines(source, codec)
    try:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text[0] == "%":
                continue
            if rows is not None:
                rows.add(text, number)
            elif text.lower().startswith("@data"):
                rows = _Rows(path, builder, attributes, attributes.target(target, path))
            else:
                attributes.add(text)
    finally:
        lines.close()
    if rows is None:
        raise DataError.at("data.path", f"{path} has no line @data", code="E36")
    name, task = "target", None
    if rows.target is not None:
        name, task = attributes.names[rows.target], rows.task
    return builder.build(target=name, task=task, notes=rows.doubts())


class _Rows:
    """Reads rows; target: the position of the target among the attributes."""

    def __init__(
        self, path: str, builder: RecordingsBuilder, attributes: _Attributes, target: int | None
    ) -> None:
        self.path = path
        self.builder = builder
        self.attributes = attributes
        self.target = target

    @property
    def task(self) -> Literal["classification", "regression"]:
        assert self.target is not None
        numeric = self.attributes.types[self.target].lower() in _NUMERIC
        return "regression" if numeric else "classification"

    def add(self, text: str, number: int) -> None:
        """Add the recording of a line."""
        place = f"{self.path}:{number}"
        if text[0] == "{":
            raise DataError.at(
                "data.path", f"{place}: sparse rows ({{…}}) are not read", code="E32"
            )
        quote = "'" if "'" in text and '"' not in text else '"'
        (cells,) = csv.reader([text], quotechar=quote, skipinitialspace=True, strict=False)
        expected = len(self.attributes.names)
        if len(cells) != expected:
            raise DataError.at(
                "data.path",
                f"{place}: {plural(len(cells), 'value')} where the header has {plural(expected, 'attribute')}",
                code="E36",
            )
        label = None if self.target is None else cells[self.target].strip(" '\"")
        if self.attributes.relational is not None:
            channels = re.split(r"\\n|\n", cells[self.attributes.relational].strip())
            texts = [channel for channel in channels if channel.strip()]
        else:
            texts = [",".join(cell for i, cell in enumerate(cells) if i != self.target)]
        values = [with_gaps(one, f"{place}: channel {i}") for i, one in enumerate(texts)]
        for i, channel in enumerate(values):
            if len(channel) != len(values[0]):
                raise DataError.at(
                    "data.path",
                    f"{place}: channel {i} has {plural(len(channel), 'time step')}, channel 0 has {len(values[0]):,}",
                    code="E36",
                )
        if not values:
            raise DataError.at("data.path", f"{place}: the recording is empty", code="E36")
        count = len(self.builder.names) + 1
        label = None if label in ("?", "") else label
        self.builder.add(
            np.stack(values, 1), str(count), f"recording {count} (line {number})", label
        )

    def doubts(self) -> list[str]:
        """A line on labels that the header does not list."""
        if self.target is None or not self.attributes.types[self.target].startswith("{"):
            return []
        listed = self.attributes.types[self.target].strip("{} ").split(",")
        declared = {word.strip(" '\"") for word in listed}
        others = [
            label
            for label in dict.fromkeys(self.builder.targets)
            if label and label not in declared
        ]
        shown = list_some([shorten(label) for label in others], 6, counted=True)
        return (
            [Note("N21", f"{self.path}: the header does not list the class {shown}")]
            if others
            else []
        )
