"""Series made dirty: formats of dates, order, gaps, repeats, footers, numbers, several columns of time."""

from __future__ import annotations

import copy
import re

import numpy as np
import pandas

from tests.campaigns.dirt import Case, Operation, Sheet, choose, positions
from tests.campaigns.dirt_tables import grouped

STEPS = 120


def clean_series(rng: np.random.Generator) -> Sheet:
    """Days, hours or months in ISO form and one column of numbers."""
    frequency = choose(rng, ["D", "h", "MS"])
    start = pandas.Timestamp("2015-03-01") + pandas.Timedelta(days=int(rng.integers(0, 300)))
    dates = pandas.date_range(start, periods=STEPS, freq=frequency)
    form = "%Y-%m-%d %H:%M" if frequency == "h" else "%Y-%m-%d"
    season = {"D": 7, "h": 24, "MS": 12}[frequency]
    values = 5_000 + 900 * np.sin(np.arange(STEPS) * 2 * np.pi / season) + rng.normal(0, 60, STEPS)
    rows = [
        [date.strftime(form), f"{value:.1f}"] for date, value in zip(dates, values, strict=True)
    ]
    return Sheet(["when", "sales"], rows)


def rewrite_dates(sheet: Sheet, form: str) -> None:
    sheet.change("when", lambda cell: pandas.Timestamp(cell).strftime(form))


def date_form(sheet: Sheet, rng: np.random.Generator) -> str | None:
    hours = " %H:%M" if ":" in sheet.rows[0][0] else ""
    form = choose(
        rng,
        [
            "%d.%m.%Y",
            "%d/%m/%Y",
            "%m/%d/%Y",
            "%d-%m-%Y",
            "%Y/%m/%d",
            "%d %b %Y",
            "%b %d, %Y",
            "%Y%m%d",
            "%d.%m.%y",
            "%Y-%m-%dT",
        ],
    )
    if form.endswith("T"):
        rewrite_dates(sheet, f"{form}%H:%M:%SZ")
    else:
        rewrite_dates(sheet, form + hours)
    return "when|date"


def month_words(sheet: Sheet, rng: np.random.Generator) -> str | None:
    if not all(cell.endswith("-01") for cell in sheet.cells("when")):
        return None
    rewrite_dates(sheet, choose(rng, ["%b-%y", "%b %Y", "%B %Y", "%Y-%m", "%m/%Y", "%Y%m"]))
    return "when|date"


def epoch(sheet: Sheet, rng: np.random.Generator) -> str | None:
    scale = int(choose(rng, ["1", "1000"]))
    seconds = [int(pandas.Timestamp(cell).timestamp()) * scale for cell in sheet.cells("when")]
    for row, value in zip(sheet.rows, seconds, strict=True):
        row[0] = str(value)
    return "when|time"


def parts_of_dates(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """Year, month, day (and hour) in columns of their own."""
    assert sheet.header is not None
    stamps = [pandas.Timestamp(cell) for cell in sheet.cells("when")]
    hourly = ":" in sheet.rows[0][0]
    sheet.header[:1] = ["year", "month", "day", *(["hour"] if hourly else [])]
    for row, stamp in zip(sheet.rows, stamps, strict=True):
        hour = [str(stamp.hour)] if hourly else []
        row[:1] = [str(stamp.year), str(stamp.month), str(stamp.day), *hour]
    return "year|time|random"


def time_apart(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """Date and time of day in two columns."""
    assert sheet.header is not None
    if ":" not in sheet.rows[0][0]:
        return None
    sheet.header[:1] = ["date", "time"]
    for row in sheet.rows:
        row[:1] = row[0].split(" ")
    return "date|time"


def newest_first(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.rows.reverse()
    return "order|newest|revers|sort"


def shuffled(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.rows = [sheet.rows[i] for i in rng.permutation(len(sheet.rows))]
    return "order|sort"


def gaps(sheet: Sheet, rng: np.random.Generator) -> str | None:
    lost = positions(rng, int(rng.integers(3, 40)), len(sheet.rows))
    sheet.rows = [row for i, row in enumerate(sheet.rows) if i not in lost]
    return "gap|missing|distance|apart"


def weekdays_only(sheet: Sheet, rng: np.random.Generator) -> str | None:
    stamps = [pandas.Timestamp(cell) for cell in sheet.cells("when")]
    if (stamps[1] - stamps[0]).days != 1:
        return None
    closed = {6} if rng.random() < 0.5 else {5, 6}
    sheet.rows = [
        row for row, stamp in zip(sheet.rows, stamps, strict=True) if stamp.weekday() not in closed
    ]
    return "gap|missing|week|season|day"


def repeated_times(sheet: Sheet, rng: np.random.Generator) -> str | None:
    for i in reversed(positions(rng, int(rng.integers(1, 10)), len(sheet.rows))):
        sheet.rows.insert(i, list(sheet.rows[i]))
    return "twice|repeat|more than once|same time|equal"


def total_row(sheet: Sheet, rng: np.random.Generator) -> str | None:
    word = choose(rng, ["Total", "Sum", "Average", "Source: office", "Gesamt"])
    total = sum(float(re.sub(r"[^0-9.]", "", row[-1]) or 0) for row in sheet.rows)
    sheet.rows.append([word, *[""] * (len(sheet.rows[0]) - 2), f"{total:.1f}"])
    return f"{word}|row {len(sheet.rows)}"


def bad_date(sheet: Sheet, rng: np.random.Generator) -> str | None:
    i = int(rng.integers(2, len(sheet.rows) - 2))
    sheet.rows[i][0] = choose(rng, ["31.06.2021", "2021-13-40", "soon", "", "??"])
    return f"row {i + 1}\\b|row {i + 2}\\b"


def value_gap(sheet: Sheet, rng: np.random.Generator) -> str | None:
    for i in positions(rng, int(rng.integers(1, 5)), len(sheet.rows)):
        sheet.rows[i][-1] = choose(rng, ["", "NA", "-", "n/a"])
    return "sales.*(missing|row)|missing.*sales"


def value_text(sheet: Sheet, rng: np.random.Generator) -> str | None:
    i = int(rng.integers(2, len(sheet.rows) - 2))
    sheet.rows[i][-1] = choose(rng, ["closed", "1O0", "x"])
    return f"row {i + 1}\\b|row {i + 2}\\b|sales"


def thousands(sheet: Sheet, rng: np.random.Generator) -> str | None:
    separator = choose(rng, [",", " ", "\u00a0", "'"])
    sheet.change("sales", lambda cell: grouped(cell, separator) if cell else cell)
    return "sales"


def currency(sheet: Sheet, rng: np.random.Generator) -> str | None:
    front = choose(rng, ["$", "€ ", "£"])
    sheet.change("sales", lambda cell: front + cell if cell else cell)
    return "sales"


def late_covariate(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """A column of numbers that begins later: not used unless it is named."""
    assert sheet.header is not None
    sheet.header.insert(1, "sensor")
    late = int(rng.integers(5, 60))
    for i, row in enumerate(sheet.rows):
        row.insert(1, f"{np.sin(i) * 10 + 50:.1f}" if i >= late else "")
    return "sensor"


def no_header(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.header = None
    return "header"


def lines_above(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.above = [["Sales by day", ""], ["# exported"], ["sep=,"]][int(rng.integers(3))]
    return "skip|above|line"


def written_otherwise(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.delimiter = choose(rng, [";", "\t", "|"])
    sheet.line_end = choose(rng, ["\n", "\r\n"])
    sheet.encoding = choose(rng, ["utf-8", "utf-8-sig", "utf-16"])
    return "UTF-8|encoding"


# Operations that read the dates come before those that rewrite them.
OPERATIONS: dict[str, Operation] = {
    item.__name__: item
    for item in (
        weekdays_only,
        gaps,
        repeated_times,
        newest_first,
        shuffled,
        value_gap,
        value_text,
        thousands,
        currency,
        late_covariate,
        date_form,
        month_words,
        epoch,
        time_apart,
        parts_of_dates,
        bad_date,
        total_row,
        no_header,
        lines_above,
        written_otherwise,
    )
}
DATES = {"date_form", "month_words", "epoch", "time_apart", "parts_of_dates"}


def series_case(seed: int, only: str | None = None) -> Case:
    """A series and the same with one or two errors, or with one that is named."""
    rng = np.random.default_rng(seed)
    sheet = clean_series(rng)
    picked = {str(name) for name in rng.choice(list(OPERATIONS), size=int(rng.choice([1, 1, 2])))}
    picked = {only} if only else picked
    for extra in sorted(picked & DATES)[1:]:
        picked.remove(extra)
    if picked & {"epoch", "time_apart", "parts_of_dates"}:
        picked.discard("bad_date")
    case = Case(target="sales")
    case.clean["series.csv"] = sheet.encoded()
    dirty = copy.deepcopy(sheet)
    for name, operation in OPERATIONS.items():
        if name not in picked:
            continue
        pattern = operation(dirty, rng)
        if pattern is not None:
            case.operations.append(name)
            case.names[name] = pattern
    case.dirty["series.csv"] = dirty.encoded()
    return case
