"""Numbers as people write them: separators, currencies, units, signs, bounds, footnotes, durations.

A value is taken apart here; which character is the decimal separator, and whether a column is one of
numbers at all, is decided from all its values in `columns`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

# A longer text is no number: what looks for one must not depend on the length of the others.
MAX_NUMBER = 64


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e"
_ZEROS = "\uff10\u0660\u06f0\u0966\u09e6\u0e50"
_ALIKE = {
    "-": "\u2212\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d",
    "+": "\uff0b",
    "'": "\u2018\u2019\u02bc\uff07\u00b4",
    ".": "\uff0e\u066b\u00b7",
    ",": "\uff0c",
    "%": "\uff05\u066a",
    "$": "\uff04",
    "(": "\uff08",
    ")": "\uff09",
}
_PLAIN = str.maketrans(
    {character: " " for character in _SPACES}
    | {character: "" for character in _INVISIBLE}
    | {chr(ord(zero) + i): str(i) for zero in _ZEROS for i in range(10)}
    | {other: plain for plain, others in _ALIKE.items() for other in others}
)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb"}

_CURRENCY_CODES = _words(
    "usd eur gbp chf jpy cny rmb inr rub brl cad aud nzd sek nok dkk pln czk huf try zar krw hkd sgd mxn "
    "ils thb idr myr php aed sar ngn egp pkr bdt vnd uah ron bgn"
)
_CURRENCY = (
    r"(?:[A-Za-z]{1,2}\$|[$\u00a2-\u00a5\u20a0-\u20cf]|z\u0142|K\u010d|(?i:"
    + "|".join(sorted(_CURRENCY_CODES))
    + r")(?![^\W\d_])|(?i:rs|s?fr|kr|euro)(?:\.|(?= )))"
)
_BOUND = r"(?:[<>]=?|[\u2264\u2265~\u2248]|(?i:ca\.?|approx\.?|about|circa)(?= ))"
_NUMBER = re.compile(
    rf"(?P<bound>{_BOUND})? *(?P<open>\()? *(?P<sign>[+-])? *(?P<prefix>{_CURRENCY})? *"
    r"(?P<open2>\()? *(?P<sign2>[+-])? *"
    r"(?P<body>\d+(?:[ .,'_]\d+)*[.,]?|[.,]\d+)(?P<exponent>[eE][+-]?\d{1,3}(?!\w))?"
    r"(?P<rest>.*)",
    re.DOTALL,
)
# Most numbers are no more than this, and read faster.
SIMPLE_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:[.,][0-9]{1,15})?")
_RAISED = str.maketrans(
    "\u207a\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "+-0123456789"
)
_POWER = re.compile(
    r"(.*\d) ?[xX*\u00d7\u22c5] ?10(?:(?:\^|\*\*) ?([+-]?\d{1,3})"
    r"|([\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}))"
)
# Marks that lead to a note below a table: 12*, 12[1], 12 (est.), 12¹; and an error, 12 ± 0.3.
_FOOTNOTE = re.compile(
    r" *(?:(?:\u00b1|\+/-) *\d+(?:[.,]\d+)?|[*\u2020\u2021\u00a7#^]+|\[[^\[\]]{1,12}\]|\([A-Za-z .]{1,12}\)|[\u00b9\u00b2\u00b3\u2070-\u2079]+)$"
)
_WORD = re.compile(r"[^\W\d_][^\W\d_]*[\d\u00b2\u00b3]?\.?")
_SYMBOLS = re.compile(r"[%\u2030\u00b0\"'\u2032\u2033/$\u00a2-\u00a5\u20a0-\u20cf\u2103\u2109]+")
_AT_LEAST = (
    "+",
    "more",
    "or more",
    "or less",
    "and over",
    "and above",
    "and under",
    "plus",
    "or older",
)
_SCALES = {
    "k": 1e3, "thousand": 1e3, "tsd": 1e3, "M": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6,
    "mil": 1e6, "B": 1e9, "bn": 1e9, "mrd": 1e9, "billion": 1e9, "T": 1e12, "tn": 1e12,
    "trillion": 1e12, "lakh": 1e5, "lakhs": 1e5, "lac": 1e5, "lacs": 1e5, "crore": 1e7, "crores": 1e7,
}  # fmt: skip
# Behind a currency alone: $2.5m, ₹ 1.43 Cr; elsewhere metres, and credit beside debit.
_PRICE_SCALES = {"m": 1e6, "Cr": 1e7, "cr": 1e7, "Cr.": 1e7, "L": 1e5}
_HAN_SCALES = {"\u4e07": 1e4, "\u842c": 1e4, "\u4ebf": 1e8, "\u5104": 1e8}
_SAME_UNIT = {
    "$": "usd", "us$": "usd", "\u20ac": "eur", "euro": "eur", "\u00a3": "gbp", "\u00a5": "jpy",
    "\u20b9": "inr", "rs": "inr", "fr": "chf", "sfr": "chf", "percent": "%", "pct": "%", "per cent": "%",
    "st": "th", "nd": "th", "rd": "th",
}  # fmt: skip
# Units that measure the same thing in other sizes, or other things: never one column of numbers.
KNOWN_UNITS = _words(
    "km m cm mm mi mile yd ft in inch kg g mg t lb oz hp kw mw ps l ml cl dl gal cc % ‰ °c °f "
    "year yr month mo week day hour hr h minute min second sec s ms usd eur gbp chf jpy inr cny th "
    "lbs cr dr st stone n e s w north east south west km/h mph m/s gb mb kb tb ghz mhz hz kwh wh pa bar hpa kpa mmhg"
)


@dataclass(frozen=True)
class NumberText:
    """One text taken apart. body: digits with their separators; unit: what stands around them, in
    one spelling; bound: whether it says "at least", "at most" or "about"; footnote: a mark behind it."""

    negative: bool
    body: str
    exponent: str
    unit: str
    scale: float = 1.0
    bound: bool = False
    footnote: bool = False


def plain_text(text: str) -> str:
    """The same with ASCII digits, signs and spaces, without invisible characters and outer quotes."""
    text = text.translate(_PLAIN).strip()
    if text.startswith('="') and text.endswith('"'):  # Excel's way to keep a number a text
        text = text[1:]
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text[1:] if re.match(r"'[-+.\d]", text) else text


@lru_cache(maxsize=1 << 16)
def split_number(text: str) -> NumberText | None:
    """A text as a number with what stands around it; None where it is none."""
    if len(text) > MAX_NUMBER:
        return None
    text = _power_of_ten(plain_text(text))
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    rest = match["rest"]
    opened = bool(match["open"] or match["open2"])
    if opened:
        before, closed, behind = rest.partition(")")
        if not closed or (match["open"] and match["open2"]):
            return None
        rest = before + behind
    footnote = False
    while found := _FOOTNOTE.search(rest):
        # "75 m²" is a unit, "12²" a footnote.
        if found[0][0] in "\u00b9\u00b2\u00b3" and rest[: found.start()].strip():
            break
        rest, footnote = rest[: found.start()], True
    rest = rest.strip()
    signs = [match["sign"], match["sign2"]]
    if rest == "-" and match["body"][-1] in ".,":  # CHF 5.- is five francs
        rest = ""
    if rest == "-":  # as SAP writes it
        signs.append("-")
        rest = ""
    if sum(sign is not None for sign in signs) + opened > 1:
        return None
    bound = match["bound"] is not None
    for words in _AT_LEAST:
        if rest.casefold() == words or rest.casefold().endswith(f" {words}"):
            rest, bound = rest[: -len(words)].rstrip(), True
    scale = 1.0
    unit = rest
    head, _, tail = rest.partition(" ")
    for spelling in (head, head.casefold()):
        known = spelling if spelling in _SCALES else spelling.rstrip(".")
        if known in _SCALES:
            scale, unit = _SCALES[known], tail
            break
    else:
        if match["prefix"] and head in _PRICE_SCALES:
            scale, unit = _PRICE_SCALES[head], tail
        elif rest[:1] in _HAN_SCALES:  # no blank stands before a unit: 3.2万元
            scale, unit = _HAN_SCALES[rest[0]], rest[1:]
    slip = match["body"][-1] in ".," and rest == match["rest"]  # 4.l for 4.1
    if unit and (slip or not _is_unit(unit)):
        return None
    around = " ".join(filter(None, (_unit_key(match["prefix"] or ""), _unit_key(unit))))
    negative = opened or "-" in [sign for sign in signs if sign]
    return NumberText(
        negative, match["body"], match["exponent"] or "", around, scale, bound, footnote
    )


def _power_of_ten(text: str) -> str:
    """1.5 x 10^-5 and 1.5×10⁻⁵ as 1.5e-5."""
    match = _POWER.fullmatch(text)
    if match is None:
        return text
    return f"{match[1]}e{(match[2] or match[3]).translate(_RAISED)}"


def _is_unit(text: str) -> bool:
    """Whether a text behind a number can be its unit: up to three words or symbols, no digits but
    the power of a unit (m2)."""
    if len(text) > 20:
        return False
    text = re.sub(r"^-(?=[^\W\d_]{3})", "", text)  # 4-door
    parts = [part for part in re.split(r"[ ]+|(?<=\w)/(?=\w)|(?<=\w)-(?=\w)", text) if part]
    return len(parts) <= 3 and all(
        _WORD.fullmatch(re.sub(_SYMBOLS, "", part) or "x") for part in parts
    )


def _unit_key(unit: str) -> str:
    """One spelling for a unit: without plural, dots, case ("Months" and "month", "€" and "EUR")."""
    key = unit.strip(" -.").casefold()
    key = _SAME_UNIT.get(key, key)
    if len(key) > 3 and key.endswith("s") and not key.endswith("ss"):
        key = key[:-1]
    return _SAME_UNIT.get(key, key)


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
                if _grouped(groups):
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
            and _grouped(groups[:-1])
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


def _grouped(groups: list[str]) -> bool:
    """Whether digits stand in groups of three (1 250 000) or as in India (12,50,000)."""
    first, *others = groups
    if not 1 <= len(first) <= 3 or not others or len(others[-1]) != 3:
        return False
    return all(len(each) == 3 for each in others) or (
        len(first) <= 2 and all(len(each) == 2 for each in others[:-1])
    )


@dataclass(frozen=True)
class NumberFormat:
    """How the texts of a column are read as numbers; the default is what a program writes.

    thousands: the separators that are taken out; unit: what stands before or behind the numbers, in
    one spelling; duration: texts such as 1:05:30, read as seconds; missing: words of this column that
    stand for no value, beside those that always do.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    duration: bool = False
    missing: tuple[str, ...] = ()

    def to_spec(self) -> dict[str, Any]:
        """Plain values for a checkpoint: what differs from the default."""
        values = {
            "decimal": self.decimal, "thousands": self.thousands, "unit": self.unit,
            "duration": self.duration, "missing": list(self.missing),
        }  # fmt: skip
        plain = {"decimal": ".", "thousands": "", "unit": "", "duration": False, "missing": []}
        return {key: value for key, value in values.items() if value != plain[key]}

    @classmethod
    def from_spec(cls, values: Any) -> NumberFormat:
        """The format of a checkpoint; raises TypeError where it holds something else."""
        if not isinstance(values, dict) or set(values) - set(cls.__annotations__):
            raise TypeError("a number format that is none")
        missing = values.get("missing", [])
        texts = [values.get(key, "") for key in ("decimal", "thousands", "unit")]
        if not all(isinstance(each, str) for each in [*texts, *missing]):
            raise TypeError("a number format that is none")
        return cls(**{**values, "missing": tuple(missing)})

    def value(self, text: str) -> float | None:
        """The number that a text stands for; None where it is none, or has another unit."""
        if self.duration:
            return seconds(text)
        if SIMPLE_NUMBER.fullmatch(text) and (self.decimal in text or text.isalnum()):
            return float(text.replace(self.decimal, "."))
        number = split_number(text)
        if number is None or (number.unit and number.unit != self.unit):
            return None
        digits = self._digits(number.body)
        if digits is None or (number.exponent and not re.fullmatch(r"[\d.]+", digits)):
            return None
        value = float(digits + number.exponent) * number.scale
        return -value if number.negative else value

    def _digits(self, body: str) -> str | None:
        """A body with a decimal point and nothing else; None where its separators do not fit."""
        whole, decimal, part = body.partition(self.decimal)
        if decimal and not part.isdecimal() and part:
            return None
        separators = set(re.findall(r"[ .,'_]", whole))
        if separators:
            if len(separators) > 1 or not separators <= set(self.thousands):
                return None
            groups = re.split(r"[ .,'_]", whole)
            if not _grouped(groups):
                return None
            whole = "".join(groups)
        return f"{whole or '0'}.{part or '0'}" if decimal else whole


_CLOCK = re.compile(
    r"(?P<minus>-)?(?:(?P<days>\d{1,5}) ?(?:d|days?),? )?(?P<hours>\d{1,5}):(?P<minutes>[0-5]\d)"
    r"(?::(?P<seconds>[0-5]\d(?:[.,]\d{1,9})?))?"
)
# Of sports: minutes and seconds with a fraction, 2:01.30.
_LAP = re.compile(r"(?P<minus>-)?(?P<minutes>\d{1,5}):(?P<seconds>[0-5]\d[.,]\d{1,9})")
_WORDED = re.compile(
    r"(?:(?P<days>\d{1,5}) ?(?:d|days?))?[ ,]*(?:(?P<hours>\d{1,5}) ?(?:h|hrs?|hours?|std))?[ ,]*"
    r"(?:(?P<minutes>\d{1,5}) ?(?:m|mins?|minutes?))?[ ,]*"
    r"(?:(?P<seconds>\d{1,7}(?:\.\d{1,9})?) ?(?:s|secs?|seconds?))?",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"P(?:(?P<days>\d{1,5})D)?(?:T(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,5})M)?"
    r"(?:(?P<seconds>\d{1,7}(?:\.\d{1,9})?)S)?)?",
    re.IGNORECASE,
)


@lru_cache(maxsize=1 << 16)
def seconds(text: str) -> float | None:
    """A duration (1:05:30, 5:30, 1 day 02:00:00, 2h 30m, PT1H5M) in seconds; None for other texts.

    Of two parts, 5:30, the first is taken for hours: as inputs all columns of one form differ by a
    factor alone.
    """
    if len(text) > MAX_NUMBER:
        return None
    text = plain_text(text)
    for pattern in (_CLOCK, _LAP, _WORDED, _ISO):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        parts = match.groupdict()
        sizes = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
        values = [
            float(parts[key].replace(",", ".")) * size
            for key, size in sizes.items() if parts.get(key)
        ]  # fmt: skip
        if values:
            total = sum(values)
            return -total if parts.get("minus") else total
    return None


def several_parts(text: str) -> bool:
    """Whether a duration is more than a number and one unit ("90 min" is a number of minutes)."""
    text = plain_text(text[: MAX_NUMBER + 1])
    return ":" in text or len(re.findall(r"\d+", text)) > 1 or text[:1] in "Pp"
