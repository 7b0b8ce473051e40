"""Tokens for people: a text as pieces, each with a number that colors it, such as its attribution or a unit's state."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import escape_controls

Array = np.ndarray[Any, Any]

LINE_END = "↵"
MORE = "…"
_CLOSING = set(".,;:!?)]}%'\N{RIGHT SINGLE QUOTATION MARK}”")
_OPENING = set("([{“\N{LEFT SINGLE QUOTATION MARK}")


@dataclass(frozen=True)
class Piece:
    """A token as it is shown. glued: without a blank before it; breaks: a line ends behind it."""

    text: str
    value: float
    glued: bool
    breaks: bool = False

    @property
    def width(self) -> int:
        """Columns that it takes in a font of one width, in which Chinese letters take two."""
        return sum(map(char_width, self.text))


def char_width(char: str) -> int:
    """Columns of a character: 2 of wide ones, 0 of marks that are drawn over the one before."""
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def make_pieces(tokenizer: Tokenizer, ids: Sequence[int], values: Sequence[float]) -> list[Piece]:
    r"""The tokens of some ids, each with its value; of bytes the characters, with the sum over their bytes.

    Characters that would control a terminal or turn the writing direction are written out, as in "\x1b".
    """
    pieces: list[Piece] = []
    opened = True  # nothing is before the first word
    for token, value in _tokens(tokenizer, ids, values):
        breaks = token in ("\n", "\r\n", "\u2028")
        text = LINE_END if breaks else escape_controls(token.replace("\t", "→   "))
        glued = tokenizer.unit != "words" or opened or token in _CLOSING
        opened = token in _OPENING
        pieces.append(Piece(text, value, glued, breaks))
    return pieces


def _tokens(
    tokenizer: Tokenizer, ids: Sequence[int], values: Sequence[float]
) -> Iterator[tuple[str, float]]:
    if tokenizer.unit != "bytes":
        yield from ((tokenizer.vocabulary[i], v) for i, v in zip(ids, values, strict=True))
        return
    start = 0
    data = bytes(ids)
    for char in data.decode("utf-8", "surrogateescape"):
        stop = start + len(char.encode("utf-8", "surrogateescape"))
        shown = f"\\x{data[start]:02x}" if "\udc80" <= char <= "\udcff" else char
        yield shown, float(np.sum(values[start:stop]))
        start = stop


def wrap(pieces: Sequence[Piece], columns: int) -> list[list[Piece]]:
    """Lines of at most `columns` columns, broken between words where there are some; there is no blank before the first
    piece of a line."""
    lines: list[list[Piece]] = [[]]
    width = 0
    for piece in pieces:
        needed = piece.width + bool(lines[-1] and not piece.glued)
        is_blank = piece.text == " "  # may hang over the end of a line
        if lines[-1] and width + needed > columns + is_blank:
            moved = _last_word(lines[-1]) if piece.glued and not is_blank else []
            lines.append(moved)
            width = sum(one.width for one in moved)
            needed = piece.width + bool(moved and not piece.glued)
        lines[-1].append(piece)
        width += needed
        if piece.breaks:
            lines.append([])
            width = 0
    return lines if lines[-1] else lines[:-1]


def _last_word(line: list[Piece]) -> list[Piece]:
    """Take the pieces of an unfinished word off the end of a line; none if it has no other word."""
    start = len(line)
    while start and line[start - 1].text != " " and (start == len(line) or line[start].glued):
        start -= 1
    if not 0 < start < len(line):
        return []
    moved = line[start:]
    del line[start:]
    return moved


def strongest_lines(lines: list[list[Piece]], most: int) -> list[list[Piece]]:
    """The `most` consecutive lines whose values are the largest in sum, with an ellipsis where others are left out."""
    if len(lines) <= most:
        return lines
    sizes = np.array([sum(abs(piece.value) for piece in line) for line in lines])
    start = int(np.convolve(sizes, np.ones(most), "valid").argmax())
    chosen = lines[start : start + most]
    dots = [Piece(MORE, 0.0, False)]
    return [dots] * (start > 0) + chosen + [dots] * (start + most < len(lines))
