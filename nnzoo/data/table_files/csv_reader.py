"""CSV files as frames of text, in pieces, with errors that name the line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.csv_layout import Layout, LayoutOptions, find_layout
from nnzoo.data.table_files.csv_rows import (
    DELIMITERS,
    FORMULA,
    Row,
    RowSplitError,
    cell_form,
    cut,
    is_comment,
    is_words,
    other_delimiter,
)
from nnzoo.data.table_files.file_format import Source
from nnzoo.data.table_files.text_encoding import TextLines, read_head
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas

# Characters in a chunk: about 50,000 rows of ten numbers.
CHUNK = 1 << 22
MAX_FOOTER = 20  # rows


class Chunk(NamedTuple):
    """Some rows of a CSV.

    frame: columns of text; named: whether the file names them; notes: new ones. values: what a BlockReader made of
    the rows, where the frame has no columns.
    """

    frame: pandas.DataFrame
    named: bool
    notes: list[str]
    values: Any = None


BlockReader = Callable[[str], Sized | None]
"""Reads whole lines as so many rows of its own; None if one of them may be anything but a plain row."""
BlockOpener = Callable[[Layout], BlockReader | None]


def read_csv(
    source: Source,
    codec: str,
    options: LayoutOptions,
    bounded: bool,
    open_blocks: BlockOpener | None = None,
) -> Iterator[Chunk]:
    """Read a text in chunks.

    bounded: whether all chunks will be held at once. open_blocks: gives what may read the chunks after the first, of
    the same rows as else, for a layout. Raises DataError, with the line, for what would otherwise be repaired or
    lost silently.
    """
    file = source.file
    if bounded:
        _check_size(file)
    head = read_head(source, codec)
    layout = find_layout(file, head, options)
    notes = layout.notes
    count = 0
    rows: list[list[str]] = []
    read_block = None if open_blocks is None else open_blocks(layout)
    with closing(_Lines(source, codec, layout)) as lines:
        reader = _Rows(lines, layout)
        at_end = False
        while not at_end:
            at_end = True
            for cells in reader:
                count += 1
                if bounded and count * layout.width > limits.MAX_CELLS:
                    rows = []  # from here on the rows are counted, for the message below
                    continue
                rows.append(cells)
                if lines.size >= CHUNK:
                    yield Chunk(_frame(rows, layout, count - len(rows)), layout.named, notes)
                    rows, notes = [], []
                    lines.start_chunk()
                    if read_block is not None and reader.is_plain:
                        at_end = False
                        break
            while not at_end and (values := lines.read_block(read_block)) is not None:
                count += len(values)
                yield Chunk(_unread(count - len(values), count), layout.named, [], values)
        if bounded:
            limits.refuse_cells(file, count, layout.width)
        notes = notes + reader.notes()
        if rows or notes or not count:
            yield Chunk(_frame(rows, layout, count - len(rows)), layout.named, notes)


def _check_size(file: Path) -> None:
    size = file.stat().st_size
    if size > limits.MAX_CSV_BYTES:
        raise DataError(
            f"{file} has {size:,} bytes; a CSV may have {limits.MAX_CSV_BYTES:,}. Keep fewer rows or "
            "columns, or save it as Parquet",
            code="E34",
        )


def _unread(start: int, stop: int) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame(index=pandas.RangeIndex(start, stop))


def _frame(rows: list[list[str]], layout: Layout, start: int) -> pandas.DataFrame:
    """A frame of text columns, None for an empty cell; start: the number of the first row."""
    import pandas

    columns = list(zip(*rows, strict=True)) or [() for _ in layout.names]
    index = pandas.RangeIndex(start, start + len(rows))
    series = [
        pandas.Series(
            column if all(column) else [cell or None for cell in column], index=index, dtype=str
        )
        for column in columns[: len(layout.names)]
    ]
    frame = pandas.concat(series, axis=1)
    frame.columns = pandas.Index(layout.names)
    return frame


class _Lines:
    """The lines below the header.

    size: characters since the last chunk, of which `row_begins` are above the row that is read;
    last_row: the line where the row before ends; last: the last line. Raises DataError for a row
    that does not end.
    """

    def __init__(self, source: Source, codec: str, layout: Layout) -> None:
        self.file = source.file
        self.skip = layout.skip
        self.text = TextLines(source, codec)
        self.size = self.row_begins = self.blank = self.formulas = 0
        self.last_row = layout.skip
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        lines = iter(self.text)
        for _ in range(self.skip - self.text.number):
            next(lines, "")
        longest = limits.MAX_ROW
        for line in lines:
            self.size += len(line)
            if self.size - self.row_begins >= longest:
                raise DataError(
                    f"{self.file}:{self.last_row + 1}: a row of more than {longest:,} characters",
                    code="E34",
                )
            if '="' in line and FORMULA.search(line):
                self.formulas += 1
            elif line.isspace():
                self.blank += 1
            self.last = line
            yield line

    def start_chunk(self) -> None:
        """Count characters anew."""
        self.size = self.row_begins = 0

    def read_block(self, read: BlockReader | None) -> Any:
        """Read the lines of the next chunk at once, where the last one has ended; None if `read` does not take them."""
        text = self.text.read_block(CHUNK)
        values = read(text) if read is not None and text else None
        if values is None:
            self.text.give_back(text)
            return None
        self.text.number += len(values)
        self.last_row = self.text.number
        return values

    def close(self) -> None:
        self.text.close()


class _Rows:
    """The data rows, all of one width; rows that are left out are counted for `notes`.

    A row of another width is an error, but for comments, and for lines of text at the end.
    """

    def __init__(self, lines: _Lines, layout: Layout) -> None:
        self.lines = lines
        self.layout = layout
        self.first = layout.names if layout.named else []
        # Lines that were left out: the first, and how many.
        self.comments: list[Row] = []
        self.footer: list[Row] = []
        self.headers: list[Row] = []
        self.empty: list[Row] = []
        self.kept_empty: list[Row] = []
        self.any = False
        self.pending: list[Row] = []  # left out if they turn out to be the last
        self.longer: list[Row] = []

    @property
    def is_plain(self) -> bool:
        """Whether nothing depends on the rows to come."""
        return self.any and not (self.pending or self.footer)

    def __iter__(self) -> Iterator[list[str]]:
        """The rows from where the lines are."""
        layout, width, file, lines = self.layout, self.layout.width, self.lines.file, self.lines
        header = layout.header
        try:
            above = max(layout.skip, lines.text.number)
            for line, cells in cut(file, lines, layout.delimiter, above):
                lines.row_begins, lines.last_row = lines.size, lines.text.number
                plain = len(cells) == width and cells[0] and cells[-1] and cells != header
                if plain and self.any and not self.pending and not self.footer and not layout.blank:
                    yield cells
                    continue
                row = Row(line, cells)
                if len(cells) != width:
                    fitted = self._other_width(row)
                    if fitted is None:
                        continue
                    cells = fitted
                if self.footer and any(map(str.strip, cells)):
                    raise self._ragged(self.footer[0])
                if cells == header:
                    self.headers.append(row)
                    continue
                if self._may_end_table(cells):
                    self.pending.append(Row(row.line, cells))
                    continue
                for kept in self.pending:
                    yield kept.cells
                    if not any(map(str.strip, kept.cells)):
                        self.kept_empty.append(kept)
                self.pending = []
                if layout.blank and any(map(str.strip, cells[-layout.blank :])):
                    raise DataError(
                        f"{file}:{row.line}: a value in a column that has no name and was empty "
                        "above; name it, or remove the value",
                        code="E36",
                    )
                self.any, self.first = True, self.first or cells
                yield cells
            if not self.any:  # a table of nothing but gaps
                yield from (row.cells for row in self.pending)
                return
            for row in self.pending:
                (self.footer if any(map(str.strip, row.cells)) else self.empty).append(row)
        except RowSplitError as error:
            raise DataError(f"{file}:{error.line}: {error}", code="E36") from None

    def _may_end_table(self, cells: list[str]) -> bool:
        """Whether a row is empty, or holds a few words below an empty one or where numbers were."""
        if cells[0] and cells[-1]:
            return False
        present = [j for j, cell in enumerate(cells) if cell.strip()]
        if not present:
            return True
        few = 2 * len(present) <= len(cells) and len(self.pending) < MAX_FOOTER
        return (
            few
            and all(cell_form(cells[j]) == "word" for j in present)
            and (
                bool(self.pending)
                or all(self.layout.sample.main_form(j) not in (None, "word") for j in present)
            )
        )

    def _other_width(self, row: Row) -> list[str] | None:
        """The row brought to the width of the table; None where it is left out."""
        layout, cells = self.layout, row.cells
        if is_comment(row):
            self.comments.append(row)
            return None
        width = len(cells)
        while width > layout.width and not cells[width - 1].strip():
            width -= 1
        if width == layout.width:  # delimiters at the end of this line
            self.longer.append(row)
            return cells[:width]
        if width < layout.width and width >= layout.width - layout.blank:
            return cells + [""] * (layout.width - width)
        words = is_words(cells)
        if width < layout.width and words and len(self.footer) < MAX_FOOTER and not self._others():
            self.footer.append(row)  # an error, should a row of the table follow
            return None
        raise self._ragged(row)

    def _ragged(self, row: Row) -> DataError:
        layout = self.layout
        hint = other_delimiter([self.first], layout.delimiter) if self.first else ""
        others = [] if self.footer else self._others()
        if not hint and others:
            hint = f"; this line is separated by {others[0]}, unlike those above"
        return DataError(
            f"{self.lines.file}:{row.line}: ragged rows: {len(row.cells)} values where the first row "
            f"has {layout.width}{hint}",
            code="E36",
        )

    def _others(self) -> list[str]:
        """The delimiters, as messages show them, that would cut the last line into a row."""
        width = self.layout.width
        return [
            shown
            for other, shown in DELIMITERS.items()
            if other != self.layout.delimiter and self.lines.last.count(other) + 1 == width > 1
        ]

    def notes(self) -> list[str]:
        """Lines on rows that were left out or changed so far, one per kind."""
        lines = self.lines
        footer = f", '{shorten(self.footer[0].cells[0])}'" if self.footer else ""
        notes: list[str] = [
            Note("N07", f"{_rows(rows)} {what}")
            for rows, what in (
                (self.comments, "left out: comments"),
                (self.headers, "left out: the header again"),
                (self.kept_empty, "without a value: all missing"),
                (self.empty, "left out: delimiters without a value at the end of the file"),
                (self.footer, f"left out: text below the table{footer}"),
                (self.longer, "with delimiters at the end, which were left out"),
            )
            if rows
        ]
        if lines.blank and self.layout.width == 1:
            notes.append(Note("N07", f"{lines.blank:,} blank lines left out"))
        if lines.formulas:
            text = f'in {lines.formulas:,} lines ="…" was read as the text between the quotes'
            notes.append(Note("N03", text))
        if lines.text.marks:
            notes.append(
                Note("N22", f"{lines.text.marks:,} byte order marks within the text were left out")
            )
        return notes


def _rows(rows: list[Row]) -> str:
    where = f"line {rows[0].line:,}"
    return where if len(rows) == 1 else f"{len(rows):,} lines (first: {where})"
