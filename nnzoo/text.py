"""Text for messages and tables: metrics, percentages, counts with their noun, long values and lists cut short."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any


class Note(str):
    """A line for the user with the code that `nnzoo explain` explains, such as "N04"; equal to its text, and a
    plain text where it is pickled."""

    code: str

    def __new__(cls, code: str, text: str) -> Note:
        note = super().__new__(cls, text)
        note.code = code
        return note

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def labeled(text: str) -> str:
    """A line as it is shown: a note behind its code, "N04 read as numbers: …"."""
    return f"{text.code} {text}" if isinstance(text, Note) else text


def codes_of(texts: Sequence[str]) -> list[str]:
    """The code of each line, "" for lines without one."""
    return [text.code if isinstance(text, Note) else "" for text in texts]


def note_line(text: str) -> str:
    """A note as a line of its own, "note N04: read as numbers: …"."""
    return f"note {text.code}: {text}" if isinstance(text, Note) else f"note: {text}"


def reworded(text: str, changed: str) -> str:
    """The changed wording of a line, with its code if it has one."""
    return Note(text.code, changed) if isinstance(text, Note) else changed


def format_metric(value: Any) -> str:
    """A metric with four significant digits; a dash for None and nan."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.3e}"
    return f"{value:.4f}" if size < 100 else f"{value:,.1f}"


def format_percent(value: float) -> str:
    """A fraction as a percentage with two decimals, "99.44 %"."""
    return f"{100 * value:.2f} %"


def shorten(text: str, length: int = 40) -> str:
    """A text cut to `length` characters, the last one an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def quoted_name(name: str) -> str:
    """The name of a column for a message."""
    return f"'{shorten(name)}'"


def list_some(names: Sequence[str], shown: int = 3, counted: bool = False) -> str:
    """The first `shown` names, comma-separated, and an ellipsis, or the count, if there are more."""
    rest = f" and {len(names) - shown:,} more" if counted else ", …"
    return ", ".join(names[:shown]) + (rest if len(names) > shown else "")


def plural(count: int, noun: str, plural_noun: str = "") -> str:
    """A count with its noun, "1 row", "1,000 rows"."""
    return f"{count:,} {noun if count == 1 else plural_noun or noun + 's'}"


def wrap_text(text: str, width: int, hang: int = 2) -> str:
    """A text with its lines broken at words; continuations are indented by `hang` more, commands to copy
    stay on one line."""
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        if len(line) <= width or line.lstrip().startswith(("nnzoo ", "torchrun ")):
            lines.append(line)
            continue
        lines += textwrap.wrap(
            line,
            max(width, 20),
            subsequent_indent=indent + " " * hang,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)
