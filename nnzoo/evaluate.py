"""One pass over a split to exact metrics: the same code for validation, the final test and `eval`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.data.dataset import Split, chunks
from nnzoo.tasks import Task

BATCH = 512


@torch.no_grad()
def outputs(
    model: nn.Module, encode: Callable[[Tensor], Tensor], split: Split, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """The network's outputs and the targets of a split, batch by batch, in order."""
    model.eval()
    for piece in chunks(len(split), BATCH):
        x, y = split.batch(torch.arange(piece.start, piece.stop, device=device))
        yield model(encode(x)), y


def evaluate(
    model: nn.Module,
    encode: Callable[[Tensor], Tensor],
    split: Split,
    task: Task,
    device: torch.device,
) -> dict[str, Any]:
    """The metrics of a split; the model is left in evaluation mode."""
    sums: Any = task.sums(device)
    for output, target in outputs(model, encode, split, device):
        task.add(sums, output, target)
    return task.report(sums)
