"""A manual loop, as fast as one writes it: all data one tensor, batches by index, the
fused Adam, sums of loss and hits that are read once an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from peers import BATCH, RATE, Job, torchnets


def build(job: Job) -> Callable[[int], float]:
    x, y = torchnets.data(job)
    model = torchnets.build(job.row).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)

    def step() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return loop(x, y, model, step, job.variant == "bf16")


def loop(
    x: Tensor, y: Tensor, model: Callable[[Tensor], Tensor], step: Callable[[], None], bf16: bool
) -> Callable[[int], float]:
    """step: what follows on the gradients; gives epochs -> seconds of training."""

    def epoch() -> tuple[float, float]:
        loss_sum, hits = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(x)).split(BATCH):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                output = model(x[rows])
                loss = functional.cross_entropy(output, y[rows])
            loss.backward()
            step()
            loss_sum += loss.detach() * len(rows)
            hits += (output.argmax(1) == y[rows]).sum()
        return loss_sum.item() / len(x), hits.item() / len(x)

    def train(epochs: int) -> float:
        began = time.perf_counter()
        for _ in range(epochs):
            epoch()
        return time.perf_counter() - began

    return train
