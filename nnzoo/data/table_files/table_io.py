"""Files of columns of any kind as frames of text or numbers, with notes on what was guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nnzoo.data import limits
from nnzoo.data.columns.values import MISSING, mark_missing
from nnzoo.data.table_files.arrow_frame import read_arrow
from nnzoo.data.table_files.csv_header import unique_names
from nnzoo.data.table_files.csv_reader import read_csv
from nnzoo.data.table_files.excel_reader import excel_as_text
from nnzoo.data.table_files.file_kind import find_source
from nnzoo.data.table_files.json_reader import looks_like_json, read_json
from nnzoo.data.table_files.parquet_reader import read_parquet
from nnzoo.data.table_files.text_kind import refuse_other_text
from nnzoo.data.table_files.text_lines import EncodingError, find_encoding, read_head
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class ReadOptions:
    """How a file is cut into rows and columns; "auto" is decided for each file.

    What the text of a column means (decimal, thousands, missing, date_format) is no part of it.
    keep_words: only an empty cell is a missing value; else the usual words for one are, too.
    """

    header: Literal["auto"] | bool = "auto"
    delimiter: str = "auto"
    encoding: str = "auto"
    skip_rows: Literal["auto"] | int = "auto"
    keep_words: bool = False

    @classmethod
    def of(cls, data: Any, keep_words: bool = False) -> ReadOptions:
        """Those of a config's `data` section; the defaults where it has no such keys."""
        names = ("header", "delimiter", "encoding", "skip_rows")
        found: dict[str, Any] = {name: getattr(data, name, "auto") for name in names}
        return cls(keep_words=keep_words, **found)

    @property
    def words(self) -> list[str]:
        """Texts that stand for a missing value in any column."""
        return [""] if self.keep_words else MISSING


@dataclass
class Table:
    """A file, or a piece of one, as it was read.

    frame: columns of text, None where a value is missing, or numbers (Parquet); its index counts
    data rows from 0, through all pieces. Columns without a name are "0", "1", ….
    named: whether the first row named the columns; notes: what was guessed or left out, a line each.
    """

    frame: pandas.DataFrame
    named: bool
    notes: list[str] = field(default_factory=list)

    def keeps_header(self, options: ReadOptions, names: list[str]) -> bool | None:
        """True where the names that a network reads would look like positions without a header."""
        doubtful = self.named and options.header == "auto" and all(map(str.isdecimal, names))
        return True if doubtful else None


def read_anyhow(path: str, options: ReadOptions = ReadOptions()) -> tuple[Table, ReadOptions]:
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
        note = f"not UTF-8: read as {error.suggested}, which is a guess (data.encoding)"
        return replace(table, notes=[note, *table.notes]), guessed


def read_table(path: str, options: ReadOptions = ReadOptions(), key: str = "data.path") -> Table:
    """A whole file.

    Everything in a CSV is read as text, so that what one row holds never changes how another is
    parsed. "Data row 1" of an error is the first below the header. key: who named the file.
    Raises DataError for a missing, empty, ragged, unreadable or too large file.
    """
    import pandas

    pieces = list(_pieces(Path(path), options, key, bounded=True))
    frames = [piece.frame for piece in pieces]
    return Table(
        frames[0] if len(frames) == 1 else pandas.concat(frames),
        pieces[0].named,
        [note for piece in pieces for note in piece.notes],
    )


def read_pieces(
    path: str, options: ReadOptions = ReadOptions(), key: str = "data.path"
) -> Iterator[Table]:
    """What `read_table` gives, in pieces whose index runs on: a CSV of any size in little memory.

    Each piece has the notes that none before it had. A Parquet file is one piece, within the bounds
    of `read_table`. Raises DataError as that does, when it comes to the fault.
    """
    return _pieces(Path(path), options, key, bounded=False)


def _pieces(file: Path, options: ReadOptions, key: str, bounded: bool) -> Iterator[Table]:
    """The pieces of a file; bounded: where all of them shall be held at once."""
    import pandas

    if file.is_dir():
        raise DataError.at(key, f"{file} is a folder, not a file")
    if not file.is_file():  # a pipe would wait for ever, and a device has no end
        what = "not a regular file:" if file.exists() else "no file"
        raise DataError.at(key, f"{what} {file}")
    try:
        source = find_source(file, bounded)
        if source.kind in ("parquet", "arrow"):
            frame, notes = (read_parquet if source.kind == "parquet" else read_arrow)(file)
            names, changed = unique_names(list(frame.columns))
            frame.columns = pandas.Index(names)
            _check_columns(file, frame)
            yield Table(mark_missing(frame, options.words), True, notes + changed)
            return
        delimiter, notes = options.delimiter, []
        if source.kind == "excel":
            source, notes = excel_as_text(file)
            delimiter, codec = ",", "utf-8"
        else:
            codec, notes = find_encoding(source, options.encoding)
            head = read_head(source, codec)
            if looks_like_json(head):
                frame, notes = read_json(source, codec)
                _check_columns(file, frame)
                yield Table(mark_missing(frame, options.words), True, notes)
                return
            refuse_other_text(file, head)
        pieces = read_csv(source, codec, delimiter, options.header, options.skip_rows, bounded)
        for number, (frame, named, new) in enumerate(pieces):
            if number == 0:
                _check_columns(file, frame)
            if not options.keep_words:  # an empty cell is None already
                frame = mark_missing(frame, options.words)
            yield Table(frame, named, notes + new)
            notes = []
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None


def _check_columns(file: Path, frame: pandas.DataFrame) -> None:
    if not len(frame):
        raise DataError(f"{file} has no rows")
    longest = max(map(len, frame.columns), default=0)
    if longest > limits.MAX_NAME:
        raise DataError(
            f"{file}: a column's name has {longest:,} characters; at most {limits.MAX_NAME:,}. Is "
            "the first row data (data.header: false)?"
        )


def numbered(frame: pandas.DataFrame) -> bool:
    """Whether the columns go by their positions: "0", "1", …."""
    return list(frame.columns) == [str(i) for i in range(len(frame.columns))]
