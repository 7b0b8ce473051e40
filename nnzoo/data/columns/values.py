"""Columns as values: formats of numbers, words for missing values, a column as numbers or text, or by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.hints import did_you_mean, nearest
from nnzoo.config.options import MAX_MAGNITUDE
from nnzoo.data.columns.number_text import (
    SIMPLE_NUMBER,
    compound_value,
    is_grouped,
    plain_text,
    split_number,
)
from nnzoo.data.data_spec import NumberFormat
from nnzoo.errors import DataError
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

# Texts that mean a missing value in every input column: those of pandas, then further ones.
MISSING = [
    *("", "#N/A N/A"),
    *[
        "#N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    ],
    *[
        "?",
        "-",
        "na",
        "NAN",
        "Null",
        ".",
        "..",
        "...",
        "--",
        "---",
        "*",
        "NaT",
        "#VALUE!",
        "#REF!",
        "#DIV/0!",
        "#NUM!",
        "#NAME?",
        "#NULL!",
    ],
]
# Words that mean a missing value in a column of numbers, in lower case; elsewhere they are a category.
LIKELY_MISSING = frozenset(
    [
        "none",
        "unknown",
        "unk",
        "missing",
        "undefined",
        "unspecified",
        "not available",
        "not known",
        "n.a.",
        "n.a",
        "n. a.",
        "n/k",
        "nk",
        "nd",
        "n.d.",
        "no data",
        "no value",
        "not applicable",
        "not reported",
        "not recorded",
        "not measured",
        "not specified",
        "not given",
        "na",
        "n/a",
        "nan",
        "null",
        "nil",
        "empty",
        "blank",
        "tbd",
        "tba",
        "invalid",
        "error",
        "err",
        "bad",
        "refused",
        "declined",
        "no answer",
        "no response",
        "don't know",
        "dont know",
        "dk",
        "unbekannt",
        "keine angabe",
        "k.a.",
        "k. a.",
        "ka",
        "fehlt",
        "inconnu",
        "desconocido",
        "sconosciuto",
        "null value",
        "(null)",
        "(blank)",
        "[null]",
        "(none)",
        "#n/a",
        "??",
        "???",
        "-?-",
        "varies",
        "varies with device",
        "\\n",
        "/",
    ]
)


def describe_number(text: str, form: NumberFormat) -> str:
    """A text with the number that it is read as, for messages; empty where it is none."""
    value = read_number(text, form)
    if value is None:
        return ""
    whole = value == round(value) and abs(value) < 1e15
    number = f"{value:.0f}" if whole else f"{value:g}"
    unit = "" if form.compound == "first year" else f" {form.compound}" * bool(form.compound)
    unit = " %" if form.unit == "%" else unit
    return f"'{shorten(plain_text(text))}' is {number}{unit}"


def read_number(text: str, form: NumberFormat) -> float | None:
    """The number that a text stands for; None where it is none, or has another unit."""
    if form.compound:
        return compound_value(text, form.compound)
    if SIMPLE_NUMBER.fullmatch(text) and (form.decimal in text or text.isalnum()):
        return float(text.replace(form.decimal, "."))
    number = split_number(text)
    if number is None or (number.unit and number.unit != form.unit):
        return None
    digits = _digits(number.body, form)
    if digits is None or (number.exponent and not re.fullmatch(r"[\d.]+", digits)):
        return None
    value = float(digits + number.exponent) * number.scale
    return -value if number.negative else value


def _digits(body: str, form: NumberFormat) -> str | None:
    """A body with a decimal point and nothing else; None where its separators do not fit."""
    whole, decimal, part = body.partition(form.decimal)
    if decimal and not part.isdecimal() and part:
        return None
    separators = set(re.findall(r"[ .,'_]", whole))
    if separators:
        if len(separators) > 1 or not separators <= set(form.thousands):
            return None
        groups = re.split(r"[ .,'_]", whole)
        if not is_grouped(groups):
            return None
        whole = "".join(groups)
    return f"{whole or '0'}.{part or '0'}" if decimal else whole


@dataclass(frozen=True)
class ValueOptions:
    """Options of reading the texts of a file as values: keys of a config's `data` section.

    file_decimal: what the columns without doubt have, for those where "1,250" may be two numbers.
    """

    decimal: str = "auto"
    thousands: str = "auto"
    missing: tuple[str, ...] = ()
    file_decimal: str = ""

    @classmethod
    def of(cls, data: Any) -> ValueOptions:
        """Those of a config's `data` section; the defaults where it has no such keys."""
        return cls(
            getattr(data, "decimal", "auto"),
            getattr(data, "thousands", "auto"),
            tuple(getattr(data, "missing", ())),
        )


def mark_missing(frame: pandas.DataFrame, words: list[str] = MISSING) -> pandas.DataFrame:
    """The same table, with None in place of every word for a missing value."""
    import pandas

    text = [not pandas.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    columns = [
        column.where(~column.isin(words), None) if is_text else column
        for column, is_text in zip(columns, text, strict=True)
    ]
    return pandas.concat(columns, axis=1) if columns else frame


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
        raise DataError.at(
            key, f"no column {column}; the file has {len(names)} columns", code="E38"
        )
    near = nearest(str(column), names, cutoff=0.5)
    shown = ", ".join(map(shorten, names[:12])) + (", …" if len(names) > 12 else "")
    hint = did_you_mean(near, f"the file has {shown}")
    raise DataError.at(key, f"no column '{shorten(str(column))}'; {hint}", code="E38")


def to_numbers(column: pandas.Series) -> np.ndarray:
    """A column as float64; what is no number becomes NaN. Infinite values count as missing."""
    import pandas

    values = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def is_missing_word(text: str, further: tuple[str, ...] = ()) -> bool:
    """Whether a text in a column of numbers means a missing value; further: as in data.missing."""
    word = plain_text(text[:80])
    return (
        text.strip() in MISSING
        or word in MISSING
        or word.casefold() in LIKELY_MISSING
        or word in further
        or text.strip() in further
    )


def parse_numbers(
    column: pandas.Series, form: NumberFormat = NumberFormat()
) -> tuple[np.ndarray, np.ndarray]:
    """A column's values as float64, and where it holds a text that is neither number nor missing.

    Missing words, infinite values and what cannot be read are NaN.
    """
    import pandas

    raw = to_text(column) if column.dtype == bool else column
    usual = form.decimal == "." and "." not in form.thousands and not form.compound
    if usual or pandas.api.types.is_numeric_dtype(raw):
        values = pandas.to_numeric(raw, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    else:
        values = np.full(len(raw), np.nan)
    values = np.array(values)
    open_ = ~np.isfinite(values) & raw.notna().to_numpy()
    unread = np.zeros(len(raw), dtype=bool)
    if open_.any():
        codes, texts = pandas.factorize(raw[open_].map(str))
        read = [_read_text(text, form) for text in texts]
        values[open_] = np.array([np.nan if value is None else value for value in read])[codes]
        unread[open_] = np.array([value is None for value in read])[codes]
    for word in form.missing:  # also -999 where the file has -999.0
        number = read_number(word, form)
        if number is not None:
            values[values == number] = np.nan
    return values, unread


_INFINITE = ("inf", "infinity", "\u221e")


def _read_text(text: str, form: NumberFormat) -> float | None:
    """A number, NaN for a missing one, None for what is neither."""
    if is_missing_word(text, form.missing) or text.strip().lower().lstrip("+-") in _INFINITE:
        return float("nan")
    value = read_number(text, form)
    return value if value is not None and np.isfinite(value) else None


def refuse_huge(column: pandas.Series, values: np.ndarray, source: str) -> None:
    """Numbers that would overflow later, far from where they stand; raises DataError."""
    huge = np.abs(values) > MAX_MAGNITUDE
    if huge.any():
        row = int(huge.argmax())
        raise DataError.at(
            "data.path",
            f"{source}: column '{column.name}': '{shorten(str(column.iloc[row]))}' in data row "
            f"{column.index[row] + 1} is beyond ±1e30",
            code="E39",
        )


def to_text(column: pandas.Series) -> pandas.Series:
    """A column as text, None where a value is missing."""
    present = column.notna().to_numpy()
    values = column.astype(object)
    return values.where(present, None).map(str, na_action="ignore")


def looks_numeric(column: pandas.Series, fraction: float = 1.0) -> bool:
    """Whether at least this fraction of the values that are not missing are numbers."""
    import pandas

    if column.dtype == bool:
        return False
    present = column.dropna()
    if not len(present):
        return False
    return bool(pandas.to_numeric(present, errors="coerce").notna().mean() >= fraction)
