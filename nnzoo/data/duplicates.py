"""Rows with equal inputs: which they are, how many are on both sides of a split, one group of each, or one copy."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.data.columns.labels import clean_label
from nnzoo.data.columns.values import MISSING, to_text
from nnzoo.text import Note, plural

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]


def content_codes(parts: Mapping[str, Iterable[Hashable]]) -> dict[str, Array]:
    """Codes (rows,) int64 of the contents of each part's rows, equal where contents are; -1 for None, which equals
    nothing."""
    known: dict[Hashable, int] = {None: -1}
    return {
        part: np.array(
            [known.setdefault(content, len(known) - 1) for content in contents], dtype=np.int64
        )
        for part, contents in parts.items()
    }


def row_codes(frames: Mapping[str, pandas.DataFrame], columns: Sequence[str]) -> dict[str, Array]:
    """Codes (rows,) int64 of each frame's rows, equal where all of these columns are: numbers by their value, texts
    without blanks around them, words for a missing value all alike."""
    import pandas

    total = sum(map(len, frames.values()))
    codes = np.zeros(total, dtype=np.int64)
    for name in columns:
        column = pandas.concat([frame[name] for frame in frames.values()])
        values = _value_codes(column)
        codes = pandas.factorize(codes * (values.max(initial=0) + 1) + values)[0]
    ends = np.cumsum([len(frame) for frame in frames.values()])
    return dict(zip(frames, np.split(codes, ends[:-1]), strict=True))


def _value_codes(column: pandas.Series) -> Array:
    """Codes from 1 of a column's values, 0 for a missing one."""
    import pandas

    types = pandas.api.types
    if types.is_numeric_dtype(column.dtype) and column.dtype != bool:
        values = column.to_numpy(np.float64, na_value=np.nan)
        return pandas.factorize(values)[0] + 1
    rows, texts = pandas.factorize(to_text(column))
    keys = content_codes({"": [_key(text) for text in texts]})[""] + 1
    return np.append(keys, 0)[rows]


def _key(text: str) -> Hashable:
    """A text's value: a number, else the text itself; None for a missing one."""
    label = clean_label(text)
    if label in MISSING:
        return None
    try:
        number = float(label)
    except ValueError:
        return label
    return number if math.isfinite(number) else label


def join_groups(groups: Sequence[Any] | None, codes: Array, names: Sequence[str]) -> list[str]:
    """The group of each row where rows with equal contents are in one, as are those of one of `groups`.

    names: of the rows, which name a group where there are no `groups`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(codes)
    codes = np.where(codes < 0, np.arange(count) + codes.max(initial=0) + 1, codes)
    labels = [str(group).strip() for group in groups] if groups is not None else list(names)
    first = np.unique(codes, return_inverse=True)[1]
    second = np.unique(np.array(labels), return_inverse=True)[1] + count
    edges = coo_array((np.ones(count), (first, second)), shape=(2 * count, 2 * count))
    joined = connected_components(edges, directed=False)[1][second]
    name_of: dict[int, str] = {}
    for component, label in zip(joined.tolist(), labels, strict=True):
        name_of.setdefault(component, label)
    return [name_of[component] for component in joined.tolist()]


def first_copies(codes: Array, rank: Array) -> Array:
    """Whether each row is the first of its content (rows,) bool; rank: (rows,), the lowest is the first."""
    order = np.lexsort((np.arange(len(codes)), rank, codes))
    ordered = codes[order]
    first = np.ones(len(codes), dtype=bool)
    first[order[1:]] = (ordered[1:] != ordered[:-1]) | (ordered[1:] < 0)
    return first


def duplicate_notes(
    codes: Mapping[str, Array],
    targets: Mapping[str, Array],
    what: tuple[str, str] = ("row", "in all inputs"),
    within: bool = False,
) -> list[str]:
    """A line on rows of a split that equal rows of another, the training rows first; exact counts.

    codes: of each split's rows, "train" first; targets: (rows, …) of the same; what: the word for a row, and how they
    are equal; within: whether rows that equal another of their own split count as well.
    """
    unit, how = what
    parts, texts = list(codes), []
    for i, other in enumerate(parts[:-1]):
        shared = {
            part: np.isin(codes[part], codes[other]) & (codes[part] >= 0) for part in parts[i + 1 :]
        }
        counts = [
            f"{int(rows.sum()):,} of {len(rows):,} {part} {unit}s"
            for part, rows in shared.items()
            if rows.any()
        ]
        if counts:
            name = "training" if other == "train" else other
            texts.append(f"equal a {name} {unit} {how}: {', '.join(counts)}")
        if counts and other == "train":
            differ = sum(_with_other_targets(codes, targets, part) for part in shared)
            texts += [f"{differ:,} of these with another target"] * bool(differ)
    if within:
        whole = np.concatenate([*codes.values()])
        whole = whole[whole >= 0]
        repeated = len(whole) - len(np.unique(whole))
        verb = "repeats" if repeated == 1 else "repeat"
        texts[:0] = [f"{plural(repeated, unit)} {verb} another {how}"] * bool(repeated)
    return [Note("W40", "; ".join(texts))] if texts else []


def _with_other_targets(codes: Mapping[str, Array], targets: Mapping[str, Array], part: str) -> int:
    """How many rows of a split equal training rows, none of which has their target."""
    both = [np.asarray(targets[name]).reshape(len(codes[name]), -1) for name in ("train", part)]
    kinds = np.unique(np.concatenate(both), axis=0, return_inverse=True)[1].reshape(-1)
    of_train, of_part = np.split(kinds, [len(both[0])])
    width = int(kinds.max(initial=0)) + 1
    equal = np.isin(codes[part], codes["train"]) & (codes[part] >= 0)
    same = np.isin(codes[part] * width + of_part, codes["train"] * width + of_train)
    return int((equal & ~same).sum())
