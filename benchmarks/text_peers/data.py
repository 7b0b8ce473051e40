"""Tokens drawn at random, some often and most rarely, in NumPy alone."""

from __future__ import annotations

import numpy as np
from sequence_peers.data import draw_lengths

from text_peers import BATCH, CHARACTERS, CLASSES, REVIEWS, WINDOW, WINDOWS, WORDS, Job


def num_tokens(job: Job) -> int:
    """Tokens of an epoch, without padding."""
    if job.is_language_model:
        return BATCH * WINDOW * WINDOWS
    return int(draw_lengths("reviews", REVIEWS).sum())


def running_text() -> np.ndarray:
    """The ids (BATCH, WINDOW * WINDOWS + 1) of a text, whose rows are read side by side, int32."""
    generator = np.random.default_rng(1)
    shape = BATCH, WINDOW * WINDOWS + 1
    return (CHARACTERS * generator.random(shape) ** 2).astype(np.int32)


def reviews() -> tuple[list[np.ndarray], np.ndarray]:
    """The ids of each text, (tokens,) int32 from 1 on (0 is padding), and their classes (count,)."""
    generator = np.random.default_rng(1)
    texts = [
        1 + ((WORDS - 1) * generator.random(length) ** 4).astype(np.int32)
        for length in draw_lengths("reviews", REVIEWS)
    ]
    return texts, generator.integers(CLASSES, size=len(texts))
