"""Columns of dates: whether a column holds some, which, and in what order day and month are read."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.values import looks_numeric, to_text
from nnzoo.data.timestamps.date_formats import FORMS, MONTHS, WEEKDAYS, ZONES, plain
from nnzoo.data.timestamps.frequency import describe_spacing
from nnzoo.errors import DataError
from nnzoo.text import Note

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]
SAMPLED = 200
# A column where fewer of the values are dates is no column of dates.
MIN_DATES = 0.8
# Two digits of a year are from 1940 to 2039.
PIVOT = 40

ORDERS = {"day first": "bac", "month first": "abc", "year first": "bca"}  # month, day, year


@dataclass(frozen=True)
class Dates:
    """A column read as dates.

    times: (rows,) datetime64[us], NaT where there is none; of dates with an offset in UTC, or on
    the clock where all have the same. wrong: (rows,) where a value is no date; nearly: of these,
    those that have the shape of a date. offset: what the clock is ahead of UTC, None where none is
    written. monthly: whether they name months or quarters, without a day. notes: what was guessed.
    """

    times: Array
    wrong: Array
    nearly: Array
    offset: str | None = None
    monthly: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def fraction(self) -> float:
        """The fraction of the values that are dates."""
        right = (~np.isnat(self.times)).sum()
        return float(right / max(1, right + self.wrong.sum()))


@dataclass
class _Parsed:
    """Texts taken apart: each part (texts,) int64, -1 where there is none; form: of each its form."""

    form: list[str | None]
    parts: dict[str, Array]
    seconds: Array  # float64, after midnight
    offsets: Array  # minutes ahead of UTC, float64, NaN where none is written
    separator: str = ""
    clocks: bool = False


def read_dates(column: pandas.Series, date_format: str = "auto") -> Dates:
    """A column of text as dates. date_format: "auto", "day_first", "month_first", or as in strptime.

    All have one form, with or without a time of day: what has another is wrong. Numbers are no
    dates. Raises DataError for a date_format that cannot be read.
    """
    import pandas

    nothing = np.full(len(column), np.datetime64("NaT", "us"))
    missing = column.isna().to_numpy()
    if pandas.api.types.is_numeric_dtype(column) or missing.all():
        return Dates(nothing, ~missing, np.zeros(len(column), bool))
    codes, texts = pandas.factorize(to_text(column).str.strip())
    words = [str(text) for text in texts]
    read = _strptime(words, date_format) if "%" in date_format else _read_texts(words, date_format)
    rows = np.where(codes < 0, len(texts), codes)
    times = np.append(read.times, np.datetime64("NaT", "us"))[rows]
    nearly = np.append(read.nearly, False)[rows]
    wrong = np.isnat(times) & ~missing
    return replace(read, times=times, wrong=wrong, nearly=nearly & wrong)


def looks_like_dates(column: pandas.Series, fraction: float = 1.0) -> bool:
    """Whether (at least this fraction of) the values that are there are dates, and not plain numbers."""
    if looks_numeric(column) or not column.notna().any():
        return False
    sample = column.dropna().iloc[: max(SAMPLED, 1)]
    if read_dates(sample).fraction < min(fraction, MIN_DATES):
        return False
    return read_dates(column).fraction >= fraction


def _strptime(texts: list[str], date_format: str) -> Dates:
    import pandas

    try:
        dates = pandas.to_datetime(
            pandas.Series(texts, dtype=object), format=date_format, errors="coerce", utc=True
        )
    except ValueError as error:
        raise DataError.at("data.date_format", f"'{date_format}': {error}", code="E45") from None
    times = dates.dt.tz_localize(None).to_numpy().astype("M8[us]")
    shaped = np.array([any(letter.isdigit() for letter in text) for text in texts])
    return Dates(times, np.isnat(times), shaped)


def _read_texts(texts: list[str], date_format: str) -> Dates:
    """Different texts as dates."""
    if (times := _plain_iso(texts)) is not None:
        return Dates(times, np.isnat(times), np.zeros(len(texts), bool))
    parsed = _take_apart(texts)
    forms = Counter(form for form in parsed.form if form is not None)
    shaped = np.array([form is not None for form in parsed.form])
    if not forms:
        return Dates(np.full(len(texts), np.datetime64("NaT", "us")), ~shaped, shaped)
    main = forms.most_common(1)[0][0]
    of_main = np.array([form == main for form in parsed.form])
    notes: list[str] = []
    if main == "three":
        days, notes = _ordered(texts, parsed, of_main, date_format)
    else:
        days = compose_days(parsed.parts, np.array([form == "week" for form in parsed.form]))
        if (
            main in ("named", "named month", "quarter")
            and (parsed.parts["year"] < 100)[of_main].any()
        ):
            notes = [_two_digits(days[of_main])]
    times = days.astype("M8[us]") + (parsed.seconds * 1e6).round().astype("m8[us]")
    times[~of_main] = np.datetime64("NaT", "us")
    offsets = parsed.offsets[~np.isnat(times)]
    written = offsets[~np.isnan(offsets)]
    offset = None
    if len(written):
        same = len(np.unique(written)) == 1
        if len(written) < len(offsets):
            same = False
            text = (
                f"{len(offsets) - len(written):,} of {len(offsets):,} dates have no offset from UTC "
                "and are read as UTC"
            )
            notes.append(Note("N12", text))
        if not same:
            shift = np.nan_to_num(parsed.offsets) * 60e6
            times = times - shift.astype("m8[us]")
        offset = _offset_text(written[0] if same else 0.0)
    monthly = main in ("month", "named month", "quarter")
    return Dates(times, np.isnat(times), shaped, offset, monthly, [n for n in notes if n])


def _plain_iso(texts: list[str]) -> Array | None:
    """The times of texts that are all as in ISO 8601 without an offset, which takes no regular
    expressions; None where one is not."""
    if set("".join(texts)) - set("0123456789-: T") or not all(
        len(text) in (10, 16, 19) and text[4] == text[7] == "-" and text[13:14] in ("", ":")
        for text in texts
    ):
        return None
    try:
        return np.array(texts, dtype="M8[us]")
    except ValueError:
        return None


def _take_apart(texts: list[str]) -> _Parsed:
    """Parse each text by the most common form, or by any other that it matches."""
    names = ("year", "month", "day", "quarter", "week", "weekday", "a", "b", "c")
    parts = {name: np.full(len(texts), -1) for name in names}
    parsed = _Parsed([None] * len(texts), parts, np.zeros(len(texts)), np.full(len(texts), np.nan))
    likely = list(FORMS)
    for i, text in enumerate(texts):
        bare = _without_weekday(text)
        for form in likely:
            match = next((m for m in (p.fullmatch(bare) for p in FORMS[form]) if m), None)
            if match is not None and _store(parsed, i, match.groupdict()):
                parsed.form[i] = form
                if form != likely[0]:
                    likely = [form, *(item for item in likely if item != form)]
                break
    return parsed


def _without_weekday(text: str) -> str:
    """A date without the day of the week before it."""
    match = re.match(r"([^\W\d_]{2,})\.?,? +(?=.*\d)", text)
    if match is None:
        return text
    word = plain(match[1])
    is_day = word not in MONTHS and any(day.startswith(word) for day in WEEKDAYS)
    return text[match.end() :] if is_day else text


def _store(parsed: _Parsed, i: int, groups: dict[str, str | None]) -> bool:
    """Keep the parts of one text; False where a word is no month or a time of day is none."""
    if (word := groups.get("word")) is not None:
        month = MONTHS.get(plain(word))
        if month is None:
            return False
        parsed.parts["month"][i] = month
    seconds = _seconds(groups)
    zone = groups["zone"]
    if zone and zone[0] in "+-":
        sign, digits = (-1 if zone[0] == "-" else 1), zone[1:].replace(":", "")
        parsed.offsets[i] = sign * (60 * int(digits[:2]) + int(digits[2:] or 0))
    elif zone and zone.upper() in ZONES:
        parsed.offsets[i] = 60 * ZONES[zone.upper()]
    elif zone:
        return False
    if seconds is None:
        return False
    parsed.seconds[i] = seconds
    for name, column in parsed.parts.items():
        if (value := groups.get(name)) is not None:
            column[i] = int(value)
    if groups.get("a") is not None:
        parsed.separator = str(groups["sep"])
    return True


def _seconds(groups: dict[str, str | None]) -> float | None:
    """The time of day; None where it is none."""
    if (clock := groups["clock"]) is not None:
        hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:] or 0)
    elif groups["hour"] is None:
        return 0.0
    else:
        if groups["minute"] is None and groups["gap"] not in ("T", "t") and not groups["half"]:
            return None
        hour, minute = int(groups["hour"]), int(groups["minute"] or 0)
        second = int(groups["second"] or 0)
        if groups["half"]:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + 12 * (groups["half"] in "pP")
    fraction = float("0." + (groups["fraction"] or ".0")[1:])
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second + fraction > 0):
        return None
    return 3600 * hour + 60 * minute + second + fraction


def _ordered(
    texts: list[str], parsed: _Parsed, of_main: Array, date_format: str
) -> tuple[Array, list[str]]:
    """Three numbers as days, in the order that leaves the fewest without a date; of several, in that
    which makes equal distances."""
    short = (parsed.parts["c"] < 100)[of_main].any()
    orders = {"day_first": ["day first"], "month_first": ["month first"]}.get(
        date_format, [*ORDERS][: 3 if short else 2]
    )
    read = {}
    for order in orders:
        month, day, year = (parsed.parts[part] for part in ORDERS[order])
        read[order] = compose_days({"year": year, "month": month, "day": day})
        read[order][~of_main] = np.datetime64("NaT")
    fewest = min(int(np.isnat(days).sum()) for days in read.values())
    open_ = [order for order in orders if np.isnat(read[order]).sum() == fewest]
    if len(open_) > 1:
        different = (read[open_[0]] != read[open_[1]]) & of_main
        clock = (parsed.seconds * 1e6).round().astype("m8[us]")
        scores = {
            order: _regularity((read[order].astype("M8[us]") + clock)[of_main]) for order in open_
        }
        best = max(scores.values())
        winners = [order for order in open_ if scores[order] == best]
        # Dots are the sign of day.month.year; slashes and dashes are read as pandas does.
        preferred = "day first" if parsed.separator == "." else "month first"
        chosen = preferred if preferred in winners else winners[0]
        notes: list[str] = []
        if different.any():
            i = int(different.argmax())
            other = next(order for order in open_ if order != chosen)
            why = "by their equal distances" if len(winners) == 1 else "a guess"
            key = {"day first": "day_first", "month first": "month_first"}.get(other, "%y-%m-%d")
            text = (
                f"dates are read {chosen} ({why}): '{texts[i]}' is {read[chosen][i]}; "
                f"data.date_format: {key} reads them {other}"
            )
            notes.append(Note("N12", text))
    else:
        chosen, notes = open_[0], []
    if short:
        notes.append(_two_digits(read[chosen][of_main]))
    return read[chosen], notes


def _regularity(times: Array) -> tuple[float, float]:
    """A score of an order of day and month: the fraction of times at equal distances, and of those in
    order."""
    times = times[~np.isnat(times)]
    if len(times) < 3:
        return (0.0, 0.0)
    rising = float((np.diff(times) >= np.timedelta64(0)).mean())
    spacing = describe_spacing([np.unique(times)])
    return (round(spacing.neighbors, 6), round(max(rising, 1 - rising), 6))


def compose_days(parts: dict[str, Array], weekly: Array | None = None) -> Array:
    """Days from years, months and days (-1 for the first), quarters or weeks; NaT where there is none."""
    year = parts["year"]
    year = np.where((year >= 0) & (year < 100), year + np.where(year < PIVOT, 2000, 1900), year)
    month = np.where(parts["month"] < 0, 1, parts["month"])
    if "quarter" in parts:
        month = np.where(parts["quarter"] > 0, 3 * parts["quarter"] - 2, month)
    day = np.where(parts["day"] < 0, 1, parts["day"])
    right = (year > 0) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1)
    right &= days.astype("M8[M]") == months
    if weekly is not None and weekly.any():
        # Week 1 has the 4th of January in it.
        fourth = (year - 1970).astype("M8[Y]").astype("M8[D]") + 3
        monday = fourth - (fourth.astype(np.int64) + 3) % 7
        weekday = np.where(parts["weekday"] < 0, 1, parts["weekday"])
        of_week = monday + 7 * (parts["week"] - 1) + weekday - 1
        days = np.where(weekly, of_week, days)
        right = np.where(weekly, (parts["week"] >= 1) & (parts["week"] <= 53), right)
    days[~right] = np.datetime64("NaT")
    return np.asarray(days)


def _two_digits(days: Array) -> str:
    years = days[~np.isnat(days)].astype("M8[Y]")
    if not len(years):
        return ""
    first, last = years.min(), years.max()
    span = f"{first}" if first == last else f"{first} to {last}"
    how = f"00 to {PIVOT - 1} as 20.., {PIVOT} to 99 as 19.."
    return Note("N12", f"two-digit years are read as {span} ({how})")


def _offset_text(minutes: float) -> str:
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(int(abs(minutes)), 60)
    return f"{sign}{hours:02d}:{rest:02d}"
