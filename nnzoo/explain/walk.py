"""Walk-throughs as statements: the key of a text with its values, rendered in a language.

The texts are in texts/LANGUAGE/walk_*.txt, one `key: template` per line, where templates are those of `str.format` and
{n:row|rows} is a count with its noun, {c:code} the name of a code, {m:option} the meaning of an option.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nnzoo.errors import escape_controls
from nnzoo.explain.codes import all_codes
from nnzoo.explain.key_page import translate
from nnzoo.explain.languages import Language
from nnzoo.explain.wrap import INDENT, wrap

TEXTS = Path(__file__).parent / "texts"
FILES = ("walk_config.txt", "walk_layers.txt", "walk_run.txt")
Verdict = Literal["ok", "look", "skipped"]


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
        self.language = language
        self.texts = walk_texts(language)
        self.separator = "、" if language == "zh" else ", "

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Statement):
            return self.statement(value)
        if isinstance(value, list):
            return self.separator.join(self.format_field(item, format_spec) for item in value)
        if format_spec == "code":
            return all_codes(self.language)[value].name
        if format_spec == "option":
            return _translated(value, self.language)
        if "|" in format_spec:
            one, many = format_spec.split("|")
            return f"{value:,} {one if value == 1 else many}"
        return str(super().format_field(value, format_spec))

    def statement(self, statement: Statement) -> str:
        return self.vformat(self.texts[statement.key], (), statement.values)


def _translated(text: str, language: Language) -> str:
    """The meaning of an option in a language; that of another package's option as it is."""
    try:
        return translate(text, language)
    except KeyError:
        return text


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
            lines += wrap(escape_controls(text), width, margin)
    return lines[1:]
