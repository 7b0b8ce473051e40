"""Export of networks on text: token ids as inputs, the state of a language model, and the tokenizer as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.data.sequences import PaddedSequences
from nnzoo.data.tokenizer import UNKNOWN, UNKNOWN_ID, word_pattern
from nnzoo.export_lengths import onnx_layer
from nnzoo.models.embedding import Embedding, EmbeddingMean
from nnzoo.models.network import Network
from nnzoo.models.recurrent_layers import PARAMETERS
from nnzoo.models.rnn import Recurrent

IDS = "ids"
STATES = ("hidden", "cell")
"""Inputs of a language model beside the ids, (layers, batch, hidden_size): zeros at the beginning of a text. Outputs of
the same names with "_out" are the states of the next call."""


def is_language_model(network: Network) -> bool:
    return network.data_spec.task == "language_model"


def state_names(network: Network) -> tuple[str, ...]:
    """The inputs of a language model that are its state."""
    return STATES[: 2 if isinstance(cast(Any, network.model).rnn, nn.LSTM) else 1]


def tokenizer_values(network: Network) -> dict[str, Any]:
    """Everything that another program needs to turn a text into the ids of the network, as plain values.

    pattern: of words, a regular expression for Unicode text whose matches, from left to right, are the tokens;
    max_length, keep: the part that is kept of a longer text, as in the config; empty: the ids of a text without tokens.
    """
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    values = {"format": "nnzoo-tokenizer", "version": 1} | tokenizer.to_dict()
    vocabulary = values.pop("vocabulary", None)
    if tokenizer.unit == "words":
        values["pattern"] = word_pattern().pattern
    if tokenizer.unit == "bytes":
        values["encoding"] = "utf-8"
    else:
        values |= {"unknown": UNKNOWN, "unknown_id": UNKNOWN_ID}
    if not is_language_model(network):
        data: Any = network.config.data
        most = getattr(data, "max_length", None)
        values |= {"max_length": most, "keep": data.keep if most else None, "empty": [UNKNOWN_ID]}
    return values if vocabulary is None else values | {"vocabulary": vocabulary}


def vectors_forward(embedding: Embedding) -> Callable[[Any], Any]:
    """Make a forward of an embedding for any number of tokens."""

    def look_up(ids: Tensor) -> Tensor:
        return functional.embedding(ids.squeeze(-1), embedding.weight)

    def forward(x: Tensor | PaddedSequences) -> Tensor | PaddedSequences:
        if isinstance(x, Tensor):
            return look_up(x)
        return x.with_values(look_up(x.values).masked_fill(~x.mask.unsqueeze(-1), 0))

    return forward


def mean_forward(embedding: EmbeddingMean) -> Callable[[PaddedSequences], Tensor]:
    """Make a forward of the mean of embeddings for any number of tokens."""
    look_up = vectors_forward(embedding)
    return lambda x: embedding.mean(look_up(x))


def padded_ids(ids: Tensor, lengths: Tensor) -> PaddedSequences:
    """A batch (batch, time) with lengths as a network takes it; ids behind the end of a text may be anything."""
    x = PaddedSequences(ids.unsqueeze(-1), lengths)
    return x.with_values(x.values.masked_fill(~x.mask.unsqueeze(-1), UNKNOWN_ID))


def step_forward(network: Network) -> Callable[..., tuple[Tensor, ...]]:
    """Make a forward of a language model from ONNX's operators: ids (batch, time) and the state to the probabilities of
    the token after each, (batch, time, vocabulary), and the state."""
    model = cast(Recurrent, network.model)
    rnn, layer = model.rnn, onnx_layer(model.rnn)

    def forward(ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        states = model.sequence(ids.unsqueeze(-1)).transpose(0, 1)
        finals: list[tuple[Tensor, ...]] = []
        for i in range(rnn.num_layers):
            weights = [getattr(rnn, f"{name}_l{i}") for name in PARAMETERS]
            start = tuple(tensor[i : i + 1] for tensor in state)
            states, *final = layer(states, *weights, start=start)
            finals.append(tuple(final))
        probabilities = network.task.postprocess(model.head(states.transpose(0, 1)).flatten(0, 1))
        last = [torch.stack(tensors) for tensors in zip(*finals, strict=True)]
        return probabilities.unflatten(0, ids.shape), *last

    return forward


def random_ids(network: Network, count: int, longest: int) -> tuple[Tensor, ...]:
    """Draw the inputs of an exported network: ids and the lengths of the texts, or the state of a language model."""
    generator = torch.Generator().manual_seed(count)
    size = network.data_spec.input.vocabulary
    ids = torch.randint(0, size, (count, longest), generator=generator)
    if is_language_model(network):
        rnn = cast(Any, network.model).rnn
        shape = rnn.num_layers, count, rnn.hidden_size
        states = [torch.rand(shape, generator=generator) - 0.5 for _ in state_names(network)]
        return ids, *states
    shortest = min(getattr(network.model, "min_length", 1), longest)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=generator)
    lengths[0] = longest
    return ids, lengths


@torch.no_grad()
def predict_steps(network: Network, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
    """PyTorch's outputs for the inputs of an exported language model."""
    model = cast(Recurrent, network.model)
    before, model.state = model.state, state
    try:
        probabilities = network.predict(ids.unsqueeze(-1)).unflatten(0, ids.shape)
        return probabilities, *(model.state or ())
    finally:
        model.state = before
