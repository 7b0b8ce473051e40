"""Rows of CSV: lines cut into values."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nnzoo.data import limits

# As they are, and as YAML writes them; blanks stand for any run of blanks and tabs, "\t+" for one of tabs.
DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
TAB_RUNS = "\t+"
RARE_DELIMITERS = {" ": "' '", "::": "'::'", TAB_RUNS: '"\\t+"'}
COMMENTS = ("#", "%", "//", "!")
# Takes the place of a delimiter of several characters, which Python's reader does not know.
_UNIT = "\x1f"
_FORMULA = re.compile(r'(?<![^,;\t|])="([^"]*)"(?![^,;\t|\r\n])|"=""([^"]*)"""')


class Row(NamedTuple):
    """A row that is not blank; line: where it begins, from 1."""

    line: int
    cells: list[str]


class CutError(Exception):
    """Quotes that do not match; line: where the row begins, which the message leaves out."""

    def __init__(self, line: int, reason: str) -> None:
        if "end of data" in reason:
            reason = "a quote is opened and never closed"
        elif "field limit" in reason:
            reason = f"a value of more than {limits.MAX_VALUE:,} characters; an open quote?"
        elif "expected after" in reason:
            reason = "there is text behind a closing quote; a quote inside a value is written twice"
        super().__init__(reason)
        self.line = line


def cut(
    file: Path, lines: Iterable[str], delimiter: str, above: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """The rows of some lines, of which `above` lie above them: as in `Row`, which takes time to make.

    Raises CutError where quotes are wrong, DataError before a line is cut into too many values.
    """
    single = delimiter if len(delimiter) == 1 else _UNIT

    def checked() -> Iterator[str]:
        plain, most = single == delimiter != " ", limits.MAX_COLUMNS
        for number, line in enumerate(lines, above + 1):
            if not plain or '="' in line:
                line = prepared(line, delimiter)
            if len(line) >= most:
                limits.refuse_columns(file, line.count(single) + 1, number)
            yield line

    reader = csv.reader(
        checked(), delimiter=single, skipinitialspace=delimiter != " ", strict=True
    )  # fmt: skip
    begin = above + 1
    try:
        for cells in reader:
            if len(cells) >= 2 or "".join(cells).strip():
                yield begin, cells
            begin = above + reader.line_num + 1
    except csv.Error as error:
        raise CutError(begin, str(error)) from None


def prepared(line: str, delimiter: str) -> str:
    """A line that Python's reader cuts at one character; Excel's ="00123" is the text in it."""
    if '="' in line:
        line = _FORMULA.sub(lambda found: f'"{found[1] or found[2] or ""}"', line)
    if delimiter == " ":
        return re.sub(r"[ \t]+", " ", line.strip(" \t\r\n")) + "\n" * line.endswith(("\n", "\r"))
    if delimiter == TAB_RUNS:
        return re.sub(r"\t+", _UNIT, line.strip("\t\r\n")) + "\n" * line.endswith(("\n", "\r"))
    return line if len(delimiter) == 1 else line.replace(delimiter, _UNIT)


def is_comment(row: Row) -> bool:
    first = row.cells[0].lstrip()
    return first.startswith(COMMENTS) and first not in COMMENTS


def other_delimiter(sample: list[list[str]], delimiter: str) -> str:
    """A hint where the first row holds another usual delimiter more often than the one given."""
    first = sample[0]
    for other, shown in DELIMITERS.items():
        times = sum(cell.count(other) for cell in first)
        rows_agree = all(any(other in cell for cell in row) for row in sample)
        if other != delimiter and times >= len(first) and rows_agree:
            return f"; are its values separated by {shown}? Set data.delimiter: {shown}"
    return ""
