"""Tables made dirty: formats of numbers, missing words, labels, headers, ids, footers, encodings."""

from __future__ import annotations

import copy
import gzip
import re
import unicodedata
import uuid

import numpy as np

from tests.campaigns.dirt import Case, Operation, Sheet, choose, positions

ROWS = 60
NUMBERS = ["height", "income", "change"]


def clean_table(rng: np.random.Generator) -> Sheet:
    """Numbers, a category and a target of two words or a number, with a header."""
    height = np.round(rng.normal(170, 12, ROWS), 1)
    income = rng.integers(1_000, 90_000, ROWS)
    color = rng.choice(["red", "grün", "blue"], ROWS)
    score = (height - 170) / 12 + (income - 45_000) / 30_000 + (color == "red")
    change = np.round(rng.normal(0, 5, ROWS), 2)
    header = ["height", "income", "change", "color"]
    rows = [
        [f"{a:.1f}", str(b), f"{c:.2f}", str(d)]
        for a, b, c, d in zip(height, income, change, color, strict=True)
    ]
    if rng.random() < 0.5:
        target = ["yes" if item > 0 else "no" for item in score]
        name = "bought"
    else:
        target = [f"{item:.2f}" for item in 100 + 40 * score]
        name = "price"
    for row, value in zip(rows, target, strict=True):
        row.append(value)
    return Sheet([*header, name], rows)


def grouped(text: str, separator: str) -> str:
    """1234567.5 with a separator between thousands; what is no plain number stays."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    whole, _, rest = text.partition(".")
    sign = "-" if whole.startswith("-") else ""
    digits = f"{int(whole.lstrip('-')):,}".replace(",", separator)
    return f"{sign}{digits}.{rest}" if rest else f"{sign}{digits}"


def number_column(sheet: Sheet, rng: np.random.Generator) -> str:
    names = [*NUMBERS, *(["price"] if "price" in (sheet.header or []) else [])]
    return choose(rng, names)


def thousands(sheet: Sheet, rng: np.random.Generator) -> str | None:
    separator = choose(rng, [",", " ", "\u00a0", "\u202f", "'"])
    sheet.change("income", lambda cell: grouped(cell, separator))
    return "income"


def currency(sheet: Sheet, rng: np.random.Generator) -> str | None:
    name = number_column(sheet, rng)
    front, back = [("$", ""), ("€ ", ""), ("", " €"), ("USD ", ""), ("", " EUR"), ("£", "")][
        int(rng.integers(6))
    ]
    sheet.change(name, lambda cell: f"{front}{cell}{back}")
    return name


def unit(sheet: Sheet, rng: np.random.Generator) -> str | None:
    name = number_column(sheet, rng)
    behind = choose(rng, [" kg", "kg", " cm", "%", " %", " months", " hp", "km"])
    sheet.change(name, lambda cell: f"{cell}{behind}")
    return name


def mixed_units(sheet: Sheet, rng: np.random.Generator) -> str | None:
    name = number_column(sheet, rng)
    sheet.change(name, lambda cell: f"{cell} {choose(rng, ['km', 'm'])}")
    return name


def decimal_comma(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.delimiter = ";"
    names = [name for name in (*NUMBERS, "price") if name in (sheet.header or [])]
    for name in names:
        sheet.change(name, lambda cell: cell.replace(".", ","))
    return "decimal"


def minus_signs(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """A plain hyphen in the clean file; a minus sign, brackets or a hyphen behind in the dirty one."""
    front, back = [("\u2212", ""), ("(", ")"), ("\u2013", ""), ("", "-")][int(rng.integers(4))]
    sheet.change("change", lambda cell: f"{front}{cell[1:]}{back}" if cell[:1] == "-" else cell)
    return "change"


def odd_number(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """Plus signs, footnotes, quotes, blanks or an exponent: all the same number."""
    name = number_column(sheet, rng)
    method = int(rng.integers(4))
    rewrite = [
        lambda cell: f"+{cell}",
        lambda cell: f" {cell} ",
        lambda cell: f"{float(cell):.6e}" if re.fullmatch(r"-?[\d.]+", cell) else cell,
        lambda cell: f'"{cell}"',
    ][method]
    for i in positions(rng, 20, len(sheet.rows)):
        index = sheet.column(name)
        sheet.rows[i][index] = rewrite(sheet.rows[i][index])
    return name


def footnotes(sheet: Sheet, rng: np.random.Generator) -> str | None:
    name = number_column(sheet, rng)
    mark = choose(rng, ["*", "[1]", " *", "a", "^"])
    index = sheet.column(name)
    for i in positions(rng, 6, len(sheet.rows)):
        sheet.rows[i][index] += mark
    return name


def text_among_numbers(sheet: Sheet, rng: np.random.Generator) -> str | None:
    name = number_column(sheet, rng)
    index = sheet.column(name)
    word = choose(rng, ["abc", "12 or 13", "see notes", "1.2.3", "O5", "<5", "10-20"])
    for i in positions(rng, int(rng.integers(1, 8)), len(sheet.rows)):
        sheet.rows[i][index] = word
    return f"{name}|{re.escape(word)}"


def missing_word(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """A word for what is an empty cell in the clean file: see `table_case`."""
    word = choose(
        rng,
        [
            "#N/A",
            "<NA>",
            ".",
            "unknown",
            "n.a.",
            "missing",
            "NULL",
            "none",
            "--",
            "N/A",
            "nan",
            "?",
            "keine Angabe",
            "not available",
            "-",
        ],
    )
    index = sheet.column(choose(rng, NUMBERS))
    name = (sheet.header or [])[index]
    for row in sheet.rows:
        row[index] = row[index] or word
    return f"{name}|{re.escape(word)}"


def label_blanks(sheet: Sheet, rng: np.random.Generator) -> str | None:
    if "bought" not in (sheet.header or []):
        return None
    sheet.change(
        "bought", lambda cell: choose(rng, [cell, cell + " ", " " + cell, cell + "\u00a0"])
    )
    return "bought|blank|label"


def label_case(sheet: Sheet, rng: np.random.Generator) -> str | None:
    if "bought" not in (sheet.header or []):
        return None
    sheet.change("bought", lambda cell: choose(rng, [cell, cell.upper(), cell.title()]))
    return "bought|case|label"


def category_case(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.change("color", lambda cell: choose(rng, [cell, cell, cell.title()]))
    return "color"


def normal_forms(cell: str) -> list[str]:
    return [unicodedata.normalize("NFC", cell), unicodedata.normalize("NFD", cell)]


def category_form(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.change("color", lambda cell: choose(rng, normal_forms(cell)))
    return "color"


def category_blanks(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.change("color", lambda cell: choose(rng, [cell, cell + " ", "  " + cell]))
    return "color"


def index_column(sheet: Sheet, rng: np.random.Generator) -> str | None:
    name = choose(rng, ["", "id", "Unnamed: 0", "row", "Nr", "customer_id"])
    start = int(rng.integers(2))
    numbers = range(start, start + len(sheet.rows))
    assert sheet.header is not None
    sheet.header.insert(0, name)
    for row, number in zip(sheet.rows, numbers, strict=True):
        row.insert(0, str(number))
    return f"{re.escape(name) or 'column'}|'0'"


def text_id(sheet: Sheet, rng: np.random.Generator) -> str | None:
    method = int(rng.integers(3))
    values = [
        [str(uuid.UUID(bytes=rng.bytes(16))) for _ in sheet.rows],
        [f"Mr. {chr(65 + i % 26)}. Smith the {i}th" for i in range(len(sheet.rows))],
        [f"KX-{int(rng.integers(10**6)):07d}" for _ in sheet.rows],
    ][method]
    assert sheet.header is not None
    sheet.header.insert(1, "who")
    for row, value in zip(sheet.rows, values, strict=True):
        row.insert(1, value)
    return "who"


def target_copy(sheet: Sheet, rng: np.random.Generator) -> str | None:
    assert sheet.header is not None
    sheet.header.insert(0, "again")
    for row in sheet.rows:
        row.insert(0, row[-1])
    return "again"


def constant_column(sheet: Sheet, rng: np.random.Generator) -> str | None:
    assert sheet.header is not None
    value = choose(rng, ["1", "x", "2020-01-01", "0.0"])
    sheet.header.insert(2, "same")
    for row in sheet.rows:
        row.insert(2, value)
    return "same"


def date_column(sheet: Sheet, rng: np.random.Generator) -> str | None:
    assert sheet.header is not None
    form = choose(rng, ["{y}-{m:02d}-{d:02d}", "{d:02d}.{m:02d}.{y}", "{m:02d}/{d:02d}/{y}"])
    sheet.header.insert(0, "sold")
    for row in sheet.rows:
        y, m, d = (int(rng.integers(*span)) for span in ((2015, 2021), (1, 13), (1, 29)))
        row.insert(0, form.format(y=y, m=m, d=d))
    return "sold"


def duration_column(sheet: Sheet, rng: np.random.Generator) -> str | None:
    assert sheet.header is not None
    sheet.header.insert(1, "took")
    for row in sheet.rows:
        h, m, s = (int(rng.integers(*span)) for span in ((2, 6), (0, 60), (0, 60)))
        row.insert(1, f"{h}:{m:02d}:{s:02d}")
    return "took"


def repeated_rows(sheet: Sheet, rng: np.random.Generator) -> str | None:
    for i in positions(rng, 25, len(sheet.rows)):
        sheet.rows.append(list(sheet.rows[i]))
    order = rng.permutation(len(sheet.rows))
    sheet.rows = [sheet.rows[i] for i in order]
    return "equal|duplicate|same"


def no_header(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.header = None
    return "header"


def numeric_header(sheet: Sheet, rng: np.random.Generator) -> str | None:
    assert sheet.header is not None
    method = int(rng.integers(3))
    last = sheet.header[-1]
    names = [
        [str(i) for i in range(len(sheet.header) - 1)],
        [str(2019 + i) for i in range(len(sheet.header) - 1)],
        [f"2020_{i + 1:02d}" for i in range(len(sheet.header) - 1)],
    ][method]
    sheet.header = [*names, last]
    return "header"


def header_blanks(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.header = [f" {name} " for name in sheet.header or []]
    return "header|column"


def lines_above(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.above = [
        ["Sales report 2024", ""],
        ["# exported by a program", "# version 2"],
        ["Report", "Created: 2024-05-01", ""],
        [f"sep={sheet.delimiter}"],
        ["", ""],
    ][int(rng.integers(5))]
    return "skip|above|line"


def lines_below(sheet: Sheet, rng: np.random.Generator) -> str | None:
    width = len(sheet.rows[0])
    empty = sheet.delimiter * (width - 1)
    sheet.below = [
        ["", ""],
        [empty],
        [f"Total{empty}"],
        ["Source: Statistics Office"],
        ["# end"],
    ][int(rng.integers(5))]
    return f"line|row|{len(sheet.rows) + 1}"


def trailing_delimiter(sheet: Sheet, rng: np.random.Generator) -> str | None:
    sheet.trailing = sheet.delimiter
    return "column|empty"


def written_otherwise(sheet: Sheet, rng: np.random.Generator) -> str | None:
    """The same table: other delimiter, quotes, line ends, encodings."""
    sheet.delimiter = choose(rng, [";", "\t", "|", ","])
    sheet.line_end = choose(rng, ["\n", "\r\n", "\r"])
    sheet.encoding = choose(rng, ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    sheet.quote_all = bool(rng.random() < 0.5)
    return "UTF-8|encoding"


def bad_row(sheet: Sheet, rng: np.random.Generator) -> str | None:
    i = int(rng.integers(5, len(sheet.rows)))
    row = sheet.rows[i]
    sheet.rows[i] = row[:-1] if rng.random() < 0.5 else [*row, "7"]
    return f"ragged|line|{i + 2}|{i + 1}"


def target_gap(sheet: Sheet, rng: np.random.Generator) -> str | None:
    for i in positions(rng, int(rng.integers(1, 6)), len(sheet.rows)):
        sheet.rows[i][-1] = ""
    return f"target|{(sheet.header or ['column'])[-1]}"


OPERATIONS: dict[str, Operation] = {
    item.__name__: item
    for item in (
        thousands,
        currency,
        unit,
        mixed_units,
        decimal_comma,
        minus_signs,
        odd_number,
        footnotes,
        text_among_numbers,
        missing_word,
        label_blanks,
        label_case,
        category_case,
        category_form,
        category_blanks,
        index_column,
        text_id,
        target_copy,
        constant_column,
        date_column,
        duration_column,
        repeated_rows,
        no_header,
        numeric_header,
        header_blanks,
        lines_above,
        lines_below,
        trailing_delimiter,
        written_otherwise,
        bad_row,
        target_gap,
    )
}
# Operations that change the header or a row's width come after those that look columns up.
LAST = (
    "repeated_rows",
    "target_gap",
    "bad_row",
    "no_header",
    "numeric_header",
    "header_blanks",
    "written_otherwise",
    "trailing_delimiter",
    "lines_above",
    "lines_below",
)


def table_case(seed: int, only: str | None = None) -> Case:
    """A table and the same with one to three errors, or with one that is named."""
    rng = np.random.default_rng(seed)
    sheet = clean_table(rng)
    count = int(rng.choice([1, 1, 2, 3]))
    picked = [str(name) for name in rng.choice(list(OPERATIONS), size=count, replace=False)]
    picked = [only] if only else picked
    if {"no_header", "numeric_header", "header_blanks"} <= {*picked}:
        picked.remove("no_header")
    picked.sort(key=lambda name: LAST.index(name) if name in LAST else -1)
    if "missing_word" in picked:
        for name in NUMBERS:
            index = sheet.column(name)
            for i in positions(rng, 8, len(sheet.rows)):
                sheet.rows[i][index] = ""
    case = Case(target=(sheet.header or [""])[-1])
    case.clean["table.csv"] = sheet.encoded()
    dirty = copy.deepcopy(sheet)
    for name in picked:
        if name in ("numeric_header", "header_blanks") and dirty.header is None:
            continue
        pattern = OPERATIONS[name](dirty, rng)
        if pattern is not None:
            case.operations.append(name)
            case.names[name] = pattern
    content = dirty.encoded()
    if only is None and rng.random() < 0.1:
        case.operations.append("gzip")
        case.names["gzip"] = "gz"
        case.dirty["table.csv.gz"] = gzip.compress(content)
    else:
        case.dirty["table.csv"] = content
    return case
