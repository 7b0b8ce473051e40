"""CSV and Parquet files as columns of text or numbers, with errors that name the line."""

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

import numpy as np

from nnzoo.config.load import nearest
from nnzoo.config.schema import LARGEST
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

# How many rows are looked at to tell a header and a delimiter.
SAMPLE = 10
SAMPLED_DATES = 50
# Text takes many times its size in memory; and of Parquet a few kB can hold billions of rows.
MAX_CSV_BYTES = 1024**3
MAX_PARQUET_BYTES = 2 * 1024**3  # unpacked
MAX_CELLS = 200_000_000
MAX_COLUMNS = 50_000
MAX_NAME = 1000  # characters
MAX_VALUE = 131_072  # characters; Python's reader of CSV takes no more
MAX_ROW = 1 << 27  # characters
# A CSV is read in pieces of so many characters: some 50,000 rows of ten numbers.
PIECE = 1 << 22
# As they are, and as YAML writes them.
DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "-"]


def read_frame(
    path: str, header: bool | Literal["auto"], delimiter: str = "auto", key: str = "data.path"
) -> pandas.DataFrame:
    """A file as text columns (CSV) or typed ones (Parquet); unnamed columns are "0", "1", ….

    Everything in a CSV is read as text, so that what one row holds never changes how another is
    parsed. "Data row 1" of an error is the first below the header. key: who named the file.
    Raises DataError for a missing, empty, ragged, unreadable or too large file.
    """
    import pandas

    pieces = list(_checked(Path(path), header, delimiter, key, bounded=True))
    return pieces[0] if len(pieces) == 1 else pandas.concat(pieces)


def read_frames(
    path: str, header: bool | Literal["auto"], delimiter: str = "auto", key: str = "data.path"
) -> Iterator[pandas.DataFrame]:
    """What `read_frame` gives, in pieces whose index runs on: a CSV of any size in little memory.

    A Parquet file is one piece, within the bounds of `read_frame`. Raises DataError as that does,
    when it comes to the fault.
    """
    return _checked(Path(path), header, delimiter, key, bounded=False)


def _checked(
    file: Path, header: bool | Literal["auto"], delimiter: str, key: str, bounded: bool
) -> Iterator[pandas.DataFrame]:
    """The pieces of a file; bounded: where all of them shall be held at once."""
    if file.is_dir():
        raise DataError(f"{key}: {file} is a folder, not a file")
    if not file.is_file():  # a pipe would wait for ever, and a device has no end
        what = "not a regular file:" if file.exists() else "no file"
        raise DataError(f"{key}: {what} {file}")
    try:
        if _is_parquet(file):
            pieces = iter([_read_parquet(file)])
        else:
            pieces = _read_csv(file, header, delimiter, bounded)
        for number, frame in enumerate(pieces):
            if number == 0:
                _check_columns(file, frame)
            yield frame
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None


def _check_columns(file: Path, frame: pandas.DataFrame) -> None:
    if not len(frame):
        raise DataError(f"{file} has no rows")
    longest = max(map(len, frame.columns), default=0)
    if longest > MAX_NAME:
        raise DataError(
            f"{file}: a column's name has {longest:,} characters; at most {MAX_NAME:,}. Is the first "
            "row data (data.header: false)?"
        )
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise DataError(f"{file}: two columns are named '{shorten(repeated[0])}'")


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in (".parquet", ".pq")


def unnamed(frame: pandas.DataFrame) -> bool:
    """Whether the columns go by their positions."""
    return list(frame.columns) == [str(i) for i in range(len(frame.columns))]


def header_notes(frame: pandas.DataFrame, path: str, header: bool | Literal["auto"]) -> list[str]:
    """A note where a CSV was looked at for a header and has none: years may name columns."""
    found_none = header == "auto" and unnamed(frame) and not _is_parquet(Path(path))
    return ["no header found: the first row is data (data.header)"] if found_none else []


def _read_parquet(file: Path) -> pandas.DataFrame:
    """Numbers stay numbers; everything else becomes the text that a CSV would hold."""
    import pandas

    try:
        packed = _texts_of(file)
        # The nullable types keep whole numbers whole beside missing ones; text stays packed.
        frame = pandas.read_parquet(file, dtype_backend="numpy_nullable", read_dictionary=packed)
    except DataError:
        raise
    except Exception as error:  # pyarrow's errors have no common ground but this
        raise DataError(f"{file} is not a readable Parquet file: {_first_line(error)}") from None
    named_index = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named_index)
    frame.columns = frame.columns.map(str)
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    _refuse_unpacked(file, sum(_characters(file, column) for column in columns))
    for i, column in enumerate(columns):
        if isinstance(column.dtype, pandas.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        boolean = pandas.api.types.is_bool_dtype(column.dtype)
        if boolean or not pandas.api.types.is_numeric_dtype(column.dtype):
            text = to_text(column)
            columns[i] = text.where(~text.isin(MISSING), None)
        else:
            columns[i] = column
    return pandas.concat(columns, axis=1) if columns else frame


def _texts_of(file: Path) -> list[str]:
    """The columns of text; raises DataError by what the end of the file says of its size."""
    from pyarrow import parquet, types

    metadata = parquet.read_metadata(file)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    rows = max(sum(group.num_rows for group in groups), metadata.num_rows)
    _refuse_columns(file, metadata.num_columns)
    _refuse_cells(file, rows, metadata.num_columns)
    _refuse_unpacked(file, sum(group.total_byte_size for group in groups))
    columns = list(parquet.read_schema(file))
    for column in columns:
        if types.is_fixed_size_binary(column.type):
            _refuse_unpacked(file, rows * column.type.byte_width)
    if any(types.is_nested(column.type) for column in columns):  # many values in a row
        leaves = [each.column(j) for each in groups for j in range(each.num_columns)]
        _refuse_cells(file, sum(leaf.num_values for leaf in leaves), 1)
    text = (types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary, types.is_binary_view)  # fmt: skip
    return [each.name for each in columns if any(is_text(each.type) for is_text in text)]


def _characters(file: Path, column: pandas.Series) -> int:
    """How much text a packed column unpacks to: each row names one of some values."""
    import pandas

    if not isinstance(column.dtype, pandas.CategoricalDtype):
        return 0
    lengths = np.array([len(v) if isinstance(v, str | bytes) else 8 for v in column.cat.categories])
    if lengths.max(initial=0) > MAX_VALUE:
        raise DataError(
            f"{file}: column '{shorten(str(column.name))}' has a value of more than {MAX_VALUE:,} "
            "characters; leave the column out of the file"
        )
    codes = column.cat.codes.to_numpy()
    return int(lengths[codes[codes >= 0]].sum())


def _refuse_unpacked(file: Path, size: int) -> None:
    if size > MAX_PARQUET_BYTES:
        raise DataError(
            f"{file} unpacks to {size:,} bytes; at most {MAX_PARQUET_BYTES:,}. Keep fewer rows or "
            "columns"
        )


def _refuse_columns(file: Path, columns: int, line: int | None = None) -> None:
    if columns > MAX_COLUMNS:
        where = "" if line is None else f":{line}"
        raise DataError(f"{file}{where}: {columns:,} columns; at most {MAX_COLUMNS:,} are read")


def _refuse_cells(file: Path, rows: int, columns: int) -> None:
    if rows * columns > MAX_CELLS:
        raise DataError(
            f"{file} has {rows:,} rows of {columns:,} columns; at most {MAX_CELLS:,} values are "
            "read. Keep fewer rows or columns"
        )


def _read_csv(
    file: Path, header: bool | Literal["auto"], delimiter: str, bounded: bool
) -> Iterator[pandas.DataFrame]:
    """pandas parses, piece by piece; what it would repair in silence is found by reading the rows
    first."""
    size = file.stat().st_size
    if bounded and size > MAX_CSV_BYTES:
        raise DataError(
            f"{file} has {size:,} bytes; a CSV may have {MAX_CSV_BYTES:,}. Keep fewer rows or "
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
            if bounded and count * len(row) > MAX_CELLS:
                lines.take()  # from here on the rows are counted, for the message below
                continue
            named = named if taken else _is_named(file, sample, delimiter, header)
            yield _parse(lines, sample[0], named, taken, count)
            taken = count
        if bounded:
            _refuse_cells(file, count, len(sample[0]) if sample else 0)
        named = named if taken else _is_named(file, sample, delimiter, header)
        if count > taken:
            yield _parse(lines, sample[0], named, taken, count)


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
            na_values=MISSING,
            skipinitialspace=lines.delimiter != " ",
            index_col=False,
        )
    except (ValueError, pandas.errors.ParserError) as error:
        raise DataError(f"{lines.file} cannot be read: {_first_line(error)}") from None
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
            _refuse_columns(self.file, line.count(self.delimiter) + 1, number)
            if (
                self.delimiter == " "
            ):  # columns set apart by some spaces; a reader may not skip them
                line = re.sub("^ +| +(?= )", "", line)
            self.kept.append(line)
            self.size += len(line)
            if self.size - self._begun >= MAX_ROW:
                raise DataError(
                    f"{self.file}:{self.above + 1}: a row of more than {MAX_ROW:,} characters"
                )
            yield line

    def _next(self) -> str:
        try:
            return self.text.readline(MAX_ROW)
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
            reason = f"a value of more than {MAX_VALUE:,} characters; an open quote?"
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def column_name(frame: pandas.DataFrame, column: str | int, key: str) -> str:
    """The name of a column given by name or position; raises DataError naming near ones."""
    names = list(frame.columns)
    if isinstance(column, str) and column in names:
        return column
    if isinstance(column, int):
        if str(column) in names and column >= 0:
            return str(column)
        if -len(names) <= column < len(names):
            return str(names[column])
        raise DataError(f"{key}: no column {column}; the file has {len(names)} columns")
    near = nearest(str(column), names, cutoff=0.5)
    shown = ", ".join(map(shorten, names[:12])) + (", …" if len(names) > 12 else "")
    hint = f"did you mean '{near}'?" if near else f"the file has {shown}"
    raise DataError(f"{key}: no column '{shorten(str(column))}'; {hint}")


def to_numbers(column: pandas.Series) -> np.ndarray:
    """A column as float64; what is no number becomes NaN. Infinite values count as missing."""
    import pandas

    values = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def refuse_huge(column: pandas.Series, values: np.ndarray, source: str) -> None:
    """Numbers that would overflow later, far from where they stand; raises DataError."""
    huge = np.abs(values) > LARGEST
    if huge.any():
        row = int(huge.argmax())
        raise DataError(
            f"{source}: column '{column.name}': '{shorten(str(column.iloc[row]))}' in data row "
            f"{column.index[row] + 1} is beyond ±1e30"
        )


def shorten(value: str, length: int = 40) -> str:
    """A value for a message."""
    return value if len(value) <= length else value[: length - 1] + "…"


def to_text(column: pandas.Series) -> pandas.Series:
    """A column as text, None where a value is missing."""
    present = column.notna().to_numpy()
    values = column.astype(object)
    return values.where(present, None).map(str, na_action="ignore")


def looks_numeric(column: pandas.Series, share: float = 1.0) -> bool:
    """Whether (at least this share of) the values that are there are numbers."""
    import pandas

    if column.dtype == bool:
        return False
    present = column.dropna()
    if not len(present):
        return False
    return bool(pandas.to_numeric(present, errors="coerce").notna().mean() >= share)


def to_dates(column: pandas.Series) -> pandas.Series:
    """A column as dates in UTC; what is no date becomes NaT."""
    import warnings

    import pandas

    if pandas.api.types.is_numeric_dtype(column):
        return pandas.Series(pandas.NaT, index=column.index)
    nothing = first = pandas.Series(pandas.NaT, index=column.index)
    present = int(column.notna().sum())
    # The format is taken from the first value; 01/02/2020 above 13/02/2020 shows later what it is.
    for way in ({}, {"dayfirst": True}, {"format": "mixed"}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dates = pandas.to_datetime(column, errors="coerce", utc=True, **way)
            except (ValueError, OverflowError):
                continue
        if dates.notna().sum() == present:
            return dates
        first = dates if first is nothing else first
    return first


_SEPARATOR = r"(?:[-/.: ]|, )+"
_DATE = (
    r"(?<!\d)(?:\d{4}|\d{8})(?!\d)"  # 2020, or 20200131 before a time
    rf"|(?=.*\d)\w{_SEPARATOR}\w+{_SEPARATOR}\w"
)


def looks_like_dates(column: pandas.Series) -> bool:
    """Whether every value that is there is a date, and not a plain number."""
    import pandas

    if pandas.api.types.is_numeric_dtype(column) or looks_numeric(column):
        return False
    present = to_text(column.dropna().iloc[:SAMPLED_DATES])
    # "Mon", "May" and "1,278" can be read as dates too: a date has a year of four digits, or two
    # separators.
    if not len(present) or not present.str.contains(_DATE).all():
        return False
    return bool(to_dates(present).notna().all())
