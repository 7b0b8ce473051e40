"""A manual loop of torch around its own LSTM or GRU, of packed or of padded sequences."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from sequence_peers import CLASSES, CLIP, RATE, UNITS, Job
from sequence_peers.data import epoch_batches, sequences


class Classifier(nn.Module):
    def __init__(self, job: Job) -> None:
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[job.cell]
        self.rnn = kind(job.channels, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, CLASSES)
        self.packs = "packed" in job.variant

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if not self.packs:
            states = self.rnn(x)[0]
            return self.head(states[torch.arange(len(x)), lengths - 1])
        last = self.rnn(pack_padded_sequence(x, lengths, batch_first=True))[1]
        return self.head((last[0] if isinstance(last, tuple) else last)[-1])


def build(job: Job) -> Callable[[int], float]:
    """epochs -> seconds of training."""
    values, classes = sequences(job)
    x = pad_sequence([torch.from_numpy(value) for value in values], batch_first=True)
    y, lengths = torch.from_numpy(classes), torch.tensor([len(value) for value in values])
    model = Classifier(job)
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
    generator = np.random.default_rng(2)

    def epoch() -> None:
        total = torch.zeros(())
        for chosen in epoch_batches(lengths.numpy(), job.has_buckets, generator):
            rows = torch.from_numpy(chosen)
            of_rows = lengths[rows]
            output = model(x[rows, : int(of_rows[0])], of_rows)
            loss = nn.functional.cross_entropy(output, y[rows])
            loss.backward()
            clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            optimizer.zero_grad()
            total += loss.detach()
        total.item()

    def train(epochs: int) -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            epoch()
        return time.perf_counter() - start

    return train
