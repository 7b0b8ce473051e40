"""One number as people write it: separators, currencies, units, signs, bounds, footnotes, and values of
several parts such as durations, feet and inches, seasons.

The parts alone are found here: which character is the decimal separator, and whether a column holds
numbers at all, is decided from all its values in `number_format` and `description`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

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
    word: scale
    for words, scale in (
        ("k thousand tsd", 1e3),
        ("lakh lakhs lac lacs", 1e5),
        ("M mn mio million mil", 1e6),
        ("crore crores", 1e7),
        ("B bn mrd billion", 1e9),
        ("T tn trillion", 1e12),
    )
    for word in words.split()
}
# Behind a currency alone: $2.5m, ₹ 1.43 Cr; elsewhere metres, and credit beside debit.
_PRICE_SCALES = {"m": 1e6, "Cr": 1e7, "cr": 1e7, "Cr.": 1e7, "L": 1e5}
_HAN_SCALES = {"\u4e07": 1e4, "\u842c": 1e4, "\u4ebf": 1e8, "\u5104": 1e8}
_SAME_UNIT = {
    spelling: unit
    for unit, spellings in {
        "usd": ("$", "us$"),
        "eur": ("\u20ac", "euro"),
        "gbp": ("\u00a3",),
        "jpy": ("\u00a5",),
        "inr": ("\u20b9", "rs"),
        "chf": ("fr", "sfr"),
        "%": ("percent", "pct", "per cent"),
        "th": ("st", "nd", "rd"),
    }.items()
    for spelling in spellings
}
# Units that measure the same thing in other sizes, or other things: never one column of numbers.
KNOWN_UNITS = _words(
    "km m cm mm mi mile yd ft in inch kg g mg t lb oz hp kw mw ps l ml cl dl gal cc % ‰ °c °f "
    "year yr month mo week day hour hr h minute min second sec s ms usd eur gbp chf jpy inr cny th "
    "lbs cr dr st stone n e s w north east south west km/h mph m/s gb mb kb tb ghz mhz hz kwh wh pa bar hpa kpa mmhg"
)


@dataclass(frozen=True)
class NumberText:
    """The parts of a number.

    body: digits with their separators; unit: the text around them, in one spelling; bound: whether it
    is an "at least", "at most" or "about"; footnote: whether a mark follows.
    """

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
    """Split a text into the parts of a number; None if it is no number."""
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
    rest, footnote = _without_footnote(rest)
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
    scale, unit = _split_scale(rest, price=bool(match["prefix"]))
    slip = match["body"][-1] in ".," and rest == match["rest"]  # 4.l for 4.1
    if unit and (slip or not _is_unit(unit)):
        return None
    around = " ".join(filter(None, (_unit_key(match["prefix"] or ""), _unit_key(unit))))
    negative = opened or "-" in [sign for sign in signs if sign]
    return NumberText(
        negative, match["body"], match["exponent"] or "", around, scale, bound, footnote
    )


def _without_footnote(rest: str) -> tuple[str, bool]:
    """The text behind a number without marks of footnotes, and whether there were any."""
    footnote = False
    while mark := _FOOTNOTE.search(rest):
        # "75 m²" is a unit, "12²" a footnote.
        if mark[0][0] in "\u00b9\u00b2\u00b3" and rest[: mark.start()].strip():
            break
        rest, footnote = rest[: mark.start()], True
    return rest.strip(), footnote


def _split_scale(rest: str, price: bool) -> tuple[float, str]:
    """The scale that a text behind a number begins with (million, k), and the unit after it."""
    head, _, tail = rest.partition(" ")
    for spelling in (head, head.casefold()):
        known = spelling if spelling in _SCALES else spelling.rstrip(".")
        if known in _SCALES:
            return _SCALES[known], tail
    if price and head in _PRICE_SCALES:
        return _PRICE_SCALES[head], tail
    if rest[:1] in _HAN_SCALES:  # without a blank before the unit: 3.2万元
        return _HAN_SCALES[rest[0]], rest[1:]
    return 1.0, rest


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


_CLOCK = re.compile(
    r"(?P<minus>-)?(?:(?P<days>\d{1,5}) ?(?:d|days?),? )?(?P<hours>\d{1,5}):(?P<minutes>[0-5]\d)"
    r"(?::(?P<seconds>[0-5]\d(?:[.,]\d{1,9})?))?"
)
# Times in sports: minutes and seconds with a fraction, 2:01.30.
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


def _seconds(text: str) -> float | None:
    """A duration: 1:05:30, 5:30, 1 day 02:00:00, 2h 30m, PT1H5M.

    The first of two parts (5:30) is taken for hours; minutes would only scale the column.
    """
    for pattern in (_CLOCK, _LAP, _WORDED, _ISO):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        parts = match.groupdict()
        sizes = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
        values = [
            float(parts[key].replace(",", ".")) * size
            for key, size in sizes.items()
            if parts.get(key)
        ]
        if values:
            total = sum(values)
            return -total if parts.get("minus") else total
    return None


_UNITS_OF_TWO = {
    # unit of the result: (pattern of the larger part, that of the smaller, how many make one)
    "inches": (r"'|ft\.?|foot|feet", r"\"|''|in\.?|inch|inches", 12),
    "pounds": (r"st\.?|stone", r"lbs?\.?|pounds?", 14),
    "ounces": (r"lbs?\.?|pounds?", r"oz\.?|ounces?", 16),
}
_TWO_PARTS = {
    unit: re.compile(
        rf"(\d{{1,4}}) ?(?:{large})[ ,-]*(?:(\d{{1,2}}(?:\.\d{{1,4}})?) ?(?:{small})?)?", re.I
    )
    for unit, (large, small, _) in _UNITS_OF_TWO.items()
}
_ANGLE = re.compile(
    r"(-)?(\d{1,3}) ?\u00b0 ?(?:(\d{1,2}(?:\.\d+)?) ?' ?)?(?:(\d{1,2}(?:\.\d+)?) ?(?:\"|''))? ?([NSEWO])?",
    re.I,
)
_SEASON = re.compile(r"(1[5-9]\d\d|2[01]\d\d) ?[-/] ?(\d\d|\d{4})")


def _two_parts(unit: str, text: str) -> float | None:
    """6'9", 6 ft 9 in, 11 st 4 lb, 7 lb 3 oz in the smaller unit."""
    match = _TWO_PARTS[unit].fullmatch(text)
    ratio = _UNITS_OF_TWO[unit][2]
    if match is None or float(match[2] or 0) >= ratio:
        return None
    return ratio * float(match[1]) + float(match[2] or 0)


def _degrees(text: str) -> float | None:
    """51°30'26"N in degrees; south and west are negative."""
    match = _ANGLE.fullmatch(text)
    if match is None:
        return None
    value = float(match[2]) + float(match[3] or 0) / 60 + float(match[4] or 0) / 3600
    return -value if match[1] or (match[5] or "").upper() in ("S", "W") else value


def _first_year(text: str) -> float | None:
    """A season, 1980/81 or 1999-2000, as its first year."""
    match = _SEASON.fullmatch(text)
    if match is None or int(match[2]) != (int(match[1]) + 1) % 10 ** len(match[2]):
        return None
    return float(match[1])


_COMPOUND: dict[str, Callable[[str], float | None]] = {
    "seconds": _seconds,
    **{unit: partial(_two_parts, unit) for unit in _TWO_PARTS},
    "degrees": _degrees,
    "first year": _first_year,
}
_RANGE = re.compile(
    r"[^\d\s]{0,3} ?(\d[\d.,]*) ?[^\d\s-]{0,3} ?(?:-|to|bis|\.\.) ?[^\d\s]{0,3} ?(\d[\d.,]*)(?: ?[^\d\s]\S{0,9})?|(?:[<>]=? ?)?\d[\d.,]*(?: ?\+)?"
)


def is_range(text: str) -> bool:
    """Whether a text is a range of numbers (10-20, $5 to $8) or its open end (65+, <5)."""
    match = _RANGE.fullmatch(plain_text(text)) if len(text) <= MAX_NUMBER else None
    if match is None:
        return False
    ends = [float(re.sub(r"[.,]", "", part)) for part in match.groups() if part]
    return ends == sorted(ends)


_PRIMES = str.maketrans({"\u2032": "'", "\u2033": '"', "\u201c": '"', "\u201d": '"'})


@lru_cache(maxsize=1 << 16)
def compound_value(text: str, unit: str) -> float | None:
    """A text of several parts in one of `COMPOUND_UNITS`; None for other texts."""
    if len(text) > MAX_NUMBER:
        return None
    return _COMPOUND[unit](plain_text(text.translate(_PRIMES)))


def is_grouped(groups: list[str]) -> bool:
    """Whether digits are in groups of three (1 250 000) or as in India (12,50,000)."""
    first, *others = groups
    if not 1 <= len(first) <= 3 or not others or len(others[-1]) != 3:
        return False
    sizes = {len(group) for group in others[:-1]}
    return sizes <= {3} or (len(first) <= 2 and sizes == {2})


def has_several_parts(text: str) -> bool:
    """Whether a duration is more than a number and one unit ("90 min" is a number of minutes)."""
    text = plain_text(text[: MAX_NUMBER + 1])
    return ":" in text or len(re.findall(r"\d+", text)) > 1 or text[:1] in "Pp"
