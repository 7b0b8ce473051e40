"""How a file or folder is seen as texts: a column of long, different values beside a target, or .txt files of prose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.data.columns.values import column_name, looks_numeric, to_text
from nnzoo.errors import DataError
from nnzoo.init_config.group import find_part
from nnzoo.init_config.target import Choices, choose_target, position_or_name
from nnzoo.text import Note, list_some, quoted_name

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription

SAMPLED = 2000
# Words of a text on average, where no other column, or several, could be inputs of a table; and the fraction of its
# values that are different: a name or an address has fewer words, a category repeats.
MIN_WORDS, MIN_WORDS_OF_TABLE = 4.5, 10.0
MIN_DISTINCT = 0.5
# Letters of languages that set no blanks between words; two of them are about a word.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
MIN_UNSPACED = 0.3
_LETTER = re.compile(r"[^\W\d_]")
_NUMBER = re.compile(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?")
SAMPLED_FILES, SAMPLED_BYTES = 5, 4000


@dataclass(frozen=True)
class TextPlan:
    """The columns of a table of texts. reason: why `target` was chosen, empty if there is no other; others: columns
    that are not used; unspaced: whether its words are not set apart by blanks; part: the column that says the part of
    each row."""

    text: str
    target: str
    reason: str
    others: list[str]
    unspaced: bool
    part: str | None = None


def plan_texts(frame: pandas.DataFrame, path: Path, choices: Choices) -> TextPlan | None:
    """The column of text of a table and its target; None where it has none, unless `choices` asks for texts."""
    from nnzoo.data.columns.description import describe_columns

    forced = choices.kind == "text"
    stated = choices.target
    if stated is not None:
        stated = column_name(frame, position_or_name(stated), "--target")
    drop = {column_name(frame, position_or_name(name), "--drop") for name in choices.drop}
    sample = frame.iloc[:SAMPLED]
    words = {
        str(name): _words_per_value(sample[name], forced)
        for name in frame.columns
        if name != stated and name not in drop
    }
    long = [
        name for name, count in words.items() if count >= (0 if forced else MIN_WORDS) and count
    ]
    rest = [str(name) for name in frame.columns if name not in drop]
    if not long or len(rest) < 2:
        if forced:
            raise DataError(f"{path}: --text: no column of text beside a target", code="E57")
        return None
    text = max(long, key=lambda name: words[name])
    described = describe_columns(
        sample[[name for name in rest if name not in long or name == stated]]
    )
    part = find_part(frame, [name for name in rest if name not in (text, stated)])
    described.pop(part or "", None)
    target, reason = (stated, "") if stated is not None else _choose(frame, described, choices)
    if target is None:
        if forced:
            raise DataError(
                f"{path}: --text: no target beside the text; name it (--target)", code="E57"
            )
        return None
    others = [name for name in rest if name not in (text, target, part)]
    informative = [
        name for name in others if name in described and _is_informative(described[name])
    ]
    if len(informative) > 1 and words[text] < MIN_WORDS_OF_TABLE and not forced:
        return None
    unspaced = _unspaced_fraction(sample[text]) >= MIN_UNSPACED
    return TextPlan(text, target, reason if others else "", others, unspaced, part)


def _choose(
    frame: pandas.DataFrame, described: dict[str, ColumnDescription], choices: Choices
) -> tuple[str | None, str]:
    """The target among the columns that hold no texts, and why; None where there is none."""
    from nnzoo.data.text_files.table import target_by_name
    from nnzoo.init_config.target import is_target

    usable = [name for name, one in described.items() if is_target(one, frame[name])]
    if not usable:
        return None, ""
    named = target_by_name(usable)
    if named is not None:
        return named, "by its name"
    return choose_target(frame, described, choices, set(described) - set(usable))


def _is_informative(column: ColumnDescription) -> bool:
    return column.role in ("number", "duration", "category") and column.distinct > 1


def _words_per_value(column: pandas.Series, forced: bool) -> float:
    """The mean number of words of a column's values; 0 where it holds no texts, or few different ones.

    Numbers and what has no letter are no words, unless texts are asked for: a cell may hold a vector, pixels, a date.
    """
    texts = to_text(column).dropna()
    if not len(texts) or looks_numeric(texts):
        return 0.0
    if not forced and texts.nunique() < MIN_DISTINCT * len(texts):
        return 0.0
    is_word = bool if forced else _LETTER.search
    counts = [
        sum(1 for word in text.split() if is_word(word)) + len(UNSPACED.findall(text)) / 2
        for text in texts
    ]
    return float(np.mean(counts))


def _unspaced_fraction(column: pandas.Series) -> float:
    """The fraction of characters of a script without blanks between words."""
    text = "".join(to_text(column).dropna().iloc[:200])
    return len(UNSPACED.findall(text)) / max(1, len(text))


def has_texts(folder: Path) -> bool:
    """Whether a folder holds .txt files of prose, more of them than images."""
    from nnzoo.data.image_files.tree import scan
    from nnzoo.data.text_files.folder import scan_texts

    tree = scan_texts(str(folder))
    files = list(tree.walk())
    if len(files) < 2 or len(files) <= scan(str(folder)).count():
        return False
    step = max(1, len(files) // SAMPLED_FILES)
    sampled = list(islice(files[::step], SAMPLED_FILES))
    return sum(map(_is_prose, sampled)) > len(sampled) / 2


def _is_prose(file: str) -> bool:
    """Whether the beginning of a file is mostly words."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(SAMPLED_BYTES)
    except OSError:
        return False
    parts = re.split(r"[\s,;|]+", head.decode("utf-8", "replace"))
    parts = [part for part in parts if part]
    numbers = sum(_NUMBER.fullmatch(part) is not None for part in parts)
    return bool(parts) and numbers < len(parts) / 2


def others_note(plan: TextPlan) -> list[str]:
    """A line on columns that the network does not read."""
    if not plan.others:
        return []
    listed = list_some([quoted_name(name) for name in plan.others], 6, counted=True)
    return [
        Note(
            "N09",
            f"not used: {listed}; the network reads the text alone (--table for a table without it)",
        )
    ]
