"""The codes of everything that nnzoo reports, with their explanations in each language.

W.. warnings and diagnoses, E.. errors, N.. notes on what was guessed, filled or left out. The texts are in
texts/LANGUAGE/*.md, a section per code:

    ## W03 vanishing gradient

    The meaning.

    found: how it was found; {VANISHING} stands for a threshold of the package.

    try: what helps, and under which conditions.

    example: commands or config lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nnzoo.explain.languages import Language

TEXTS = Path(__file__).parent / "texts"
PARTS = ("found", "try", "example")
CODE = re.compile(r"[WEN][0-9]{2}")
_HEADING = re.compile(r"^## ([WEN][0-9]{2}) (.+)$", re.MULTILINE)
_PART = re.compile(rf"^({'|'.join(PARTS)}):[ \n]", re.MULTILINE)


@dataclass(frozen=True)
class Code:
    """A code with its explanation in one language.

    id: such as "W03"; name: "vanishing gradient"; meaning: in one or two paragraphs; parts: "found", "try" and "example" as far as
    the text has them. Placeholders of thresholds are not filled in.
    """

    id: str
    name: str
    meaning: str
    parts: dict[str, str]


@cache
def all_codes(language: Language = "en") -> dict[str, Code]:
    """Return every code by its id, in the order of the texts: warnings, errors, notes."""
    codes: dict[str, Code] = {}
    for kind in ("warnings", "errors", "notes"):
        text = (TEXTS / language / f"{kind}.md").read_text(encoding="utf-8")
        _, *sections = _HEADING.split(text)
        for code, name, body in zip(sections[::3], sections[1::3], sections[2::3], strict=True):
            meaning, *parts = _PART.split(body)
            texts = dict(zip(parts[::2], parts[1::2], strict=True))
            texts = {part: _joined(part, text) for part, text in texts.items()}
            codes[code] = Code(code, name.strip(), _joined("meaning", meaning), texts)
    return codes


def _joined(part: str, text: str) -> str:
    """A text with each paragraph on one line; the lines of an example are commands and stay."""
    if part == "example":
        return text.strip()
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
