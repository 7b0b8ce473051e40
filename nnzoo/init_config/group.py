"""Columns for the split: the person, device or site of each row (`split.group`), and its part (`split.column`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnzoo.config.formatting import quote_yaml
from nnzoo.data.columns.checks import name_words
from nnzoo.errors import DataError

if TYPE_CHECKING:
    import pandas

GROUP_WORDS = frozenset(
    [
        *("subject", "subj", "person", "patient", "participant", "volunteer", "user", "speaker"),
        *("driver", "rider", "athlete", "player", "animal", "mouse", "customer", "client", "pid"),
        *(
            "device",
            "machine",
            "engine",
            "sensor",
            "site",
            "station",
            "hospital",
            "clinic",
            "session",
        ),
    ]
)
_PART_NAMES = frozenset(["split", "set", "subset", "part", "partition", "fold", "usage", "phase"])
_NUMBERING = frozenset(["id", "ids", "no", "nr", "num", "number", "code", "name", "idx", "index"])
# With fewer groups a split into three parts is coarse.
MIN_GROUPS = 5


def is_group_name(name: str) -> bool:
    """Whether a column is named like a person, a device or a site."""
    words = name_words(name)
    last = words[-1:] and words[-1]
    return bool(words) and (
        last in GROUP_WORDS or (last in _NUMBERING and bool(GROUP_WORDS & set(words)))
    )


def find_group(frame: pandas.DataFrame, names: list[str]) -> str | None:
    """The first column among `names` that is named like a group, has several, and most of them in several rows."""
    import pandas

    for name in names:
        if not is_group_name(name):
            continue
        column = frame[name]
        numbers = pandas.to_numeric(column, errors="coerce")
        whole = bool((numbers.dropna() == numbers.dropna().round()).all())
        counts = column.value_counts()
        repeated = len(counts) >= MIN_GROUPS and (counts > 1).mean() > 0.5
        if column.notna().all() and whole and repeated and counts.iloc[0] < len(column) / 2:
            return name
    return None


def find_part(frame: pandas.DataFrame, names: list[str]) -> str | None:
    """The first column among `names` that is named like a part of the data, such as split or is_test, and says of each
    row whether it is for training or another part."""
    from nnzoo.data.columns.roles import role_texts
    from nnzoo.data.image_files.split_names import PART_WORDS, words_of
    from nnzoo.data.row_values import RoleColumn, read_parts

    for name in names:
        if not {*words_of(name)} & {*_PART_NAMES, *PART_WORDS}:
            continue
        texts = role_texts(frame, {"column": name})["column"]
        try:
            parts = {*read_parts(RoleColumn("column", name, "", texts, str))}
        except DataError:
            continue
        if "train" in parts and len(parts) > 1:
            return name
    return None


def part_line(part: str) -> str:
    """The line of `split` that takes the parts from a column."""
    return f"    column: {quote_yaml(part)}    # train, val or test, of each row"


def split_lines(part: str | None, group: str | None, refusal: str) -> list[str]:
    """The lines of section `split` for a column of parts and one of groups; comments where the groups are refused."""
    lines = group_lines(group, refusal) if group is not None else []
    if part is None:
        return lines
    head = ["  split:", part_line(part)]
    return [*lines, *head] if refusal else [*head, *lines[1:]]


def group_lines(group: str, refusal: str) -> list[str]:
    """The lines of `split` that keep groups together; as comments where that is refused."""
    name = quote_yaml(group)
    if refusal:
        return [
            f"  # split: {{group: {name}}} keeps the rows of each together, but: {' '.join(refusal.split())}"
        ]
    return [
        "  split:",
        f"    group: {name}    # none is on both sides of a split; without it the results flatter where new ones come",
    ]
