"""Processes as torchrun would start them, and how far apart they end."""

from __future__ import annotations

import os
import socket

import torch


def environments(count: int, **more: str) -> list[dict[str, str]]:
    """The variables that torchrun would set for each of so many processes of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_PORT": str(port),
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    } | more
    return [os.environ | shared | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(count)]


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest difference of two sets of weights."""
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)
