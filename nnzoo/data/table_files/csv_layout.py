"""The layout of a text as a table: lines above the header, delimiter, names, columns."""

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
    FORM_FRACTION,
    RARE_DELIMITERS,
    TAB_RUNS,
    Columns,
    Row,
    RowSplitError,
    cell_form,
    cut,
    is_comment,
    is_header,
    is_words,
    other_delimiter,
    plainly_names,
    unique_names,
    words_over_numbers,
)
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

MAX_ABOVE = 60  # lines above the header
_SEP_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass
class Layout:
    """The layout of the rows of a text.

    skip: lines above the first data row; names: of the columns that are kept; named: whether the file
    gave them; width: values per row of the file; blank: the number of columns at the end that are
    empty, and left out; header: the row of names, if it cannot be one of data; sample: the first
    data rows.
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


@dataclass(frozen=True)
class LayoutOptions:
    """The keys of a configuration that state a layout; "auto" is found from the text."""

    delimiter: str = "auto"
    header: bool | Literal["auto"] = "auto"
    skip_rows: int | Literal["auto"] = "auto"


def find_layout(file: Path, lines: list[str], options: LayoutOptions) -> Layout:
    """Find the layout of a text by its first lines.

    Stated options are obeyed, and guesses get a note. Raises DataError if there is no row.
    """
    delimiter = options.delimiter
    skip = 0 if options.skip_rows == "auto" else options.skip_rows
    if options.skip_rows == "auto" and delimiter == "auto" and lines:
        separator = _SEP_LINE.fullmatch(lines[0])
        if separator:  # written by Excel
            skip = 1
            if any(
                separator[1] in line for line in lines[1:10]
            ):  # a later program may have changed it
                delimiter = separator[1]
    candidates = [delimiter] if delimiter != "auto" else [*DELIMITERS, *RARE_DELIMITERS]
    readings: list[_Reading] = []
    errors: list[RowSplitError] = []
    for candidate in candidates:
        try:
            readings += _read_as(file, lines, candidate, skip, options)
        except RowSplitError as error:
            errors.append(error)
    if errors and not readings:
        raise DataError(f"{file}:{errors[0].line}: {errors[0]}", code="E36")
    if not readings:
        raise DataError(f"{file} is empty" + (f" below line {skip}" if skip else ""), code="E37")
    return _layout(file, lines, _best_reading(readings), options, is_stated=delimiter != "auto")


@dataclass
class _Reading:
    """The first rows, cut at one delimiter.

    start: index of the first row of the table; end: line of the first row that cannot be cut, or
    None.
    """

    delimiter: str
    rows: list[Row]
    start: int
    width: int
    end: int | None = None

    @property
    def evenness(self) -> float:
        """The fraction of rows that have the usual width; shorter rows of words at the end may be a
        footer."""
        rows = [row.cells for row in self.table]
        while len(rows) > 1 and len(rows[-1]) < self.width and is_words(rows[-1]):
            rows.pop()
        return sum(len(cells) == self.width for cells in rows) / max(1, len(rows))

    @property
    def table(self) -> list[Row]:
        return self.rows[self.start :]

    @property
    def has_numbers(self) -> bool:
        """Whether a column holds numbers below its first value: blanks may also be within text."""
        rows = [row.cells for row in self.table]
        columns = Columns(rows[1:] or rows, self.width)
        return any(columns.main_form(j) == "number" for j in range(self.width))

    def quality(self, others: list[_Reading]) -> tuple[float, ...]:
        """A score of how well the delimiter fits: equal widths, then values that no other one would cut."""
        cells = [cell for row in self.table[:50] for cell in row.cells]
        rivals = [other.delimiter for other in others if other.delimiter != self.delimiter]
        clean = sum(
            not any(rival in cell for rival in rivals) or cell_form(cell) == "number"
            for cell in cells
        )
        even = self.evenness
        return (even >= FORM_FRACTION, clean / max(1, len(cells)), even, self.width)


def _best_reading(readings: list[_Reading]) -> _Reading:
    """The reading whose delimiter fits best; a rare one only if the rows are even and hold numbers."""
    usual = [reading for reading in readings if reading.delimiter in DELIMITERS]
    several = [reading for reading in usual if reading.width > 1] or [
        reading
        for reading in readings
        if reading.width > 1 and reading.evenness == 1 and reading.has_numbers
    ]
    best = max(several or readings[:1], key=lambda reading: reading.quality(several))
    runs = next((reading for reading in readings if reading.delimiter == TAB_RUNS), None)
    if runs is None or best.delimiter != "\t" or runs.evenness < 1 or runs.width < 2:
        return best
    # Runs of tabs align columns, unless single ones leave values out.
    aligned = best.evenness < 1 or all("" in row.cells[:-1] for row in best.table)
    return runs if aligned else best


def _read_as(
    file: Path, lines: list[str], delimiter: str, skip: int, options: LayoutOptions
) -> list[_Reading]:
    """The first rows, cut at one delimiter; none if all are blank. Raises RowSplitError in the first row."""
    rows: list[Row] = []
    end: int | None = None
    try:
        rows.extend(Row(*row) for row in cut(file, lines[skip:], delimiter, skip))
    except RowSplitError as error:
        if not rows:
            raise
        end = error.line  # named by the reader, which comes to that row
    if not rows:
        return []
    width = _usual_width(rows)
    reading = _Reading(delimiter, rows, 0, width, end)
    if options.skip_rows == "auto":
        reading.start = _find_start(rows, width, options.header)
        if reading.evenness < FORM_FRACTION:  # titles cannot be distinguished from rows
            reading.start = len(list(takewhile(is_comment, rows[:-1])))
    return [reading]


def _usual_width(rows: list[Row]) -> int:
    counts = Counter(len(row.cells) for row in rows)
    return max(counts, key=lambda width: (counts[width], width))


def _find_start(rows: list[Row], width: int, header: bool | Literal["auto"]) -> int:
    """The index of the first row of the table, below comments and titles."""
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
    """The index of the header, below titles that were filled up with delimiters to its width."""
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
            if present and all(cell_form(row.cells[j]) == columns.main_form(j) for j in present):
                return first  # a row of data that lacks some values
        return place
    return first


def _filled_width(cells: list[str]) -> int:
    """The number of values in a row without the empty ones at its end."""
    width = len(cells)
    while width and not cells[width - 1].strip():
        width -= 1
    return width


@dataclass
class _Names:
    """The names of the columns; line: of the row that gives them, 0 if it is a comment."""

    cells: list[str]
    named: bool
    line: int
    notes: list[str]


def _layout(
    file: Path, lines: list[str], reading: _Reading, options: LayoutOptions, is_stated: bool
) -> Layout:
    """The layout by the reading that was chosen; is_stated: whether the delimiter was not guessed."""
    table, delimiter = reading.table, reading.delimiter
    first, below = table[0], [row.cells for row in table[1:]]
    hint = other_delimiter([row.cells for row in table[:10]], delimiter)
    if hint and len(first.cells) == 1:
        raise DataError(f"{file} has one column{hint}", code="E36")
    notes: list[str] = []
    if not is_stated and delimiter in RARE_DELIMITERS:
        noun = {" ": "blanks", TAB_RUNS: "runs of tabs"}.get(delimiter, f"'{delimiter}'")
        notes.append(Note("N03", f"columns are set apart by {noun} (data.delimiter)"))
    names = _find_names(file, lines, reading, options.header)
    from_table = names.named and names.line > 0
    if from_table and not below and reading.end is None:
        raise DataError(
            f"{file} has a header but no rows"
            + (" (or set data.header: false)" if options.header == "auto" else ""),
            code="E37",
        )
    data = table[1:] if from_table else table
    skip = (data[0].line if data else reading.end or 1) - 1
    blank = _fit_width(names, [row.cells for row in data])
    width = len(names.cells)
    if blank:
        columns = "column" if blank == 1 else f"{blank:,} columns"
        text = f"the last {columns} without a name and values left out (delimiters at line ends)"
        names.notes.append(Note("N08", text))
    kept = names.cells[: width - blank]
    unique, changed = (
        unique_names(kept) if names.named else ([str(i) for i in range(len(kept))], [])
    )
    if options.skip_rows == "auto":
        above = min(names.line or skip + 1, skip + 1) - 1
        notes = _skipped(lines, above, names.named) + notes
    others = Columns([row for row in below if row != first.cells], len(first.cells))
    is_certain = from_table and words_over_numbers(first.cells, others) > 0
    return Layout(
        delimiter,
        skip,
        unique,
        names.named,
        width,
        blank,
        first.cells if is_certain else None,
        Columns([row.cells for row in data], width),
        [*notes, *names.notes, *changed],
    )


def _find_names(
    file: Path, lines: list[str], reading: _Reading, header: bool | Literal["auto"]
) -> _Names:
    """The names of the columns: the first row, a comment above it, or none."""
    table = reading.table
    names = _Names(table[0].cells, header is True, table[0].line, [])
    if header is False:
        return names
    lacks_one = _lacks_first_name(reading)
    if header == "auto":
        below = [row.cells for row in table[1:]]
        note = ""
        if not below:
            names.named = not any(cell_form(cell) == "number" for cell in names.cells)
        elif lacks_one:
            names.named = True
            note = Note("N03", "the header has no name for the first column, which holds row names")
        else:
            names.named, note = is_header(names.cells, below)
        comment = None if names.named else _comment_header(file, reading, lines)
        if comment:
            note = Note(
                "N03", f"line {comment.line} is taken for the header, though it is a comment"
            )
            names = _Names(comment.cells, True, 0, [])
        names.notes += [note] if note else []
    if lacks_one and names.named:
        names.cells = ["", *names.cells]
    return names


def _fit_width(names: _Names, data: list[list[str]]) -> int:
    """Make as many names as values per row, where delimiters end the lines of either; gives the number of
    empty columns at the end."""
    if not data:
        return 0
    width, named_width = len(names.cells), _filled_width(names.cells)
    used = max(_filled_width(cells) for cells in data)
    if len(data[0]) == width and width > 1:
        used = max(_filled_width(cells[:width]) for cells in data)
        return width - max(used, named_width if names.named else 1, 1)
    if names.named and named_width == len(data[0]):  # only the header ends in delimiters
        names.cells = names.cells[:named_width]
    elif names.named and len(data[0]) > width and used <= width:  # only the rows do
        blank = len(data[0]) - width
        names.cells = names.cells + [""] * blank
        return blank
    return 0


def _skipped(lines: list[str], count: int, named: bool) -> list[str]:
    """A note on the lines above the table that are not blank."""
    skipped = [line.strip() for line in lines[:count] if line.strip(' \t\r\n,;|"')]
    if not skipped:
        return []
    many = "a line" if len(skipped) == 1 else f"{len(skipped):,} lines"
    text = (
        f"skipped {many} above the {'header' if named else 'first row'}: '{shorten(skipped[0])}'"
        f"{', …' if len(skipped) > 1 else ''} (data.skip_rows)"
    )
    return [Note("N03", text)]


def _lacks_first_name(reading: _Reading) -> bool:
    """Whether the header lacks one name, as R writes it: for the first column, all different."""
    table = reading.table
    if reading.delimiter not in (" ", "\t") or len(table) < 3:
        return False
    header, *rows = (row.cells for row in table)
    firsts = [row[0] for row in rows]
    return (
        all(len(row) == len(header) + 1 for row in rows)
        and len(set(firsts)) == len(firsts)
        and all(cell_form(cell) == "word" for cell in header)
    )


def _comment_header(file: Path, reading: _Reading, lines: list[str]) -> Row | None:
    """A comment right above the first row that names its columns, as numpy.savetxt writes it."""
    above = [row for row in reading.rows[: reading.start] if is_comment(row)]
    if not above or not reading.table:
        return None
    line = above[-1].line
    text = lines[line - 1].strip()
    text = text.lstrip(next(mark for mark in COMMENTS if text.startswith(mark))[0]).strip()
    try:
        rows = [cells for _, cells in cut(file, [text], reading.delimiter)]
    except RowSplitError:
        return None
    below = [row.cells for row in islice(reading.table, 200)]
    fits = len(rows) == 1 and len(rows[0]) == len(reading.table[0].cells) and is_words(rows[0])
    if not fits or not words_over_numbers(rows[0], Columns(below, len(rows[0]))):
        return None
    return Row(line, rows[0])
