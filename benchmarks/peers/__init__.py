"""The tools that are compared, each in a process of its own: `python -m peers NAME ...`.

Nothing is imported here but the standard library: the parent must start none of the tools.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

BATCH = 128
RATE = 1e-3
ROWS = ("mlp", "cnn", "rnn", "lstm", "gru")


@dataclass(frozen=True)
class Peer:
    """One column: module of this package, what distinguishes it, and the packages it needs."""

    title: str
    module: str
    variant: str
    packages: tuple[str, ...]
    fp32: bool = True
    torch: bool = True

    @property
    def is_nnzoo(self) -> bool:
        """Whether it is nnzoo, or a part of it, and no rival."""
        return "nnzoo" in self.packages


PEERS = {
    "examples": Peer("pytorch/examples style", "examples", "", ("torch", "torchvision")),
    "lightning": Peer("Lightning", "lightning", "32-true", ("lightning", "torch")),
    "skorch": Peer("skorch", "skorch", "", ("skorch", "torch")),
    "keras-tf": Peer(
        "Keras, TensorFlow", "keras", "tensorflow", ("keras", "tensorflow-cpu"), torch=False
    ),
    "keras-jax": Peer("Keras, JAX", "keras", "jax", ("keras", "jax"), torch=False),
    "hand-fp32": Peer("hand-written loop, fp32", "hand", "fp32", ("torch",)),
    "hand-bf16": Peer("hand-written loop, bf16", "hand", "bf16", ("torch",), fp32=False),
    "loop": Peer(
        "nnzoo's network in a manual loop", "loop", "auto", ("nnzoo", "torch"), fp32=False
    ),
    "nnzoo": Peer("nnzoo", "nnzoo", "auto", ("nnzoo", "torch"), fp32=False),
    "nnzoo-fp32": Peer("nnzoo, fp32", "nnzoo", "fp32", ("nnzoo", "torch")),
    "nnzoo-bf16": Peer("nnzoo, bf16", "nnzoo", "bf16", ("nnzoo", "torch"), fp32=False),
}
"""By the name that --peers takes. fp32: every product in 32 bits; torch: computes with PyTorch."""


@dataclass(frozen=True)
class Job:
    """The job of a worker.

    row: the network; data: folder of MNIST with the rows to train on; variant: the peer's;
    scratch: a folder that only this worker writes to; chosen: what the tool decided by itself.
    """

    row: str
    data: Path
    variant: str
    scratch: Path
    chosen: dict[str, str] = field(default_factory=dict)


class NotHere(Exception):
    """This peer cannot do this row here; the message has the reason."""
