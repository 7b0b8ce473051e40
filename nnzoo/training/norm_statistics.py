"""Recompute batch norm statistics on training rows before evaluation, where running averages lag behind.

A running average weighs the last step by 0.1, so that after few steps most of it is of weights that are
no longer there: of 300 photographs in 7 steps per epoch a network had 94 % of the training rows right, and
with its running averages a third of the validation rows. Training itself never reads these averages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nnzoo.data.dataset import Split
from nnzoo.data.sampling import batch_sizes
from nnzoo.models.layers import FrozenNorm
from nnzoo.models.network import Network

# So few batches per epoch leave an eighth or more of a running average to weights of earlier epochs.
FEW_BATCHES = 20
# About as many rows as a running average of batches of 64 rows weighs.
MAX_ROWS = 1024

Statistics = Literal["auto", "running", "exact"]


def norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms of a model that gather statistics for evaluation in training."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm)
        and not isinstance(module, FrozenNorm)
        and module.running_mean is not None
    ]


def resolve_statistics(
    asked: Statistics, model: nn.Module, rows: int, batch_size: int
) -> Literal["running", "exact"]:
    """Resolve 'auto': exact if an epoch has few batches."""
    if asked != "auto":
        return asked
    few = len(batch_sizes(rows, batch_size)) < FEW_BATCHES
    return "exact" if few and norms(model) else "running"


@torch.no_grad()
def recompute_statistics(network: Network, split: Split, rows: Tensor, batch_size: int) -> None:
    """Set the statistics of all batch norms to their mean over batches of training rows.

    rows: row numbers (int64) in random order, of which the first MAX_ROWS are taken. Each layer
    reads the outputs of the layers before it on the same batch, without augmentation and dropout. The
    result follows from the weights and rows alone.
    """
    with _averaging(network):
        rows = rows[:MAX_ROWS]
        for batch in rows.split(batch_sizes(len(rows), batch_size)):
            network(split.batch(batch)[0])


@contextmanager
def _averaging(network: Network) -> Iterator[None]:
    """Evaluation, but for batch norms, which begin to average over the batches that follow."""
    modules = norms(network.model)
    before = [(module.momentum, module.num_batches_tracked) for module in modules]
    compiled, training = network.compiled, network.training
    network.compiled = None  # which would be compiled again
    network.eval()
    try:
        for module in modules:
            # Separate counts: the training counts do not change.
            module.num_batches_tracked = torch.zeros_like(cast(Tensor, module.num_batches_tracked))
            module.reset_running_stats()
            module.momentum = None
            module.train()
        yield
    finally:
        for module, (momentum, count) in zip(modules, before, strict=True):
            module.momentum, module.num_batches_tracked = momentum, count
        network.compiled = compiled
        network.train(training)
