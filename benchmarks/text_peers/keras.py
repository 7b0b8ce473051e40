"""Keras's fit() on batches that are in memory, with TensorFlow or JAX below it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sequence_peers.data import epoch_batches

from text_peers import (
    BATCH,
    CHARACTERS,
    CLASSES,
    CLIP,
    EMBEDDING,
    RATE,
    WINDOW,
    WINDOWS,
    WORDS,
    Job,
)
from text_peers.data import reviews, running_text

ROUND = 20
"""A shape of its own is compiled for every length of a batch: lengths are rounded up."""


def build(job: Job) -> Callable[[int], float]:
    """epochs -> seconds of training."""
    os.environ["KERAS_BACKEND"] = job.variant
    import keras
    from keras import layers

    kind = {"lstm": layers.LSTM, "gru": layers.GRU}[job.cell]
    if job.is_language_model:
        batches = _windows()
        inputs = keras.Input(batch_shape=(BATCH, WINDOW))
        parts = [
            layers.Embedding(CHARACTERS, EMBEDDING),
            kind(job.units, stateful=True, return_sequences=True),
            layers.Dense(CHARACTERS),
        ]
    else:
        batches = _texts()
        inputs = keras.Input((None,))
        embedding = layers.Embedding(WORDS, EMBEDDING, mask_zero=True)
        parts = [embedding, kind(job.units), layers.Dense(CLASSES)]
    model = keras.Sequential([inputs, *parts])
    model.compile(
        keras.optimizers.Adam(RATE, global_clipnorm=CLIP),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    class Batches(keras.utils.PyDataset):
        """The same batches in every epoch, which are made before."""

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return batches[index]

    class Clock(keras.callbacks.Callback):
        """From the start of the first epoch to the end of the last."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds = time.perf_counter() - self.began

    def train(epochs: int) -> float:
        clock = Clock()
        model.fit(Batches(), epochs=epochs, verbose=0, callbacks=[clock], shuffle=False)
        return clock.seconds

    return train


def _windows() -> list[tuple[np.ndarray, np.ndarray]]:
    ids = running_text()
    starts = range(0, WINDOW * WINDOWS, WINDOW)
    return [(ids[:, i : i + WINDOW], ids[:, i + 1 : i + WINDOW + 1]) for i in starts]


def _texts() -> list[tuple[np.ndarray, np.ndarray]]:
    texts, classes = reviews()
    lengths = np.array([len(text) for text in texts])
    batches = []
    for rows in epoch_batches(lengths, True, np.random.default_rng(2)):
        x = np.zeros((len(rows), -(-int(lengths[rows].max()) // ROUND) * ROUND), np.int32)
        for i, row in enumerate(rows):
            x[i, : lengths[row]] = texts[row]
        batches.append((x, classes[rows]))
    return batches
