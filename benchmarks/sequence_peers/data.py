"""Sequences of noise with the lengths of two data sets, in NumPy alone."""

from __future__ import annotations

import math

import numpy as np

from sequence_peers import BATCH, CLASSES, Job

COUNTS = {"vowels": 200 * BATCH, "reviews": 16 * BATCH}
"""Sequences of an epoch: it takes about a second."""
# JapaneseVowels: how many of its 640 recordings have 7, 8, ... 29 steps.
VOWELS = [2, 0, 10, 25, 44, 53, 64, 67, 79, 66, 62, 47, 24, 24, 28, 13, 16, 8, 5, 2, 0, 0, 1]
# IMDB's reviews: median and log-normal deviation of the words in each, and the limits of this benchmark.
MEDIAN, SIGMA, SHORTEST, LONGEST = 174, 0.67, 10, 400


def draw_lengths(name: str, count: int, seed: int = 0) -> np.ndarray:
    """Draw the lengths (count,) of "vowels" or "reviews"."""
    generator = np.random.default_rng(seed)
    if name == "vowels":
        weights = np.array(VOWELS) / sum(VOWELS)
        return generator.choice(np.arange(7, 7 + len(VOWELS)), count, p=weights)
    lengths = np.exp(math.log(MEDIAN) + SIGMA * generator.standard_normal(count))
    return np.clip(lengths.astype(np.int64), SHORTEST, LONGEST)


def sequences(job: Job) -> tuple[list[np.ndarray], np.ndarray]:
    """The sequences, each (time, channels) float32, and their classes (count,)."""
    lengths = draw_lengths(job.lengths, COUNTS[job.lengths])
    generator = np.random.default_rng(1)
    values = [
        generator.standard_normal((length, job.channels), dtype=np.float32) for length in lengths
    ]
    return values, generator.integers(CLASSES, size=len(lengths))


def epoch_batches(
    lengths: np.ndarray, buckets: bool, generator: np.random.Generator
) -> list[np.ndarray]:
    """The rows of an epoch's batches, whole ones: of like lengths with buckets, as nnzoo draws them; longest first."""
    order = generator.permutation(len(lengths))
    if buckets:
        pools = np.split(order, range(50 * BATCH, len(order), 50 * BATCH))
        order = np.concatenate([pool[np.argsort(-lengths[pool], kind="stable")] for pool in pools])
    batches = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]
    generator.shuffle(batches)
    return [rows[np.argsort(-lengths[rows], kind="stable")] for rows in batches]


def padding(lengths: np.ndarray, buckets: bool) -> float:
    """The fraction of the steps of padded batches that is padding."""
    batches = epoch_batches(lengths, buckets, np.random.default_rng(0))
    padded = sum(lengths[rows].max() * len(rows) for rows in batches)
    return 1 - sum(lengths[rows].sum() for rows in batches) / padded
