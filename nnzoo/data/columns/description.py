"""Description of columns by their values: numbers, dates, categories, ids or text; for init, train, check and predict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnzoo.data.columns.checks import FEW_ROWS, id_reason, sentinel_notes
from nnzoo.data.columns.number_format import (
    NUMERIC_FRACTION,
    SAMPLED,
    DistinctTexts,
    NumberReading,
    OddText,
    Separators,
    plain_numbers,
    read_numbers,
)
from nnzoo.data.columns.number_text import MAX_NUMBER, is_range, plain_text
from nnzoo.data.columns.values import (
    MISSING,
    ValueOptions,
    describe_number,
    is_missing_word,
    parse_numbers,
    read_number,
)
from nnzoo.data.data_spec import NumberFormat
from nnzoo.data.timestamps.parse import looks_like_dates, read_dates
from nnzoo.text import Note, list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Role = Literal["number", "duration", "date", "category", "id", "text", "empty"]
FREE_TEXT_WORDS, FREE_TEXT_LENGTH = 4, 40


@dataclass(frozen=True)
class ColumnDescription:
    """One column.

    rows, missing, distinct: the numbers of rows with and without a value, and of distinct values.
    numeric_fraction: of the distinct texts, how many are numbers. odd: texts that the role does not
    explain; gaps: texts that are taken for missing values. format: of numbers and durations; example:
    a text of theirs. problem: why the column cannot be used as it is; reason: why it is an id or free
    text; remarks: one line each, where the column is used.
    """

    name: str
    role: Role
    rows: int
    missing: int
    distinct: int
    numeric_fraction: float = 0.0
    odd: tuple[OddText, ...] = ()
    gaps: tuple[OddText, ...] = ()
    format: NumberFormat = field(default_factory=NumberFormat)
    example: str = ""
    problem: str = ""
    reason: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def has_ranges(self) -> bool:
        """Whether most texts are ranges of numbers, such as 10-20."""
        return self.reason.startswith("ranges such as")

    @property
    def numbers(self) -> bool:
        """Whether it can be read as numbers: also an id of numbers."""
        return self.role in ("number", "duration") or (
            self.role == "id" and self.numeric_fraction >= NUMERIC_FRACTION
        )


def describe_columns(
    frame: pandas.DataFrame, options: ValueOptions = ValueOptions()
) -> dict[str, ColumnDescription]:
    """Describe every column of a frame of texts, as they were read, or numbers."""
    texts: dict[str, DistinctTexts] = {}
    numbers: dict[str, pandas.Series] = {}
    separators = Separators()
    for name in frame.columns:
        column = frame[name]
        if _is_numeric(column):
            numbers[name] = column
        elif (plain := plain_numbers(column, options)) is not None:
            numbers[name], sampled = plain
            separators.merge(sampled)
        else:
            texts[name] = DistinctTexts.of(column, options)
            if texts[name].is_mostly_numbers:
                separators.merge(texts[name].separators)
    point, comma = separators.decimal_point, separators.decimal_comma
    decimal = "," if comma > point else "." if point > comma else ""
    options = replace(options, file_decimal=options.file_decimal or decimal)
    return {
        name: _describe_texts(texts[name], options)
        if name in texts
        else _describe_numbers(frame[name], numbers[name], options)
        for name in frame.columns
    }


def _is_numeric(column: pandas.Series) -> bool:
    import pandas

    return bool(pandas.api.types.is_numeric_dtype(column.dtype)) and column.dtype != bool


def _describe_texts(texts: DistinctTexts, options: ValueOptions) -> ColumnDescription:
    column, rows = texts.column, int(texts.counts.sum())
    base = ColumnDescription(str(column.name), "empty", rows, len(column) - rows, len(texts.texts))
    if not texts.texts:
        return base
    reading = read_numbers(texts, options)
    if reading.is_numeric(texts):
        return _describe_number_texts(base, texts, reading)
    base = replace(base, numeric_fraction=reading.fraction, example=texts.texts[0])
    short = all(len(text) <= MAX_NUMBER for text in texts.texts)
    if short and looks_like_dates(column.where(~column.isin([*MISSING, *options.missing]))):
        return replace(base, role="date", numeric_fraction=0.0)
    role, reason = _text_role(base, texts)
    if short and (problem := _mixed_dates(column)):
        role, reason = "date", problem
    odd = texts.odd(np.flatnonzero(reading.mask)) if reading.fraction > 0.5 else []
    return replace(base, role=role, reason=reason, odd=tuple(odd))


def _mixed_dates(column: pandas.Series) -> str:
    """The reason, with examples, if nearly all values are dates but not of one form."""
    sample = column.iloc[:SAMPLED]
    dates = read_dates(sample)
    valid = ~np.isnat(dates.times)
    present = int((valid | dates.wrong).sum())
    if not valid.any() or not dates.nearly.any():
        return ""
    if (valid | dates.nearly).sum() < 0.95 * present:
        return ""
    index = sorted((int(valid.argmax()), int(dates.nearly.argmax())))
    shown = [f"'{sample.iloc[i]}' in data row {sample.index[i] + 1}" for i in index]
    return f"dates written in several ways: {', '.join(shown)}; write them in one way"


def _describe_number_texts(
    base: ColumnDescription, texts: DistinctTexts, reading: NumberReading
) -> ColumnDescription:
    """A column of texts that are numbers or durations, and the texts that are none."""
    format_, read = reading.format, np.flatnonzero(reading.mask)
    rest = texts.odd(np.flatnonzero(~reading.mask))
    gaps = tuple(odd for odd in rest if _is_gap(odd, format_))
    further = {gap.text.strip() for gap in gaps if not is_missing_word(gap.text, format_.missing)}
    if not reading.problem:
        format_ = replace(format_, missing=(*format_.missing, *sorted(further)))
    formatted = [i for i in read if not texts.plain[i]]
    if format_.decimal != "." or "." in format_.thousands:
        formatted = [i for i in read if set(texts.texts[i]) & set(".,")] or formatted
    if not formatted and not format_.missing:
        format_ = NumberFormat()
    missing = sum(gap.rows for gap in gaps)
    values, _ = parse_numbers(texts.column, format_)
    reason = "" if formatted else id_reason(texts.column, values)
    return replace(
        base,
        role="id" if reason else "duration" if format_.compound == "seconds" else "number",
        missing=base.missing + missing,
        rows=base.rows - missing,
        distinct=base.distinct - len(gaps),
        numeric_fraction=reading.fraction,
        odd=tuple(odd for odd in rest if odd not in gaps),
        gaps=gaps,
        format=format_,
        example=texts.texts[formatted[0]] if formatted else "",
        problem=reading.problem,
        reason=reason,
        remarks=(
            *sentinel_notes(values),
            *_format_remarks(texts, format_, reading.is_guess),
            *_code_remark(texts.texts),
        ),
    )


def _is_gap(odd: OddText, format_: NumberFormat) -> bool:
    """Whether a text among numbers means a missing value: a listed word, or a repeated one without
    digits; a single one may be a slip."""
    if is_missing_word(odd.text, format_.missing):
        return True
    return odd.rows > 1 and not any(character.isdecimal() for character in odd.text)


def _text_role(base: ColumnDescription, texts: DistinctTexts) -> tuple[Role, str]:
    """Category, id or free text, and why it is no category."""
    rows, count = base.rows, base.distinct
    if rows < FEW_ROWS:
        return "category", ""
    sample = texts.texts[:SAMPLED]
    if count > 20 and np.mean([is_range(text) for text in sample]) >= NUMERIC_FRACTION:
        return "text", (
            f"ranges such as '{plain_text(sample[0])}', {count:,} different values; one number each, such as "
            "the middle, can be used"
        )
    words = np.mean([len(text.split()) for text in sample])
    length = np.mean([len(text) for text in sample])
    free = words >= FREE_TEXT_WORDS or length > FREE_TEXT_LENGTH
    if count == rows:
        return ("text", "a different text in each row") if free else ("id", "different in each row")
    if count > max(20, 0.5 * rows):
        noun = "free text" if free else "text"
        return "text", f"{noun}, {count:,} different values in {rows:,} rows"
    if free and length > 2 * FREE_TEXT_LENGTH:
        return "text", f"free text, {count:,} different values"
    return "category", ""


def _describe_numbers(
    column: pandas.Series, numbers: pandas.Series, options: ValueOptions
) -> ColumnDescription:
    """A column of numbers, or of texts that a program reads as `numbers`."""
    format_ = NumberFormat(missing=options.missing)
    values, _ = parse_numbers(numbers, format_)
    present = values[np.isfinite(values)]
    remarks = sentinel_notes(values)
    if not _is_numeric(column):
        padded = column[column.str.startswith("0").fillna(False).astype(bool)]
        remarks += _code_remark(padded.unique().tolist())
    reason = id_reason(column, values)
    return ColumnDescription(
        str(column.name),
        "id" if reason else "number" if len(present) else "empty",
        rows=len(present),
        missing=len(column) - len(present),
        distinct=len(np.unique(present)),
        numeric_fraction=float(len(present) > 0),
        format=format_,
        reason=reason,
        remarks=tuple(remarks),
    )


def _code_remark(texts: list[str]) -> list[str]:
    """A line on whole numbers with leading zeros, as codes have them."""
    padded = [text for text in texts if text[:1] == "0" and len(text) > 1 and text.isdecimal()]
    if len(padded) < 2:
        return []
    return [f"codes such as '{padded[0]}' are read as numbers (data.categories for codes)"]


def _format_remarks(texts: DistinctTexts, format_: NumberFormat, is_guess: bool) -> list[str]:
    """Lines on ambiguous separators, bounds, footnotes and missing units."""
    remarks = []
    numbers = [(i, number) for i, number in enumerate(texts.numbers) if number is not None]
    ambiguous = [i for i, number in numbers if set(number.body) & set(".,")]
    if is_guess and ambiguous:
        text = texts.texts[ambiguous[0]]
        remarks.append(
            f"'{plain_text(text)}' is ambiguous, and read as {read_number(text, format_):,.6g}"
            " (data.decimal and data.thousands say otherwise)"
        )
    bounds = [i for i, number in numbers if number.bound and not texts.plain[i]]
    if bounds:
        text, rows = texts.texts[bounds[0]], int(texts.counts[bounds].sum())
        remarks.append(
            f"'{text}' counts as {read_number(text, format_):g} (in {rows:,} rows such texts)"
        )
    marked = [i for i, number in numbers if number.footnote]
    if marked:
        text, rows = texts.texts[marked[0]], int(texts.counts[marked].sum())
        remarks.append(f"the mark in '{text}' is left out (in {rows:,} rows)")
    bare = [i for i, number in numbers if not number.unit]
    with_unit = [i for i, number in numbers if number.unit]
    if format_.unit and bare and with_unit:
        text, rows = texts.texts[with_unit[0]], int(texts.counts[bare].sum())
        remarks.append(f"{rows:,} rows lack the unit of '{plain_text(text)}'")
    return remarks


def format_notes(columns: list[ColumnDescription]) -> list[str]:
    """A line on columns whose texts are numbers only without what is around the digits."""
    listed = [
        f"{quoted_name(column.name)} ({value})"
        for column in columns
        if column.example and (value := describe_number(column.example, column.format))
    ]
    if not listed:
        return []
    separated = any(column.format.decimal != "." or column.format.thousands for column in columns)
    hint = " (data.decimal and data.thousands say otherwise)" * separated
    return [Note("N04", f"read as numbers: {list_some(listed, 6, counted=True)}{hint}")]


def gap_notes(columns: list[ColumnDescription], rows: str = "row") -> list[str]:
    """A line on words in columns of numbers that count as missing; rows: a noun for what was read."""
    listed = [
        f"'{shorten(gap.text.strip())}' in {plural(gap.rows, rows)} of {quoted_name(column.name)}"
        for column in columns
        for gap in column.gaps
    ]
    if not listed:
        return []
    return [
        Note(
            "N05",
            f"counts as missing: {list_some(listed, 6, counted=True)} (data.missing lists such words; "
            "data.categories makes them categories)",
        )
    ]
