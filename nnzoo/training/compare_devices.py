"""A comparison of the GPU that `--device auto` takes with the CPU, which small networks can be faster on."""

from __future__ import annotations

import torch

from nnzoo.config import RunConfig
from nnzoo.data.dataset import Split, TensorSplit, moved
from nnzoo.device import device_label
from nnzoo.models.network import Network, network_from_checkpoint
from nnzoo.status import status
from nnzoo.text import Note
from nnzoo.training.autotune import resolve_auto

MAX_PARAMETERS = 1_000_000
"""Of networks that are timed: larger ones are faster on a GPU."""
MIN_RATIO = 1.2
CPU = torch.device("cpu")


def cpu_note(config: RunConfig, network: Network, splits: dict[str, Split]) -> list[str]:
    """A note if a training step takes less time on the CPU than on the network's GPU.

    The run stays on the GPU: what is timed in a moment must not decide which bits a run has. config: with `auto` where
    each device is to take its best.
    """
    parameters = sum(p.numel() for p in network.model.parameters())
    train = splits["train"]
    if network.device.type != "cuda" or parameters > MAX_PARAMETERS or train.lengths is not None:
        return []
    with status("timing a step on the GPU and on the CPU"):
        gpu = resolve_auto(config, network, splits, cached=False).step_seconds
        on_cpu = network_from_checkpoint(network.state(), "the new network", CPU)
        count = config.train.batch_size * config.train.accumulate_grad_batches
        rows = torch.arange(min(len(train), count), device=network.device)
        x, y = train.batch(rows)
        weights = None if train.weights is None else train.weights.index_select(0, rows)
        step = TensorSplit(x.cpu(), y.cpu(), weights=moved(weights, CPU))
        cpu = resolve_auto(config, on_cpu, {"train": step}, cached=False).step_seconds
    if gpu is None or cpu is None or cpu * MIN_RATIO > gpu:
        return []
    return [
        Note(
            "N30",
            f"--device auto: a step takes {1000 * gpu:.2g} ms on {device_label(network.device)} and "
            f"{1000 * cpu:.2g} ms on the CPU; --device cpu trains this network {gpu / cpu:.1f} times as fast",
        )
    ]
