"""Small networks with random options and weights, for every kind of input: what pages must compute as torch does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.sequences import PaddedSequences, SequenceSplit
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.models.network import Network, build_network
from tests import zoo

CPU = torch.device("cpu")
ACTIVATIONS = ["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu", "mish"]
ROWS = 24
VOCABULARY = 12
LABELS = ["a", "b", "c"]
CATEGORIES = [[str(i) for i in range(size)] for size in (3, 11)]


@dataclass
class Case:
    """A network, its data, a few raw inputs, each as a batch of one, and what it was built of."""

    network: Network
    dataset: Dataset
    inputs: list[Tensor]
    name: str


def draw_case(seed: int, model: str, kind: str) -> Case:
    """Draw a network of a model on a kind of input: image, table, forecast, recordings, tokens or writer."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    data, spec, split = _DATA[kind](draw, generator)
    options = {"name": model, **_MODELS[model](draw, spec)}
    config = zoo.config(options, data, seed=seed, train=_train(draw, spec))
    dataset = Dataset(spec, {"train": split, "val": split, "test": split})
    network = build_network(config, dataset, CPU).eval()
    shake(network.model, generator)
    if spec.task == "classification" and draw.random() < 0.3:
        network.task.temperature = 1.7
    raw, _ = split.batch(torch.arange(3))
    rows = [raw[i : i + 1] for i in range(3)]
    inputs = [row.values if isinstance(row, PaddedSequences) else row for row in rows]
    return Case(network, dataset, inputs, f"{model} {kind} {seed}: {options} {data}")


def shake(model: nn.Module, generator: torch.Generator) -> None:
    """Give norms statistics, and biases values, as training does."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.ndim == 1 and tensor.is_floating_point():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.3)


def _train(draw: random.Random, spec: DataSpec) -> dict[str, Any]:
    losses = ["mse", "quantile"] if spec.task in ("regression", "forecasting") else ["auto"]
    return {"loss": draw.choice(losses), "kernels": draw.choice(["native", "torch"])}


def _targets(
    draw: random.Random, generator: torch.Generator, tasks: list[str]
) -> tuple[str, Tensor]:
    task = draw.choice(tasks)
    if task == "classification":
        return task, torch.randint(0, 3, (ROWS,), generator=generator)
    if task == "multilabel":
        return task, (torch.rand(ROWS, 3, generator=generator) > 0.5).double()
    return task, torch.randn(ROWS, 2, generator=generator, dtype=torch.float64) * 40 + 1000


def _spec(input_spec: InputSpec, task: str, **more: Any) -> DataSpec:
    named = {"targets": ["y", "z"]} if task in ("regression", "forecasting") else {"labels": LABELS}
    return DataSpec(input_spec, task, **named | more)  # type: ignore[arg-type]


def _image(draw: random.Random, generator: torch.Generator) -> Any:
    shape = draw.choice([1, 3]), 9, 7
    x = torch.randint(0, 256, (ROWS, *shape), generator=generator, dtype=torch.uint8)
    task, y = _targets(draw, generator, ["classification", "multilabel", "regression"])
    scale = {"scale": draw.choice(["standardize", "minmax", "none"])}
    data = {"name": "image_folder", "path": "images", "preprocess": scale}
    return data, _spec(InputSpec("image", shape), task), TensorSplit(x, y)


def _table(draw: random.Random, generator: torch.Generator) -> Any:
    numbers = torch.randn(ROWS, 4, generator=generator, dtype=torch.float64) * 30 + 1e6
    numbers[torch.rand(ROWS, 4, generator=generator) < 0.2] = torch.nan
    codes = [torch.randint(-1, len(c), (ROWS, 1), generator=generator) for c in CATEGORIES]
    task, y = _targets(draw, generator, ["classification", "multilabel", "regression"])
    columns = [ColumnSpec(f"n{i}") for i in range(4)]
    columns += [ColumnSpec(f"c{i}", c) for i, c in enumerate(CATEGORIES)]
    preprocess: dict[str, Any] = {
        "scale": draw.choice(["standardize", "minmax", "robust", "quantile", "none"]),
        "impute": draw.choice(["mean", "median", "zero"]),
    }
    if preprocess["scale"] == "none":
        numbers -= 1e6
    if draw.random() < 0.5:
        preprocess["clip"] = 2.0
    split = TensorSplit(torch.cat([numbers, *codes], 1), y)
    data = {"name": "csv", "path": "x.csv", "preprocess": preprocess}
    return data, _spec(InputSpec("table", (6,)), task, columns=columns), split


def _forecast(draw: random.Random, generator: torch.Generator) -> Any:
    x = torch.randn(ROWS, 10, 3, generator=generator, dtype=torch.float64) * 5 + 100
    y = x[:, :2, :2].flatten(1)
    preprocess = {"scale": draw.choice(["standardize", "minmax"])}
    preprocess["target"] = preprocess["scale"]
    is_difference = draw.random() < 0.5
    data = {"name": "series", "path": "x.csv", "window": 10, "horizon": 2}
    data |= {"preprocess": preprocess, "difference_from_last": is_difference}
    spec = _spec(InputSpec("series", (10, 3)), "forecasting", horizon=2)
    return data, spec, _ScaledRows(x, y)


class _ScaledRows(TensorSplit):
    """Windows, of which targets (rows, horizon * targets) are scaled target by target."""

    def targets(self) -> Tensor:
        return self.y.unflatten(1, (-1, 2)).flatten(0, 1)


def _lengths(generator: torch.Generator) -> Tensor:
    lengths = torch.randint(12, 18, (ROWS,), generator=generator)
    return torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])


def _recordings(draw: random.Random, generator: torch.Generator) -> Any:
    offsets = _lengths(generator)
    values = torch.randn(int(offsets[-1]), 2, generator=generator, dtype=torch.float64) * 3 + 7
    task, y = _targets(draw, generator, ["classification", "regression"])
    data = {"name": "recordings", "path": "x.csv"}
    spec = _spec(InputSpec("series", (18, 2), True), task)
    return data, spec, SequenceSplit(values, offsets, y)


def _tokens(draw: random.Random, generator: torch.Generator) -> Any:
    offsets = _lengths(generator)
    ids = torch.randint(0, VOCABULARY, (int(offsets[-1]), 1), generator=generator).int()
    task, y = _targets(draw, generator, ["classification", "regression"])
    tokenizer = Tokenizer("words", True, [f"word{i}" for i in range(VOCABULARY)])
    spec = _spec(InputSpec("tokens", (18, 1), True, VOCABULARY), task, tokenizer=tokenizer)
    return {"name": "text", "path": "x.csv"}, spec, SequenceSplit(ids, offsets, y)


def _writer(draw: random.Random, generator: torch.Generator) -> Any:
    ids = torch.randint(0, VOCABULARY, (ROWS, 9, 1), generator=generator).int()
    tokenizer = Tokenizer("characters", False, [chr(97 + i) for i in range(VOCABULARY)])
    spec = DataSpec(
        InputSpec("tokens", (9, 1), False, VOCABULARY, True), "language_model", tokenizer=tokenizer
    )
    return {"name": "pydoc"}, spec, TensorSplit(ids, ids.squeeze(-1).long())


def _mlp(draw: random.Random, spec: DataSpec) -> dict[str, Any]:
    options: dict[str, Any] = {
        "hidden": [draw.choice([4, 7]) for _ in range(draw.randrange(3))],
        "activation": draw.choice(ACTIVATIONS),
        "norm": draw.choice(["none", "batch", "layer"]),
        "dropout": draw.choice([0.0, 0.3]),
        "learn_activation": draw.random() < 0.5,
        "ensemble": draw.choice([1, 1, 3]),
        "input_scale": draw.random() < 0.3,
    }
    if spec.input.kind == "table":
        if draw.random() < 0.5:
            options["numeric_embedding"] = {"size": 3, "frequencies": 4}
        if draw.random() < 0.5:
            options["category_embedding"] = {"size": 2, "above": draw.choice([2, 9])}
    return options | _embedding(spec)


def _embedding(spec: DataSpec) -> dict[str, Any]:
    return {"embedding": 5} if spec.input.kind == "tokens" else {}


def _cnn(draw: random.Random, spec: DataSpec) -> dict[str, Any]:
    is_image, count = spec.input.kind == "image", draw.choice([1, 2])
    sizes: list[Any] = [1, 2, 3, [3, 2]] if is_image else [1, 2, 3]
    is_residual = draw.random() < 0.3
    pooling = draw.choice(["average", "max"])
    if not spec.input.variable_length and draw.random() < 0.6:
        pooling = "flatten"
    options: dict[str, Any] = {
        "channels": [draw.choice([3, 4]) for _ in range(count)],
        "kernel_size": draw.choice(sizes),
        "stride": draw.choice([1, 1, 2]),
        "padding": "same" if is_residual else draw.choice(["same", "valid", 1, 2]),
        "pool": draw.choice(["max", "avg", "lp", "none"]),
        "pool_size": draw.choice([1, 2]) if count == 1 else 1,
        "activation": draw.choice(ACTIVATIONS),
        "norm": draw.choice(["none", "batch", "layer"]),
        "residual": is_residual,
        "dropout": draw.choice([0.0, 0.2]),
        "head": {"pooling": pooling, "hidden": draw.choice([[], [5]]), "dropout": 0.1},
    }
    if not is_image and pooling != "flatten" and draw.random() < 0.5:
        options["branches"] = [2, 3]
    return options | _embedding(spec)


def _recurrent(draw: random.Random, spec: DataSpec) -> dict[str, Any]:
    is_writer = spec.input.per_step
    return {
        "hidden_size": draw.choice([3, 6]),
        "num_layers": draw.choice([1, 2]),
        "bidirectional": not is_writer and draw.random() < 0.5,
        "readout": "last" if is_writer else draw.choice(["last", "mean", "max"]),
        "dropout": draw.choice([0.0, 0.3]),
    } | _embedding(spec)


def _rnn(draw: random.Random, spec: DataSpec) -> dict[str, Any]:
    return _recurrent(draw, spec) | {"nonlinearity": draw.choice(["tanh", "relu"])}


def _lstm(draw: random.Random, spec: DataSpec) -> dict[str, Any]:
    return _recurrent(draw, spec) | {"activation": draw.choice(["tanh", "relu"])}


_DATA: dict[str, Any] = {
    "image": _image,
    "table": _table,
    "forecast": _forecast,
    "recordings": _recordings,
    "tokens": _tokens,
    "writer": _writer,
}
_MODELS: dict[str, Any] = {"mlp": _mlp, "cnn": _cnn, "rnn": _rnn, "lstm": _lstm, "gru": _recurrent}
PAIRS = [
    *[("mlp", kind) for kind in ("image", "table", "forecast", "tokens")],
    *[("cnn", kind) for kind in ("image", "forecast", "recordings", "tokens")],
    *[(m, k) for m in ("rnn", "lstm", "gru") for k in _DATA if k != "table"],
]
