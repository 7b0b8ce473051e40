"""The tools that benchmarks/text.py compares, each in a process of its own: `python -m text_peers NAME ...`.

Nothing is imported here but the standard library: the parent must start none of the tools.
"""

from __future__ import annotations

import sequence_peers
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

PEERS = {
    "torch": Peer("torch", "loop", "", ("torch",)),
    **{
        name: sequence_peers.PEERS[name]
        for name in ("keras-tf", "keras-jax", "nnzoo", "nnzoo-fp32")
    },
}
"""By the name that --peers takes. fp32: every product in 32 bits."""


class Job(sequence_peers.Job):
    """The job of a worker, on text."""

    @property
    def units(self) -> int:
        return int(self.row.split("-")[1])

    @property
    def is_language_model(self) -> bool:
        return self.row.endswith("characters")
