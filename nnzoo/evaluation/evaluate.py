"""One pass over a split to exact metrics: the same code for validation, the final test and `eval`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.data.dataset import Split, chunks
from nnzoo.distributed import ALONE, Processes
from nnzoo.evaluation.tasks import Task

# Rows a batch, and numbers a batch: large pictures would fill the memory with feature maps.
MAX_ROWS = 512
MAX_NUMBERS = 1 << 20


def batch_rows(size: int) -> int:
    """How many samples of `size` numbers are answered together."""
    return max(1, min(MAX_ROWS, MAX_NUMBERS // size))


@torch.no_grad()
def outputs(
    network: nn.Module, split: Split, device: torch.device, processes: Processes = ALONE
) -> Iterator[tuple[Tensor, Tensor]]:
    """The network's outputs and the targets of a prepared split, batch by batch, in order; of several
    processes each has its share of the rows.

    The network is in evaluation mode meanwhile.
    """
    network.eval()
    start, stop = processes.bounds(len(split))
    if start == stop:
        return
    size = split.batch(torch.zeros(1, dtype=torch.int64, device=device))[0].numel()
    for piece in chunks(stop - start, batch_rows(size)):
        x, y = split.batch(torch.arange(start + piece.start, start + piece.stop, device=device))
        yield network(x), y


def evaluate(
    network: nn.Module, split: Split, task: Task, device: torch.device,
    processes: Processes = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """The metrics of a prepared split; the network stays in the mode it was in. Of several processes
    each answers its share, and all get the whole."""
    was_training = network.training
    sums: Any = task.new_metrics(device, len(split), processes.bounds(len(split))[0])
    for output, target in outputs(network, split, device, processes):
        task.update(sums, output, target)
    processes.add_up(list(sums.tensors.values()))
    network.train(was_training)
    return task.compute_metrics(sums)
