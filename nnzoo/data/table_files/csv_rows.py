"""Rows of CSV: lines cut into values, and whether the first row names the columns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from nnzoo.data.columns.values import MISSING
from nnzoo.data.table_files import limits
from nnzoo.text import list_some, shorten

Form = Literal["missing", "number", "dressed", "date", "word"]

# 1.5, -3, 1e-5, .5, 1,5, 1,250,000.00 and 1 250 000; not 2020_01, which Python would take for one.
_DIGITS = r"(?:(?:\d{1,3}(?:[ ,.'\u00a0\u202f]\d{3})+|\d+)(?:[.,]\d*)?|[.,]\d+)"
_NUMBER = rf"[+\-−]?{_DIGITS}(?:[eE][+\-]?\d+)?"
_IS_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")  # by far the most
_IS_NUMBER = re.compile(_NUMBER)
# $105,000; 12.5%; 75 hp; <0.1; (300)
_IS_DRESSED = re.compile(rf"[^\w\s]{{0,3}}\s*{_NUMBER}\s*[%\w°²³/)\]*]{{0,8}}")
_IS_DATE = re.compile(r"\d{1,4}[-/.:]\d{1,2}(?:[-/.: T].*)?|\d{1,2}[-/. ]\w{3,9}[-/. ]\d{2,4}.*")
# A column has a form if at least this fraction of its values have it: a few may be broken.
FORM_FRACTION = 0.9
LONGEST = 60  # characters of a number or date
# Rows that are looked at for what a column holds, and for steps like those of the first.
FORM_ROWS = 100
FEW = 20


def cell_form(cell: str) -> Form:
    """Classify a value by its characters."""
    if _IS_PLAIN.fullmatch(cell):
        return "number"
    cell = cell.strip()
    if cell in MISSING:
        return "missing"
    if len(cell) > LONGEST or not any(map(str.isdigit, cell)):
        return "word"
    if _IS_NUMBER.fullmatch(cell):
        return "number"
    if _IS_DATE.fullmatch(cell):
        return "date"
    return "dressed" if _IS_DRESSED.fullmatch(cell) else "word"


def is_words(cells: list[str]) -> bool:
    """Whether a row holds no number or date."""
    return all(cell_form(cell) in ("word", "missing") for cell in cells)


class Columns:
    """The sampled rows below a first row, column by column."""

    def __init__(self, rows: list[list[str]], width: int) -> None:
        self.values = [[row[j].strip() for row in rows if j < len(row)] for j in range(width)]
        self._forms: dict[int, Counter[Form]] = {}

    def forms(self, j: int) -> Counter[Form]:
        """The number of values of each form in a column."""
        if j not in self._forms:
            self._forms[j] = Counter(map(cell_form, self.values[j][:FORM_ROWS]))
        return self._forms[j]

    def main_form(self, j: int) -> Form | None:
        """The form of nearly all present values of a column; None if it is mixed or empty."""
        counts = Counter({form: n for form, n in self.forms(j).items() if form != "missing"})
        if not counts:
            return None
        form, count = counts.most_common(1)[0]
        return form if count >= FORM_FRACTION * counts.total() else None


def words_over_numbers(first: list[str], columns: Columns) -> int:
    """In how many columns the first cell is a word and the others are numbers, dates or the like."""
    return sum(
        cell_form(cell) == "word"
        and columns.main_form(j) in ("number", "dressed", "date")
        and cell.strip() not in columns.values[j]
        for j, cell in enumerate(first)
    )


def plainly_names(first: list[str], below: list[list[str]]) -> bool:
    """Whether a row holds words over numbers, or numbers that count over others that do not."""
    columns = Columns([row for row in below if row != first], len(first))
    numbers = [
        j
        for j, cell in enumerate(first)
        if cell_form(cell) == "number" and columns.main_form(j) in ("number", None)
    ]
    return words_over_numbers(first, columns) > 0 or _counts(first, numbers, columns)


def is_header(first: list[str], below: list[list[str]]) -> tuple[bool, str]:
    """Whether the first row names the columns; and a note, "" where there is no doubt.

    A name is a word over numbers, or one that does not come again below it. Numbers are names where
    they count (0, 1, 2; 2015, 2016; wavelengths) and the rows below do not.
    """
    # A header repeats as a whole in files that were concatenated.
    columns = Columns([row for row in below if row != first], len(first))
    words = words_over_numbers(first, columns)
    columns = columns if words else Columns(below, len(first))
    forms = [cell_form(cell) for cell in first]
    names = [cell.strip() for cell in first if cell.strip()]
    shown = list_some([f"'{shorten(name, 20)}'" for name in names])
    taken = f"the first row ({shown}) is taken for the header; is it data? (data.header: false)"
    data = f"no header found: the first row ({shown}) is data (data.header)"
    again = sum(
        form == "word" and first[j].strip() in columns.values[j] for j, form in enumerate(forms)
    )
    if words:
        return words >= again, "" if not again else taken if words >= again else data
    if again or not names:
        return False, data
    numbers = [j for j, form in enumerate(forms) if form == "number"]
    over_numbers = [j for j in numbers if columns.main_form(j) in ("number", None)]
    if over_numbers:
        counts = _counts(first, over_numbers, columns)
        return counts, taken if counts else data
    # A date or quantity over plain numbers, or a number over words, is no value of its column.
    is_value = [form in ("number", "dressed", "date") for form in forms]
    if len(below) > 1 and any(
        is_value[j] and columns.forms(j)[form] == 0 and columns.main_form(j)
        for j, form in enumerate(forms)
    ):
        return True, taken
    if any(is_value):
        return False, data
    distinct = len(set(names)) == len(names) and len(names) >= len(first) - 1
    return distinct, taken if distinct else data


def _counts(first: list[str], numbers: list[int], columns: Columns) -> bool:
    """Whether the numbers of the first row count up or down, and those below are of another sort."""
    steps = [_number(first[j]) for j in numbers]
    if len(steps) < 2 or any(step is None for step in steps):
        return False
    values = [step for step in steps if step is not None]
    whole = all(value == round(value) for value in values)
    equal = _in_equal_steps(values)
    rising = whole and all(a < b for a, b in pairwise(values))
    if not equal and not rising:
        return False
    for i in range(min(FEW, len(columns.values[numbers[0]])) if len(values) > 2 else 0):
        row = [_number(columns.values[j][i]) for j in numbers]
        if None not in row and _in_equal_steps([value for value in row if value is not None]):
            return False
    outside = decimals = 0
    for j, value in zip(numbers, values, strict=True):
        below = [x for x in map(_number, columns.values[j][:FORM_ROWS]) if x is not None]
        outside += not below or not min(below) <= value <= max(below)
        decimals += sum(x != round(x) for x in below) >= len(below) / 2
    half = len(numbers) / 2
    years = whole and all(1800 <= value <= 2200 for value in values)
    if len(values) == 2:
        return equal and years and outside == 2
    return (whole and decimals >= half) or (
        equal and (outside >= half or len(values) >= 10) and (len(values) > 3 or years)
    )


def _in_equal_steps(values: list[float]) -> bool:
    steps = [b - a for a, b in pairwise(values)]
    if not steps or steps[0] == 0:
        return False
    tolerance = 1e-6 * abs(steps[0]) + 1e-9
    return all(abs(step - steps[0]) <= tolerance for step in steps)


def _number(cell: str) -> float | None:
    try:
        value = float(cell.replace(",", ".").replace("_", "x"))  # Python reads 1_000 as a number
    except ValueError:
        return None
    return value if abs(value) < 1e30 else None  # also not NaN


def unique_names(names: list[str]) -> tuple[list[str], list[str]]:
    """Names that are all different, and a note where some were changed.

    A column without a name goes by its position; the second "x" is "x.1".
    """
    result: list[str] = []
    changed: list[str] = []
    names = [name.strip() or str(i) for i, name in enumerate(names)]
    used, counts = set(names), Counter[str]()
    for name in names:
        unique, counts[name] = name, counts[name] + 1
        if counts[name] > 1:
            number = counts[name] - 1
            while (unique := f"{name}.{number}") in used:
                number += 1
            used.add(unique)
            changed.append(f"'{shorten(name)}' is '{shorten(unique)}'")
        result.append(unique)
    if not changed:
        return result, []
    return result, [f"columns of equal names: the second {list_some(changed, counted=True)}"]


# Delimiters with their form in YAML; " " is any run of blanks and tabs, "\t+" any run of tabs.
DELIMITERS = {",": "','", ";": "';'", "\t": '"\\t"', "|": "'|'"}
TAB_RUNS = "\t+"
# Tabs in a file of raw texts, in which quotes are characters as any other.
RAW_TABS = '\t"'
RARE_DELIMITERS = {" ": "' '", "::": "'::'", TAB_RUNS: '"\\t+"'}
COMMENTS = ("#", "%", "//", "!")
# Replaces a delimiter of several characters, which Python's reader does not support.
_UNIT = "\x1f"
FORMULA = re.compile(r'(?<![^,;\t|])="([^"]*)"(?![^,;\t|\r\n])|"=""([^"]*)"""')


class Row(NamedTuple):
    """A row that is not blank; line: the line on which it begins, from 1."""

    line: int
    cells: list[str]


class RowSplitError(Exception):
    """Quotes that do not match; line: where the row begins, which the message leaves out."""

    def __init__(self, line: int, reason: str) -> None:
        if "end of data" in reason:
            reason = "a quote is opened and never closed"
        elif "field limit" in reason:
            reason = f"a value of more than {limits.MAX_VALUE:,} characters; an open quote?"
        elif "expected after" in reason:
            reason = "there is text behind a closing quote; a quote inside a value is written twice"
        super().__init__(reason)
        self.line = line


def cut(
    file: Path, lines: Iterable[str], delimiter: str, above: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """Cut lines, below `above` others, into rows: (line, cells) as in `Row`, which takes time to make.

    Raises RowSplitError for wrong quotes, DataError before a line is cut into too many values.
    """
    raw = delimiter == RAW_TABS
    single = "\t" if raw else delimiter if len(delimiter) == 1 else _UNIT

    def checked() -> Iterator[str]:
        plain, most = single == delimiter != " " or raw, limits.MAX_COLUMNS
        for number, line in enumerate(lines, above + 1):
            if not plain or ('="' in line and not raw):
                line = prepared(line, delimiter)
            if len(line) >= most:
                limits.refuse_columns(file, line.count(single) + 1, number)
            yield line

    blanks = delimiter != " "
    reader = csv.reader(
        checked(),
        delimiter=single,
        skipinitialspace=blanks,
        strict=True,
        quoting=csv.QUOTE_NONE if raw else csv.QUOTE_MINIMAL,
    )
    begin = above + 1
    try:
        for cells in reader:
            if len(cells) >= 2 or "".join(cells).strip():
                yield begin, cells
            begin = above + reader.line_num + 1
    except csv.Error as error:
        raise RowSplitError(begin, str(error)) from None


def prepared(line: str, delimiter: str) -> str:
    """Replace a delimiter of several characters, and Excel's ="00123" by the text in it."""
    if '="' in line:
        line = FORMULA.sub(lambda match: f'"{match[1] or match[2] or ""}"', line)
    if delimiter == " ":
        return re.sub(r"[ \t]+", " ", line.strip(" \t\r\n")) + "\n" * line.endswith(("\n", "\r"))
    if delimiter == TAB_RUNS:
        return re.sub(r"\t+", _UNIT, line.strip("\t\r\n")) + "\n" * line.endswith(("\n", "\r"))
    return line if len(delimiter) == 1 else line.replace(delimiter, _UNIT)


def is_comment(row: Row) -> bool:
    first = row.cells[0].lstrip()
    return first.startswith(COMMENTS) and first not in COMMENTS


def other_delimiter(sample: list[list[str]], delimiter: str) -> str:
    """A hint where the first row holds another usual delimiter more often than the one given."""
    first = sample[0]
    for other, shown in DELIMITERS.items():
        times = sum(cell.count(other) for cell in first)
        rows_agree = all(any(other in cell for cell in row) for row in sample)
        if other != delimiter and times >= len(first) and rows_agree:
            return f"; are its values separated by {shown}? Set data.delimiter: {shown}"
    return ""


# A value in quotes as programs write it: each quote within it is doubled.
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def has_raw_quotes(lines: Iterable[str]) -> bool:
    """Whether every line has the same number of tabs, and a value begins with a quote that encloses nothing: raw
    texts, which no program has quoted."""
    tabs, raw = 0, False
    for line in lines:
        count = line.count("\t")
        if not count and line.isspace():
            continue
        tabs = tabs or count
        if not count or count != tabs:
            return False
        if not raw and '"' in line:
            cells = line.rstrip("\r\n").split("\t")
            raw = any(cell[:1] == '"' and not _QUOTED.fullmatch(cell) for cell in cells)
    return raw
