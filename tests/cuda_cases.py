"""Small runs that reach what a GPU does otherwise than a CPU, for the emulated device and benchmarks/cuda.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import nnzoo

IMAGES = {"name": "digits", "split": {"val": 64, "test": 1300}}
AUGMENTED = IMAGES | {
    "augment": {"shift": 1, "rotate": 10, "flip": "both", "crop": 0.8, "erase": 0.5}
}
SERIES = {"name": "sine", "length": 200, "window": 8, "horizon": 2, "noise": 0.1}
TABLE = {"name": "breast_cancer", "class_weights": "balanced"}
MLP = {"name": "mlp", "hidden": [16, 8], "norm": "batch", "dropout": 0.3}
CNN = {"name": "cnn", "channels": [4, 8], "norm": "batch", "dropout": 0.2}
RNN = {"name": "rnn", "hidden_size": 8, "num_layers": 2, "dropout": 0.2}
LSTM = RNN | {"name": "lstm", "num_layers": 3, "bidirectional": True}
GRU = {"name": "gru", "hidden_size": 8, "num_layers": 2, "readout": "mean"}
RELU = RNN | {"name": "lstm", "activation": "relu"}
RESIDUAL = {
    "name": "cnn",
    "channels": [8, 8],
    "residual": True,
    "norm": "layer",
    "stride": [1, 2],
    "activation": "gelu",
    "pool": "none",
}

Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""Sections data and model, and keys of train."""

CASES: dict[str, Case] = {
    "mlp on images": (AUGMENTED, MLP, {}),
    "mlp on a table, bf16": (TABLE, MLP, {"precision": "bf16"}),
    "cnn on images": (IMAGES, CNN, {}),
    "cnn on images, bf16": (AUGMENTED, CNN, {"precision": "bf16"}),
    "cnn on series": (SERIES, {"name": "cnn", "channels": [4]}, {}),
    "cnn, accumulated": (IMAGES, CNN, {"accumulate_grad_batches": 2, "batch_size": 32}),
    "rnn on images": (IMAGES, RNN, {}),
    "lstm on series": (SERIES, LSTM, {}),
    "lstm on images, bf16": (IMAGES, LSTM, {"precision": "bf16"}),
    "gru on series": (SERIES, GRU, {}),
    "gru on images, bf16": (IMAGES, GRU, {"precision": "bf16"}),
    "lstm with relu": (SERIES, RELU, {}),
}

MORE_CASES: dict[str, Case] = {
    "mlp on images, tf32": (IMAGES, MLP, {"precision": "tf32"}),
    "cnn on images, tf32": (AUGMENTED, CNN, {"precision": "tf32"}),
    "lstm on images, tf32": (IMAGES, LSTM, {"precision": "tf32"}),
    "residual cnn": (IMAGES, RESIDUAL, {}),
    "cnn, other pools": (IMAGES, CNN | {"pool": ["lp", "avg"]}, {"precision": "bf16"}),
    "cnn, skips bad steps": (IMAGES, CNN, {"on_nan": "skip"}),
    "cnn, exact statistics": (IMAGES, CNN, {"norm_statistics": "exact"}),
    "mlp of principal components": (
        IMAGES | {"preprocess": {"pca": 8, "whiten": True}},
        MLP,
        {},
    ),
    "mlp, label smoothing": (TABLE, MLP, {"label_smoothing": 0.1}),
    "gru, huber": (SERIES, GRU, {"loss": "huber"}),
    "rnn with relu, largest state": (
        IMAGES,
        RNN | {"nonlinearity": "relu", "readout": "max", "bidirectional": True},
        {},
    ),
}

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd, clipped values": {"name": "sgd", "clip": {"value": 0.01}},
    "sgd, clipped norm": {"name": "sgd", "momentum": 0.0, "clip": {"norm": 1e-3}},
    "sgd, nesterov": {"name": "sgd", "nesterov": True, "weight_decay": 0.01},
    "adam, clipped norm": {"name": "adam", "clip": {"norm": 1e-3}, "schedule": "one_cycle"},
    "adamw, plateau": {"name": "adamw", "schedule": {"name": "plateau", "patience": 1}},
    "rmsprop": {"name": "rmsprop", "clip": {"norm": 1e-3}, "weight_decay": 0.01},
    "rmsprop, momentum": {"name": "rmsprop", "momentum": 0.5},
}


def settings(case: Case, optim: Any = "adam") -> dict[str, Any]:
    """The config of a case."""
    data, model, options = case
    train = {"epochs": 2, "batch_size": 128, "precision": "fp32", "threads": 1} | options
    return {"name": "run", "data": data, "model": model, "optim": optim, "train": train}


def all_settings() -> dict[str, dict[str, Any]]:
    """The configs of all cases by name."""
    configs = {name: settings(case) for name, case in (CASES | MORE_CASES).items()}
    return configs | {name: settings((IMAGES, CNN, {}), o) for name, o in OPTIMIZERS.items()}


def trained(config: dict[str, Any], out: str | Path, device: str, steps: int = 0) -> nnzoo.Training:
    """A run as nnzoo.train makes it, to its end or, with `steps`, stopped when it has asked so often."""
    training = nnzoo.train(config, out=out, device=device)
    asked = [0]

    def stop() -> bool:
        asked[0] += 1
        return asked[0] == steps

    for _ in training.events(stop):
        assert training.run.trainer.optimizer.detached_parameters(training.run.network.model) == []
    return training


def weights(out: str | Path) -> dict[str, torch.Tensor]:
    """The last weights of a run of `trained`."""
    content: dict[str, torch.Tensor] = torch.load(Path(out) / "run" / "last.pt")["model"]
    return content


def check_resume(
    config: dict[str, Any],
    device: str,
    folder: Path = Path(),
    forget: Callable[[], None] = lambda: None,
) -> nnzoo.Training:
    """Assert that a run stopped in its first and in its second epoch ends with the bits of one that was left alone, in
    `left alone`, which is returned. forget: makes the device's generators those of another process."""
    training = trained(config, folder / "left alone", device)
    for epoch, stop in enumerate((1, len(training.run.trainer.step_sizes) + 1)):
        out = folder / f"stopped in epoch {epoch + 1}"
        trained(config, out, device, stop)
        forget()
        trained(config, out, device)
        check_same(out, folder / "left alone", f"stopped in epoch {epoch + 1}")
    return training


def check_same(out: str | Path, other: str | Path, what: str) -> None:
    """Assert that two runs of `trained` have the same weights, bit for bit."""
    one, two = weights(out), weights(other)
    differing = [name for name in two if not torch.equal(one[name], two[name])]
    assert not differing, (
        f"{what}: other bits in {len(differing)} of {len(two)} tensors, {differing}"
    )


def loss_and_predictions(folder: Path, device: str) -> tuple[float, Any]:
    """The test loss of the run in `folder`/run, and its predictions for five test rows, on a device."""
    loaded = nnzoo.load(folder / "run", device=device)
    raw = loaded.raw("test", torch.arange(5))[0].cpu()
    return loaded.evaluate("test")["loss"], loaded.predict(raw).values
