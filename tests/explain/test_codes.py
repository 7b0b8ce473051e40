"""The table of codes: each is used, each site that reports something has one, and both languages explain all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnzoo
from nnzoo import errors
from nnzoo.explain.code_page import FIGURES, code_page, codes_page, constants, fill, placeholders
from nnzoo.explain.codes import CODE, PARTS, all_codes
from nnzoo.explain.languages import LANGUAGES, Language

PACKAGE = Path(nnzoo.__file__).parent
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
}
# Classes with a code for all of their errors; the others need one at each site.
GENERAL = {"NnzooError", "UsageError", "DataError", "CheckpointError", "ConfigError", "ConfigIssue"}


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def error_sites() -> Iterator[tuple[str, ast.Call]]:
    """Each place that makes an error of a class whose code says little."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            is_at = isinstance(function, ast.Attribute) and function.attr == "at"
            cls = name_of(function.value) if is_at and isinstance(function, ast.Attribute) else ""
            cls = cls or name_of(function)
            # A ConfigError has the codes of its issues; at() is of values that do not fit the data.
            if cls in GENERAL and cls != "ConfigError":
                yield file, node


def test_every_error_names_its_code() -> None:
    sites = list(error_sites())
    assert len(sites) > 380
    without = [
        f"{file}:{node.lineno}"
        for file, node in sites
        if not any(keyword.arg == "code" for keyword in node.keywords) and len(node.args) < 5
    ]
    assert without == []


def is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and is_text(node.left)
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    )


def plain_texts(node: ast.expr) -> Iterator[ast.expr]:
    """The texts that an expression gives, or puts into a list, as they are: not inside a call."""
    if is_text(node):
        yield node
    elif isinstance(node, ast.List | ast.Tuple):
        for item in node.elts:
            yield from plain_texts(item)
    elif isinstance(node, ast.BinOp):
        yield from plain_texts(node.left)
        if isinstance(node.op, ast.Add):
            yield from plain_texts(node.right)
    elif isinstance(node, ast.IfExp):
        yield from plain_texts(node.body)
        yield from plain_texts(node.orelse)
    elif isinstance(node, ast.Starred):
        yield from plain_texts(node.value)
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield from plain_texts(node.elt)


LISTS = {"notes", "cuts", "note"}


def note_expressions(tree: ast.Module) -> Iterator[ast.expr]:
    """Texts that become notes: added to, or assigned to `notes` or `cuts`, given to notice(), returned by *_notes()."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            if re.search(r"(^|_)notes?$|^doubts$|^cuts$", node.name):
                returns = (inner for inner in ast.walk(node) if isinstance(inner, ast.Return))
                yield from (inner.value for inner in returns if inner.value is not None)
        elif isinstance(node, ast.Call):
            function = node.func
            adds = isinstance(function, ast.Attribute) and function.attr in ("append", "insert")
            if isinstance(function, ast.Attribute) and adds and name_of(function.value) in LISTS:
                yield node.args[-1]
            if name_of(function) == "notice":
                yield node.args[0]
            yield from (keyword.value for keyword in node.keywords if keyword.arg in LISTS)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None and any(name_of(target) in LISTS for target in targets):
                yield node.value


# Lines that describe the data, and parts of lines.
DESCRIPTIONS = (
    "f'columns: {",
    "f'{options.tokens}: {sizes}",
    "f'{time}{every}'",
    "f'and {more:,} more'",
)


def test_every_note_has_a_code() -> None:
    seen = 0
    without = set()
    for file, tree in TREES.items():
        for expression in note_expressions(tree):
            seen += 1
            for text in plain_texts(expression):
                if not ast.unparse(text).startswith(DESCRIPTIONS):
                    without.add(f"{file}:{text.lineno} {ast.unparse(text)}")
    assert seen > 250
    assert without == set()


def used_codes() -> set[str]:
    texts = {
        node.value
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if CODE.fullmatch(text)}


def test_every_code_is_in_the_table_and_every_code_of_the_table_is_used() -> None:
    assert used_codes() == set(all_codes("en"))


def test_errors_without_a_site_of_their_own_have_a_code_of_their_class() -> None:
    kinds = [errors.DivergedError, errors.DamagedError, errors.PluginError, errors.PeerLostError]
    assert [kind("x").code for kind in kinds] == ["E60", "E62", "E70", "E71"]
    assert (errors.DataError("x").code, errors.DataError("x", code="E38").code) == ("E59", "E38")
    assert errors.DataError.at("data.path", "x", code="E30").code == "E30"
    assert errors.ConfigError.at("data.path", "x").issues[0].code == "E16"


def test_both_languages_explain_every_code_with_the_same_parts_and_thresholds() -> None:
    english, chinese = all_codes("en"), all_codes("zh")
    assert english.keys() == chinese.keys()
    for id_, code in english.items():
        other = chinese[id_]
        assert code.meaning and code.name and other.name != code.name, id_
        assert code.parts.keys() == other.parts.keys(), id_
        for part in ("found", "try"):
            theirs = placeholders(other.parts.get(part, ""))
            assert placeholders(code.parts.get(part, "")) == theirs, id_
        assert re.search(r"[\u4e00-\u9fff]", other.meaning), id_
        assert code.parts.get("example") == other.parts.get("example"), id_


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_have_only_known_parts_and_thresholds(language: Language) -> None:
    for code in all_codes(language).values():
        texts = [code.meaning, *code.parts.values()]
        assert set(code.parts) <= set(PARTS)
        assert all(name in constants() for text in texts for name in placeholders(text)), code.id
        assert not any(placeholders(fill(text)) for text in texts)


def test_thresholds_are_those_of_the_package() -> None:
    page = code_page("W03", "en")
    assert "below 0.001 of" in page.figures["found"] and "every 400 steps" in page.figures["found"]
    assert "1/3 or more" in code_page("W02", "en").figures["found"]
    assert "10 % above" in code_page("W10", "en").figures["found"]
    assert fill("{norm: 1.0} and {VANISHING}") == "{norm: 1.0} and 0.001"


def test_figures_are_those_of_known_codes() -> None:
    assert set(FIGURES) <= set(all_codes("en"))
    assert code_page("W03", "zh").figures["picture"].endswith("images/codes/W03.png")
    assert code_page("E01", "zh").figures["picture"] is None


def test_the_list_has_every_code() -> None:
    assert codes_page("zh").figures.keys() == all_codes("en").keys()
