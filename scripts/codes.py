"""Write docs/codes.md and docs/zh/codes.md: every code, out of the texts that `nnzoo explain` prints.

python scripts/codes.py [FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnzoo.explain.code_page import FIGURES, HEADINGS, fill
from nnzoo.explain.codes import TEXTS, Code, all_codes
from nnzoo.explain.languages import Language

PAGES: dict[str, Language] = {"codes.md": "en", "zh/codes.md": "zh"}
GROUPS = {"W": "warnings", "E": "errors", "N": "notes"}


def section(code: Code, language: Language) -> str:
    """A code as a section with an anchor, "#w03"."""
    headings = HEADINGS[language]
    anchor = f'<a id="{code.id.lower()}"></a>'
    text = f"\n{anchor}\n\n### {code.id} {code.name}\n\n{fill(code.meaning)}\n"
    for part in ("found", "try"):
        if part in code.parts:
            text += f"\n**{headings[part]}**: {fill(code.parts[part])}\n"
    if "example" in code.parts:
        lines = "\n".join(line.strip() for line in code.parts["example"].splitlines())
        text += f"\n```text\n{lines}\n```\n"
    if code.id in FIGURES:
        folder = "../" if language == "zh" else ""
        text += f"\n![{code.name}]({folder}{FIGURES[code.id]})\n"
    return text


def page(language: Language) -> str:
    """The whole page."""
    text = (TEXTS / language / "codes_head.md").read_text(encoding="utf-8")
    group = ""
    for code in all_codes(language).values():
        if code.id[0] != group:
            group = code.id[0]
            text += f"\n## {HEADINGS[language][GROUPS[group]]}\n"
        text += section(code, language)
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs"))
    folder = parser.parse_args().folder
    for name, language in PAGES.items():
        (folder / name).write_text(page(language), encoding="utf-8")
