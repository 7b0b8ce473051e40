"""Keras's fit() with a mask on padded batches that are in memory, with TensorFlow or JAX below it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from sequence_peers import CLASSES, CLIP, RATE, UNITS, Job
from sequence_peers.data import epoch_batches, sequences

# A shape of its own is compiled for every length of a batch: lengths are rounded up.
ROUND = {"vowels": 2, "reviews": 20}


def build(job: Job) -> Callable[[int], float]:
    """epochs -> seconds of training."""
    os.environ["KERAS_BACKEND"] = job.variant.split()[0]
    import keras
    from keras import layers

    values, classes = sequences(job)
    lengths = np.array([len(value) for value in values])
    step = ROUND[job.lengths]

    def padded(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        longest = int(lengths[rows if job.has_buckets else slice(None)].max())
        x = np.zeros((len(rows), -(-longest // step) * step, job.channels), np.float32)
        for i, row in enumerate(rows):
            x[i, : lengths[row]] = values[row]
        return x, classes[rows]

    generator = np.random.default_rng(2)
    batches = [padded(rows) for rows in epoch_batches(lengths, job.has_buckets, generator)]

    class Batches(keras.utils.PyDataset):
        """The same batches in every epoch, which are made before."""

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return batches[index]

    kind = {"lstm": layers.LSTM, "gru": layers.GRU}[job.cell]
    time_steps = None if job.has_buckets else batches[0][0].shape[1]
    parts = [layers.Masking(0.0), kind(UNITS), layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((time_steps, job.channels)), *parts])
    model.compile(
        keras.optimizers.Adam(RATE, global_clipnorm=CLIP),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    class Clock(keras.callbacks.Callback):
        """From the start of the first epoch to the end of the last."""

        def on_epoch_begin(self, epoch, logs=None) -> None:
            if epoch == 0:
                self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None) -> None:
            self.seconds = time.perf_counter() - self.began

    def train(epochs: int) -> float:
        clock = Clock()
        model.fit(Batches(), epochs=epochs, verbose=0, callbacks=[clock], shuffle=False)
        return clock.seconds

    return train
