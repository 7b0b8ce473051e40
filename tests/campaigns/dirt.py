"""A clean file or folder, made dirty as people's are, and what must come of it.

Each `Case` holds the same data twice. nnzoo must train the same weights from both, or name in one
line what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Rows = list[list[str]]


@dataclass
class Case:
    """One generated pair.

    operations: the names of what was done, in order; clean, dirty: file name -> bytes;
    names: patterns of which one line must name each operation where the weights differ.
    """

    operations: list[str] = field(default_factory=list)
    clean: dict[str, bytes] = field(default_factory=dict)
    dirty: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    target: str | None = None


@dataclass
class Sheet:
    """A table on its way to a CSV: header, rows of text, and how they are written."""

    header: list[str] | None
    rows: Rows
    delimiter: str = ","
    line_end: str = "\n"
    encoding: str = "utf-8"
    above: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)
    quote_all: bool = False
    trailing: str = ""

    def column(self, name: str) -> int:
        assert self.header is not None
        return self.header.index(name)

    def cells(self, name: str) -> list[str]:
        index = self.column(name)
        return [row[index] for row in self.rows]

    def change(self, name: str, rewrite: Callable[[str], str]) -> None:
        index = self.column(name)
        for row in self.rows:
            row[index] = rewrite(row[index])

    def text(self) -> str:
        lines = [self.line(row) for row in ([self.header] if self.header else []) + self.rows]
        return self.line_end.join([*self.above, *lines, *self.below, ""])

    def line(self, row: list[str]) -> str:
        return self.delimiter.join(map(self.quoted, row)) + self.trailing

    def quoted(self, cell: str) -> str:
        special = self.delimiter in cell or '"' in cell or "\n" in cell
        return '"' + cell.replace('"', '""') + '"' if special or self.quote_all else cell

    def encoded(self) -> bytes:
        """In the sheet's encoding; in UTF-8 where a later change wrote what that cannot hold."""
        try:
            return self.text().encode(self.encoding)
        except UnicodeEncodeError:
            return self.text().encode()


Operation = Callable[[Sheet, np.random.Generator], str | None]
"""Changes a sheet; gives the pattern of which a line must name it, or None where it can't be done."""


def choose(rng: np.random.Generator, values: list[str]) -> str:
    return values[int(rng.integers(len(values)))]


def positions(rng: np.random.Generator, count: int, length: int) -> list[int]:
    """Some different rows, in order."""
    return sorted(int(i) for i in rng.choice(length, size=count, replace=False))
