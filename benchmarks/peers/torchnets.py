"""The networks as plain torch modules, and MNIST as tensors: what the PyTorch peers share."""

from __future__ import annotations

import mnist
import torch
from torch import Tensor, nn

from peers import Job


class Recurrent(nn.Module):
    """A recurrent layer over the 28 rows of an image, its last state into a linear layer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind](
            28, 128, batch_first=True
        )
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.layer(x)
        return self.head((last[0] if isinstance(last, tuple) else last)[-1])


def build(row: str) -> nn.Module:
    """(batch, 28, 28), or (batch, 1, 28, 28) for the cnn, to (batch, 10) logits."""
    if row == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Linear(256, 10),
        )
    if row == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * 12 * 12, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        )
    return Recurrent(row)


def data(job: Job) -> tuple[Tensor, Tensor]:
    """All images as standardised float32, all labels as int64."""
    images, labels = mnist.read(job.data)
    x = (torch.tensor(images).float() / 255 - 0.1307) / 0.3081
    return (x[:, None] if job.row == "cnn" else x), torch.tensor(labels).long()
