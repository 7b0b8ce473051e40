"""Text from a language model: a prompt is read, then token after token is sampled and read."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from nnzoo.data.tokenizer import UNKNOWN, UNKNOWN_ID, Tokenizer
from nnzoo.errors import DataError
from nnzoo.kernels.build import available
from nnzoo.kernels.generate import NativeWriter, Parts, Sampling
from nnzoo.models.network import Network
from nnzoo.models.recurrent_layers import PARAMETERS
from nnzoo.models.rnn import Recurrent
from nnzoo.text import Note, list_some, plural

CHUNK = 1024
"""Tokens that are sampled in one call."""
_MASK = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15


class Writer(Protocol):
    """Reads and samples tokens."""

    def read(self, ids: list[int]) -> None: ...

    def sample(self, count: int, sampling: Sampling) -> list[int]: ...


class TextGenerator:
    """Writes what follows a prompt; the state is kept between calls."""

    def __init__(self, network: Network, native: bool = True) -> None:
        """native: whether to use native kernels where there are any. Raises DataError for a network that is no language
        model."""
        model, tokenizer = network.model, network.data_spec.tokenizer
        if network.data_spec.task != "language_model" or not isinstance(model, Recurrent):
            raise DataError(
                f"{network.config.name} is no language model: only one that is trained on a corpus writes text",
                code="E54",
            )
        assert tokenizer is not None
        self.tokenizer = tokenizer
        self.decoder = PieceDecoder(tokenizer)
        self.writer = make_writer(model) if native else TorchWriter(model)
        self.notes: list[str] = []
        """Lines on the prompt: what is unknown in it."""

    def read(self, prompt: str) -> None:
        """Read a prompt. An empty one is read as a line break, or where that is no token as the most frequent one."""
        ids = self.tokenizer.encode(prompt)
        unknown = [
            token
            for token, id_ in zip(self.tokenizer.split(prompt), ids, strict=True)
            if self.tokenizer.unit != "bytes" and id_ == UNKNOWN_ID
        ]
        if unknown:
            shown = list_some([repr(token) for token in dict.fromkeys(unknown)])
            noun = plural(len(unknown), self.tokenizer.unit.removesuffix("s"))
            text = f"the prompt has {noun} outside of the vocabulary, read as {UNKNOWN}: {shown}"
            self.notes.append(Note("N20", text))
        ids = ids or self.tokenizer.encode("\n")
        if not ids or (ids == [UNKNOWN_ID] and not prompt):
            ids = [min(1, self.tokenizer.size - 1)]
        self.writer.read(ids)
        self.decoder.start(ids)

    def write(self, length: int, sampling: Sampling, chunk: int = CHUNK) -> Iterator[str]:
        """Yield the next `length` tokens as text, piece by piece; `<unknown>` is never sampled.

        Raises DataError if the network's outputs are not numbers."""
        if self.tokenizer.unit != "bytes":
            sampling = sampling._replace(excluded=UNKNOWN_ID)
        while length:
            count = min(length, chunk)
            ids = self.writer.sample(count, sampling)
            length -= count
            yield self.decoder.decode(ids, is_last=not length)
            if len(ids) < count:
                raise DataError(
                    "the network's outputs are not finite numbers: it cannot write", code="E60"
                )


class PieceDecoder:
    """Texts of tokens, piece by piece, which together are the text of all."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self.before: list[int] = []

    def start(self, ids: list[int]) -> None:
        """Go on behind these tokens."""
        self.before = ids[-1:]
        if self.tokenizer.unit == "bytes":
            self.bytes.decode(bytes(ids))

    def decode(self, ids: Iterable[int], is_last: bool = False) -> str:
        """The text of the next tokens; a character whose bytes are not all there comes with the next piece."""
        ids = list(ids)
        if self.tokenizer.unit == "bytes":
            return self.bytes.decode(bytes(ids), is_last)
        start = len(self.tokenizer.decode(self.before))
        text = self.tokenizer.decode([*self.before, *ids])[start:]
        self.before = ids[-1:] or self.before
        return text


def make_writer(model: Recurrent) -> Writer:
    """A writer by native kernels where there are any, else by torch."""
    if available(model.head.weight.device):
        return NativeWriter(parts_of(model))
    return TorchWriter(model)


def parts_of(model: Recurrent) -> Parts:
    rnn: Any = model.rnn
    assert model.embedding is not None
    layers = [[getattr(rnn, f"{name}_l{i}") for name in PARAMETERS] for i in range(rnn.num_layers)]
    head = model.head
    return Parts(rnn.cell_type, rnn.relu, layers, model.embedding.weight, head.weight, head.bias)


class TorchWriter:
    """Reads and samples tokens as `NativeWriter` does, by torch's layers."""

    def __init__(self, model: Recurrent) -> None:
        self.model, self.position = model, 0
        self.state: Any = None
        self.logits = np.zeros(len(model.head.weight))

    @torch.no_grad()
    def read(self, ids: list[int]) -> None:
        """Read tokens. Raises IndexError for one that is not within the vocabulary."""
        model: Any = self.model
        training = model.training
        model.eval()
        try:
            x = torch.tensor(ids, dtype=torch.int32, device=model.head.weight.device)
            states, self.state = model.rnn(model.embedding(x.view(1, -1, 1)), self.state)
            logits = nn.functional.linear(states[0, -1], model.head.weight, model.head.bias)
            self.logits = logits.double().cpu().numpy()
        finally:
            model.train(training)

    def sample(self, count: int, sampling: Sampling) -> list[int]:
        """Sample and read so many tokens; fewer if the outputs are not finite."""
        ids: list[int] = []
        for _ in range(count):
            id_ = sample_token(self.logits, sampling, self.position)
            if id_ is None:
                break
            self.position += 1
            self.read([id_])
            ids.append(id_)
        return ids


def sample_token(logits: np.ndarray, sampling: Sampling, position: int) -> int | None:
    """A token by logits (vocabulary,) float64; None if one is not finite. position: how many have been sampled before.

    As generate.c does it."""
    ids = np.arange(len(logits))
    allowed = ids[ids != sampling.excluded]
    if not np.isfinite(logits).all() or not len(allowed):
        return None
    best = int(allowed[logits[allowed].argmax()])
    if sampling.temperature <= 0:
        return best
    if 0 < sampling.top_k < len(allowed):
        # Ties are resolved by the lower id.
        order = np.argsort(-logits[allowed], kind="stable")
        allowed = np.sort(allowed[order[: sampling.top_k]])
    with np.errstate(over="ignore"):  # exp of minus infinity is zero
        weights = np.exp((logits[allowed] - logits[best]) / sampling.temperature)
    allowed, weights = allowed[weights > 0], weights[weights > 0]
    rest = uniform(sampling.seed, position) * float(weights.sum())
    place = int(np.searchsorted(weights.cumsum(), rest, side="right"))
    return int(allowed[min(place, len(allowed) - 1)])


def uniform(seed: int, position: int) -> float:
    """A number from 0 (included) to 1, a function of the seed and of the position alone; `uniform` of generate.c."""
    start = _mix((seed + _GAMMA) & _MASK)
    return math.ldexp(_mix((start + _GAMMA * (position + 1)) & _MASK) >> 11, -53)


def _mix(x: int) -> int:
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _MASK
    return x ^ x >> 31
