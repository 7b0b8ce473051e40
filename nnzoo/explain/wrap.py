"""Lines of text for a terminal, where wide characters take two columns and may be broken anywhere."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

INDENT = 2


def columns_of(text: str) -> int:
    """The columns of a terminal that a text takes: two for each wide character."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# Marks that begin no line in Chinese, and marks that end none.
_OPENING = "（《“"
_CLOSING = "，。；：、！？）》”…,.;:)%"


def wrap(text: str, width: int, margin: str) -> list[str]:
    """A text as lines of at most `width` columns behind a margin; continuations are indented by two more. Commands on a
    line of their own are never broken."""
    room = max(20, width - len(margin) - INDENT)
    if text.startswith("nnzoo "):
        return [margin + text]
    if columns_of(text) == len(text):
        parts = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    else:
        parts = _wrap_wide(text, room)
    return [margin + (" " * INDENT if i else "") + part for i, part in enumerate(parts)]


def _wrap_wide(text: str, room: int) -> list[str]:
    """Break between wide characters, or at spaces, never before a closing mark or after an opening one."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and columns_of(line) + columns_of(piece.rstrip()) > room:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> Sequence[str]:
    """Runs of text that a line must not break."""
    pieces: list[str] = []
    for character in text:
        is_wide = columns_of(character) == 2
        starts = not pieces or (is_wide and character not in _CLOSING)
        if not starts and character not in _CLOSING:
            last = pieces[-1][-1]
            starts = last == " " or columns_of(last) == 2
        if starts and not (pieces and pieces[-1][-1] in _OPENING):
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces
