"""The format of a column's numbers, found from its distinct texts: separators, unit, values of several parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.data.columns.number_text import (
    KNOWN_UNITS,
    SIMPLE_NUMBER,
    NumberText,
    compound_value,
    has_several_parts,
    is_grouped,
    plain_text,
    split_number,
)
from nnzoo.data.columns.values import (
    MISSING,
    ValueOptions,
    is_missing_word,
    read_number,
    to_text,
)
from nnzoo.data.data_spec import COMPOUND_UNITS, NumberFormat

if TYPE_CHECKING:
    import pandas

# A column is numeric if at least this fraction of its distinct texts are numbers: a word that many
# rows have is one text among many.
NUMERIC_FRACTION = 0.9
# A unit in a smaller fraction of the texts is a slip.
UNIT_FRACTION = 0.05
# Separators are looked for in at most this many plain numbers.
SAMPLED = 2000
MIN_SEASONS = 3


@dataclass
class Separators:
    """Counts of the characters that must be a decimal or a thousands separator in some texts.

    ambiguous: "1,250" may be either; bare, long: whole numbers without separator, and those of them
    with four digits or more, which are not grouped.
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
            last in ".,"
            and separators.count(last) == 1
            and len(set(separators)) == 2
            and is_grouped(groups[:-1])
        ):
            self.decimal[last] += 1
            self.thousands[separators[0]] += 1

    @property
    def decimal_point(self) -> int:
        """The number of texts that need a decimal point."""
        return self.decimal["."] + self.thousands[","]

    @property
    def decimal_comma(self) -> int:
        """The number of texts that need a decimal comma."""
        return self.decimal[","] + self.thousands["."]

    def add_number(self, number: NumberText | None) -> None:
        if number is not None:
            self.add(number.body, number.exponent)

    def merge(self, other: Separators) -> None:
        self.decimal.update(other.decimal)
        self.thousands.update(other.thousands)


@dataclass(frozen=True)
class OddText:
    """A text that does not fit its column: the number of rows with it, and the first data row from 1."""

    text: str
    rows: int
    first: int


@dataclass
class DistinctTexts:
    """The distinct texts of a column that are not missing, and their parts as numbers.

    counts, first: of each text the number of rows and the first data row from 1; plain: whether a
    program would read it as a number; numbers: its parts, None if it is no number, and of plain
    numbers beyond the first `SAMPLED`.
    """

    column: pandas.Series
    texts: list[str]
    counts: np.ndarray
    first: np.ndarray
    plain: np.ndarray
    numbers: list[NumberText | None] = field(init=False)
    separators: Separators = field(init=False, default_factory=Separators)
    is_mostly_numbers: bool = field(init=False)

    @classmethod
    def of(cls, column: pandas.Series, options: ValueOptions) -> DistinctTexts:
        import pandas

        codes, uniques = pandas.factorize(to_text(column))
        counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
        _, index = np.unique(codes, return_index=True)
        index = index[len(index) - len(uniques) :]
        first = column.index.to_numpy()[index] + 1 if len(uniques) else index
        missing = {*MISSING, *options.missing}
        kept = np.array([text.strip() not in missing for text in uniques], dtype=bool)
        texts = [text for text, keep in zip(uniques, kept, strict=True) if keep]
        plain = pandas.to_numeric(pandas.Series(texts, dtype=object), errors="coerce")
        return cls(column, texts, counts[kept], first[kept], plain.notna().to_numpy(dtype=bool))

    def __post_init__(self) -> None:
        self.numbers = []
        simple = count = 0
        for text, plain in zip(self.texts, self.plain, strict=True):
            number = None
            is_simple = plain or SIMPLE_NUMBER.fullmatch(text) is not None
            if not is_simple or simple < SAMPLED:
                number = split_number(text)
            self.numbers.append(number)
            self.separators.add_number(number)
            simple += is_simple
            count += is_simple or number is not None
        self.is_mostly_numbers = count > 0.5 * len(self.texts)

    def odd(self, index: np.ndarray) -> list[OddText]:
        """The texts at some positions, the most frequent first."""
        order = sorted(index, key=lambda i: (-self.counts[i], self.first[i]))
        return [OddText(self.texts[i], int(self.counts[i]), int(self.first[i])) for i in order]

    def where(self, is_read: Callable[[str], bool], plain: bool) -> np.ndarray:
        """(texts,) bool: which texts are read; plain: the result for plain numbers."""
        mask = np.full(len(self.texts), plain)
        index = np.flatnonzero(~self.plain)
        mask[index] = [is_read(self.texts[i]) for i in index]
        return mask

    def example(self, i: int) -> str:
        return f"'{plain_text(self.texts[i])}' in data row {self.first[i]}"


def plain_numbers(
    column: pandas.Series, options: ValueOptions
) -> tuple[pandas.Series, Separators] | None:
    """The numbers of a column of texts that a program reads beyond doubt, and the separators of a sample.

    None if a text is something else, or if its points may group thousands. It is the short way for
    most columns of large files: their texts are not taken apart.
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
        separators.add_number(split_number(text))
    if not separators.decimal["."] and column.str.contains(".", regex=False).any():
        return None
    return numbers, separators


@dataclass
class NumberReading:
    """The best way to read the texts of a column as numbers.

    mask: (texts,) bool, which are read; fraction: of the texts that are no missing words; problem: why
    the column cannot be used as it is, if so; is_guess: whether the separators are ambiguous.
    """

    format: NumberFormat
    mask: np.ndarray
    fraction: float
    problem: str = ""
    is_guess: bool = False

    def is_numeric(self, texts: DistinctTexts) -> bool:
        """Whether the column is one of numbers, by its distinct texts or by its rows."""
        rows = texts.counts / texts.counts.sum()
        return bool(self.mask.any()) and (
            self.fraction >= NUMERIC_FRACTION or (self.mask * rows).sum() >= NUMERIC_FRACTION
        )


def read_numbers(texts: DistinctTexts, options: ValueOptions) -> NumberReading:
    """Find the format in which most texts of a column are numbers."""
    likely_missing = texts.where(lambda text: is_missing_word(text, options.missing), plain=False)
    known = max(1, len(texts.texts) - int(likely_missing.sum()))
    decimal, thousands, is_guess = _choose_separators(texts.separators, options)
    unit, problem = _find_unit(texts)
    format_ = NumberFormat(decimal, thousands, unit, missing=options.missing)
    if problem:
        mask = np.array([number is not None for number in texts.numbers]) | texts.plain
    elif decimal == "." and "." not in thousands:
        mask = texts.where(lambda text: read_number(text, format_) is not None, plain=True)
    else:
        mask = np.array([read_number(text, format_) is not None for text in texts.texts])
    if not problem and mask.sum() < NUMERIC_FRACTION * known:
        either = [NumberFormat(".", ",' _", unit), NumberFormat(",", ".' _", unit)]
        loose = texts.where(
            lambda text: any(read_number(text, option) is not None for option in either), plain=True
        )
        if loose.sum() >= NUMERIC_FRACTION * known:
            mask, problem = loose, _describe_mixture(texts, mask, loose)
    if mask.sum() < NUMERIC_FRACTION * known:
        compound, parts = _find_compound_unit(texts)
        if parts.sum() > mask.sum():
            format_, mask = NumberFormat(compound=compound, missing=options.missing), parts
    return NumberReading(format_, mask, float(mask.sum() / known), problem, is_guess)


def _choose_separators(counts: Separators, options: ValueOptions) -> tuple[str, str, bool]:
    """The decimal separator, the thousands separators, and whether that is a guess."""
    ambiguous = counts.ambiguous
    is_guess = False
    decimal = options.decimal
    if decimal == "auto" and options.thousands in (",", "."):
        decimal = "." if options.thousands == "," else ","
    if decimal == "auto":
        point, comma = counts.decimal_point, counts.decimal_comma
        if point != comma:
            decimal = "," if comma > point else "."
        elif options.file_decimal and ambiguous:
            decimal, is_guess = options.file_decimal, True
        elif ambiguous[","] and not ambiguous["."]:
            # 1500 beside 1,250: if commas grouped digits, 1500 would have one.
            decimal, is_guess = ("," if counts.long else "."), True
        elif ambiguous["."] >= 5 and counts.bare and not counts.long and not ambiguous[","]:
            # 950 beside 1.250: three digits behind every point, and never a whole thousand.
            decimal, is_guess = ",", True
        else:
            decimal = "."
    if options.thousands == "none":
        return decimal, "", is_guess
    if options.thousands != "auto":
        return decimal, options.thousands, is_guess
    seen = counts.thousands + ambiguous
    return decimal, "".join(sorted(s for s in seen if s != decimal)), is_guess


def _find_unit(texts: DistinctTexts) -> tuple[str, str]:
    """The unit of a column's numbers, and the problem if it has several."""
    counts: Counter[str] = Counter()
    examples: dict[str, int] = {}
    for i, number in enumerate(texts.numbers):
        if number is not None and number.unit:
            counts[number.unit] += 1
            examples.setdefault(number.unit, i)
    if not counts or counts.total() < UNIT_FRACTION * len(texts.numbers):
        return "", ""  # a slip is reported as a text that is no number
    unit, count = counts.most_common(1)[0]
    if len(counts) == 1 or count >= NUMERIC_FRACTION * counts.total():
        return unit, ""
    known = sum(n for words, n in counts.items() if words.split()[-1] in KNOWN_UNITS)
    few = len(counts) <= 4 and counts.total() >= 10 * len(counts) and min(counts.values()) >= 3
    if known < NUMERIC_FRACTION * counts.total() and not few:
        return "", ""
    shown = ", ".join(map(texts.example, list(examples.values())[:3]))
    return unit, f"numbers in several units ({shown})"


def _describe_mixture(texts: DistinctTexts, read: np.ndarray, loose: np.ndarray) -> str:
    """The problem of numbers in two formats, with an example of each."""
    index = [np.flatnonzero(loose & ~read)[0], *np.flatnonzero(read)[:1]]
    shown = ", ".join(map(texts.example, index))
    if len(index) > 1:
        return f"numbers written in several ways ({shown})"
    return f"numbers that data.decimal and data.thousands do not read ({shown})"


def _find_compound_unit(texts: DistinctTexts) -> tuple[str, np.ndarray]:
    """The unit in which most values of several parts are read, and which texts those are."""
    best, most = "", np.zeros(len(texts.texts), dtype=bool)
    for unit in COMPOUND_UNITS:
        mask = texts.where(
            lambda text, unit=unit: (
                compound_value(text, unit) is not None  # type: ignore[misc]
                and (unit != "seconds" or has_several_parts(text))
            ),
            plain=False,
        )
        # 2001/02 may be a month; several in which the second year follows are seasons.
        if mask.sum() > most.sum() and (unit != "first year" or mask.sum() >= MIN_SEASONS):
            best, most = unit, mask
    return best, most
