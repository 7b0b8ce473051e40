"""A manual loop of torch around its own embedding and LSTM or GRU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sequence_peers.data import epoch_batches
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from text_peers import (
    CHARACTERS,
    CLASSES,
    CLIP,
    EMBEDDING,
    RATE,
    WINDOW,
    WINDOWS,
    WORDS,
    Job,
)
from text_peers.data import reviews, running_text


class Network(nn.Module):
    def __init__(self, job: Job, vocabulary: int, outputs: int) -> None:
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[job.cell]
        self.embedding = nn.Embedding(vocabulary, EMBEDDING)
        self.rnn = kind(EMBEDDING, job.units, batch_first=True)
        self.head = nn.Linear(job.units, outputs)

    def classify(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(x), lengths, batch_first=True)
        last = self.rnn(packed)[1]
        return self.head((last[0] if isinstance(last, tuple) else last)[-1])

    def continue_text(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        states, state = self.rnn(self.embedding(x), state)
        is_lstm = isinstance(state, tuple)
        state = tuple(t.detach() for t in state) if is_lstm else state.detach()
        return self.head(states), state


def build(job: Job) -> Callable[[int], float]:
    """epochs -> seconds of training."""
    network = (
        Network(job, CHARACTERS, CHARACTERS)
        if job.is_language_model
        else Network(job, WORDS, CLASSES)
    )
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)

    def step(output: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(output, target)
        loss.backward()
        clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    epoch = _text_epoch(network, step) if job.is_language_model else _review_epoch(network, step)

    def train(epochs: int) -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            epoch()
        return time.perf_counter() - start

    return train


def _text_epoch(network: Network, step: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
    ids = torch.from_numpy(running_text()).long()

    def epoch() -> None:
        state, total = None, torch.zeros(())
        for first in range(0, WINDOW * WINDOWS, WINDOW):
            output, state = network.continue_text(ids[:, first : first + WINDOW], state)
            total += step(output.flatten(0, 1), ids[:, first + 1 : first + WINDOW + 1].flatten())
        total.item()

    return epoch


def _review_epoch(network: Network, step: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
    texts, classes = reviews()
    x = pad_sequence([torch.from_numpy(text).long() for text in texts], batch_first=True)
    y, lengths = torch.from_numpy(classes), torch.tensor([len(text) for text in texts])
    generator = np.random.default_rng(2)

    def epoch() -> None:
        total = torch.zeros(())
        for chosen in epoch_batches(lengths.numpy(), True, generator):
            rows = torch.from_numpy(chosen)
            of_rows = lengths[rows]
            total += step(network.classify(x[rows, : int(of_rows[0])], of_rows), y[rows])
        total.item()

    return epoch
