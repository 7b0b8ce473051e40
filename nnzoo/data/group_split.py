"""Splits by groups: all rows of a person, device or site are on one side, and class frequencies as even as they can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnzoo.errors import DataError
from nnzoo.text import list_some, plural, shorten

Array = np.ndarray[Any, Any]
KEY = "data.split.group"


def group_codes(groups: Sequence[Any]) -> tuple[Array, list[str]]:
    """The code of each row's group, and the names of the groups in an order that follows from these alone."""
    texts = [str(group).strip() for group in groups]
    labels = sorted(set(texts))
    index = {label: i for i, label in enumerate(labels)}
    return np.array([index[text] for text in texts], dtype=np.int64), labels


def assign_groups(
    codes: Array, classes: Array | None, targets: dict[str, float], rng: np.random.Generator
) -> dict[str, Array]:
    """The rows (int64, sorted) of each part, so that no group is in two of them.

    codes: (rows,) group of each row, 0 to n - 1; classes: (rows,), to keep their frequencies; targets: rows per
    part, "train" or a fold among them. Large groups are placed first, each where it brings the counts of the
    classes nearest to those targets; single ones are then moved and exchanged while that helps.
    """
    table = _count_table(codes, classes)
    parts = list(targets)
    fractions = np.array([targets[part] for part in parts]) / len(codes)
    placed = _Placement(table, fractions)
    order = rng.permutation(len(table))
    order = order[np.argsort(-table[order].sum(1), kind="stable")]
    for group in order.tolist():
        placed.place(group, int(placed.cost_of_adding(group).argmin()))
    placed.fill_empty(order)
    if "train" in parts:
        placed.give_all_classes(parts.index("train"), order)
    placed.improve(order)
    rows = placed.part_of[codes]
    return {part: np.flatnonzero(rows == i) for i, part in enumerate(parts)}


def _count_table(codes: Array, classes: Array | None) -> Array:
    """(groups, classes) rows of each class in each group; one column where there are no classes."""
    groups = int(codes.max()) + 1
    if classes is None:
        return np.bincount(codes, minlength=groups)[:, None].astype(np.float64)
    kinds = np.unique(classes, return_inverse=True)[1].reshape(-1)
    width = int(kinds.max()) + 1
    counts = np.bincount(codes * width + kinds, minlength=groups * width)
    return counts.reshape(groups, width).astype(np.float64)


class _Placement:
    """Which part each group is in; the cost is the squared distance from the counts targets, of each class and of
    all rows."""

    def __init__(self, table: Array, fractions: Array) -> None:
        rows = table.sum(1, keepdims=True)
        totals = table.sum(0)
        # The last column counts all rows, as much as the classes together.
        self.table = np.concatenate([table / np.sqrt(totals), rows / np.sqrt(rows.sum())], 1)
        self.has_class = table > 0
        self.targets = fractions[:, None] * self.table.sum(0)
        self.have = np.zeros_like(self.targets)
        self.part_of = np.full(len(table), -1)
        self.train: int | None = None

    def cost_of_adding(self, group: int) -> Array:
        """By how much the cost grows with the group in each part (parts,)."""
        counts = self.table[group]
        grown: Array = (counts * (2 * (self.have - self.targets) + counts)).sum(1)
        return grown

    def place(self, group: int, part: int) -> None:
        """Put a group into a part, out of the one it was in."""
        if self.part_of[group] >= 0:
            self.have[self.part_of[group]] -= self.table[group]
        self.part_of[group] = part
        self.have[part] += self.table[group]

    def fill_empty(self, order: Array) -> None:
        """Give a part without a group the smallest one of a part that has several."""
        for part in range(len(self.targets)):
            if (self.part_of == part).any():
                continue
            counts = np.bincount(self.part_of, minlength=len(self.targets))
            movable = [group for group in order[::-1].tolist() if counts[self.part_of[group]] > 1]
            if movable:
                self.place(movable[0], part)

    def give_all_classes(self, train: int, order: Array) -> None:
        """Move groups into the training part until it has every class, where others keep a group."""
        for kind in range(self.has_class.shape[1]):
            having = [group for group in order[::-1].tolist() if self.has_class[group, kind]]
            if any(self.part_of[group] == train for group in having):
                continue
            counts = np.bincount(self.part_of, minlength=len(self.targets))
            movable = [group for group in having if counts[self.part_of[group]] > 1]
            if movable:
                self.place(movable[0], train)
        self.train = train

    def _may_leave(self, group: int) -> bool:
        """Whether its part keeps a group without it, and the training part all its classes."""
        part = self.part_of[group]
        rest = self.part_of == part
        rest[group] = False
        if not rest.any():
            return False
        if part != self.train:
            return True
        return bool(self.has_class[rest].any(0)[self.has_class[group]].all())

    def improve(self, order: Array, most: int = 2000) -> None:
        """Move single groups to other parts while that lowers the cost; of many groups the smallest."""
        for _ in range(3):
            moved = False
            for group in order[::-1][:most].tolist():
                part = int(self.part_of[group])
                counts = self.table[group]
                gain = (counts * (2 * (self.have[part] - self.targets[part]) - counts)).sum()
                costs = self.cost_of_adding(group)
                costs[part] = np.inf
                best = int(costs.argmin())
                if costs[best] < gain - 1e-12 and self._may_leave(group):
                    self.place(group, best)
                    moved = True
            if not moved:
                return


def check_division(
    rows: dict[str, Array],
    targets: dict[str, float],
    codes: Array,
    labels: list[str],
    key: str = KEY,
) -> None:
    """Raise DataError with the counts where the groups cannot be divided as targets: a part is empty, or has
    neither half to one and a half times the rows targets nor a single group. key: that made the groups."""
    sizes = np.bincount(codes)
    largest = np.argsort(-sizes, kind="stable")
    # list_some marks a sixth one with an ellipsis.
    shown = list_some([f"'{shorten(labels[i])}' {sizes[i]:,}" for i in largest[:6].tolist()], 5)
    about = f"{plural(len(labels), 'group')} of {plural(len(codes), 'row')} ({shown})"
    empty = [part for part, index in rows.items() if not len(index)]
    if empty:
        raise DataError.at(
            key,
            f"{about} cannot be divided into {len(rows)} parts ({', '.join(rows)}), each with groups of its own",
            code="E43",
        )
    for part, index in rows.items():
        distance = abs(len(index) - targets[part])
        smallest = int(sizes[np.unique(codes[index])].min())
        is_single = len(np.unique(codes[index])) == 1 and len(index) > targets[part]
        if distance > max(0.5 * targets[part], smallest) and not is_single:
            raise DataError.at(
                key,
                f"{about} cannot be divided so: {part} would have {len(index):,} rows, {targets[part]:,.0f} were "
                "asked for; hold out other fractions, or fewer folds",
                code="E43",
            )
