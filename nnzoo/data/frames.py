"""CSV and Parquet files as columns of text or numbers, with errors that name the line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnzoo.config.load import nearest
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

# How many rows are looked at to tell a header and a delimiter.
SAMPLE = 10
SAMPLED_DATES = 50
# float32 ends at 3e38, and a network works with squares and sums.
LARGEST = 1e30
# As they are, and as YAML writes them.
DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "-"]


def read_frame(
    path: str, header: bool | Literal["auto"], delimiter: str = "auto", key: str = "data.path"
) -> pandas.DataFrame:
    """A file as text columns (CSV) or typed ones (Parquet); unnamed columns are "0", "1", ….

    Everything in a CSV is read as text, so that what one row holds never changes how another is
    parsed. "Data row 1" of an error is the first below the header. key: who named the file.
    Raises DataError for a missing, empty, ragged or unreadable file.
    """
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{key}: {file} is a folder, not a file")
    if not file.is_file():
        raise DataError(f"{key}: no file {file}")
    try:
        frame = _read_parquet(file) if _is_parquet(file) else _read_csv(file, header, delimiter)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None
    if not len(frame):
        raise DataError(f"{file} has no rows")
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise DataError(f"{file}: two columns are named '{repeated[0]}'")
    return frame


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
        # The nullable types keep whole numbers whole beside missing ones.
        frame = pandas.read_parquet(file, dtype_backend="numpy_nullable")
    except Exception as error:  # pyarrow's errors have no common ground but this
        raise DataError(f"{file} is not a readable Parquet file: {_first_line(error)}") from None
    named_index = any(name is not None for name in frame.index.names)
    frame = frame.reset_index(drop=not named_index)
    frame.columns = frame.columns.map(str)
    for i, name in enumerate(frame.columns):
        column = frame.iloc[:, i]
        if isinstance(column.dtype, pandas.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        boolean = pandas.api.types.is_bool_dtype(column.dtype)
        if boolean or not pandas.api.types.is_numeric_dtype(column.dtype):
            text = to_text(column)
            frame = frame.assign(**{name: text.where(~text.isin(MISSING), None)})
    return frame


def _read_csv(file: Path, header: bool | Literal["auto"], delimiter: str) -> pandas.DataFrame:
    """pandas parses; what it would repair in silence is found by reading the rows first."""
    import pandas

    data = file.read_bytes()
    if b"\0" in data[:100_000]:
        raise DataError(f"{file} is not a text file (it holds zero bytes); expected CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}:{line}: not UTF-8 text (byte {error.start + 1}); save the file as UTF-8"
        ) from None
    if delimiter == "auto":
        delimiter = _find_delimiter(text)
    first, rows, named = _scan(file, text, header, delimiter)
    try:
        frame = pandas.read_csv(
            io.StringIO(text, newline=""),
            header=None,
            names=range(len(first)),
            sep=delimiter,
            dtype=str,
            keep_default_na=False,
            na_values=MISSING,
            skipinitialspace=True,
            index_col=False,
        )
    except (ValueError, pandas.errors.ParserError) as error:
        raise DataError(f"{file} cannot be read: {_first_line(error)}") from None
    if len(frame) != rows:
        raise DataError(
            f"{file} cannot be read: {rows} or {len(frame)} rows, by how quotes and line ends are "
            "taken; write it anew with one program"
        )
    if named:
        frame = frame.iloc[1:].reset_index(drop=True)
    names = [name.strip() for name in first] if named else [""] * len(first)
    # A column without a name goes by its position.
    frame.columns = pandas.Index([name or str(i) for i, name in enumerate(names)])
    return frame


def _scan(
    file: Path, text: str, header: bool | Literal["auto"], delimiter: str
) -> tuple[list[str], int, bool]:
    """The first row, the number of rows, and whether the first row names the columns.

    Raises DataError where the rows differ in length or a quote stays open.
    """
    import csv

    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    sample: list[list[str]] = []
    count = 0
    line = 1  # of the file, where the row begins
    try:
        for row in reader:
            above, line = line, reader.line_num + 1
            if len(row) < 2 and not "".join(row).strip():
                continue
            if len(sample) < SAMPLE:
                sample.append(row)
            if len(row) != len(sample[0]):
                raise DataError(
                    f"{file}:{above}: ragged rows: {len(row)} values where the first row "
                    f"has {len(sample[0])}{_other_delimiter(sample, delimiter)}"
                )
            count += 1
    except csv.Error as error:
        reason = str(error)
        if "end of data" in reason:
            reason = "a quote is opened and never closed"
        elif "field limit" in reason:
            reason = f"a value of more than {csv.field_size_limit():,} characters; an open quote?"
        elif "expected after" in reason:
            reason = "there is text behind a closing quote; a quote inside a value is written twice"
        raise DataError(f"{file}:{line}: {reason}") from None
    if not count:
        raise DataError(f"{file} is empty")
    hint = _other_delimiter(sample, delimiter) if len(sample[0]) == 1 else ""
    if hint:
        raise DataError(f"{file} has one column{hint}")
    named = _has_header(sample) if header == "auto" else header
    if named and count == 1:
        hint = " (or set data.header: false)" if header == "auto" else ""
        raise DataError(f"{file} has a header but no rows{hint}")
    return sample[0], count, named


def _find_delimiter(text: str) -> str:
    """The usual delimiter that cuts the first rows into the most, equally many values; else ','."""
    import csv

    best, most = ",", 1
    for delimiter in DELIMITERS:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True
        )
        try:
            widths = [len(row) for row, _ in zip(reader, range(SAMPLE), strict=False) if row]
        except csv.Error:
            continue
        if len(set(widths)) == 1 and widths[0] > most:
            best, most = delimiter, widths[0]
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
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    hint = f"did you mean '{near}'?" if near else f"the file has {shown}"
    raise DataError(f"{key}: no column '{column}'; {hint}")


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
