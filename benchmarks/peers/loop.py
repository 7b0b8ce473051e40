"""The loop by hand around the network that nnzoo trains: its kernels, precision, threads, optimizer
and clipping. What nnzoo is slower or faster by is its own loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import mnist
import torch
from torch import Tensor

from nnzoo.training.optim import clip_gradients
from peers import RATE, Job, hand, nnzoo


def build(job: Job) -> Callable[[int], float]:
    run = nnzoo.open_run(job)
    network, optimizer = run.network.train(), run.trainer.optimizer
    parameters = list(network.model.parameters())
    images, labels = mnist.read(job.data)
    x = network.preprocess(torch.tensor(images)[:, None])  # float32

    def step() -> None:
        norm = clip_gradients([cast(Tensor, p.grad) for p in parameters], None)
        optimizer.step(RATE, (norm + 1e-6).clamp(min=1.0))
        optimizer.zero_grad()

    return hand.loop(x, torch.tensor(labels).long(), network.answer, step, False)
