"""Hints for words that the YAML language does not have: misspelled keys and values, words of other tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.config.json_schema import accepts, choices
from nnzoo.config.synonyms import KEYS, PCA_REMARK, REMARKS, SECTIONS, VALUE_REMARKS, VALUES
from nnzoo.config.yaml_parser import Path, dotted

# Shorter words of other tools resemble too many keys.
MIN_SYNONYM = 5


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant: the same in another case, else a similar one."""
    words = list(known)
    same = [candidate for candidate in words if candidate.casefold() == word.casefold()]
    return next(iter(same or get_close_matches(word, words, n=1, cutoff=cutoff)), None)


def nearest_value(word: str, known: Iterable[str]) -> str | None:
    """As `nearest`, for a value: a synonym from other tools comes before a similar word."""
    words = list(known)
    synonym = VALUES.get(word.casefold())
    return synonym if synonym in words else nearest(word, words)


def key_hint(path: Path, known: Mapping[str, str], file_keys: Mapping[str, str]) -> str:
    """A hint for an unknown key at a path.

    known: names that are legal beside it, former ones too -> the current name; file_keys: the keys that
    the sections of this file can have -> their dotted paths.
    """
    key, section = str(path[-1]), dotted(path[:-1])
    word = key.casefold().replace("-", "_")
    target = _synonym_target(word, path, known, set(file_keys.values()))
    if target is None and not section:
        target = SECTIONS.get(word)
    if target is not None:
        head, _, last = target.rpartition(".")
        return f"it is '{last}'" if head == section or target == "name" else f"it is {target}"
    other_keys = {name: target for name, target in file_keys.items() if target != dotted(path)}
    if key in other_keys:
        return f"it is {other_keys[key]}"
    if word in REMARKS:
        return REMARKS[word]
    other_keys |= {
        name: targets[0]
        for name, targets in KEYS.items()
        if len(name) >= MIN_SYNONYM and name != word and not targets[0].startswith(f"{section}.")
    }
    near, similar = nearest(key, known), nearest(key, other_keys, cutoff=0.75)
    if similar and (near is None or _similarity(key, similar) > _similarity(key, near) + 0.1):
        return f"did you mean {other_keys[similar]}?"
    if near:
        return f"did you mean '{known[near]}'?"
    return f"known here: {', '.join(dict.fromkeys(known.values()))}"


def _synonym_target(word: str, path: Path, known: Mapping[str, str], legal: set[str]) -> str | None:
    """The dotted path of the key that other tools call `word`; None if it is no such word."""
    section = dotted(path[:-1])
    targets = [target for target in KEYS.get(word, ()) if target != dotted(path)]
    for target in targets:
        head, _, last = target.rpartition(".")
        if target == "name":
            fits = "name" in known
        elif head:
            fits = (head == section and last in known) or ".".join(target.split(".")[:2]) in legal
        else:
            fits = target != section
        if fits:
            return target
    # A section that is not in the file yet.
    others = (
        target for target in targets if "." in target and target.split(".")[0] != str(path[0])
    )
    return next(others, None)


def value_hint(value: Any, node: dict[str, Any], root: dict[str, Any], key: str = "") -> str:
    """A hint for a wrong value of a key: a similar word, or the same value without or with quotes.

    node: the JSON Schema of the key, inside the schema `root`.
    """
    if key == "pca" and isinstance(value, float):
        return f"; {PCA_REMARK}"
    if isinstance(value, str):
        if value.casefold() in VALUE_REMARKS:
            return VALUE_REMARKS[value.casefold()]
        near = nearest_value(value, choices(node, root))
        if near:
            return f"; did you mean '{near}'?"
        plain = yaml_parser.scalar(value)
        if not isinstance(plain, str) and plain is not None and accepts(node, plain, root):
            return "; write it without quotes"
    elif _is_whole(value) and accepts(node, int(value), root):
        return f"; write {int(value)}"
    elif type(value) in (int, float) and accepts(node, str(value), root):
        return "; text that looks like a number needs quotes"
    return ""


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and abs(value) < 1e9 and value.is_integer()


def _similarity(word: str, other: str) -> float:
    return SequenceMatcher(None, word.casefold(), other.casefold()).ratio()
