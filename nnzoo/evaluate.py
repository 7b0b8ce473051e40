"""One pass over a split to exact metrics: the same code for validation, the final test and `eval`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.data.dataset import Split, chunks
from nnzoo.tasks import Task

# Rows a batch, and numbers a batch: large pictures would fill the memory with feature maps.
MAX_ROWS = 512
MAX_NUMBERS = 1 << 20


def batch_rows(size: int) -> int:
    """How many samples of `size` numbers are answered together."""
    return max(1, min(MAX_ROWS, MAX_NUMBERS // size))


@torch.no_grad()
def outputs(
    network: nn.Module, split: Split, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """The network's outputs and the targets of a prepared split, batch by batch, in order.

    The network is in evaluation mode meanwhile.
    """
    network.eval()
    if not len(split):
        return
    size = split.batch(torch.zeros(1, dtype=torch.int64, device=device))[0].numel()
    for piece in chunks(len(split), batch_rows(size)):
        x, y = split.batch(torch.arange(piece.start, piece.stop, device=device))
        yield network(x), y


def evaluate(network: nn.Module, split: Split, task: Task, device: torch.device) -> dict[str, Any]:
    """The metrics of a prepared split; the network stays in the mode it was in."""
    was_training = network.training
    sums: Any = task.sums(device)
    for output, target in outputs(network, split, device):
        task.add(sums, output, target)
    network.train(was_training)
    return task.report(sums)
