"""How the numbers of a column are written, found from its different texts: separators, unit."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.data.columns.number_text import (
    KNOWN_UNITS,
    SIMPLE_NUMBER,
    NumberText,
    is_grouped,
    plain_text,
    split_number,
)
from nnzoo.data.columns.values import MISSING, NumberFormat, ValueOptions, to_text

if TYPE_CHECKING:
    import pandas

if TYPE_CHECKING:
    pass

# A column is one of numbers where at least this share of its different texts are: a word that many
# rows have is one text among many.
NUMERIC_FRACTION = 0.9
# A unit that fewer of them have is a slip.
UNIT_FRACTION = 0.05
# Separators of plain numbers are looked for in so many of them.
SAMPLED = 2000


@dataclass
class Separators:
    """How often which character must be a decimal or a thousands separator, in some texts.

    ambiguous: "1,250" may be either; bare, long: whole numbers without one, and those of at least
    four digits, which were not grouped.
    """

    decimal: Counter[str] = field(default_factory=Counter)
    thousands: Counter[str] = field(default_factory=Counter)
    ambiguous: Counter[str] = field(default_factory=Counter)
    bare: int = 0
    long: int = 0

    def add(self, body: str, exponent: str = "") -> None:
        separators = re.findall(r"[ .,'_]", body)
        if not separators:
            self.bare += 1
            self.long += len(body) > 3
            return
        groups = re.split(r"[ .,'_]", body)
        last = separators[-1]
        if len(set(separators)) == 1:
            if len(separators) > 1 or last in " '_":
                if is_grouped(groups):
                    self.thousands[last] += 1
            elif (
                not exponent
                and len(groups[1]) == 3
                and 1 <= len(groups[0]) <= 3
                and groups[0][0] != "0"
            ):
                self.ambiguous[last] += 1
            else:
                self.decimal[last] += 1
        elif (
            last in ".," and separators.count(last) == 1 and len(set(separators)) == 2
            and is_grouped(groups[:-1])
        ):  # fmt: skip
            self.decimal[last] += 1
            self.thousands[separators[0]] += 1

    @property
    def decimal_point(self) -> int:
        """How many texts need a decimal point."""
        return self.decimal["."] + self.thousands[","]

    @property
    def decimal_comma(self) -> int:
        """How many texts need a decimal comma."""
        return self.decimal[","] + self.thousands["."]

    def merge(self, other: Separators) -> None:
        self.decimal.update(other.decimal)
        self.thousands.update(other.thousands)


@dataclass(frozen=True)
class Odd:
    """A text that does not fit its column: how many rows have it, and the first data row from 1."""

    text: str
    rows: int
    first: int


@dataclass
class Texts:
    """The different texts of a column, how many rows have each, and the first of these."""

    column: pandas.Series
    texts: list[str]
    counts: np.ndarray
    first: np.ndarray  # data rows from 1
    plain: np.ndarray  # whether a program would read it as a number

    @classmethod
    def of(cls, column: pandas.Series, options: ValueOptions) -> Texts:
        """Those that stand for a value in a column of any role."""
        import pandas

        text = to_text(column)
        codes, uniques = pandas.factorize(text)
        counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
        _, places = np.unique(codes, return_index=True)
        places = places[len(places) - len(uniques) :]
        first = column.index.to_numpy()[places] + 1 if len(uniques) else places
        always = {*MISSING, *options.missing}
        kept = np.array([t.strip() not in always for t in uniques], dtype=bool)
        texts = [t for t, keep in zip(uniques, kept, strict=True) if keep]
        plain = pandas.to_numeric(pandas.Series(texts, dtype=object), errors="coerce")
        return cls(column, texts, counts[kept], first[kept], plain.notna().to_numpy(dtype=bool))

    def odd(self, places: np.ndarray) -> list[Odd]:
        """Those at some places, the most frequent first."""
        chosen = sorted(places, key=lambda i: (-self.counts[i], self.first[i]))
        return [Odd(self.texts[i], int(self.counts[i]), int(self.first[i])) for i in chosen]


@dataclass
class Forms:
    """What the texts of a column look like as numbers."""

    numbers: list[NumberText | None]
    separators: Separators
    plausible: bool

    @classmethod
    def of(cls, texts: Texts) -> Forms:
        """Take texts apart: of simple numbers a sample, of others all."""
        numbers: list[NumberText | None] = []
        separators = Separators()
        simple = count = 0
        for text, plain in zip(texts.texts, texts.plain, strict=True):
            number = None
            is_simple = plain or SIMPLE_NUMBER.fullmatch(text) is not None
            if not is_simple or simple < SAMPLED:
                number = split_number(text)
            numbers.append(number)
            simple += is_simple
            count += is_simple or number is not None
            if number is not None:
                separators.add(number.body, number.exponent)
        return cls(numbers, separators, count > 0.5 * len(numbers))


def plain_numbers(
    column: pandas.Series, options: ValueOptions
) -> tuple[pandas.Series, Separators] | None:
    """The numbers of a column of texts that a program reads beyond doubt, and the separators of a sample.

    None where a text is something else, or its points may group thousands.
    """
    import pandas

    if options.decimal == "," or options.thousands == "." or column.dtype == bool:
        return None
    sample = column.iloc[:SAMPLED].dropna().unique().tolist()
    if not sample or not all(isinstance(text, str) for text in sample):
        return None
    if any(split_number(text) is None for text in sample[:10]):
        return None
    numbers = pandas.to_numeric(column, errors="coerce")
    if not np.isfinite(numbers[column.notna()].to_numpy(np.float64, na_value=np.nan)).all():
        return None
    separators = Separators()
    for text in sample:
        if (number := split_number(text)) is not None:
            separators.add(number.body, number.exponent)
    if not separators.decimal["."] and column.str.contains(".", regex=False).any():
        return None
    return numbers, separators


def separators_of(forms: Forms, options: ValueOptions) -> tuple[str, str, bool]:
    """The decimal separator, the thousands separators, and whether that was a guess."""
    found = forms.separators
    ambiguous = found.ambiguous
    guessed = False
    decimal = options.decimal
    if decimal == "auto" and options.thousands in (",", "."):
        decimal = "." if options.thousands == "," else ","
    if decimal == "auto":
        point, comma = found.decimal_point, found.decimal_comma
        if point != comma:
            decimal = "," if comma > point else "."
        elif options.file_decimal and ambiguous:
            decimal, guessed = options.file_decimal, True
        elif ambiguous[","] and not ambiguous["."]:
            # 1500 beside 1,250: what groups digits would have grouped these.
            decimal, guessed = ("," if found.long else "."), True
        elif ambiguous["."] >= 5 and found.bare and not found.long and not ambiguous[","]:
            # 950 beside 1.250: three digits behind every point, and never a whole thousand.
            decimal, guessed = ",", True
        else:
            decimal = "."
    if options.thousands == "none":
        return decimal, "", guessed
    if options.thousands != "auto":
        return decimal, options.thousands, guessed
    seen = found.thousands + ambiguous
    return decimal, "".join(sorted(s for s in seen if s != decimal)), guessed


def unit_of(texts: Texts, forms: Forms) -> tuple[str, str]:
    """The unit of a column's numbers, and a sentence where it has several."""
    rows: Counter[str] = Counter()
    example: dict[str, int] = {}
    for i, number in enumerate(forms.numbers):
        if number is not None and number.unit:
            rows[number.unit] += 1
            example.setdefault(number.unit, i)
    if not rows:
        return "", ""
    unit, count = rows.most_common(1)[0]
    if rows.total() < UNIT_FRACTION * len(forms.numbers):
        return "", ""  # a slip, which is named
    if len(rows) == 1 or count >= NUMERIC_FRACTION * rows.total():
        return unit, ""
    known = sum(n for each, n in rows.items() if each.split()[-1] in KNOWN_UNITS)
    few = len(rows) <= 4 and rows.total() >= 10 * len(rows) and min(rows.values()) >= 3
    if known < NUMERIC_FRACTION * rows.total() and not few:
        return "", ""
    shown = ", ".join(
        f"'{plain_text(texts.texts[i])}' in data row {texts.first[i]}"
        for i in list(example.values())[:3]
    )
    return unit, f"numbers in several units ({shown})"


def read_loosely(texts: Texts, unit: str) -> np.ndarray:
    """Which texts are numbers by one decimal separator or the other, of one unit."""
    either = [NumberFormat(".", ",' _", unit), NumberFormat(",", ".' _", unit)]
    return np.array(
        [plain or any(form.value(text) is not None for form in either)
         for text, plain in zip(texts.texts, texts.plain, strict=True)],
        dtype=bool,
    )  # fmt: skip


def several_ways(texts: Texts, read: np.ndarray, loose: np.ndarray) -> str:
    """A sentence on numbers that one format does not read: an example that it reads and one not."""
    places = [np.flatnonzero(loose & ~read)[0], *np.flatnonzero(read)[:1]]
    shown = ", ".join(
        f"'{plain_text(texts.texts[i])}' in data row {texts.first[i]}" for i in places
    )
    stated = "" if len(places) > 1 else " that data.decimal and data.thousands do not read"
    return (
        f"numbers written in several ways ({shown})" if not stated else f"numbers{stated} ({shown})"
    )
