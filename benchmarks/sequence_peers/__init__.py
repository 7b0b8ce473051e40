"""The tools that benchmarks/sequences.py compares, each in a process of its own: `python -m sequence_peers NAME ...`.

Nothing is imported here but the standard library: the parent must start none of the tools.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

BATCH, UNITS, CLASSES, RATE, CLIP = 64, 128, 9, 1e-3, 1.0
LENGTHS = ("vowels", "reviews")
ROWS = tuple(
    f"{cell}-{channels}-{lengths}"
    for lengths in LENGTHS
    for cell in ("lstm", "gru")
    for channels in (12, 128)
)
"""The networks: cell, input channels, and whose lengths the sequences have."""


@dataclass(frozen=True)
class Peer:
    """One column: module of this package, what distinguishes it, and the packages it needs."""

    title: str
    module: str
    variant: str
    packages: tuple[str, ...]
    fp32: bool = True

    @property
    def is_nnzoo(self) -> bool:
        return "nnzoo" in self.packages


_TF, _JAX = ("keras", "tensorflow-cpu"), ("keras", "jax")
PEERS = {
    "packed": Peer("torch, packed", "loop", "packed", ("torch",)),
    "packed-buckets": Peer("torch, packed, buckets", "loop", "packed buckets", ("torch",)),
    "padded": Peer("torch, padded", "loop", "padded", ("torch",)),
    "padded-buckets": Peer("torch, padded, buckets", "loop", "padded buckets", ("torch",)),
    "keras-tf": Peer("Keras, TensorFlow", "keras", "tensorflow", _TF),
    "keras-tf-buckets": Peer("Keras, TensorFlow, buckets", "keras", "tensorflow buckets", _TF),
    "keras-jax": Peer("Keras, JAX", "keras", "jax", _JAX),
    "keras-jax-buckets": Peer("Keras, JAX, buckets", "keras", "jax buckets", _JAX),
    "nnzoo": Peer("nnzoo", "nnzoo", "auto", ("nnzoo", "torch"), fp32=False),
    "nnzoo-fp32": Peer("nnzoo, fp32", "nnzoo", "fp32", ("nnzoo", "torch")),
}
"""By the name that --peers takes. fp32: every product in 32 bits."""


@dataclass(frozen=True)
class Job:
    """The job of a worker.

    row: the network; variant: the peer's; scratch: a folder that only this worker writes to; chosen: what the tool
    decided by itself.
    """

    row: str
    variant: str
    scratch: Path
    chosen: dict[str, str] = field(default_factory=dict)

    @property
    def cell(self) -> str:
        return self.row.split("-")[0]

    @property
    def channels(self) -> int:
        return int(self.row.split("-")[1])

    @property
    def lengths(self) -> str:
        return self.row.split("-")[2]

    @property
    def has_buckets(self) -> bool:
        return "buckets" in self.variant
