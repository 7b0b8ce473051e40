"""Keras's fit() on arrays in memory, with TensorFlow or JAX below it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import mnist
import numpy as np

from peers import BATCH, RATE, Job


def build(job: Job) -> Callable[[int], float]:
    os.environ["KERAS_BACKEND"] = job.variant
    import keras
    from keras import layers

    images, labels = mnist.read(job.data)
    x, y = images.astype(np.float32) / 255, labels.astype(np.int32)
    if job.row == "mlp":
        x = x.reshape(-1, 784)
        parts = [layers.Dense(512, "relu"), layers.Dense(256, "relu")]
    elif job.row == "cnn":
        x = x[..., None]
        parts = [
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dropout(0.5),
        ]
    else:
        kinds = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}
        parts = [kinds[job.row](128)]
    model = keras.Sequential([keras.Input(x.shape[1:]), *parts, layers.Dense(10)])
    model.compile(
        keras.optimizers.Adam(RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
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
        model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[clock])
        return clock.seconds

    return train
