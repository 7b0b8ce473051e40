"""Read files of columns in any format as frames of text or numbers, with notes on guesses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nnzoo.data.columns.number_format import NUMERIC_FRACTION
from nnzoo.data.columns.number_text import split_number
from nnzoo.data.columns.values import MISSING, is_missing_word, mark_missing
from nnzoo.data.table_files import limits
from nnzoo.data.table_files.arrow import read_arrow
from nnzoo.data.table_files.csv_layout import LayoutOptions
from nnzoo.data.table_files.csv_reader import BlockOpener, read_csv
from nnzoo.data.table_files.csv_rows import RAW_TABS, has_raw_quotes, unique_names
from nnzoo.data.table_files.excel import excel_as_text
from nnzoo.data.table_files.file_format import Source, find_source, refuse_other_text
from nnzoo.data.table_files.json import looks_like_json, read_json
from nnzoo.data.table_files.parquet import read_parquet
from nnzoo.data.table_files.text_encoding import (
    EncodingError,
    TextLines,
    find_encoding,
    read_head,
)
from nnzoo.errors import DataError
from nnzoo.text import Note, shorten

if TYPE_CHECKING:
    import pandas


QUOTES_NOTE = Note("N03", "quotes are read as they are: they do not enclose values")


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading a file into rows and columns; "auto" is decided per file.

    The format of values (decimal, thousands, missing, date_format) is in `ValueOptions`. keep_words:
    only an empty cell is a missing value; otherwise the usual words for one are, too. raw_quotes: a file of
    raw texts between tabs, whose quotes enclose no values, is read as it is.
    """

    header: Literal["auto"] | bool = "auto"
    delimiter: str = "auto"
    encoding: str = "auto"
    skip_rows: Literal["auto"] | int = "auto"
    keep_words: bool = False
    raw_quotes: bool = False

    @classmethod
    def of(cls, data: Any, keep_words: bool = False, raw_quotes: bool = False) -> ReadOptions:
        """The options in a config's `data` section; the defaults for keys that it does not have."""
        names = ("header", "delimiter", "encoding", "skip_rows")
        values: dict[str, Any] = {name: getattr(data, name, "auto") for name in names}
        return cls(keep_words=keep_words, raw_quotes=raw_quotes, **values)

    @property
    def layout(self) -> LayoutOptions:
        return LayoutOptions(self.delimiter, self.header, self.skip_rows)

    @property
    def words(self) -> list[str]:
        """Words for a missing value in any column."""
        return [""] if self.keep_words else MISSING


@dataclass
class Table:
    """A file, or a piece of one, as it was read.

    frame: columns of text, None where a value is missing, or numbers (Parquet); its index counts
    data rows from 0, through all pieces. Columns without a name are "0", "1", ….
    named: whether the first row named the columns; notes: what was guessed or left out, a line each; values: of a
    piece that the caller's BlockReader read, whose frame has no columns.
    """

    frame: pandas.DataFrame
    named: bool
    notes: list[str] = field(default_factory=list)
    values: Any = None

    def keeps_header(self, options: ReadOptions, names: list[str]) -> bool | None:
        """True where the names that a network reads would look like positions without a header."""
        doubtful = self.named and options.header == "auto" and all(map(str.isdecimal, names))
        return True if doubtful else None


def read_with_fallback_encoding(
    path: str, options: ReadOptions = ReadOptions()
) -> tuple[Table, ReadOptions]:
    """A table, also of text in an encoding that has to be guessed, and the options that read it.

    Raises DataError as `read_table` does.
    """
    try:
        return read_table(path, options), options
    except EncodingError as error:
        if error.suggested is None:
            raise
        guessed = replace(options, encoding=error.suggested)
        table = read_table(path, guessed)
        note = Note(
            "N02", f"not UTF-8: read as {error.suggested}, which is a guess (data.encoding)"
        )
        return replace(table, notes=[note, *table.notes]), guessed


def read_table(path: str, options: ReadOptions = ReadOptions(), key: str = "data.path") -> Table:
    """A whole file.

    Everything in a CSV is read as text, so that what one row holds never changes how another is
    parsed. "Data row 1" of an error is the first below the header. key: who named the file.
    Raises DataError for a missing, empty, ragged, unreadable or too large file.
    """
    import pandas

    chunks = list(_read_chunks(Path(path), options, key, bounded=True))
    frames = [chunk.frame for chunk in chunks]
    return Table(
        frames[0] if len(frames) == 1 else pandas.concat(frames),
        chunks[0].named,
        [note for chunk in chunks for note in chunk.notes],
    )


def read_chunks(
    path: str,
    options: ReadOptions = ReadOptions(),
    key: str = "data.path",
    open_blocks: BlockOpener | None = None,
) -> Iterator[Table]:
    """Read a file in chunks whose index runs on: a CSV of any size in little memory.

    Each chunk has the notes that none before it had. A Parquet file is one chunk, within the bounds
    of `read_table`. open_blocks: as `read_csv` takes it. Raises DataError as `read_table` does, on reaching the place.
    """
    return _read_chunks(Path(path), options, key, False, open_blocks)


def _read_chunks(
    file: Path, options: ReadOptions, key: str, bounded: bool, blocks: BlockOpener | None = None
) -> Iterator[Table]:
    """The chunks of a file; bounded: whether all of them will be held at once."""
    import pandas

    if file.is_dir():
        raise DataError.at(key, f"{file} is a folder, not a file", code="E30")
    if not file.is_file():  # a pipe would wait for ever, and a device has no end
        what = "not a regular file:" if file.exists() else "no file"
        raise DataError.at(key, f"{what} {file}", code="E30")
    try:
        source = find_source(file, bounded)
        if source.format in ("parquet", "arrow"):
            frame, notes = (read_parquet if source.format == "parquet" else read_arrow)(file)
            names, changed = unique_names(list(frame.columns))
            frame.columns = pandas.Index(names)
            _check_columns(file, frame)
            yield Table(mark_missing(frame, options.words), True, notes + changed)
            return
        layout = options.layout
        if source.format == "excel":
            source, notes = excel_as_text(file)
            layout, codec = replace(layout, delimiter=","), "utf-8"
        else:
            codec, notes = find_encoding(source, options.encoding)
            head = read_head(source, codec)
            if looks_like_json(head):
                frame, notes = read_json(source, codec)
                _check_columns(file, frame)
                yield Table(mark_missing(frame, options.words), True, notes)
                return
            refuse_other_text(file, head)
            tabs = options.raw_quotes and layout.delimiter in ("auto", "\t")
            if tabs and _has_raw_quotes(source, codec):
                layout = replace(layout, delimiter=RAW_TABS)
                notes = [*notes, QUOTES_NOTE]
        chunks = read_csv(source, codec, layout, bounded, blocks)
        for number, (frame, named, new, values) in enumerate(chunks):
            if number == 0:
                _check_columns(file, frame)
            if not options.keep_words:  # an empty cell is None already
                frame = mark_missing(frame, options.words)
            yield Table(frame, named, notes + new, values)
            notes = []
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}", code="E31") from None


def _has_raw_quotes(source: Source, codec: str) -> bool:
    with closing(TextLines(source, codec)) as lines:
        return has_raw_quotes(lines)


def _check_columns(file: Path, frame: pandas.DataFrame) -> None:
    if not len(frame):
        raise DataError(f"{file} has no rows", code="E37")
    longest = max(map(len, frame.columns), default=0)
    if longest > limits.MAX_NAME:
        raise DataError.at(
            "data.header",
            f"{file}: a column's name has {longest:,} characters; at most {limits.MAX_NAME:,}. Is "
            "the first row data (data.header: false)?",
            code="E34",
        )


def numbered(frame: pandas.DataFrame) -> bool:
    """Whether the columns go by their positions: "0", "1", …."""
    return list(frame.columns) == [str(i) for i in range(len(frame.columns))]


# Maximum of stray rows at either end, and the number of neighboring rows they are compared with.
MAX_STRAY, SAMPLED = 3, 200
_TOTALS = frozenset(
    [
        "total",
        "totals",
        "grand total",
        "grand totals",
        "overall total",
        "sum",
        "sum total",
        "summe",
        "gesamt",
        "gesamtsumme",
        "gesamtergebnis",
        "insgesamt",
        "somme",
        "total general",
        "total général",
        "total generale",
        "totale",
        "totaal",
        "suma",
        "soma",
        "итого",
        "всего",
        "razem",
        "合计",
        "总计",
        "合計",
        "総計",
        "average",
        "mean",
        "mittelwert",
        "durchschnitt",
        "moyenne",
        "promedio",
    ]
)


def without_stray_rows(
    frame: pandas.DataFrame, named: bool = True, below: bool = True
) -> tuple[pandas.DataFrame, list[str]]:
    """Leave out rows at either end that are no data, with a line on them; the index keeps counting all rows.

    named: whether a row of the file named the columns; below: whether the last rows may be left out.
    """
    import pandas

    if len(frame) < 10 or frame.shape[1] < 2:
        return frame, []
    texts = [not pandas.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    top = _count_above(frame) if named and all(texts) else 0
    end = _count_below(frame) if below else 0
    notes: list[str] = []
    for where, rows in (("above", range(top)), ("below", range(len(frame) - end, len(frame)))):
        if rows:
            shown = ", ".join(f"{frame.index[i] + 1} ({_shown(frame, i)})" for i in rows)
            notes.append(
                Note("N07", f"left out {where} the data: data row{'s' * (len(rows) > 1)} {shown}")
            )
    return (frame.iloc[top : len(frame) - end] if notes else frame), notes


def _cells(frame: pandas.DataFrame, row: int) -> list[str]:
    """A row as texts, "" where a cell is empty."""
    values = frame.iloc[row]
    return [
        "" if empty else str(value).strip()
        for value, empty in zip(values.tolist(), values.isna(), strict=True)
    ]


def _shown(frame: pandas.DataFrame, row: int) -> str:
    cells = [f"'{shorten(cell)}'" for cell in _cells(frame, row) if cell]
    return ", ".join(cells[:3]) + ", …" * (len(cells) > 3)


def _is_word(text: str) -> bool:
    return bool(text) and not is_missing_word(text) and split_number(text) is None


def _count_above(frame: pandas.DataFrame) -> int:
    """The number of first rows with words in all columns that hold numbers below."""
    body = frame.iloc[MAX_STRAY : MAX_STRAY + SAMPLED]
    below: dict[int, tuple[bool, set[str]]] = {}
    count = 0
    for row in range(MAX_STRAY):
        cells = _cells(frame, row)
        words = [i for i, cell in enumerate(cells) if _is_word(cell)]
        if len(words) < 2:
            break
        for i in words:
            if i not in below:
                rest = [str(value).strip() for value in body.iloc[:, i].dropna()]
                kept = [text for text in rest if text and not is_missing_word(text)]
                numbers = sum(split_number(text) is not None for text in kept)
                below[i] = (bool(kept) and numbers >= NUMERIC_FRACTION * len(kept), set(rest))
        of_numbers = [i for i in words if below[i][0]]
        others = [i for i in words if not below[i][0]]
        if any(cells[i] in below[i][1] for i in words) or not of_numbers:
            break
        # A number would say that this is a row of data with slips.
        if any(
            cell and i not in words and not is_missing_word(cell) for i, cell in enumerate(cells)
        ):
            break
        few = [i for i in others if 2 * len(below[i][1]) < len(body)]
        if len(of_numbers) < 2 and not few:
            break
        count += 1
    return count


def _count_below(frame: pandas.DataFrame) -> int:
    """The number of last rows that are totals, or have only a text in the first cell."""
    last = frame.iloc[-SAMPLED - MAX_STRAY : -MAX_STRAY]
    sparse = frame.shape[1] > 2 and int((last.notna() & (last != "")).sum(axis=1).min()) > 1
    count = 0
    for row in range(len(frame) - 1, len(frame) - 1 - MAX_STRAY, -1):
        cells = _cells(frame, row)
        present = [i for i, cell in enumerate(cells) if cell]
        if not present:
            break
        first = present[0]
        single_text = sparse and present == [0] and _is_word(cells[0])
        total = cells[first].strip(" :*").casefold() in _TOTALS and len(present) > 1
        if total:  # a category of that name comes again
            total = cells[first] not in {str(value).strip() for value in frame.iloc[:row, first]}
        if not (single_text or total or (first > 0 and _sums(frame, row, present))):
            break
        count = len(frame) - row
    return count


def _sums(frame: pandas.DataFrame, row: int, present: list[int]) -> bool:
    """Whether all that a row holds are the sums of the rows above it, of two columns or more."""
    import pandas

    if len(present) < 2:
        return False
    for i in present:
        numbers = pandas.to_numeric(frame.iloc[: row + 1, i], errors="coerce").to_numpy(dtype=float)
        if not np.isfinite(numbers[-1]) or not np.isclose(np.nansum(numbers[:-1]), numbers[-1]):
            return False
    return True
