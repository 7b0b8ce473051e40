"""CSV and Parquet files as columns of text or numbers, with errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "-"]


def read_frame(
    path: str, header: bool | Literal["auto"], delimiter: str = ","
) -> pandas.DataFrame:
    """A file as text columns (CSV) or typed ones (Parquet); unnamed columns are "0", "1", ….

    Everything is read as text, so that what one row holds never changes how another is parsed.
    Raises DataError for a missing, empty or ragged file.
    """
    import pandas

    file = Path(path)
    if not file.is_file():
        raise DataError(f"data.path: no file {file}")
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            frame = pandas.read_parquet(file)
            frame.columns = frame.columns.map(str)
        else:
            named = _has_header(file, delimiter) if header == "auto" else header
            frame = pandas.read_csv(
                file,
                header=0 if named else None,
                sep=delimiter,
                dtype=str,
                keep_default_na=False,
                na_values=MISSING,
                skipinitialspace=True,
                index_col=False,
                encoding="utf-8-sig",
                encoding_errors="strict",
            )
            _check_rows(file, delimiter, frame, named)
            frame.columns = frame.columns.map(str)
    except pandas.errors.EmptyDataError:
        raise DataError(f"{file} is empty") from None
    except pandas.errors.ParserError as error:
        reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise DataError(
            f"{file}: ragged rows: {reason[0].lower() + reason[1:]}; every row needs the same "
            "number of values (see data.delimiter, data.header)"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text (byte {error.start + 1})") from None
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, ImportError) as error:
        raise DataError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    if not len(frame):
        raise DataError(f"{file} has a header but no rows")
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise DataError(f"{file}: two columns are named '{repeated[0]}'")
    return frame


def _has_header(file: Path, delimiter: str) -> bool:
    """Whether the first row names columns: it holds no number, or none where the second does."""
    import csv

    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = [row for row, _ in zip(csv.reader(stream, delimiter=delimiter), range(2))]
    if not rows:
        return False
    first = [_is_number(cell) for cell in rows[0]]
    if any(first) or len(rows) == 1:
        return False
    second = [_is_number(cell) for cell in rows[1]]
    return any(second) or len(set(rows[0])) == len(rows[0])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_rows(file: Path, delimiter: str, frame: pandas.DataFrame, named: bool) -> None:
    """pandas fills short rows with missing values in silence; a file's last value tells."""
    import csv

    if not len(frame) or len(frame.columns) < 2:
        return
    suspicious = frame.index[frame.iloc[:, -1].isna()]
    if not len(suspicious):
        return
    width = len(frame.columns)
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for row in reader:
            if row and len(row) != width:
                raise DataError(
                    f"{file}:{reader.line_num}: ragged rows: {len(row)} values where the first "
                    f"row has {width}"
                )


def column_name(frame: pandas.DataFrame, column: str | int, key: str) -> str:
    """The name of a column given by name or position; raises DataError naming near ones."""
    from difflib import get_close_matches

    names = list(frame.columns)
    if isinstance(column, str) and column in names:
        return column
    if isinstance(column, int):
        if str(column) in names and column >= 0:
            return str(column)
        if -len(names) <= column < len(names):
            return str(names[column])
        raise DataError(f"{key}: no column {column}; the file has {len(names)} columns")
    near = get_close_matches(str(column), names, n=1, cutoff=0.5)
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    hint = f"did you mean '{near[0]}'?" if near else f"the file has {shown}"
    raise DataError(f"{key}: no column '{column}'; {hint}")


def to_numbers(column: pandas.Series) -> np.ndarray:
    """A column as float64; what is no number becomes NaN. Infinite values count as missing."""
    import pandas

    values = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def looks_numeric(column: pandas.Series) -> bool:
    """Whether every value that is there is a number."""
    import pandas

    if column.dtype == bool:
        return False
    present = column.dropna()
    return len(present) > 0 and bool(pandas.to_numeric(present, errors="coerce").notna().all())


def looks_like_dates(column: pandas.Series) -> bool:
    """Whether every value that is there is a date, and not a plain number."""
    import warnings

    import pandas

    if pandas.api.types.is_datetime64_any_dtype(column):
        return True
    if pandas.api.types.is_numeric_dtype(column) or looks_numeric(column):
        return False
    present = column.dropna().astype(str)
    if not len(present):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample = present.iloc[: min(len(present), 50)]
        return bool(pandas.to_datetime(sample, errors="coerce").notna().all())
