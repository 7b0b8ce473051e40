"""What a column holds, found from its values once for init, train, check and predict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nnzoo.data.columns.checks import FEW_ROWS, id_reason, sentinels
from nnzoo.data.columns.lookup import MISSING, ValueOptions, is_missing_word, parse_numbers
from nnzoo.data.columns.number_format import (
    MAX_NUMBER,
    NumberFormat,
    Separators,
    plain_text,
    seconds,
    several_parts,
)
from nnzoo.data.columns.texts import (
    NUMERIC_FRACTION,
    SAMPLED,
    Forms,
    Odd,
    Texts,
    read_loosely,
    separators_of,
    several_ways,
    unit_of,
)
from nnzoo.data.timestamps.dates import looks_like_dates, read_dates

if TYPE_CHECKING:
    import pandas

Role = Literal["number", "duration", "date", "category", "id", "text", "empty"]
FREE_TEXT_WORDS, FREE_TEXT_LENGTH = 4, 40


@dataclass(frozen=True)
class ColumnDescription:
    """One column.

    role: what it is read as; rows, missing, distinct: rows with and without a value, different
    values; shares: of the different values, how many read as number, date or duration; odd: texts
    that the role does not explain, of which `gaps` are taken for missing values; format: of numbers
    and durations; example: a text and what it is read as; problem: why it cannot be used as it is;
    reason: why it is an id or free text; remarks: what is worth a line where the column is used.
    """

    name: str
    role: Role
    rows: int
    missing: int
    distinct: int
    shares: dict[str, float] = field(default_factory=dict)
    odd: tuple[Odd, ...] = ()
    gaps: tuple[Odd, ...] = ()
    format: NumberFormat = field(default_factory=NumberFormat)
    example: str = ""
    problem: str = ""
    reason: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def numbers(self) -> bool:
        """Whether it can be read as numbers: those of an id can."""
        return self.role in ("number", "duration") or (
            self.role == "id" and self.shares.get("number", 0.0) >= NUMERIC_FRACTION
        )


def describe_columns(
    frame: pandas.DataFrame, options: ValueOptions = ValueOptions()
) -> dict[str, ColumnDescription]:
    """Every column of a frame whose columns hold texts as they were read, or numbers."""
    texts, forms = {}, {}
    separators = Separators()
    for name in frame.columns:
        column = frame[name]
        if not _is_numeric(column):
            texts[name] = Texts.of(column, options)
            forms[name] = Forms.of(texts[name])
            if forms[name].plausible:
                separators.merge(forms[name].separators)
    point, comma = separators.decimal_point, separators.decimal_comma
    decimal = "," if comma > point else "." if point > comma else ""
    options = replace(options, file_decimal=options.file_decimal or decimal)
    return {
        name: _describe_texts(texts[name], forms[name], options)
        if name in texts
        else _describe_numbers(frame[name], options)
        for name in frame.columns
    }


def describe_column(
    column: pandas.Series, options: ValueOptions = ValueOptions()
) -> ColumnDescription:
    """One column by itself; `describe_columns` knows more where separators are ambiguous."""
    if _is_numeric(column):
        return _describe_numbers(column, options)
    texts = Texts.of(column, options)
    return _describe_texts(texts, Forms.of(texts), options)


def _is_numeric(column: pandas.Series) -> bool:
    import pandas

    return bool(pandas.api.types.is_numeric_dtype(column.dtype)) and column.dtype != bool


def _describe_texts(texts: Texts, forms: Forms, options: ValueOptions) -> ColumnDescription:
    column, count = texts.column, len(texts.texts)
    rows = int(texts.counts.sum())
    base = ColumnDescription(str(column.name), "empty", rows, len(column) - rows, count)
    if not count:
        return base
    likely = sum(
        is_missing_word(text, options.missing)
        for text, plain in zip(texts.texts, texts.plain, strict=True)
        if not plain
    )
    decimal, thousands, guessed = separators_of(forms, options)
    unit, problem = unit_of(texts, forms)
    form = NumberFormat(decimal, thousands, unit, missing=options.missing)
    usual = decimal == "." and "." not in thousands
    numeric = np.array(
        [(usual and plain) or form.value(text) is not None
         for text, plain in zip(texts.texts, texts.plain, strict=True)], dtype=bool,
    )  # fmt: skip
    if problem:
        numeric = np.array([n is not None for n in forms.numbers]) | texts.plain
    timed = np.array(
        [
            not plain and several_parts(text) and seconds(text) is not None
            for text, plain in zip(texts.texts, texts.plain, strict=True)
        ],
        dtype=bool,
    )
    words = max(1, count - likely)
    of_rows = texts.counts / rows
    if not problem and numeric.sum() < NUMERIC_FRACTION * words:
        loose = read_loosely(texts, unit)
        if loose.sum() >= NUMERIC_FRACTION * words:
            numeric, problem = loose, several_ways(texts, numeric, loose)
    shares = {"number": numeric.sum() / words, "duration": timed.sum() / words}
    read = numeric if shares["number"] >= shares["duration"] else timed
    enough = read.sum() / words >= NUMERIC_FRACTION or (read * of_rows).sum() >= NUMERIC_FRACTION
    if read.any() and enough:
        duration = read is timed
        role: Role = "duration" if duration else "number"
        if duration:
            form = NumberFormat(duration=True, missing=options.missing)
        return _numbers_of(base, texts, forms, form, (role, read, problem, guessed, shares))
    shares = {kind: float(share) for kind, share in shares.items() if share}
    long = any(len(text) > MAX_NUMBER for text in texts.texts)
    if not long and looks_like_dates(column.where(~column.isin([*MISSING, *options.missing]))):
        return replace(base, role="date", shares={"date": 1.0}, example=texts.texts[0])
    role, reason = _kind_of_text(base, texts)
    if not long and (ways := _dates_in_several_ways(column)):
        role, reason = "date", ways
    odd = texts.odd(np.flatnonzero(numeric)) if shares.get("number", 0) > 0.5 else []
    return replace(
        base, role=role, reason=reason, shares=shares, odd=tuple(odd), example=texts.texts[0]
    )


def _dates_in_several_ways(column: pandas.Series) -> str:
    """A reason with an example of either where nearly all values are dates, but not of one form."""
    sample = column.iloc[:SAMPLED]
    found = read_dates(sample)
    dates = ~np.isnat(found.times)
    present = int((dates | found.wrong).sum())
    if not dates.any() or not found.nearly.any():
        return ""
    if (dates | found.nearly).sum() < 0.95 * present:
        return ""
    places = sorted((int(dates.argmax()), int(found.nearly.argmax())))
    shown = [f"'{sample.iloc[i]}' in data row {sample.index[i] + 1}" for i in places]
    return f"dates written in several ways: {', '.join(shown)}; write them in one way"


def _numbers_of(
    base: ColumnDescription,
    texts: Texts,
    forms: Forms,
    form: NumberFormat,
    found: tuple[Role, np.ndarray, str, bool, dict[str, Any]],
) -> ColumnDescription:
    """A column of numbers or durations, with the texts that are none."""
    role, read, problem, guessed, shares = found
    rest = texts.odd(np.flatnonzero(~read))
    gaps = [each for each in rest if _is_gap(each, form)]
    odd = [each for each in rest if each not in gaps]
    further = [e.text.strip() for e in gaps if not is_missing_word(e.text, form.missing)]
    if not problem:
        form = replace(form, missing=(*form.missing, *sorted(set(further))))
    clothed = [i for i in np.flatnonzero(read) if not texts.plain[i]]
    if form.decimal != "." or "." in form.thousands:
        clothed = [i for i in np.flatnonzero(read) if set(texts.texts[i]) & set(".,")] or clothed
    example = texts.texts[clothed[0]] if len(clothed) else ""
    if not len(clothed) and not form.missing:
        form = NumberFormat()
    lost = sum(each.rows for each in gaps)
    values, _ = parse_numbers(texts.column, form)
    reason = "" if len(clothed) else id_reason(texts.column, values)
    remarks = _remarks(base.name, values, texts, forms, form, guessed)
    return replace(
        base, role="id" if reason else role, missing=base.missing + lost, rows=base.rows - lost,
        distinct=base.distinct - len(gaps),
        shares={kind: float(share) for kind, share in shares.items() if share}, odd=tuple(odd),
        gaps=tuple(gaps), format=form, example=example, problem=problem, reason=reason,
        remarks=tuple(remarks),
    )  # fmt: skip


def _is_gap(odd: Odd, form: NumberFormat) -> bool:
    """Whether a text among numbers stands for a missing value: a listed word, or one without digits
    that comes again; a text that stands there once may be a slip."""
    if is_missing_word(odd.text, form.missing):
        return True
    return odd.rows > 1 and not any(character.isdecimal() for character in odd.text)


def _kind_of_text(base: ColumnDescription, texts: Texts) -> tuple[Role, str]:
    """Category, id or free text, and why it is no category."""
    rows, count = base.rows, base.distinct
    if rows < FEW_ROWS:
        return "category", ""
    sample = texts.texts[:SAMPLED]
    words = float(np.mean([len(text.split()) for text in sample]))
    free = words >= FREE_TEXT_WORDS or np.mean([len(text) for text in sample]) > FREE_TEXT_LENGTH
    if count == rows:
        return ("text", "a different text in each row") if free else ("id", "different in each row")
    if count > max(20, 0.5 * rows):
        what = "free text" if free else "text"
        return "text", f"{what}, {count:,} different values in {rows:,} rows"
    if free and np.mean([len(text) for text in sample]) > 2 * FREE_TEXT_LENGTH:
        return "text", f"free text, {count:,} different values"
    return "category", ""


def _describe_numbers(column: pandas.Series, options: ValueOptions) -> ColumnDescription:
    form = NumberFormat(missing=options.missing)
    values, _ = parse_numbers(column, form)
    present = np.isfinite(values)
    rows = int(present.sum())
    distinct = len(np.unique(values[present]))
    base = ColumnDescription(
        str(column.name), "number" if rows else "empty", rows, len(column) - rows, distinct,
        {"number": 1.0} if rows else {}, format=form if form.missing else NumberFormat(),
    )  # fmt: skip
    reason = id_reason(column, values)
    remarks = tuple(sentinels(values))
    return replace(base, role="id" if reason else base.role, reason=reason, remarks=remarks)


def _remarks(
    name: str,
    values: np.ndarray,
    texts: Texts,
    forms: Forms,
    form: NumberFormat,
    guessed: bool,
) -> list[str]:
    """What is worth a line of a column of numbers, beside its format."""
    remarks = sentinels(values)
    numbers = [(i, each) for i, each in enumerate(forms.numbers) if each is not None]
    if guessed:
        i = next((i for i, n in numbers if set(n.body) & set(".,")), None)
        if i is not None:
            value = form.value(texts.texts[i])
            remarks.append(
                f"'{plain_text(texts.texts[i])}' is ambiguous, and read as {value:,.6g}"
                f" (data.decimal and data.thousands say otherwise)"
            )
    bounds = [i for i, n in numbers if n.bound and not texts.plain[i]]
    if bounds:
        rows = int(texts.counts[bounds].sum())
        text = texts.texts[bounds[0]]
        remarks.append(f"'{text}' counts as {form.value(text):g} (in {rows:,} rows such texts)")
    notes = [i for i, n in numbers if n.footnote]
    if notes:
        text = texts.texts[notes[0]]
        remarks.append(
            f"the mark in '{text}' is left out (in {int(texts.counts[notes].sum()):,} rows)"
        )
    if form.unit:
        bare = [i for i, n in numbers if not n.unit]
        with_unit = [i for i, n in numbers if n.unit]
        if bare and with_unit:
            remarks.append(
                f"{int(texts.counts[bare].sum()):,} rows lack the unit of "
                f"'{plain_text(texts.texts[with_unit[0]])}'"
            )
    zeros = [i for i, t in enumerate(texts.texts) if len(t) > 1 and t[0] == "0" and t.isdecimal()]
    if len(zeros) > 1:
        remarks.append(
            f"codes such as '{texts.texts[zeros[0]]}' are read as numbers (data.categories for codes)"
        )
    return remarks
