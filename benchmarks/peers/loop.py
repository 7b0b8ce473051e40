"""The manual loop around the network that nnzoo trains: its kernels, loss, precision, threads, optimizer
and clipping. The difference to nnzoo is its own loop."""

from __future__ import annotations

import time
from collections.abc import Callable

import mnist
import torch

from peers import BATCH, RATE, Job, nnzoo


def build(job: Job) -> Callable[[int], float]:
    run = nnzoo.open_run(job)
    network, optimizer, compute_loss = (
        run.network.train(),
        run.trainer.optimizer,
        run.network.task.compute_loss,
    )
    images, labels = mnist.read(job.data)
    x = network.preprocess(torch.tensor(images)[:, None])  # float32
    y = torch.tensor(labels).long()

    def train(epochs: int) -> float:
        began = time.perf_counter()
        for _ in range(epochs):
            loss = hits = 0.0
            for rows in torch.randperm(len(x)).split(BATCH):
                result = compute_loss(network._run_model(x[rows]), y[rows], [float(len(rows))])
                result.backward()
                optimizer.step(RATE, optimizer.grad_norms())
                optimizer.zero_grad()
                losses, right = result.to_lists()
                loss += losses[0]
                hits += right[0]
        return time.perf_counter() - began

    return train
