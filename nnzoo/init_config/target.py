"""Which column of a table is to be predicted, and which ones are no inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nnzoo.data.columns.checks import name_words
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas

    from nnzoo.data.columns.description import ColumnDescription

# Names of what is to be predicted, those that say so first; the last word of a name counts where it
# is no usual word for an input.
_TARGETS = (
    (
        frozenset(
            (
                "target",
                "label",
                "labels",
                "class",
                "y",
                "outcome",
                "response",
                "dependent",
                "ziel",
                "klasse",
            )
        ),
        frozenset(("target", "label", "outcome")),
    ),
    (
        frozenset(
            (
                "survived",
                "churn",
                "churned",
                "exited",
                "diagnosis",
                "species",
                "default",
                "defaulted",
                "approved",
                "fraud",
                "attrition",
                "spam",
                "sentiment",
                "medv",
            )
        ),
        frozenset(
            (
                "survived",
                "churn",
                "churned",
                "diagnosis",
                "default",
                "defaulted",
                "fraud",
                "attrition",
            )
        ),
    ),
    (frozenset(("price", "saleprice", "preis", "quality")), frozenset(("price", "preis"))),
)


_ALSO_INPUTS = ("class", "klasse")


@dataclass(frozen=True)
class Choices:
    """What the caller of `init` has decided; None is left to the data.

    ask: chooses among names where no name says what is to be predicted; given them and the one that is
    taken otherwise.
    """

    target: str | None = None
    drop: Sequence[str] = ()
    task: Literal["classification", "regression"] | None = None
    kind: Literal["table", "series"] | None = None
    ask: Callable[[list[str], str], str] | None = None


def choose_target(
    frame: pandas.DataFrame,
    found: dict[str, ColumnDescription],
    choices: Choices,
    dropped: set[str],
) -> tuple[str, str]:
    """The column to predict, and why that one."""
    usable = [
        name for name, each in found.items() if name not in dropped and is_target(each, frame[name])
    ] or [name for name in found if name not in dropped]
    last = usable[-1]
    named = _named(usable, list(found))
    if named:
        others = ", ".join(f"'{name}'" for name in named[1:4])
        return named[0], "by its name" + (f", which could also be {others}" if others else "")
    if choices.ask is not None and len(usable) > 1:
        return choices.ask(usable, last), "as chosen"
    columns = list(found)
    if last == columns[-1]:
        return last, "the last column"
    over = columns[columns.index(last) + 1 :]
    reasons = [f"'{shorten(name)}' {_unusable(found[name], name in dropped)}" for name in over[-3:]]
    return last, f"the last column that can be one: {', '.join(reasons)}"


def _unusable(found: ColumnDescription, dropped: bool) -> str:
    """Why a column is not taken for the target by itself, behind its name."""
    if dropped:
        return "is left out"
    if found.role in ("number", "duration", "category") and found.distinct <= 1:
        return "has the same value in all rows"
    what = {"date": "holds dates", "empty": "is empty", "id": "tells rows apart"}
    return what.get(found.role, f"is {found.reason}" if found.reason else "is no target")


def _named(usable: list[str], columns: list[str]) -> list[str]:
    """The columns whose names say that they are to be predicted, the likeliest first."""
    named = [
        name
        for names, last_words in _TARGETS
        for name in reversed(usable)
        if name.casefold() in names or name_words(name)[-1:] in [[word] for word in last_words]
    ]
    named = [name for name in named if name.casefold() != "y" or name in (columns[0], columns[-1])]
    # Passengers and tickets have a class too: it comes last unless it is the last column.
    return sorted(named, key=lambda name: name.casefold() in _ALSO_INPUTS and name != columns[-1])


def is_target(found: ColumnDescription, column: pandas.Series) -> bool:
    """Whether a column can be predicted: it has several values, and they are no ids, dates or texts.

    Words for a missing value are values there.
    """
    return found.role in ("number", "duration", "category", "empty") and column.nunique() > 1


def unfit_reason(found: ColumnDescription, max_categories: int) -> str:
    """Why a column is left out of the inputs; empty for one that is used."""
    if found.problem:
        return found.problem
    if found.role == "empty":
        return "no values"
    if found.role == "date":
        return found.reason or "dates"
    if found.role in ("id", "text"):
        return found.reason
    if found.role == "category" and found.distinct > max_categories:
        return f"{found.distinct:,} different texts"
    return ""


def position_or_name(column: str) -> str | int:
    """A column of the command line: a whole number is a position."""
    return int(column) if column.lstrip("-").isdecimal() and len(column) < 10 else column
