"""Walk-throughs as statements: the key of a text with its values, rendered in a language.

The texts are in texts/LANGUAGE/walk_*.txt, one `key: template` per line, where templates are those of `str.format` and
{n:row|rows} is a count with its noun.
"""

from __future__ import annotations

import string
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nnzoo.explain.languages import Language

TEXTS = Path(__file__).parent / "texts"
FILES = ("walk_config.txt", "walk_layers.txt", "walk_run.txt")
Verdict = Literal["ok", "look", "skipped"]
INDENT = 2


@dataclass(frozen=True)
class Statement:
    """A text of the tables with its values, of which some may be statements themselves.

    indent: how many levels it is below the lines around it. verdict: of a check.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    indent: int = 0
    verdict: Verdict | None = None


@dataclass
class Section:
    """A heading with statements."""

    key: str
    statements: list[Statement] = field(default_factory=list)

    def add(self, key: str, indent: int = 0, /, **values: Any) -> None:
        """Append a statement."""
        self.statements.append(Statement(key, values, indent))


@dataclass
class Walk:
    """A walk-through: sections to read, and the same figures for programs."""

    sections: list[Section]
    figures: dict[str, Any]

    def add(self, key: str) -> Section:
        """Append a section."""
        section = Section(key)
        self.sections.append(section)
        return section


class _Formatter(string.Formatter):
    """`str.format` for a language: counts with nouns, statements inside statements, lists."""

    def __init__(self, language: Language) -> None:
        self.texts = walk_texts(language)
        self.separator = "、" if language == "zh" else ", "

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Statement):
            return self.statement(value)
        if isinstance(value, list):
            return self.separator.join(self.format_field(item, format_spec) for item in value)
        if "|" in format_spec:
            one, many = format_spec.split("|")
            return f"{value:,} {one if value == 1 else many}"
        return str(super().format_field(value, format_spec))

    def statement(self, statement: Statement) -> str:
        return self.vformat(self.texts[statement.key], (), statement.values)


@cache
def walk_texts(language: Language) -> dict[str, str]:
    """Return the templates of a language by their key; lines that begin with # are comments."""
    texts: dict[str, str] = {}
    for name in FILES:
        for line in (TEXTS / language / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                key, _, template = line.partition(": ")
                assert key not in texts, key
                texts[key] = template
    return texts


def render(walk: Walk, language: Language, width: int) -> list[str]:
    """Return the lines of a walk-through, at most `width` columns wide; headings are not indented."""
    formatter = _Formatter(language)
    lines: list[str] = []
    for section in walk.sections:
        lines += ["", formatter.statement(Statement(section.key))]
        for statement in section.statements:
            text = formatter.statement(statement)
            if statement.verdict is not None:
                text = f"{formatter.statement(Statement(f'verdict.{statement.verdict}'))} {text}"
            margin = " " * INDENT * (statement.indent + 1)
            lines += wrap(text, width, margin)
    return lines[1:]


def columns_of(text: str) -> int:
    """The columns of a terminal that a text takes: two for each wide character."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# Marks that begin no line in Chinese.
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
    """Break between wide characters, or at spaces, never before a closing mark."""
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
        if starts:
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces
