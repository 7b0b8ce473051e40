"""CSV files as frames of text, with errors that name the line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nnzoo.data import limits
from nnzoo.data.limits import refuse_cells, refuse_columns
from nnzoo.errors import DataError, first_line

if TYPE_CHECKING:
    import pandas

# How many rows are looked at to tell a header and a delimiter.
SAMPLE = 10
# A CSV is read in pieces of so many characters: some 50,000 rows of ten numbers.
PIECE = 1 << 22
# As they are, and as YAML writes them.
DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}


def read_csv(
    file: Path, header: bool | Literal["auto"], delimiter: str, bounded: bool
) -> Iterator[tuple[pandas.DataFrame, bool]]:
    """The pieces of a file, and whether its first row names the columns: pandas parses, piece by piece; what it would repair in silence is found by reading the rows
    first."""
    size = file.stat().st_size
    if bounded and size > limits.MAX_CSV_BYTES:
        raise DataError(
            f"{file} has {size:,} bytes; a CSV may have {limits.MAX_CSV_BYTES:,}. Keep fewer rows or "
            "columns, or save it as Parquet"
        )
    with file.open("rb") as binary:
        if b"\0" in binary.read(100_000):
            raise DataError(
                f"{file} is not a text file (it holds zero bytes); expected CSV in UTF-8"
            )
    if delimiter == "auto":
        delimiter = _find_delimiter(file)
    sample: list[list[str]] = []
    named = False
    count = taken = 0  # rows, and how many of them pandas has
    with closing(_Lines(file, delimiter)) as lines:
        for row in _rows(lines):
            if len(sample) < SAMPLE:
                sample.append(row)
            if len(row) != len(sample[0]):
                raise DataError(
                    f"{file}:{lines.above + 1}: ragged rows: {len(row)} values where the first row "
                    f"has {len(sample[0])}{_other_delimiter(sample, delimiter)}"
                )
            count += 1
            if lines.size < PIECE or count < SAMPLE:
                continue
            if bounded and count * len(row) > limits.MAX_CELLS:
                lines.take()  # from here on the rows are counted, for the message below
                continue
            named = named if taken else _is_named(file, sample, delimiter, header)
            yield _parse(lines, sample[0], named, taken, count), named
            taken = count
        if bounded:
            refuse_cells(file, count, len(sample[0]) if sample else 0)
        named = named if taken else _is_named(file, sample, delimiter, header)
        if count > taken:
            yield _parse(lines, sample[0], named, taken, count), named


def _parse(
    lines: _Lines, first: list[str], named: bool, before: int, count: int
) -> pandas.DataFrame:
    """The lines that are kept as a frame; raises DataError where pandas sees other rows in them.

    first: the first row, which names the columns or not; before, count: how many rows were read
    above these lines, and with them.
    """
    import pandas

    try:
        frame = pandas.read_csv(
            io.StringIO(lines.take(), newline=""),
            header=None,
            names=range(len(first)),
            sep=lines.delimiter,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            skipinitialspace=lines.delimiter != " ",
            index_col=False,
        )
    except (ValueError, pandas.errors.ParserError) as error:
        raise DataError(f"{lines.file} cannot be read: {first_line(error)}") from None
    if before + len(frame) != count:
        raise DataError(
            f"{lines.file} cannot be read: {count} or {before + len(frame)} rows, by how quotes and "
            "line ends are taken; write it anew with one program"
        )
    if named and not before:
        frame = frame.iloc[1:]
    start = max(0, before - named)  # a header is no data row
    frame.index = pandas.RangeIndex(start, start + len(frame))
    names = [name.strip() for name in first] if named else [""] * len(first)
    # A column without a name goes by its position.
    frame.columns = pandas.Index([name or str(i) for i, name in enumerate(names)])
    return frame


class _Lines:
    """The lines of a CSV with their ends, which are kept for pandas until they are taken.

    size: how many characters are kept; above: how many lines lie above the row that is being read.
    Raises DataError before a line is cut into more values than are read.
    """

    def __init__(self, file: Path, delimiter: str) -> None:
        self.file = file
        self.delimiter = delimiter
        # Line ends within quotes stay what they are.
        self.text = file.open(encoding="utf-8-sig", newline="")
        self.kept: list[str] = []
        self.size = self.above = 0
        self._begun = 0  # of `size`, before the row that is being read

    def __iter__(self) -> Iterator[str]:
        number = 0
        while line := self._next():
            number += 1
            refuse_columns(self.file, line.count(self.delimiter) + 1, number)
            if (
                self.delimiter == " "
            ):  # columns set apart by some spaces; a reader may not skip them
                line = re.sub("^ +| +(?= )", "", line)
            self.kept.append(line)
            self.size += len(line)
            if self.size - self._begun >= limits.MAX_ROW:
                raise DataError(
                    f"{self.file}:{self.above + 1}: a row of more than {limits.MAX_ROW:,} characters"
                )
            yield line

    def _next(self) -> str:
        try:
            return self.text.readline(limits.MAX_ROW)
        except UnicodeDecodeError:
            raise _not_utf8(self.file) from None

    def row_ends(self, above: int) -> None:
        self.above = above
        self._begun = self.size

    def take(self) -> str:
        text = "".join(self.kept)
        self.kept, self.size, self._begun = [], 0, 0
        return text

    def close(self) -> None:
        self.text.close()


def _not_utf8(file: Path) -> DataError:
    """What names the first byte that is no UTF-8; who reads text is told of it some bytes before."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, before = 1, 0
    with file.open("rb") as binary:
        while True:
            data = binary.read(1 << 20)
            waiting = len(decoder.getstate()[0])  # of the bytes before, an unfinished character
            try:
                decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                start = error.start - waiting
                line += data[: max(0, start)].count(b"\n")
                return DataError(
                    f"{file}:{line}: not UTF-8 text (byte {before + start + 1}); save the file as "
                    "UTF-8"
                )
            line += data.count(b"\n")
            before += len(data)
            if not data:
                return DataError(f"{file} changed while it was read")


def _rows(lines: _Lines) -> Iterator[list[str]]:
    """The rows that are not blank; raises DataError where a quote stays open."""
    spaced = lines.delimiter == " "
    reader = csv.reader(
        lines, delimiter=lines.delimiter, skipinitialspace=not spaced, strict=True
    )  # fmt: skip
    try:
        for row in reader:
            if len(row) >= 2 or "".join(row).strip():
                yield row
            lines.row_ends(reader.line_num)
    except csv.Error as error:
        reason = str(error)
        if "end of data" in reason:
            reason = "a quote is opened and never closed"
        elif "field limit" in reason:
            reason = f"a value of more than {limits.MAX_VALUE:,} characters; an open quote?"
        elif "expected after" in reason:
            reason = "there is text behind a closing quote; a quote inside a value is written twice"
        raise DataError(f"{lines.file}:{lines.above + 1}: {reason}") from None


def _is_named(
    file: Path, sample: list[list[str]], delimiter: str, header: bool | Literal["auto"]
) -> bool:
    """Whether the first row names the columns, by the first rows; raises DataError where they do not
    make a table."""
    if not sample:
        raise DataError(f"{file} is empty")
    hint = _other_delimiter(sample, delimiter) if len(sample[0]) == 1 else ""
    if hint:
        raise DataError(f"{file} has one column{hint}")
    named = _has_header(sample) if header == "auto" else header
    if named and len(sample) == 1:
        hint = " (or set data.header: false)" if header == "auto" else ""
        raise DataError(f"{file} has a header but no rows{hint}")
    return named


def _find_delimiter(file: Path) -> str:
    """The usual delimiter that cuts the first rows into the most, equally many values; else ','."""
    best, most = ",", 1
    for delimiter in DELIMITERS:
        with closing(_Lines(file, delimiter)) as lines:
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            widths = set()
            try:
                for row in islice(reader, SAMPLE):
                    widths |= {len(row)} if row else set()
                    lines.row_ends(reader.line_num)
            except csv.Error:
                continue
        if len(widths) == 1 and max(widths) > most:
            best, most = delimiter, max(widths)
    return best


def _other_delimiter(sample: list[list[str]], delimiter: str) -> str:
    """A hint where the first row holds another usual delimiter more often than the one given."""
    first = sample[0]
    for other, shown in DELIMITERS.items():
        times = sum(cell.count(other) for cell in first)
        rows_agree = all(any(other in cell for cell in row) for row in sample)
        if other != delimiter and times >= len(first) and rows_agree:
            return f"; are its values separated by {shown}? Set data.delimiter: {shown}"
    return ""


def _has_header(sample: list[list[str]]) -> bool:
    """Whether the first row names columns: it holds no number, and the second does or the names
    are all different."""
    first = sample[0]
    if any(_is_number(cell) for cell in first):
        return False
    numbers_below = len(sample) > 1 and any(_is_number(cell) for cell in sample[1])
    return numbers_below or len(set(first)) == len(first)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
