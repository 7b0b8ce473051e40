"""The parts of a new configuration: a sentence about the data, YAML sections with comments, and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config.formatting import flow_yaml, quote_yaml

if TYPE_CHECKING:
    from nnzoo.data.table_files.table_io import ReadOptions, Table


@dataclass(frozen=True)
class ConfigText:
    """A new configuration. about: a sentence on the data; sections: YAML; notes: for the terminal."""

    about: str
    sections: str
    notes: list[str]


@dataclass(frozen=True)
class DataFile:
    """A file of columns as it was read. config_path: its path as the config names it; reading: the options that
    it was read with."""

    path: Path
    config_path: str
    table: Table
    reading: ReadOptions

    @property
    def header(self) -> Any:
        """The value of data.header that reads it in the same way."""
        return "auto" if self.table.named else False

    def head_lines(self, source: str) -> list[str]:
        """The first lines of section `data`: source and path, and the reading options that are not the
        default or were guessed."""
        from nnzoo.data.table_files.table_io import numbered

        lines = ["data:", f"  name: {source}", f"  path: {quote_yaml(self.config_path)}"]
        if self.reading.encoding != "auto":
            lines.append(f"  encoding: {self.reading.encoding}    # a guess: it is not UTF-8")
        if not self.table.named:
            lines.append(
                "  header: false    # the first row looks like data; true if it names the columns"
            )
        elif numbered(self.table.frame):
            lines.append("  header: true    # the first row counts; false if it is data")
        return lines


def one_line(text: str) -> str:
    """Put text that may be from a file on one line: a line break in it would end a comment."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def comment_lines(notes: Iterable[str], indent: str = "  ") -> list[str]:
    """Notes as comments of YAML."""
    return [f"{indent}# {one_line(note)}" for note in notes]


def join_sections(
    data: list[str], recipe: Mapping[str, Mapping[str, Any]], comments: Mapping[str, str] = {}
) -> str:
    """The YAML of section `data`, whose lines are given, and of the sections of a recipe.

    comments: "train.epochs" -> a comment behind that key.
    """
    lines = [*data]
    for section, values in recipe.items():
        lines.append(f"{section}:")
        for key, value in values.items():
            comment = comments.get(f"{section}.{key}")
            lines.append(f"  {key}: {flow_yaml(value)}" + (f"    # {comment}" if comment else ""))
    return "\n".join(lines) + "\n"
