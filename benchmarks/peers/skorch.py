"""skorch's NeuralNetClassifier.

To its advantage: tensors in memory and whole batches by index (a BatchSampler for its DataLoader)
in place of one sample at a time; fused Adam; no printed log. Its own training loss, and accuracy by
EpochScoring from the predictions made in training.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from torch import nn
from torch.utils.data import BatchSampler, RandomSampler

from peers import BATCH, RATE, Job, torchnets


def build(job: Job) -> Callable[[int], float]:
    x, y = torchnets.data(job)
    accuracy = EpochScoring("accuracy", lower_is_better=False, on_train=True)
    net = NeuralNetClassifier(
        torchnets.build(job.row),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=RATE,
        train_split=None,
        callbacks__print_log=None,
        callbacks=[("train_accuracy", accuracy)],
        iterator_train__batch_size=None,
        iterator_train__sampler=BatchSampler(RandomSampler(y), BATCH, drop_last=False),
    ).initialize()

    def train(epochs: int) -> float:
        net.set_params(max_epochs=epochs)
        began = time.perf_counter()
        net.partial_fit(x, y)
        return time.perf_counter() - began

    return train
