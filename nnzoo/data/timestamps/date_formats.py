"""Written forms of dates: patterns, and the names of months, weekdays and time zones in some languages."""

from __future__ import annotations

import re
import unicodedata

_MONTH_NAMES = (
    "january january januar janvier enero gennaio janeiro januari janner",
    "february februar fevrier febrero febbraio fevereiro februari feber",
    "march marz mars marzo marco maart mrz mrt maerz",
    "april avril abril aprile",
    "may mai mayo maggio maio mei",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august aout agosto augustus",
    "september septembre septiembre settembre setembro",
    "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro",
    "december dezember decembre diciembre dicembre dezembro",
)
WEEKDAYS = re.findall(
    r"\w+",
    "monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag "
    "freitag samstag sonnabend sonntag lundi mardi mercredi jeudi vendredi samedi dimanche lunes "
    "martes miercoles jueves viernes sabado domingo",
)
# Hours ahead of UTC of the names that e-mail and German clocks use.
ZONES = {
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "UT": 0,
    "CET": 1,
    "CEST": 2,
    "MEZ": 1,
    "MESZ": 2,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}


def _prefixes() -> dict[str, int]:
    """Names of months, and what they are shortened to, where it names one month alone."""
    result: dict[str, set[int]] = {}
    for number, names in enumerate(_MONTH_NAMES, 1):
        for name in names.split():
            for length in range(3, len(name) + 1):
                result.setdefault(name[:length], set()).add(number)
    return {prefix: months.pop() for prefix, months in result.items() if len(months) == 1}


MONTHS = _prefixes()
_WORD = r"(?P<word>[^\W\d_]{3,})\.?"
_YEAR = r"(?P<year>\d{4}|\d{2})"
# Each form of a date by its name; "three" are three numbers whose order is not known.
_FORM_TEXTS = {
    "year first": (
        r"(?P<year>\d{4})(?P<sep>[-/. ])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        r"(?P<year>\d{4})年(?P<month>\d{1,2})月(?P<day>\d{1,2})日",
    ),
    "three": (r"(?P<a>\d{1,2})(?P<sep>[-/. ])\s?(?P<b>\d{1,2})(?P=sep)\s?(?P<c>\d{4}|\d{2})",),
    "month": (
        r"(?P<year>\d{4})\s?[-/.: mM]\s?(?P<month>\d{1,2})",
        r"(?P<month>\d{1,2})[-/. ](?P<year>\d{4})",
        r"(?P<year>\d{4})年(?P<month>\d{1,2})月",
    ),
    "named": (
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.)?[-/. ]*(?:de )?{_WORD},?[-/. ']*(?:de )?{_YEAR}",
        rf"{_WORD}[-/. ]*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:, ?|[-/. ]+){_YEAR}",
        rf"(?P<year>\d{{4}})[-/. ]*{_WORD}[-/. ]*(?P<day>\d{{1,2}})",
    ),
    "named month": (
        rf"{_WORD},?[-/. ']*(?:de )?{_YEAR}",
        rf"(?P<year>\d{{4}})[-/. ]*{_WORD}",
    ),
    "quarter": (
        r"(?P<year>\d{4})[-/_. ]*[QqTt] ?(?P<quarter>[1-4])",
        rf"[QqTt] ?(?P<quarter>[1-4])[-/_., ']*{_YEAR}",
        rf"(?P<quarter>[1-4])\.? ?(?:[QqTt]|quarter|quartal|trimestre)\.?[-/_ ']*{_YEAR}",
    ),
    "week": (
        r"(?P<year>\d{4})[-_/ ]*(?:W|KW|WK|week)[- ]?(?P<week>\d{1,2})(?:-?(?P<weekday>[1-7]))?",
        r"(?:W|KW|WK|week)[- .]*(?P<week>\d{1,2})[-/, ]+(?P<year>\d{4})",
    ),
}
_TIME = (
    r"(?:(?P<gap>T|,? +| ?- ?|:)"
    r"(?:(?P<clock>\d{4}(?:\d\d)?)(?=$|Z|[+-])"
    r"|(?P<hour>\d{1,2})(?:[:h.](?P<minute>\d\d)(?:[:.](?P<second>\d\d)(?P<fraction>[.,]\d+)?)?)?)"
    r"(?: ?Uhr)?(?: ?(?P<half>[ap])\.?m\.?)?(?: ?(?P<zone>Z|[+-]\d\d(?::?\d\d)?|[A-Z]{2,4}))?)?"
)
FORMS = {
    form: tuple(re.compile(date + _TIME, 0 if form == "month" else re.IGNORECASE) for date in dates)
    for form, dates in _FORM_TEXTS.items()
}


def plain(word: str) -> str:
    """A word in small letters, without accents."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
