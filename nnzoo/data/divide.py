"""Which rows train, validate and test, by everything that a config says of it: chance, groups, time, a column,
duplicates, files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from nnzoo.config.split_options import GroupSplit, ValSplit
from nnzoo.data.columns.roles import ROLE_KEYS, RoleTexts, select_texts
from nnzoo.data.columns.values import ValueOptions
from nnzoo.data.duplicates import first_copies, join_groups
from nnzoo.data.row_split import split_rows
from nnzoo.data.row_values import RoleColumn, read_order, read_parts, read_weights
from nnzoo.data.time_split import split_in_order
from nnzoo.errors import DataError
from nnzoo.text import Note, plural, shorten

Array = np.ndarray[Any, Any]
_LATER = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class PartRows:
    """The rows of a file or folder that is a part ("train", whose rows are divided, "val", "test"), for their division.

    source: its path; names: of the rows, for messages; roles: texts of columns by role; contents: (rows,) int64 codes,
    equal where inputs are, in all parts, -1 for a row that equals none; None where `split.duplicates` is keep.
    """

    source: str
    names: Sequence[str]
    roles: RoleTexts
    contents: Array | None = None

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: Array) -> PartRows:
        """Some rows (int64), in their order."""
        chosen = rows.tolist()
        return replace(
            self,
            names=[self.names[i] for i in chosen],
            roles=select_texts(self.roles, chosen),
            contents=None if self.contents is None else self.contents[rows],
        )


class Division(NamedTuple):
    """rows: by split, of the training file (int64, sorted); kept: the rows that stay of each other part; notes: on what
    was guessed, moved or left out; weights: (rows,) float64 of each split whose rows have weights."""

    rows: dict[str, Array]
    kept: dict[str, Array]
    notes: list[str]
    weights: dict[str, Array]

    def by_file(self) -> dict[str, tuple[str, Array]]:
        """The part whose file has the rows of each split, and the rows there (int64), in the order of SPLITS."""
        index = {part: ("train", rows) for part, rows in self.rows.items() if len(rows)}
        index |= {part: (part, rows) for part, rows in self.kept.items() if len(rows)}
        return {part: index[part] for part in _LATER if part in index}


def divide(parts: Mapping[str, PartRows], data: Any, classes: Array | None = None) -> Division:
    """Divide the rows of the training file, and leave out copies as in `split.duplicates`.

    parts: "train", and those with a file or folder of their own; data: a config's `data` section; classes: (rows,) of
    the training file, to keep their frequencies. Raises DataError.
    """
    split: ValSplit = data.split
    train, notes = parts["train"], list[str]()
    if split.folds is not None and "val" in parts:
        raise DataError.at(
            "data.split.folds",
            "the validation rows have a file or folder of their own here",
            code="E43",
        )
    held = {name: 0 for name in ("val", "test") if name in parts and hasattr(split, name)}
    split = split.model_copy(update=held)
    duplicates = getattr(split, "duplicates", "keep")
    if "group" in train.roles:
        _column(train, "group", split).refuse_empty("fill it in, or leave these rows out")
    rank, more = _ranks(parts, split, data)
    notes += more
    kept = {part: np.arange(len(one)) for part, one in parts.items()}
    if duplicates == "drop":
        kept, more = _without_copies(parts, rank)
        notes += more
    rows, names = kept["train"], train.select(kept["train"])
    chosen = None if classes is None else classes[rows]
    groups = names.roles.get("group")
    if duplicates == "together" and names.contents is not None:
        groups = join_groups(groups, names.contents, names.names)
    has_test = "test" not in parts
    if getattr(split, "by", None) is not None:
        texts = names.roles["by"]
        divided, more = split_in_order(rank["train"][rows], texts, split, has_test)
    elif getattr(split, "column", None) is not None:
        divided, more = _split_by_column(rank["train"][rows], split, chosen, groups, parts)
    else:
        divided, more = split_rows(len(rows), split, chosen, test=has_test, groups=groups), []
    notes += more
    divided = {part: rows[index] for part, index in divided.items()}
    others = {part: index for part, index in kept.items() if part != "train"}
    notes += _shared_groups(parts, divided)
    division = Division(divided, others, notes, {})
    return division if getattr(data, "weight", None) is None else _weighted(division, parts, data)


def _weighted(division: Division, parts: Mapping[str, PartRows], data: Any) -> Division:
    """The division with weights; training rows of weight 0 are left out. Raises DataError."""
    values, notes = ValueOptions.of(data), [*division.notes]
    read: dict[str, Array] = {}
    for part, one in parts.items():
        if "weight" in one.roles:
            texts, place = one.roles["weight"], one.names.__getitem__
            read[part] = read_weights(
                RoleColumn("weight", data.weight, one.source, texts, place), values
            )
        else:
            text = f"{one.source} has no column '{data.weight}': its rows count alike (data.weight)"
            notes.append(Note("N09", text))
    rows = dict(division.rows)
    positive = read["train"][rows["train"]] > 0
    rows["train"] = rows["train"][positive]
    if not positive.all():
        left_out = plural(int((~positive).sum()), "training row")
        notes.append(Note("N07", f"{left_out} of weight 0 left out (data.weight)"))
    division = division._replace(rows=rows, notes=notes)
    weights = {
        part: read[file][index]
        for part, (file, index) in division.by_file().items()
        if file in read
    }
    for part in ("train", *weights):
        if part not in weights or not weights[part].any():
            raise DataError.at(
                ROLE_KEYS["weight"],
                f"'{data.weight}' is 0 in every {part} row; some must count",
                code="E42",
            )
    return division._replace(weights=weights)


def _ranks(
    parts: Mapping[str, PartRows], split: ValSplit, data: Any
) -> tuple[dict[str, Array], list[str]]:
    """The time of each row with `split.by`, else its part: 0 to 2 from train to test; and notes."""
    rank = {part: np.full(len(one), _LATER[part]) for part, one in parts.items()}
    train = parts["train"]
    if getattr(split, "column", None) is not None:
        column = _column(train, "column", split)
        rank["train"] = np.array([_LATER[part] for part in read_parts(column)], dtype=np.int64)
    if getattr(split, "by", None) is None:
        return rank, []
    date_format = getattr(data, "date_format", "auto")
    ordered = [part for part in parts if "by" in parts[part].roles]
    # In one go: what is day and what is month shows in all rows together.
    texts = [text for part in ordered for text in parts[part].roles["by"]]
    places = [
        f"{name} of {one.source}" if len(ordered) > 1 else name
        for one in map(parts.__getitem__, ordered)
        for name in one.names
    ]
    column = RoleColumn("by", getattr(split, "by"), train.source, texts, places.__getitem__)
    times, notes = read_order(column, ValueOptions.of(data), date_format)
    ends = np.cumsum([len(parts[part]) for part in ordered])
    read = dict(zip(ordered, np.split(times, ends[:-1]), strict=True))
    for part in ordered:
        if part != "train":
            early = int((read[part] < read["train"].max(initial=read["train"][0])).sum())
            if early:
                notes.append(
                    Note(
                        "W46",
                        f"{early:,} of {plural(len(parts[part]), 'row')} of {parts[part].source} are earlier than the latest "
                        f"of {train.source} (data.split.by)",
                    )
                )
    rank["train"] = read["train"]
    return rank, notes


def _column(part: PartRows, role: str, split: ValSplit) -> RoleColumn:
    return RoleColumn(
        role, getattr(split, role), part.source, part.roles[role], part.names.__getitem__
    )


def _without_copies(
    parts: Mapping[str, PartRows], rank: Mapping[str, Array]
) -> tuple[dict[str, Array], list[str]]:
    """The rows of each part but for copies: of equal inputs the first stays, in the training file if it is there."""
    codes = np.concatenate([_contents(one) for one in parts.values()])
    file = np.concatenate([np.full(len(one), _LATER[part]) for part, one in parts.items()])
    within = np.concatenate([*rank.values()])
    place = np.empty(len(codes), dtype=np.int64)
    place[np.lexsort((within, file))] = np.arange(len(codes))
    ends = np.cumsum([len(one) for one in parts.values()])
    stays = dict(zip(parts, np.split(first_copies(codes, place), ends[:-1]), strict=True))
    lost = [
        f"{int((~first).sum()):,} of {len(first):,}"
        + (f" of {parts[part].source}" if len(parts) > 1 else "")
        for part, first in stays.items()
        if not first.all()
    ]
    notes: list[str] = [
        Note(
            "N07",
            f"left out as copies of other rows: {', '.join(lost)} (data.split.duplicates: drop)",
        )
    ]
    return {part: np.flatnonzero(first) for part, first in stays.items()}, notes if lost else []


def _contents(part: PartRows) -> Array:
    assert part.contents is not None
    return part.contents


def _split_by_column(
    rank: Array,
    split: ValSplit,
    classes: Array | None,
    groups: Sequence[Any] | None,
    parts: Mapping[str, PartRows],
) -> tuple[dict[str, Array], list[str]]:
    """The rows of each part as a column says; validation rows are drawn where it names none.

    rank: (rows,) 0 to 2 from train to test.
    """
    assert isinstance(split, GroupSplit)
    key, name = "data.split.column", f"'{split.column}'"
    rows = {part: np.flatnonzero(rank == place) for part, place in _LATER.items()}
    for part in ("val", "test"):
        if part in parts and len(rows[part]):
            raise DataError.at(
                key,
                f"{name} says {part} in {plural(len(rows[part]), 'row')}, but {parts[part].source} has the {part} rows; "
                "leave one of them out",
                code="E43",
            )
    train = rows["train"]
    if not len(train):
        raise DataError.at(key, f"{name} says train in no row; nothing can be learned", code="E43")
    notes: list[str] = []
    if len(rows["val"]) and split.folds is not None:
        raise DataError.at("data.split.folds", f"{name} has validation rows of its own", code="E43")
    if not len(rows["val"]) and (split.val or split.folds is not None):
        drawn = split_rows(
            len(train),
            split,
            None if classes is None else classes[train],
            test=False,
            groups=None if groups is None else [groups[i] for i in train.tolist()],
        )
        rows |= {part: train[index] for part, index in drawn.items()}
        text = (
            f"{name} says val in no row: {len(rows['val']):,} of its {plural(len(train), 'training row')} validate "
            "(data.split.val)"
        )
        notes.append(Note("N15", text))
    if not len(rows["test"]) and "test" not in parts:
        notes.append(Note("N15", f"{name} says test in no row: nothing is tested"))
    return rows, notes


def _shared_groups(parts: Mapping[str, PartRows], rows: Mapping[str, Array]) -> list[str]:
    """Lines on groups of the training file that other files have too, and on those that a column puts on two sides."""
    texts = parts["train"].roles.get("group")
    if texts is None:
        return []
    sides = {part: {str(texts[i]) for i in index.tolist()} for part, index in rows.items()}
    pairs = [
        (
            "the training rows" if part == "train" else f"the {part} rows",
            sides[part],
            f"the {other} rows",
            sides[other],
        )
        for part, other in combinations(sides, 2)
    ]
    whole = set().union(*sides.values())
    pairs += [
        ("the training file", whole, one.source, {str(text) for text in one.roles["group"] if text})
        for part, one in parts.items()
        if part != "train" and "group" in one.roles
    ]
    return [
        f"{len(shared):,} of {len(first):,} groups of {name} are in {other} too, such as '{shorten(min(shared))}' "
        "(data.split.group)"
        for name, first, other, second in pairs
        if (shared := first & second)
    ]
