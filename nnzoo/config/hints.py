"""What was probably meant by a word that the YAML language does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.config.json_schema import accepts, choices
from nnzoo.config.synonyms import KEYS, PCA_REMARK, REMARKS, SECTIONS, VALUE_REMARKS, VALUES

# Shorter words of other tools resemble too many keys.
MIN_SYNONYM = 5


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant: the same in other letters' case, else one alike."""
    words = list(known)
    same = [each for each in words if each.casefold() == word.casefold()]
    return next(iter(same or get_close_matches(word, words, n=1, cutoff=cutoff)), None)


def nearest_value(word: str, known: Iterable[str]) -> str | None:
    """As `nearest`, for a value: one that other tools call `word` comes before one alike."""
    words = list(known)
    synonym = VALUES.get(word.casefold())
    return synonym if synonym in words else nearest(word, words)


def key_hint(where: yaml_parser.Path, known: Sequence[str], keys: Mapping[str, str]) -> str:
    """A hint for an unknown key.

    where: its path; known: the keys that are legal beside it; keys: key -> dotted path of the keys that
    this file's sections can have.
    """
    key, section = str(where[-1]), yaml_parser.dotted(where[:-1])
    word = key.casefold().replace("-", "_")
    place = _place(word, where, known, set(keys.values()))
    if place is None and not section and word in SECTIONS:
        place = SECTIONS[word]
    if place is not None:
        head, _, last = place.rpartition(".")
        return f"it is '{last}'" if head == section or place == "name" else f"it is {place}"
    other = {name: each for name, each in keys.items() if each != yaml_parser.dotted(where)}
    if key in other:
        return f"it is {other[key]}"
    if word in REMARKS:
        return REMARKS[word]
    synonyms = {
        name: places[0]
        for name, places in KEYS.items()
        if len(name) >= MIN_SYNONYM and name != word and not places[0].startswith(f"{section}.")
    }
    near = nearest(key, known)
    alike = nearest(key, other | synonyms, cutoff=0.75)
    if alike and (near is None or _likeness(key, alike) > _likeness(key, near) + 0.1):
        return f"did you mean {(other | synonyms)[alike]}?"
    return f"did you mean '{near}'?" if near else f"known here: {', '.join(known)}"


def _place(word: str, where: yaml_parser.Path, known: Sequence[str], legal: set[str]) -> str | None:
    """Where the key that other tools call `word` belongs; None where it is not known."""
    here, section = yaml_parser.dotted(where), yaml_parser.dotted(where[:-1])
    places = [place for place in KEYS.get(word, ()) if place != here]
    for place in places:
        head, _, last = place.rpartition(".")
        if place == "name":
            fits = "name" in known
        elif head:
            fits = (head == section and last in known) or ".".join(place.split(".")[:2]) in legal
        else:
            fits = place != section
        if fits:
            return place
    # A section that is not in the file yet.
    elsewhere = [each for each in places if "." in each and each.split(".")[0] != str(where[0])]
    return next(iter(elsewhere), None)


def value_hint(value: Any, node: dict[str, Any], root: dict[str, Any], key: str = "") -> str:
    """What may have been meant by a wrong value of a key: a word alike, or the same without or with
    quotes."""
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
    elif (
        isinstance(value, float)
        and abs(value) < 1e9
        and value == int(value)
        and accepts(node, int(value), root)
    ):
        return f"; write {int(value)}"
    elif type(value) in (int, float) and accepts(node, str(value), root):
        return "; text that looks like a number needs quotes"
    return ""


def _likeness(word: str, other: str) -> float:
    return SequenceMatcher(None, word.casefold(), other.casefold()).ratio()
