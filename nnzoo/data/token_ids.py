"""Token ids of many texts at once: each text is cut a single time, and the vocabulary is counted on ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Literal

import numpy as np

from nnzoo.data.tokenizer import BYTES, UNKNOWN, UNKNOWN_ID, Tokenizer, Unit, split_text, to_bytes
from nnzoo.errors import DataError
from nnzoo.text import Note

Array = np.ndarray[Any, Any]
Keep = Literal["start", "end", "both"]
# Tokens of all texts together.
MAX_TOKENS = 500_000_000
_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Cut:
    """The part of a longer text that is kept; max_length: tokens, None for all."""

    max_length: int | None = None
    keep: Keep = "start"

    @classmethod
    def of(cls, data: Any) -> Cut:
        """The options in a config's `data` section."""
        return cls(getattr(data, "max_length", None), getattr(data, "keep", "start"))

    def apply(self, ids: Array) -> Array:
        """The ids (tokens,) that are kept; of both ends the start has one more of an odd number."""
        most = self.max_length
        if most is None or len(ids) <= most:
            return ids
        if self.keep == "start":
            return ids[:most]
        if self.keep == "end":
            return ids[-most:]
        end = most // 2
        return np.concatenate([ids[: most - end], ids[len(ids) - end :]])


@dataclass(frozen=True)
class TokenIds:
    """The ids of some texts. values: (tokens,) int32 of all; lengths: (texts,) int64, at least 1: a text without a
    token is `<unknown>`; uncut: (texts,) int64, the tokens of each before it was cut, 0 for none."""

    values: Array
    lengths: Array
    uncut: Array

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def offsets(self) -> Array:
        """(texts + 1,) int64: where each begins in `values`, and the last ends."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def select(self, rows: Array) -> TokenIds:
        """The ids of some texts (int64), in their order."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        moves = np.repeat(self.offsets[rows] - (ends - lengths), lengths)
        values = self.values[np.arange(len(moves)) + moves]
        return TokenIds(values, lengths, self.uncut[rows])


class _FirstSeen(dict[str, int]):
    """Numbers tokens in the order in which they are looked up."""

    def __missing__(self, token: str) -> int:
        number = self[token] = len(self)
        return number


class _Known(dict[str, int]):
    """The ids of a vocabulary; that of `<unknown>` for any other token."""

    def __missing__(self, token: str) -> int:
        return UNKNOWN_ID


class Encoder:
    """Cuts texts into ids; without a tokenizer into provisional ones, from which `fit` makes those of a vocabulary.

    tokenizer: None until one is fitted. The provisional id 0 is `<unknown>`, of characters others are code points + 1.
    """

    def __init__(
        self, unit: Unit, lowercase: bool, cut: Cut = Cut(), tokenizer: Tokenizer | None = None
    ) -> None:
        self.unit = unit
        self.lowercase = lowercase
        self.cut = cut
        self.tokenizer = tokenizer
        self.ids: dict[str, int] = _FirstSeen({UNKNOWN: UNKNOWN_ID})
        self._table: Array | None = None
        if tokenizer is not None and unit == "words":
            self.ids = _Known(tokenizer.ids)
        elif tokenizer is not None and unit == "characters":
            self._table = _table_of_characters(tokenizer)

    def encode(self, text: str) -> Array:
        """The ids (tokens,) int32 of a text, uncut; empty for one without any token."""
        if self.unit == "words":
            tokens = split_text(text, self.unit, self.lowercase)
            return np.fromiter(map(self.ids.__getitem__, tokens), np.int32, len(tokens))
        text = text.lower() if self.lowercase else text
        if self.unit == "bytes":
            return np.frombuffer(to_bytes(text), np.uint8).astype(np.int32)
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)
        return code_points + 1 if self._table is None else self._table[code_points]

    def encode_all(self, texts: Iterable[str], source: str = "the texts") -> TokenIds:
        """The ids of texts, each cut; raises DataError where they are too many together."""
        parts: list[Array] = []
        uncut: list[int] = []
        total = 0
        unknown = np.zeros(1, dtype=np.int32)
        for text in texts:
            ids = self.encode(text)
            uncut.append(len(ids))
            # A copy of what is kept: a view would keep all of a long text in memory.
            kept = self.cut.apply(ids)
            parts.append(
                unknown if not len(ids) else kept if len(kept) == len(ids) else kept.copy()
            )
            total += len(parts[-1])
            if total > MAX_TOKENS:
                raise DataError.at(
                    "data.path",
                    f"{source}: more than {MAX_TOKENS:,} tokens; keep fewer texts, or cut them "
                    "(data.max_length)",
                    code="E34",
                )
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        values = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        return TokenIds(values, lengths, np.array(uncut, dtype=np.int64))

    def fit(self, train: TokenIds, size: int, min_count: int) -> Tokenizer:
        """The tokenizer of the training texts' provisional ids."""
        if self.unit == "bytes":
            return Tokenizer.from_counts({}, self.unit, self.lowercase, BYTES, 1)
        counts = np.bincount(train.values)
        counts[UNKNOWN_ID] = 0  # texts without a token
        used = np.flatnonzero(counts)
        names = list(self.ids) if self.unit == "words" else []
        tokens = [names[i] if names else chr(i - 1) for i in used.tolist()]
        by_token = dict(zip(tokens, counts[used].tolist(), strict=True))
        return Tokenizer.from_counts(by_token, self.unit, self.lowercase, size, min_count)

    def renumber(self, ids: TokenIds, tokenizer: Tokenizer) -> TokenIds:
        """Provisional ids as those of a tokenizer."""
        if self.unit == "bytes":
            return ids
        if self.unit == "words":
            known = tokenizer.ids
            table = np.array([known.get(token, UNKNOWN_ID) for token in self.ids], dtype=np.int32)
        else:
            table = np.concatenate([np.zeros(1, dtype=np.int32), _table_of_characters(tokenizer)])
        return TokenIds(table[ids.values], ids.lengths, ids.uncut)


def _table_of_characters(tokenizer: Tokenizer) -> Array:
    """The id of each code point."""
    table = np.full(_CODE_POINTS, UNKNOWN_ID, dtype=np.int32)
    for i, token in enumerate(tokenizer.vocabulary):
        if len(token) == 1:
            table[ord(token)] = i
    return table


@dataclass(frozen=True)
class TokenCounts:
    """Counts of some texts: texts, those that are cut and those without a token; tokens that are kept, unknown ones
    among them, and tokens before cutting."""

    texts: int = 0
    cut_texts: int = 0
    empty: int = 0
    tokens: int = 0
    unknown: int = 0
    uncut_tokens: int = 0

    @classmethod
    def of(cls, ids: TokenIds) -> TokenCounts:
        """The counts of texts whose ids are those of a tokenizer."""
        return cls(
            len(ids),
            int((ids.uncut > ids.lengths).sum()),
            int((ids.uncut == 0).sum()),
            len(ids.values),
            int((ids.values == UNKNOWN_ID).sum()),
            int(ids.uncut.sum()),
        )

    def __add__(self, other: TokenCounts) -> TokenCounts:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return TokenCounts(*(one + another for one, another in pairs))


def token_notes(counts: Mapping[str, TokenCounts], cut: Cut, unit: Unit) -> list[str]:
    """Lines on unknown and cut tokens and on empty texts, by split; a split named "" is not named."""
    notes: list[str] = []
    if unit != "bytes":
        unknown = [f"{part} {_percent(one.unknown, one.tokens)}" for part, one in counts.items()]
        notes.append(
            Note("N20", f"tokens that are not in the vocabulary (<unknown>): {_joined(unknown)}")
        )
    cut_parts = [
        f"{part} {_percent(one.cut_texts, one.texts)} of the documents, "
        f"{_percent(one.uncut_tokens - one.tokens + one.empty, one.uncut_tokens)} of the tokens"
        for part, one in counts.items()
        if one.cut_texts
    ]
    if cut_parts:
        which = {"start": "first", "end": "last", "both": "first and last"}[cut.keep]
        text = f"cut to the {which} {cut.max_length:,} tokens (data.max_length): {_joined(cut_parts, '; ')}"
        notes.append(Note("N20", text))
    empty = [f"{part} {one.empty:,}" for part, one in counts.items() if one.empty]
    if empty:
        notes.append(
            Note("N20", f"texts without any token, read as one <unknown>: {_joined(empty)}")
        )
    return notes


def _joined(texts: list[str], separator: str = ", ") -> str:
    return separator.join(text.strip() for text in texts)


def _percent(part: int, total: int) -> str:
    percent = 100 * part / max(total, 1)
    return "under 0.1 %" if part and percent < 0.05 else f"{percent:.1f} %"
