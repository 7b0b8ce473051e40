"""What a column holds, found from its values once for init, train, check and predict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nnzoo.data.columns.checks import FEW_ROWS, id_reason, sentinels
from nnzoo.data.columns.number_format import (
    NUMERIC_FRACTION,
    SAMPLED,
    Forms,
    Odd,
    Separators,
    Texts,
    plain_numbers,
    read_loosely,
    separators_of,
    several_ways,
    unit_of,
)
from nnzoo.data.columns.number_text import (
    COMPOUND_UNITS,
    MAX_NUMBER,
    compound_value,
    has_several_parts,
    is_range,
    plain_text,
)
from nnzoo.data.columns.values import (
    MISSING,
    NumberFormat,
    ValueOptions,
    is_missing_word,
    parse_numbers,
)
from nnzoo.data.timestamps.parse import looks_like_dates, read_dates
from nnzoo.text import list_some, plural, quoted_name, shorten

if TYPE_CHECKING:
    import pandas

Role = Literal["number", "duration", "date", "category", "id", "text", "empty"]
FREE_TEXT_WORDS, FREE_TEXT_LENGTH = 4, 40
MIN_SEASONS = 3


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
    def has_ranges(self) -> bool:
        """Whether most texts are ranges of numbers, such as 10-20."""
        return self.reason.startswith("ranges such as")

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
    texts, forms, numbers = {}, {}, {}
    separators = Separators()
    for name in frame.columns:
        column = frame[name]
        if _is_numeric(column):
            numbers[name] = column
        elif (plain := plain_numbers(column, options)) is not None:
            numbers[name], sampled = plain
            separators.merge(sampled)
        else:
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
        else _describe_numbers(frame[name], numbers[name], options)
        for name in frame.columns
    }


def _is_numeric(column: pandas.Series) -> bool:
    import pandas

    return bool(pandas.api.types.is_numeric_dtype(column.dtype)) and column.dtype != bool


def _describe_texts(texts: Texts, forms: Forms, options: ValueOptions) -> ColumnDescription:
    column, count = texts.column, len(texts.texts)
    rows = int(texts.counts.sum())
    base = ColumnDescription(str(column.name), "empty", rows, len(column) - rows, count)
    if not count:
        return base
    others = [texts.texts[i] for i in np.flatnonzero(~texts.plain)]
    likely = sum(is_missing_word(text, options.missing) for text in others)
    decimal, thousands, guessed = separators_of(forms, options)
    unit, problem = unit_of(texts, forms)
    form = NumberFormat(decimal, thousands, unit, missing=options.missing)
    usual = decimal == "." and "." not in thousands
    read = np.array(
        [(usual and plain) or form.value(text) is not None
         for text, plain in zip(texts.texts, texts.plain, strict=True)], dtype=bool,
    )  # fmt: skip
    if problem:
        read = np.array([n is not None for n in forms.numbers]) | texts.plain
    words, share_of_rows = max(1, count - likely), texts.counts / rows
    if not problem and read.sum() < NUMERIC_FRACTION * words:
        loose = read_loosely(texts, unit)
        if loose.sum() >= NUMERIC_FRACTION * words:
            read, problem = loose, several_ways(texts, read, loose)
    shares = {"number": read.sum() / words}
    role: Role = "number"
    if shares["number"] < NUMERIC_FRACTION:
        compound, of_parts = _compound_unit(texts)
        shares["duration" if compound == "seconds" else "parts"] = of_parts.sum() / words
        if of_parts.sum() > read.sum():
            read, form = of_parts, NumberFormat(compound=compound, missing=options.missing)
            role = "duration" if compound == "seconds" else "number"
    enough = read.sum() >= NUMERIC_FRACTION * words or (
        (read * share_of_rows).sum() >= NUMERIC_FRACTION
    )
    if read.any() and enough:
        return _numbers_of(base, texts, forms, form, (role, read, problem, guessed, shares))
    shares = {kind: float(share) for kind, share in shares.items() if share}
    long = any(len(text) > MAX_NUMBER for text in texts.texts)
    if not long and looks_like_dates(column.where(~column.isin([*MISSING, *options.missing]))):
        return replace(base, role="date", shares={"date": 1.0}, example=texts.texts[0])
    role, reason = _kind_of_text(base, texts)
    if not long and (ways := _dates_in_several_ways(column)):
        role, reason = "date", ways
    odd = texts.odd(np.flatnonzero(read)) if shares.get("number", 0) > 0.5 else []
    return replace(
        base, role=role, reason=reason, shares=shares, odd=tuple(odd), example=texts.texts[0]
    )


def _compound_unit(texts: Texts) -> tuple[str, np.ndarray]:
    """The unit that most values of several parts can be read in, and which texts those are."""
    unknown = np.flatnonzero(~texts.plain)
    best, most = "", np.zeros(len(texts.texts), dtype=bool)
    for unit in COMPOUND_UNITS:
        read = np.zeros(len(texts.texts), dtype=bool)
        read[unknown] = [
            compound_value(texts.texts[i], unit) is not None
            and (unit != "seconds" or has_several_parts(texts.texts[i]))
            for i in unknown
        ]
        if read.sum() > most.sum():
            best, most = unit, read
    # 2001/02 may be a month: it takes 2000/01, 2012/13 or several in a row to be a season.
    if best == "first year" and most.sum() < MIN_SEASONS:
        return "", np.zeros(len(texts.texts), dtype=bool)
    return best, most


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
    if count > 20 and np.mean([is_range(text) for text in sample]) >= NUMERIC_FRACTION:
        return "text", (
            f"ranges such as '{plain_text(sample[0])}', {count:,} different values; one number each, such as "
            "the middle, can be used"
        )
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


def _describe_numbers(
    column: pandas.Series, numbers: pandas.Series, options: ValueOptions
) -> ColumnDescription:
    """A column that a program reads as numbers, which are `numbers`."""
    form = NumberFormat(missing=options.missing)
    values, _ = parse_numbers(numbers, form)
    present = np.isfinite(values)
    rows = int(present.sum())
    distinct = len(np.unique(values[present]))
    base = ColumnDescription(
        str(column.name), "number" if rows else "empty", rows, len(column) - rows, distinct,
        {"number": 1.0} if rows else {}, format=form if form.missing else NumberFormat(),
    )  # fmt: skip
    reason = id_reason(column, values)
    remarks = sentinels(values)
    if not _is_numeric(column):
        padded = column[column.str.startswith("0").fillna(False).astype(bool)]
        remarks += _code_remark(padded.unique().tolist())
    return replace(base, role="id" if reason else base.role, reason=reason, remarks=tuple(remarks))


def _code_remark(texts: list[str]) -> list[str]:
    """A line on whole numbers that are written with zeros before them, as codes are."""
    padded = [text for text in texts if text[:1] == "0" and len(text) > 1 and text.isdecimal()]
    if len(padded) < 2:
        return []
    return [f"codes such as '{padded[0]}' are read as numbers (data.categories for codes)"]


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
    return remarks + _code_remark(texts.texts)


def format_notes(columns: list[ColumnDescription]) -> list[str]:
    """A line on columns whose texts are numbers only without what is around the digits."""
    listed = [
        f"{quoted_name(column.name)} ({value})"
        for column in columns
        if column.example and (value := column.format.describe_value(column.example))
    ]
    if not listed:
        return []
    separated = any(column.format.decimal != "." or column.format.thousands for column in columns)
    hint = " (data.decimal and data.thousands say otherwise)" * separated
    return [f"read as numbers: {list_some(listed, 6, counted=True)}{hint}"]


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
        f"counts as missing: {list_some(listed, 6, counted=True)} (data.missing lists such words; "
        "data.categories makes them categories)"
    ]
