"""Suggest the target column of a table for a new config, and the columns that cannot be inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nnzoo.data.columns.checks import name_words
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription

# Names of targets, the clearest first; and words that make a target of a name that ends with them, as
# they are no usual words for an input.
_TARGETS = (
    ("target label labels class y outcome response dependent ziel klasse", "target label outcome"),
    (
        "survived churn churned exited diagnosis species default defaulted approved fraud attrition "
        "spam sentiment medv",
        "survived churn churned diagnosis default defaulted fraud attrition",
    ),
    ("price saleprice preis quality", "price preis"),
)
_ALSO_INPUTS = ("class", "klasse")


Kind = Literal["table", "series", "recordings", "text", "corpus"]


@dataclass(frozen=True)
class Choices:
    """The options of `init`; None, or no target, leaves the choice to the data.

    ask: asks for the target if no name suggests one; takes the candidates and the default.
    """

    targets: Sequence[str] = ()
    drop: Sequence[str] = ()
    task: Literal["classification", "regression", "multilabel"] | None = None
    kind: Kind | None = None
    ask: Callable[[list[str], str], str] | None = None

    @property
    def target(self) -> str | None:
        """The one target, or the first of several."""
        return self.targets[0] if self.targets else None


def choose_target(
    frame: pandas.DataFrame,
    columns: dict[str, ColumnDescription],
    choices: Choices,
    dropped: set[str],
) -> tuple[str, str]:
    """The target, and the reason why it was chosen."""
    kept = [name for name in columns if name not in dropped]
    usable = [name for name in kept if is_target(columns[name], frame[name])] or kept
    named = _named(usable, list(columns))
    if named:
        others = ", ".join(f"'{name}'" for name in named[1:4])
        return named[0], "by its name" + (f", which could also be {others}" if others else "")
    last = usable[-1]
    if choices.ask is not None and len(usable) > 1:
        return choices.ask(usable, last), "as chosen"
    names = list(columns)
    if last == names[-1]:
        return last, "the last column"
    skipped = names[names.index(last) + 1 :]
    reasons = [
        f"'{shorten(name)}' {_unusable(columns[name], name in dropped)}" for name in skipped[-3:]
    ]
    return last, f"the last column that can be one: {', '.join(reasons)}"


def _unusable(column: ColumnDescription, dropped: bool) -> str:
    """Why a column is not chosen as the target, as the end of a sentence."""
    if dropped:
        return "is left out"
    if column.role in ("number", "duration", "category") and column.distinct <= 1:
        return "has the same value in all rows"
    reasons = {"date": "holds dates", "empty": "is empty", "id": "identifies rows"}
    return reasons.get(column.role, f"is {column.reason}" if column.reason else "is no target")


def _named(usable: list[str], columns: list[str]) -> list[str]:
    """The columns whose names suggest a target, the most likely first."""
    named = [
        name
        for names, last_words in _TARGETS
        for name in reversed(usable)
        if name.casefold() in names.split()
        or name_words(name)[-1:] in [[word] for word in last_words.split()]
    ]
    named = [name for name in named if name.casefold() != "y" or name in (columns[0], columns[-1])]
    # Passengers and tickets have a class too: it comes last unless it is the last column.
    return sorted(named, key=lambda name: name.casefold() in _ALSO_INPUTS and name != columns[-1])


def is_target(description: ColumnDescription, column: pandas.Series) -> bool:
    """Whether a column can be the target: several values that are not ids, dates or texts. Words for
    missing values count as values."""
    return description.role in ("number", "duration", "category", "empty") and column.nunique() > 1


def unfit_reason(description: ColumnDescription, max_categories: int) -> str:
    """Why a column is left out of the inputs; empty if it is not."""
    if description.problem:
        return description.problem
    if description.role == "empty":
        return "no values"
    if description.role == "date":
        return description.reason or "dates"
    if description.role in ("id", "text"):
        return description.reason
    if description.role == "category" and description.distinct > max_categories:
        return f"{description.distinct:,} different texts"
    return ""


def position_or_name(column: str) -> str | int:
    """A column on the command line: an integer is a position."""
    return int(column) if column.lstrip("-").isdecimal() and len(column) < 10 else column
