"""Labels and categories: texts that mean the same are one, however they were typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from nnzoo.config.formatting import flow_yaml
from nnzoo.text import Note, list_some, quoted_name, shorten

_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u202a-\u202e]")
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{0,40})?|[+-]?\.\d{1,40}")


def clean_label(text: str) -> str:
    """A text without blanks around it, each character in its one form (NFC)."""
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).strip()


def _number_key(label: str) -> str:
    """One spelling for a number: 0, 0.0 and 00 are one; empty for other texts."""
    if not _NUMBER.fullmatch(label) or not label.isascii():
        return ""
    number = Decimal(label)
    return format(number.normalize(), "f") if number else "0"


def _word_key(label: str) -> str:
    """One spelling for a word, whatever its case; empty for a single letter, whose case may be all
    the difference from another."""
    return " ".join(label.casefold().split()) if len(label) > 1 else ""


# Letters that abbreviate two words, whatever their case.
_PAIRS = (frozenset("yn"), frozenset("tf"), frozenset("mf"), frozenset("jn"), frozenset("mw"))


@dataclass
class MergedLabels:
    """Texts of a column as the labels that they stand for.

    names: the labels, in no order; of: the label of each text; apart: labels that differ by case
    alone and yet are not one.
    """

    names: list[str]
    of: dict[str, str]
    apart: list[tuple[str, str]] = field(default_factory=list)

    def changed(self) -> dict[str, list[str]]:
        """The other texts that were read as each label."""
        others: dict[str, list[str]] = {}
        for text, label in self.of.items():
            if text != label:
                others.setdefault(label, []).append(text)
        return others


def merge_labels(rows: Mapping[str, int], verbatim: bool = False) -> MergedLabels:
    """The labels of a column, of each text how many rows have it.

    Blanks around a label and its Unicode form never count; nor do, unless verbatim, the case of words and
    the form of numbers. The spelling that most rows have names the label, of a number the shortest.
    """
    groups: dict[str, dict[str, int]] = {}
    cleaned = {text: clean_label(text) for text in rows}
    pair = frozenset(label.casefold() for label in cleaned.values()) in _PAIRS
    for text, label in cleaned.items():
        key = label.casefold() if pair else _number_key(label) or _word_key(label)
        key = "" if verbatim else key
        spellings = groups.setdefault(key or f"\0{label}", {})
        spellings[label] = spellings.get(label, 0) + rows[text]
    name_of: dict[str, str] = {}
    for key, spellings in groups.items():
        if _number_key(key):
            name = min(spellings, key=lambda text: (len(text), text))
        else:
            name = min(spellings, key=lambda text: (-spellings[text], text))
        name_of |= dict.fromkeys(spellings, name)
    names = list(dict.fromkeys(name_of.values()))
    folded: dict[str, str] = {}
    apart = []
    for name in sorted(names):
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            apart.append((other, name))
    return MergedLabels(names, {text: name_of[label] for text, label in cleaned.items()}, apart)


class LabelIndex:
    """The code of each label, and of other spellings of one."""

    def __init__(self, names: Iterable[str]) -> None:
        self.codes = {name: code for code, name in enumerate(names)}
        pair = frozenset(map(str.casefold, self.codes)) in _PAIRS
        self._keys = (clean_label, _number_key, str.casefold if pair else _word_key)
        self._loose: list[dict[str, int]] = []
        for key_of in self._keys:
            codes: dict[str, set[int]] = {}
            for name, code in self.codes.items():
                codes.setdefault(key_of(clean_label(name)), set()).add(code)
            # A key of several labels is ambiguous.
            self._loose.append({key: min(c) for key, c in codes.items() if key and len(c) == 1})

    def code(self, text: str) -> int:
        """The code of a text; -1 if it is no spelling of a label."""
        if text in self.codes:
            return self.codes[text]
        label = clean_label(text)
        for key_of, codes in zip(self._keys, self._loose, strict=True):
            code = codes.get(key_of(label))
            if code is not None:
                return code
        return -1


def merge_notes(merged: Mapping[str, MergedLabels], what: str) -> list[str]:
    """Lines on labels that were typed in several ways, and on those that differ by case alone.

    merged: by the names of their columns; what: "classes" or "categories".
    """
    of_column = {
        name: f" in {quoted_name(name)}" if what == "categories" else "" for name in merged
    }
    changed = [
        f"{list_some([repr(text) for text in others], 3, counted=True)} as '{shorten(label)}'"
        f"{of_column[name]}"
        for name, labels in merged.items()
        for label, others in labels.changed().items()
    ]
    notes: list[str] = []
    if changed:
        hint = f" (data.categories: {flow_yaml(list(merged))} keeps them)" * (what == "classes")
        listed = list_some(changed, 4, counted=True)
        notes.append(Note("N10", f"{what} typed in several ways are read as one: {listed}{hint}"))
    apart = [
        f"'{shorten(one)}' and '{shorten(other)}' in {quoted_name(name)}"
        for name, labels in merged.items()
        for one, other in labels.apart
    ]
    if apart:
        notes.append(
            Note(
                "N10", f"differ by case alone, and are not one: {list_some(apart, 6, counted=True)}"
            )
        )
    return notes
