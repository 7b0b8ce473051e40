"""Running text as a data set: windows of tokens, each of which is predicted from those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.text_options import CorpusOptions, PydocOptions, RunningTextOptions
from nnzoo.data.corpus_files import read_corpus
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split, sliding_windows
from nnzoo.data.tokenizer import UNKNOWN, UNKNOWN_ID, Tokenizer, Unit
from nnzoo.errors import DataError
from nnzoo.text import Note, plural


@dataclass(frozen=True)
class CorpusSplit:
    """Consecutive windows of a text, without overlap; what is left behind the last whole one is in no row.

    tokens: (steps,) int32 ids. The targets of a window are its tokens shifted by one.
    """

    tokens: Tensor
    window: int
    lengths: ClassVar[None] = None
    weights: ClassVar[None] = None

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.window

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Ids (batch, window, 1) int32, and the id after each, (batch * window,) int64."""
        windows = sliding_windows(self.tokens[:, None], self.window + 1)
        chosen = windows.index_select(0, rows * self.window)
        return chosen[:, :-1].unsqueeze(-1), chosen[:, 1:].long().flatten()

    def targets(self) -> Tensor:
        return self.tokens[1 : len(self) * self.window + 1].long()

    def map(
        self, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]
    ) -> CorpusSplit:
        # Ids are inputs and targets at once, and stay as they are.
        return self

    def to(self, device: torch.device) -> CorpusSplit:
        return replace(self, tokens=self.tokens.to(device))

    def tensors(self) -> list[Tensor]:
        return [self.tokens]

    def contents(self) -> Iterator[tuple[tuple[int, ...], Iterator[Tensor]]]:
        yield tuple(self.tokens.shape), iter([self.tokens])


def load_corpus(options: CorpusOptions, spec: DataSpec | None = None) -> Dataset:
    """Read a text; its beginning trains, the end tests. spec: of a checkpoint, whose tokenizer is used."""
    text, notes = read_corpus(options.path, options.tokens)
    return make_corpus(text, options, spec, notes)


def load_pydoc(options: PydocOptions, spec: DataSpec | None = None) -> Dataset:
    """The topics of Python's `help()`, which are chapters of its language reference."""
    from pydoc_data import topics

    text = "\n".join(topics.topics[name] for name in sorted(topics.topics))
    return make_corpus(text, options, spec, [])


def make_corpus(
    text: str, options: RunningTextOptions, spec: DataSpec | None, notes: list[str]
) -> Dataset:
    """Cut a text into parts and tokens; the vocabulary is that of the training part."""
    parts = _cut(text, options)
    if spec is not None and spec.tokenizer is not None:
        tokenizer = spec.tokenizer
    else:
        fit = options.tokens, options.lowercase, options.vocabulary, options.min_count
        tokenizer = Tokenizer.fit(_chunks(parts["train"], options.tokens), *fit)
        spec = DataSpec(
            InputSpec("tokens", (options.window, 1), vocabulary=tokenizer.size, per_step=True),
            "language_model",
            tokenizer=tokenizer,
        )
    splits: dict[str, Split] = {}
    cuts: list[str] = []
    for name, part in parts.items():
        ids = torch.from_numpy(encode(tokenizer, part))
        if len(ids) <= options.window:
            raise DataError.at(
                "data.window",
                f"the {name} part has {plural(len(ids), 'token')}; a window takes {options.window} and one that follows",
                code="E45",
            )
        splits[name] = CorpusSplit(ids, options.window)
        unknown = int((ids == UNKNOWN_ID).sum()) if options.tokens != "bytes" else 0
        if unknown:
            cuts.append(
                Note(
                    "N20",
                    f"{unknown:,} of {len(ids):,} tokens of the {name} part ({unknown / len(ids):.2%}) are not in the "
                    f"vocabulary and read as {UNKNOWN}",
                )
            )
    sizes = ", ".join(f"{len(part.tensors()[0]):,} {name}" for name, part in splits.items())
    notes = [*notes, f"{options.tokens}: {sizes}; vocabulary of {tokenizer.size:,}"]
    return Dataset(spec, splits, [*notes, *cuts], cuts=cuts)


def _cut(text: str, options: RunningTextOptions) -> dict[str, str]:
    """The training, validation and test part, by characters; words are not cut in two."""
    size, split = len(text), options.split
    ends = [round(size * (1 - split.val - split.test)), round(size * (1 - split.test)), size]
    if split.val + split.test >= 1 or not ends[0]:
        raise DataError.at(
            "data.split", "the fractions of validation and test leave no text to train", code="E43"
        )
    if options.tokens == "words":
        ends = [_next_blank(text, end) for end in ends]
    parts = zip(("train", "val", "test"), [0, *ends], ends, strict=False)
    return {name: text[start:end] for name, start, end in parts if end > start}


def _next_blank(text: str, start: int) -> int:
    while start < len(text) and not text[start].isspace():
        start += 1
    return start


CHUNK = 1 << 22
"""Characters that are cut into tokens at once: a list of tokens takes many times the memory of the text."""


def _chunks(text: str, unit: Unit) -> Iterator[str]:
    """Yield a text in chunks; words are not cut in two."""
    start = 0
    while start < len(text):
        end = start + CHUNK
        if unit == "words":
            end = _next_blank(text, min(end, len(text)))
        yield text[start:end]
        start = end


def encode(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The ids of a text's tokens, (tokens,) int32."""
    parts = [_encode_chunk(tokenizer, chunk) for chunk in _chunks(text, tokenizer.unit)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)


def _encode_chunk(tokenizer: Tokenizer, text: str) -> np.ndarray:
    if tokenizer.unit != "characters":
        return np.array(tokenizer.encode(text), dtype=np.int32)
    text = text.lower() if tokenizer.lowercase else text
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    known = np.array([ord(token) for token in tokenizer.vocabulary[1:]], dtype=np.uint32)
    order = known.argsort()
    index = np.searchsorted(known[order], codes).clip(max=max(len(known) - 1, 0))
    is_known = known[order][index] == codes if len(known) else np.zeros(len(codes), bool)
    return np.where(is_known, order[index] + 1 if len(known) else 0, UNKNOWN_ID).astype(np.int32)
