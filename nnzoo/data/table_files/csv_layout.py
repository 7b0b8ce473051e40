"""How a text is laid out as a table: lines above the header, delimiter, names, columns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal

from nnzoo.data.table_files.csv_rows import (
    COMMENTS,
    DELIMITERS,
    MOSTLY,
    RARE_DELIMITERS,
    TAB_RUNS,
    Columns,
    CutError,
    Row,
    cut,
    form_of,
    is_comment,
    is_header,
    is_words,
    other_delimiter,
    plainly_names,
    unique_names,
    words_over_numbers,
)
from nnzoo.errors import DataError
from nnzoo.text import shorten

MAX_ABOVE = 60  # lines above the header
_SEP_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass
class Layout:
    """How the rows of a text are read.

    skip: lines above the first data row; names: of all columns, as many as are kept; named: whether
    the file gave them; width: values in a row of the file; blank: how many columns at the end are
    empty, and left out; header: the row that gave the names, where it cannot be one of data;
    sample: the first data rows.
    """

    delimiter: str
    skip: int
    names: list[str]
    named: bool
    width: int
    blank: int
    header: list[str] | None
    sample: Columns
    notes: list[str] = field(default_factory=list)


def find_layout(
    file: Path,
    lines: list[str],
    delimiter: str,
    header: bool | Literal["auto"],
    skip_rows: int | Literal["auto"],
) -> Layout:
    """The layout of a text by its first lines; raises DataError where there is no row.

    What is not "auto" is obeyed, and only what is gets a note.
    """
    skip = 0 if skip_rows == "auto" else skip_rows
    if skip_rows == "auto" and delimiter == "auto" and lines:
        separator = _SEP_LINE.fullmatch(lines[0])
        if separator:  # Excel's own way to say it
            delimiter, skip = separator[1], 1
    candidates = [delimiter] if delimiter != "auto" else [*DELIMITERS, *RARE_DELIMITERS]
    readings, errors = [], []
    for each in candidates:
        try:
            reading = _read_as(file, lines, each, skip, skip_rows == "auto", header)
        except CutError as error:
            errors.append(error)
        else:
            readings += [reading] if reading else []
    if errors and not readings:
        raise DataError(f"{file}:{errors[0].line}: {errors[0]}")
    usual = [reading for reading in readings if reading.delimiter in DELIMITERS]
    cut_up = [reading for reading in usual if reading.width > 1] or [
        each for each in readings if each.width > 1 and each.even == 1 and each.has_numbers
    ]
    found = max(cut_up or readings[:1], key=lambda each: each.quality(cut_up), default=None)
    runs = next((each for each in readings if each.delimiter == TAB_RUNS), None)
    if found and runs and len(candidates) > 1 and found.delimiter == "\t" and _aligned(found, runs):
        found = runs
    if found is None:
        raise DataError(f"{file} is empty" + (f" below line {skip}" if skip else ""))
    return _layout(file, lines, found, header, skip_rows, said=delimiter != "auto")


def _aligned(tabs: _Reading, runs: _Reading) -> bool:
    """Whether runs of tabs align columns, rather than leave values out between single ones."""
    if runs.even < 1 or runs.width < 2:
        return False
    return tabs.even < 1 or all("" in row.cells[:-1] for row in tabs.table)


@dataclass
class _Reading:
    """The first rows as one delimiter cuts them.

    start: the first row of the table; end: the line of the first that cannot be cut, or None.
    """

    delimiter: str
    rows: list[Row]
    start: int
    width: int
    end: int | None = None

    @property
    def even(self) -> float:
        """The share of rows that are of equal width; shorter ones at the end may be a footer."""
        rows = [row.cells for row in self.table]
        while len(rows) > 1 and len(rows[-1]) < self.width and is_words(rows[-1]):
            rows.pop()
        return sum(len(cells) == self.width for cells in rows) / max(1, len(rows))

    @property
    def table(self) -> list[Row]:
        return self.rows[self.start :]

    @property
    def has_numbers(self) -> bool:
        """Whether a column holds numbers below its first value; blanks may also be within text."""
        rows = [row.cells for row in self.table]
        columns = Columns(rows[1:] or rows, self.width)
        return any(columns.mostly(j) == "number" for j in range(self.width))

    def quality(self, others: list[_Reading]) -> tuple[float, ...]:
        """How well the delimiter fits: equal widths, then values that no other one would cut."""
        cells = [cell for row in self.table[:50] for cell in row.cells]
        rivals = [each.delimiter for each in others if each.delimiter != self.delimiter]
        clean = sum(
            not any(rival in cell for rival in rivals) or form_of(cell) == "number"
            for cell in cells
        )
        return (self.even >= MOSTLY, clean / max(1, len(cells)), self.even, self.width)


def _read_as(
    file: Path,
    lines: list[str],
    delimiter: str,
    skip: int,
    find_start: bool,
    header: bool | Literal["auto"],
) -> _Reading | None:
    """The first rows by one delimiter; None where there are none. Raises CutError in the first."""
    rows: list[Row] = []
    end: int | None = None
    try:
        rows.extend(Row(*row) for row in cut(file, lines[skip:], delimiter, skip))
    except CutError as error:
        if not rows:
            raise
        end = error.line  # the reader comes to the place, and names it
    if not rows:
        return None
    width = _usual_width(rows)
    reading = _Reading(delimiter, rows, 0, width, end)
    if find_start:
        reading.start = _find_start(rows, width, header)
        if reading.even < MOSTLY:  # there is no telling titles from rows
            reading.start = len(list(takewhile(is_comment, rows[:-1])))
    return reading


def _usual_width(rows: list[Row]) -> int:
    counts = Counter(len(row.cells) for row in rows)
    return max(counts, key=lambda width: (counts[width], width))


def _find_start(rows: list[Row], width: int, header: bool | Literal["auto"]) -> int:
    """The first row of the table: what lies above it are comments and titles, plainly."""
    comments = len(list(takewhile(is_comment, rows)))
    if comments == len(rows):
        return 0
    first = next((i for i in range(comments, len(rows)) if len(rows[i].cells) == width), comments)
    if width == 1 and header is not False and _names_columns(rows, first + 1):
        return first + 1  # a title and a name above numbers
    above = rows[comments:first]
    filled = [sum(bool(cell.strip()) for cell in row.cells) for row in above]
    if len(above) > MAX_ABOVE or any(count > width for count in filled):
        return comments
    named = bool(above) and header is not False and _names_columns(rows, first)
    # One value above a table of many columns is a title; several may be a row that lacks some.
    if not named and any(2 * count > max(2, width) for count in filled):
        return comments
    return first if header is False else _below_titles(rows, first, width)


def _names_columns(rows: list[Row], place: int) -> bool:
    """Whether a row plainly names the columns of those below."""
    below = [row.cells for row in rows[place + 1 :]]
    return bool(below) and plainly_names(rows[place].cells, below)


def _below_titles(rows: list[Row], first: int, width: int) -> int:
    """The header, where it lies below titles that were filled up with delimiters to its width."""
    used = max((_filled_width(row.cells) for row in rows[first:]), default=width)
    while first < len(rows) - 1 and not _filled_width(rows[first].cells):
        first += 1
    for place in range(first, min(first + MAX_ABOVE, len(rows))):
        cells = [cell.strip() for cell in rows[place].cells[:used]]
        if len(cells) < used or not all(cells):
            continue
        if place == first or not _names_columns(rows, place):
            return first
        columns = Columns([row.cells for row in rows[place + 1 :]], used)
        for row in rows[first:place]:
            present = [j for j, cell in enumerate(row.cells[:used]) if cell.strip()]
            if present and all(form_of(row.cells[j]) == columns.mostly(j) for j in present):
                return first  # a row of data that lacks some values
        return place
    return first


def _filled_width(cells: list[str]) -> int:
    """How many values a row has, without the empty ones at its end."""
    width = len(cells)
    while width and not cells[width - 1].strip():
        width -= 1
    return width


def _layout(
    file: Path,
    lines: list[str],
    found: _Reading,
    header: bool | Literal["auto"],
    skip_rows: int | Literal["auto"],
    said: bool,
) -> Layout:
    """Names and notes for the reading that was chosen."""
    table, delimiter = found.table, found.delimiter
    first, below = table[0], [row.cells for row in table[1:]]
    hint = other_delimiter([row.cells for row in table[:10]], delimiter)
    if hint and len(first.cells) == 1:
        raise DataError(f"{file} has one column{hint}")
    notes = []
    if not said and delimiter in RARE_DELIMITERS:
        what = {" ": "blanks", TAB_RUNS: "runs of tabs"}.get(delimiter, f"'{delimiter}'")
        notes.append(f"columns are set apart by {what} (data.delimiter)")
    names, begin = first.cells, first.line
    shifted = _row_names(found) if header is not False else False
    comment = _comment_header(file, found, lines) if header is not False else None
    if header == "auto":
        if not below:
            named, note = not any(form_of(cell) == "number" for cell in names), ""
        elif shifted:
            named, note = True, "the header has no name for the first column, which holds row names"
        else:
            named, note = is_header(names, below)
        if comment and not named:
            named, note = (
                True,
                f"line {comment.line} is taken for the header, though it is a comment",
            )
            names, begin = comment.cells, 0
        notes += [note] if note else []
    else:
        named = header
    if shifted and named:
        names = ["", *names]
    if named and begin and not below and found.end is None:
        raise DataError(
            f"{file} has a header but no rows"
            + (" (or set data.header: false)" if header == "auto" else "")
        )
    data = table[1:] if named and begin else table
    skip = (data[0].line if data else found.end or 1) - 1
    width = len(names)
    blank = 0
    if not data:
        pass
    elif len(data[0].cells) == width and width > 1:
        used = max(_filled_width(row.cells[:width]) for row in data)
        used = max(used, _filled_width(names) if named else 1, 1)
        blank = width - used
    elif named and _filled_width(names) == len(data[0].cells):  # only the header ends in delimiters
        width = len(data[0].cells)
        names = names[:width]
    elif (
        named
        and len(data[0].cells) > width
        and all(_filled_width(row.cells) <= width for row in data)
    ):  # only the rows do
        blank = len(data[0].cells) - width
        names, width = names + [""] * blank, width + blank
    if blank:
        columns = "column" if blank == 1 else f"{blank:,} columns"
        notes.append(
            f"the last {columns} without a name and values left out (delimiters at line ends)"
        )
    kept = names[: width - blank]
    unique, changed = unique_names(kept) if named else ([str(i) for i in range(len(kept))], [])
    if skip_rows == "auto":
        notes = _skipped(lines, min(begin or skip + 1, skip + 1) - 1, named) + notes
    others = Columns([row for row in below if row != first.cells], len(first.cells))
    plain = named and words_over_numbers(first.cells, others) > 0
    header_row = first.cells if plain and begin else None
    sample = Columns([row.cells for row in data], width)
    return Layout(
        delimiter, skip, unique, named, width, blank, header_row, sample, notes + changed
    )  # fmt: skip


def _skipped(lines: list[str], count: int, named: bool) -> list[str]:
    """A note on the lines above the table that are not blank."""
    skipped = [line.strip() for line in lines[:count] if line.strip(' \t\r\n,;|"')]
    if not skipped:
        return []
    many = "a line" if len(skipped) == 1 else f"{len(skipped):,} lines"
    return [
        f"skipped {many} above the {'header' if named else 'first row'}: '{shorten(skipped[0])}'"
        f"{', …' if len(skipped) > 1 else ''} (data.skip_rows)"
    ]


def _row_names(found: _Reading) -> bool:
    """Whether the header lacks one name, as R writes it: for the first column, all different."""
    table = found.table
    if found.delimiter not in (" ", "\t") or len(table) < 3:
        return False
    header, *rows = (row.cells for row in table)
    firsts = [row[0] for row in rows]
    return (
        all(len(row) == len(header) + 1 for row in rows)
        and len(set(firsts)) == len(firsts)
        and all(form_of(cell) == "word" for cell in header)
    )


def _comment_header(file: Path, found: _Reading, lines: list[str]) -> Row | None:
    """A comment right above the first row that names its columns, as numpy.savetxt writes it."""
    above = [row for row in found.rows[: found.start] if is_comment(row)]
    if not above or not found.table:
        return None
    line = above[-1].line
    text = lines[line - 1].strip()
    text = text.lstrip(next(mark for mark in COMMENTS if text.startswith(mark))[0]).strip()
    try:
        rows = [cells for _, cells in cut(file, [text], found.delimiter)]
    except CutError:
        return None
    below = [row.cells for row in islice(found.table, 200)]
    fits = len(rows) == 1 and len(rows[0]) == len(found.table[0].cells) and is_words(rows[0])
    if not fits or not words_over_numbers(rows[0], Columns(below, len(rows[0]))):
        return None
    return Row(line, rows[0])
