"""The page of a code, and the list of all codes."""

from __future__ import annotations

import re
import string
from typing import Any

from nnzoo.evaluation import thresholds
from nnzoo.evaluation.baselines.budget import BUDGET_FRACTION
from nnzoo.explain.codes import Code, all_codes
from nnzoo.explain.languages import Language
from nnzoo.explain.page import Page, Row

DOCS = "https://github.com/nnzoo/nnzoo/blob/main/docs"
FIGURES = {code: f"images/codes/{code}.png" for code in ("W01", "W02", "W03", "W04", "W10", "W11")}
"""Figures of the documentation, relative to docs/; made by scripts/code_figures.py."""

_PERCENT = {"OVERFIT_RISE": 0, "NEGLIGIBLE_LOSS": 0, "STILL_FALLING": 0, "BUDGET_FRACTION": 0}
HEADINGS = {
    "en": {
        "found": "how it is found",
        "try": "what to try",
        "example": "example",
        "picture": "documentation, with a figure",
        "docs": "documentation",
        "warnings": "warnings and diagnoses",
        "errors": "errors",
        "notes": "notes",
        "codes": "codes",
        "more": "nnzoo explain CODE|KEY|CONFIG|RUN explains one of them, a key such as optim.schedule, a config, or a run",
    },
    "zh": {
        "found": "怎样发现的",
        "try": "可以试试",
        "example": "例子",
        "picture": "文档和图",
        "docs": "文档",
        "warnings": "警告和诊断",
        "errors": "错误",
        "notes": "说明",
        "codes": "代码",
        "more": "nnzoo explain CODE|KEY|CONFIG|RUN 解释一个代码、一个键（如 optim.schedule）、一个配置或一次训练",
    },
}
_ITEM = re.compile("; |；")
_GROUPS = {"W": "warnings", "E": "errors", "N": "notes"}


def constants() -> dict[str, str]:
    """The thresholds that texts name, as they are printed: "0.001", "10 %", "1/3"."""
    values: dict[str, Any] = {"BUDGET_FRACTION": BUDGET_FRACTION}
    values |= {name: value for name, value in vars(thresholds).items() if name.isupper()}
    return {name: _printed(name, value) for name, value in values.items()}


def _printed(name: str, value: float) -> str:
    if name in _PERCENT:
        return f"{value:.0%}".replace("%", " %")
    return "1/3" if abs(value - 1 / 3) < 1e-9 else f"{value:g}"


def fill(text: str) -> str:
    """A text with its thresholds; braces that hold no name of a threshold, as of YAML, are kept."""
    known = constants()
    for name in placeholders(text):
        text = text.replace(f"{{{name}}}", known[name])
    return text


def placeholders(text: str) -> list[str]:
    """The names in capitals in braces."""
    pieces = (piece.partition("}")[0] for piece in text.split("{")[1:])
    return sorted(
        {name for name in pieces if name and set(name) <= set(string.ascii_uppercase + "_")}
    )


def code_page(id_: str, language: Language) -> Page:
    """The page of a code."""
    code = all_codes(language)[id_]
    headings = HEADINGS[language]
    parts: list[tuple[str, list[Row]]] = [("", [Row(fill(code.meaning))])]
    reason = fill(code.parts.get("found", ""))
    parts.append((headings["found"], [Row(reason)] if reason else []))
    items = _ITEM.split(fill(code.parts.get("try", "")).rstrip(".。"))
    parts.append((headings["try"], [Row(item, is_item=True) for item in items if item]))
    parts.append((headings["example"], [Row(line, is_command=True) for line in _example(code)]))
    address = f"{DOCS}/{'zh/' * (language == 'zh')}codes.md#{id_.lower()}"
    shown = [address, *([f"{DOCS}/{FIGURES[id_]}"] if id_ in FIGURES else [])]
    heading = headings["picture" if id_ in FIGURES else "docs"]
    parts.append((heading, [Row(line, is_command=True) for line in shown]))
    figures = {
        "code": id_,
        "name": code.name,
        "meaning": fill(code.meaning),
        **{part: fill(text) for part, text in code.parts.items()},
        "docs": address,
        "picture": shown[1] if id_ in FIGURES else None,
    }
    return Page(f"{id_} {code.name}", parts, figures)


def _example(code: Code) -> list[str]:
    return [line.strip() for line in code.parts.get("example", "").splitlines()]


def codes_page(language: Language) -> Page:
    """The list of all codes."""
    headings = HEADINGS[language]
    groups: dict[str, list[Row]] = {}
    for code in all_codes(language).values():
        groups.setdefault(headings[_GROUPS[code.id[0]]], []).append(Row(code.name, term=code.id))
    figures = {code.id: code.name for code in all_codes(language).values()}
    return Page(
        headings["codes"],
        [*groups.items(), ("", [Row(headings["more"], is_command=True)])],
        figures,
    )
