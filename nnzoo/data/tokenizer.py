"""Tokens of texts: words, characters or bytes, and the vocabulary that numbers them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import chain
from typing import Any, Literal

from nnzoo.config.text_options import MAX_VOCABULARY

Unit = Literal["words", "characters", "bytes"]
UNKNOWN = "<unknown>"
"""The token of everything that is not in the vocabulary; its id is 0."""
UNKNOWN_ID = 0
_LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
BYTES = 256


@dataclass(frozen=True)
class Tokenizer:
    """Cuts texts into tokens and maps them to ids (0 to `size` - 1) and back.

    vocabulary: the token of each id; id 0 is `<unknown>`, of bytes the byte 0, since no byte is unknown.
    """

    unit: Unit
    lowercase: bool
    vocabulary: Sequence[str] = field(repr=False)

    @classmethod
    def fit(
        cls, texts: Iterable[str], unit: Unit, lowercase: bool, size: int, min_count: int
    ) -> Tokenizer:
        """A tokenizer with the `size` most frequent tokens of the training texts that occur at least `min_count` times;
        of equally frequent ones those that come first in the order of Unicode."""
        split = (split_text(text, unit, lowercase) for text in texts if unit != "bytes")
        counts = Counter(chain.from_iterable(split))
        return cls.from_counts(counts, unit, lowercase, size, min_count)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], unit: Unit, lowercase: bool, size: int, min_count: int
    ) -> Tokenizer:
        """The same, by the count of each token in the training texts; of bytes all are known."""
        if unit == "bytes":
            return cls(unit, lowercase, [chr(byte) for byte in range(BYTES)])
        known = [token for token, count in counts.items() if count >= min_count]
        known.sort(key=lambda token: (-counts[token], token))
        return cls(unit, lowercase, [UNKNOWN, *known[: size - 1]])

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: i for i, token in enumerate(self.vocabulary)}

    def encode(self, text: str) -> list[int]:
        """The ids of a text's tokens; empty for a text without any."""
        if self.unit == "bytes":
            return list(to_bytes(text.lower() if self.lowercase else text))
        get = self.ids.get
        return [get(token, UNKNOWN_ID) for token in self.split(text)]

    def split(self, text: str) -> Sequence[str]:
        """The tokens of a text, known or not; of bytes one character per byte."""
        return split_text(text, self.unit, self.lowercase)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; words are joined by blanks, without one before closing punctuation."""
        if self.unit == "bytes":
            return bytes(ids).decode("utf-8", "replace")
        tokens = [self.vocabulary[i] for i in ids]
        if self.unit == "characters":
            return "".join(tokens)
        return re.sub(r" ([.,;:!?)\]}%])", r"\1", " ".join(tokens))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint and for the tokenizer's file beside an export."""
        values: dict[str, Any] = {"unit": self.unit, "lowercase": self.lowercase}
        return values if self.unit == "bytes" else values | {"vocabulary": list(self.vocabulary)}

    @classmethod
    def from_dict(cls, values: Any) -> Tokenizer:
        """The tokenizer of stored values, which may be anyone's; raises TypeError or KeyError where they are wrong."""
        unit, vocabulary = values["unit"], values.get("vocabulary", [])
        if unit == "bytes":
            vocabulary = [chr(byte) for byte in range(BYTES)]
        fits = unit in ("words", "characters", "bytes") and isinstance(vocabulary, list)
        if not fits or not 1 <= len(vocabulary) <= MAX_VOCABULARY:
            raise TypeError("a tokenizer that is none")
        if not all(isinstance(token, str) for token in vocabulary):
            raise TypeError("a vocabulary with other values than texts")
        if len(set(vocabulary)) < len(vocabulary):
            raise TypeError("a vocabulary that has a token twice")
        if unit != "bytes" and vocabulary[UNKNOWN_ID] != UNKNOWN:
            raise TypeError(f"a vocabulary that does not begin with {UNKNOWN}")
        if unit == "characters" and any(len(token) != 1 for token in vocabulary[1:]):
            raise TypeError("a vocabulary of characters with longer tokens")
        return cls(unit, values["lowercase"] is True, vocabulary)


def split_text(text: str, unit: Unit, lowercase: bool) -> Sequence[str]:
    """Cut a text into tokens."""
    if lowercase:
        text = text.lower()
    if unit == "words":
        return word_pattern().findall(text)
    if unit == "bytes":
        return to_bytes(text).decode("latin-1")
    return text


@cache
def word_pattern() -> re.Pattern[str]:
    r"""A word, with an apostrophe inside it, or a single punctuation mark or symbol.

    The accents and vowel signs that many languages write as characters of their own (Hindi, Thai, and decomposed Latin
    letters) belong to words; Python's \w has letters alone.
    """
    marks = [i for i in range(0x300, 0x10000) if unicodedata.category(chr(i)).startswith("M")]
    marks += [0x200C, 0x200D]  # they part or join the letters of one word, as in Persian
    starts = sorted(set(marks) - {i + 1 for i in marks})
    ends = sorted(set(marks) - {i - 1 for i in marks})
    ranges = [f"\\u{start:04x}-\\u{end:04x}" for start, end in zip(starts, ends, strict=True)]
    word = rf"[\w{''.join(ranges)}]+"
    return re.compile(rf"{word}(?:['\u2019]{word})?|[^\w\s]")


def to_bytes(text: str) -> bytes:
    """A text as UTF-8; bytes that Python's surrogateescape has kept are themselves again, and other halves of surrogate
    pairs, which no UTF-8 has, are U+FFFD."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _LONE_SURROGATES.sub("\ufffd", text).encode("utf-8", "surrogateescape")
