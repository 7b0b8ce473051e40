"""What is worth knowing of the values of new tables: unseen categories, gaps, words for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from torch import Tensor

from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.columns.values import to_text
from nnzoo.data.data_spec import ColumnSpec
from nnzoo.data.tables import category_codes
from nnzoo.predict.predictions import SHOWN
from nnzoo.text import shorten

if TYPE_CHECKING:
    import pandas


class NewValues:
    """Counts over all pieces of all files: categories that no training row had, values that are filled
    in, and words that count as missing."""

    def __init__(self) -> None:
        self.unseen: dict[str, Counter[str]] = {}
        self.words: dict[str, Counter[str]] = {}
        self.alike: dict[str, Counter[str]] = {}
        self.filled: Counter[str] = Counter()

    def add(self, frame: pandas.DataFrame, columns: list[ColumnSpec], raw: Tensor) -> None:
        """Count those of a piece; raw: its rows as the network reads them."""
        for i, column in enumerate(columns):
            name, values = column.name, frame[column.name]
            if column.categories is not None:
                self._count(self.unseen, name, values[category_codes(values, column)[1]])
                index = LabelIndex(column.categories)
                texts = to_text(values)
                other = [
                    text for text in texts.dropna().unique()
                    if text not in index.codes and index.code(text) >= 0
                ]  # fmt: skip
                self._count(self.alike, name, texts[texts.isin(other)])
                continue
            gaps = raw[:, i].isnan().numpy()
            if gaps.any():
                self.filled[name] += int(gaps.sum())
                self._count(self.words, name, values[gaps & values.notna().to_numpy()])

    @staticmethod
    def _count(counts: dict[str, Counter[str]], name: str, texts: pandas.Series) -> None:
        if len(texts):
            counts.setdefault(name, Counter()).update(to_text(texts))

    def notes(self) -> list[str]:
        notes = []
        if self.unseen:
            notes.append(f"values that training never saw count as missing: {_listed(self.unseen)}")
        if self.alike:
            notes.append(f"typed otherwise than in training, and read alike: {_listed(self.alike)}")
        if self.words:
            notes.append(f"words that count as missing: {_listed(self.words)}")
        if self.filled:
            texts = [f"{rows:,} of '{shorten(name)}'" for name, rows in self.filled.items()]
            more = f", and in {len(texts) - SHOWN} more columns" * (len(texts) > SHOWN)
            notes.append(f"missing values filled as in training: {', '.join(texts[:SHOWN])}{more}")
        return notes


def _listed(counts: dict[str, Counter[str]]) -> str:
    texts = [
        f"{rows.total():,} of '{shorten(name)}' ({', '.join(map(shorten, list(rows)[:SHOWN]))}"
        f"{', …' if len(rows) > SHOWN else ''})"
        for name, rows in list(counts.items())[:SHOWN]
    ]
    more = f", and in {len(counts) - SHOWN} more columns" * (len(counts) > SHOWN)
    return f"{', '.join(texts)}{more}"
