"""As in pytorch/examples: torchvision's MNIST with its transforms image by image, a DataLoader,
a plain loop that looks at the loss every ten batches. Its optimizer is Adam here."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from nnzoo.data.vision_datasets import import_torchvision
from peers import BATCH, RATE, Job, torchnets


def build(job: Job) -> Callable[[int], float]:
    # As import does, also where torchvision was built for another torch.
    datasets, transforms = map(
        import_torchvision, ("torchvision.datasets", "torchvision.transforms")
    )
    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    if job.row not in ("mlp", "cnn"):
        steps.append(transforms.Lambda(lambda x: x[0]))  # 28 rows of 28 pixels
    dataset = datasets.MNIST(job.data, transform=transforms.Compose(steps))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    model = torchnets.build(job.row).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def train(epochs: int) -> float:
        began = time.perf_counter()
        for _ in range(epochs):
            for i, (x, y) in enumerate(loader):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                if i % 10 == 0:
                    loss.item()
        return time.perf_counter() - began

    return train
