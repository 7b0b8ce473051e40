"""The tools that benchmarks/text.py compares, each in a process of its own: `python -m text_peers NAME ...`.

Nothing is imported here but the standard library: the parent must start none of the tools.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sequence_peers import Peer

BATCH, WINDOW, EMBEDDING, RATE, CLIP = 64, 128, 128, 1e-3, 1.0
CHARACTERS, WORDS, CLASSES = 65, 20_000, 2
WINDOWS = 12
"""Batches of an epoch of the language model."""
REVIEWS = 16 * BATCH
"""Texts of an epoch of the classifier."""
ROWS = (
    *("lstm-256-characters", "lstm-512-characters"),
    *("gru-256-characters", "gru-512-characters", "lstm-128-reviews", "gru-128-reviews"),
)
"""The networks: cell, units, and whether a language model of characters or a classifier of reviews."""

_TF, _JAX = ("keras", "tensorflow-cpu"), ("keras", "jax")
PEERS = {
    "torch": Peer("torch", "loop", "", ("torch",)),
    "keras-tf": Peer("Keras, TensorFlow", "keras", "tensorflow", _TF),
    "keras-jax": Peer("Keras, JAX", "keras", "jax", _JAX),
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
    def units(self) -> int:
        return int(self.row.split("-")[1])

    @property
    def is_language_model(self) -> bool:
        return self.row.endswith("characters")
