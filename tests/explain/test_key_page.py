"""Pages of keys."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from nnzoo.config.json_schema import json_schema
from nnzoo.config.option_tables import first_paragraph
from nnzoo.config.registry import DATA, MODELS, OPTIMIZERS
from nnzoo.config.sections import validate_section
from nnzoo.config.yaml_parser import parse_yaml
from nnzoo.explain.key_page import (
    EXAMPLES,
    NAME_TEXT,
    RELATED,
    SOURCES,
    TOP_TEXTS,
    example_line,
    key_page,
    translate,
    value_texts,
    words_of,
)
from nnzoo.explain.keys import all_keys
from nnzoo.explain.languages import LANGUAGES


def schema_keys() -> set[str]:
    """Every dotted key of the JSON Schema, as `nnzoo schema` prints it, without former names."""
    root = json_schema()
    keys: set[str] = set()

    def add(node: dict[str, Any], prefix: str) -> None:
        if "$ref" in node:
            add(root["$defs"][node["$ref"].rpartition("/")[2]], prefix)
        for branch in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            add(branch, prefix)
        for name, child in node.get("properties", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            if not child.get("deprecated") and path != "environment":
                keys.add(path)
                add(child, path)

    add(root, "")
    return keys


def test_every_key_of_the_schema_has_a_page_in_both_languages() -> None:
    assert schema_keys() <= set(all_keys())
    for key in all_keys():
        for language in ("en", "zh"):
            page = key_page(key, language)
            assert page.title == key and page.parts[0][1], key


def test_every_text_of_the_options_is_translated() -> None:
    for key, uses in all_keys().items():
        for use in uses:
            for text in (use.info.description or "", first_paragraph(use.options)):
                assert text in ("", "target") or translate(text, "zh") != text, key
    for text in (NAME_TEXT, *TOP_TEXTS.values()):
        assert translate(text, "zh") != text


def test_words_have_the_same_meanings_in_both_languages_and_are_words_of_a_key() -> None:
    english, chinese = value_texts("en"), value_texts("zh")
    assert english.keys() == chinese.keys()
    known = {
        f"{use.field}.{word}"
        for uses in all_keys().values()
        for use in uses
        for word in words_of(use)
    }
    assert english.keys() <= known


def test_the_page_of_the_schedules() -> None:
    figures = key_page("optim.schedule", "en").figures
    assert figures["entries"] == [name for name, _ in OPTIMIZERS]
    assert figures["values"]["cosine"].startswith("Half a cosine")
    assert "optim.schedule.pct_start" in figures["keys"]
    assert figures["example"] == "-s optim.schedule=cosine"
    assert key_page("optim.schedule", "zh").figures["values"]["constant"] == "恒定的学习率。"


def test_a_meaning_that_another_one_goes_on_is_not_repeated() -> None:
    english, chinese = (
        next(
            str(row)
            for _, rows in key_page("optim.schedule", language).parts
            for row in rows
            if "optim.schedule.final" in str(row)
        )
        for language in LANGUAGES
    )
    assert "cosine, one_cycle, linear: fraction of the learning rate at the end" in english
    assert english.count("at the end") == 1 and chinese.count("比例") == 1
    assert "cosine、one_cycle、linear：" in chinese


def test_a_key_with_other_meanings_names_who_has_which() -> None:
    page = key_page("model.activation", "en")
    assert {row.text.rpartition(" (")[2] for row in page.parts[0][1]} == {"mlp)", "cnn)", "lstm)"}
    assert page.figures["values"]["gelu"].startswith("x times the probability")


def test_names_list_their_entries() -> None:
    assert list(key_page("model.name", "en").figures["values"]) == MODELS.names()
    assert list(key_page("data", "zh").figures["values"]) == DATA.names()
    assert key_page("seed", "en").figures["example"] == "-s seed=1"


@pytest.mark.parametrize("key", sorted({*EXAMPLES, *RELATED, *SOURCES}))
def test_keys_of_the_tables_exist(key: str) -> None:
    assert key in all_keys()
    assert all(other in all_keys() for other in RELATED.get(key, ()))


def test_examples_are_values_that_the_key_takes() -> None:
    for key, uses in all_keys().items():
        line = example_line(key)
        if not line or not uses:
            continue
        section, *path = key.split(".")
        value = parse_yaml(shlex.split(line)[1].partition("=")[2], "--set").value
        # A choice inside a section is named first, and what is required beside the key is left out.
        if uses[0].variant or len(path) != 1:
            continue
        tree = {section: {"name": uses[0].owner, path[0]: value}}
        _, issues = validate_section(
            tree if section in ("data", "model", "optim") else {section: {path[0]: value}}, section
        )
        wrong = [
            issue
            for issue in issues
            if issue.path[:2] == (section, path[0]) and "missing" not in issue.message
        ]
        assert not wrong, (key, line, wrong)
