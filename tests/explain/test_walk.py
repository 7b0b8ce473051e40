"""Statements rendered in a language, and lines of a width."""

from __future__ import annotations

import re
import string
from pathlib import Path

import nnzoo.explain
from nnzoo.explain.walk import Section, Statement, Walk, render, walk_texts

EN, ZH = walk_texts("en"), walk_texts("zh")
SOURCES = "".join(p.read_text() for p in Path(nnzoo.explain.__file__).parent.glob("*.py"))


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_languages_have_all_texts_with_the_same_values() -> None:
    assert EN.keys() == ZH.keys()
    differing = {
        key: (fields(EN[key]), fields(ZH[key]))
        for key in EN
        if key.partition(".")[0] != "layer" and fields(EN[key]) != fields(ZH[key])
    }
    assert differing == {}
    assert all(not fields(ZH[key]) - fields(EN[key]) for key in EN)


def test_chinese_texts_are_chinese() -> None:
    latin = [key for key, text in ZH.items() if not re.search("[\u4e00-\u9fff]", text)]
    assert all(
        key.startswith(("verdict.", "command", "layer.head", "options.", "check.code"))
        for key in latin
    )


def test_counts_have_nouns_and_lists_separators() -> None:
    walk = Walk([], {})
    section = walk.add("training")
    section.add("training.early_stopping", patience=1)
    section.add("training.early_stopping", patience=1000)
    section.add("data.classes", count=2, labels=["a", "b"])
    section.statements.append(Statement("check.units.none", verdict="skipped"))
    assert render(walk, "en", 100) == [
        "Training",
        "  Training stops early after 1 epoch without improvement.",
        "  Training stops early after 1,000 epochs without improvement.",
        "  To predict: one of 2 classes: a, b.",
        "  – The network has no activations or states that could be dead.",
    ]
    assert render(walk, "zh", 100)[3] == "  预测目标：2 个类别之一：a、b。"


def test_sections_are_apart_and_indented() -> None:
    walk = Walk([Section("next"), Section("time")], {})
    walk.sections[0].add("command", 1, command="nnzoo train cnn")
    assert render(walk, "en", 80) == ["Next", "    nnzoo train cnn", "", "Time"]


def test_codes_and_options_are_named_in_the_language() -> None:
    walk = Walk([], {})
    section = walk.add("options")
    section.add("check.code", code="W03")
    section.add("options.meaning", meaning="learning rate")
    section.add("options.meaning", meaning="an option of a plugin")
    english = [
        "  W03 vanishing gradient: nnzoo explain W03",
        "  learning rate",
        "  an option of a plugin",
    ]
    assert render(walk, "en", 100)[1:] == english
    chinese = render(walk, "zh", 100)[1:]
    assert (
        chinese[1] == "  学习率" and chinese[2] == english[2] and "nnzoo explain W03" in chinese[0]
    )
