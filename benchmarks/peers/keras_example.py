"""Keras's mnist_cnn example as a whole program: conv32-conv64-pool-dropout-fc128-dropout-fc10.

python -m peers.keras_example DATA EPOCHS SEED; prints {"accuracy"} of the test rows. The original
trains with Adadelta at a rate of 1; Adam, which Keras's present example takes, is faster here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import mnist
import numpy as np
from keras import layers


def main() -> None:
    root, epochs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    keras.utils.set_random_seed(seed)
    parts = {}
    for part in ("train", "t10k"):
        images, labels = mnist.read(root, part)
        parts[part] = images[..., None].astype(np.float32) / 255, labels.astype(np.int32)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dropout(0.5),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*parts["train"], batch_size=128, epochs=epochs, verbose=0)
    accuracy = model.evaluate(*parts["t10k"], batch_size=1000, verbose=0)[1]
    sys.stdout.write(json.dumps({"accuracy": float(accuracy)}) + "\n")


if __name__ == "__main__":
    main()
