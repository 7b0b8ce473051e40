"""Pages of `nnzoo explain`: headings and lines, laid out for a terminal or as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nnzoo.explain.wrap import columns_of, wrap

INDENT = "  "
_CODE = re.compile(r"`([^`]*)`")


@dataclass(frozen=True)
class Row:
    """A line: a text, an item of a list, a term with its meaning side by side, or a command, which is not wrapped."""

    text: str
    term: str = ""
    is_command: bool = False
    is_item: bool = False


@dataclass(frozen=True)
class Page:
    """A title, and rows below headings ("" for none). figures: the same for programs."""

    title: str
    parts: Sequence[tuple[str, Sequence[Row]]]
    figures: dict[str, Any] = field(default_factory=dict)


def render_page(page: Page, width: int, color: bool) -> list[str]:
    """Lines of at most `width` columns, commands aside; color: bold headings, and words of code in cyan."""
    lines = [_paint(page.title, "1", color)]
    for heading, rows in page.parts:
        if not rows:
            continue
        lines += ["", _paint(heading, "1", color)] if heading else [""]
        margin = max((columns_of(row.term) for row in rows), default=0)
        for row in rows:
            lines += _row_lines(row, margin, width, color)
    return lines


def _row_lines(row: Row, margin: int, width: int, color: bool) -> list[str]:
    if row.is_command:
        return [INDENT + line for line in row.text.splitlines()]
    if row.is_item:
        return [_code(line, color) for line in wrap(f"- {row.text}", width, INDENT)]
    if not row.term:
        return [
            _code(line, color)
            for text in row.text.splitlines()
            for line in (_wrap_even(text, width, INDENT) if text else [""])
        ]
    pad = " " * (margin - columns_of(row.term) + 2)
    room = INDENT + " " * columns_of(row.term + pad)
    first, *rest = _wrap_even(row.text, width, room)
    head = f"{INDENT}{_paint(row.term, '36', color)}{pad}{first[len(room) :]}"
    return [_code(line.rstrip(), color) for line in (head, *rest)]


def _wrap_even(text: str, width: int, margin: str) -> list[str]:
    """Wrap a text with all of its lines behind the same margin."""
    first, *rest = wrap(text, width, margin) or [margin]
    return [first, *(line.replace(INDENT, "", 1) for line in rest)]


def _code(line: str, color: bool) -> str:
    return _CODE.sub(lambda match: _paint(match[1], "36", True), line) if color else line


def _paint(text: str, code: str, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color and text else text
