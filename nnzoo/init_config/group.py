"""A column that names the person, device or site of each row, for `split.group`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnzoo.config.formatting import quote_yaml
from nnzoo.data.columns.checks import name_words

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
