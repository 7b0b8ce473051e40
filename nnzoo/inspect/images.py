"""Which pictures show the inside of a network: of every kind of network on every kind of data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from nnzoo.inspect import draw, hidden
from nnzoo.models.network import Network
from nnzoo.predict.images import levels

MAX_ROWS = 10
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Picture:
    """A figure, the stem of its file, and what it shows, in a sentence."""

    stem: str
    caption: str
    figure: Figure


def answers_of(
    network: Network, raw: Tensor, truth: list[str] | None = None
) -> list[tuple[str, bool]]:
    """The answer to each raw input in a line or two, with the truth where it is known; and whether it
    is right, as far as that is known."""
    network.eval()
    with torch.no_grad():
        answers = network.predict(raw)
    texts = []
    for i, row in enumerate(answers):
        right = True
        if network.task.is_classification:
            best = int(row.argmax())
            label = network.data_spec.labels[best]
            text = f"{_short(label)} {float(row[best]):.0%}"
            right = truth is None or truth[i] == label
        else:
            text = ", ".join(f"{value:.4g}" for value in row[:3].tolist())
            text += ", …" if len(row) > 3 else ""
        texts.append((text + (f"\nactual {_short(truth[i])}" if truth else ""), right))
    return texts


def _short(text: str) -> str:
    return text if len(text) <= 16 else f"{text[:15]}…"


def pictures(network: Network, raw: Tensor, truth: list[str] | None = None) -> Iterator[Picture]:
    """Everything that can be shown for a few raw inputs (rows, ...), as `Network.predict` takes them.

    truth: what each input is, as text. Each hidden map's channels appear summed up and singly; of
    recurrent layers each gate and state over time.
    """
    with torch.no_grad():
        encoded = network.preprocess(raw)
    layers = hidden.hidden_layers(network, encoded)
    kind = network.preprocess.input_spec.kind
    if kind == "image":
        yield _sheet(network, raw[:MAX_ROWS], layers, truth)
    filters = hidden.first_filters(network)
    if filters is not None:
        yield Picture("filters", "The weights of the first layer: what each unit looks for.",
                      draw.filters(_numpy(filters)))  # fmt: skip
    for name, out in layers.items():
        if out.ndim == 4 and out[0, 0].numel() > 1:
            yield Picture(
                f"layer-{name}",
                f"Layer '{name}' of the first input: all channels summed up, and each of them.",
                draw.channels(name, _numpy(out[0])),
            )
    maps = {name: _numpy(layers[name][0]).T for name in hidden.ends_of_blocks(network, layers)
            if layers[name].ndim == 3}  # fmt: skip
    gates = hidden.gates(network, encoded)
    if maps and not gates:
        yield Picture("channels", "The channels of each layer over time, for the first input.",
                      draw.over_time(_numpy(encoded[0]), maps, "channels over time"))  # fmt: skip
    for name, values in gates.items():
        read = _numpy(hidden.sequence(network, encoded)[0])
        shown = {gate: _numpy(each[0]) for gate, each in values.items()}
        what = "gates and states" if len(shown) > 1 else "states"
        yield Picture(
            f"gates-{name.replace(' ', '-')}",
            f"The {what} of recurrent layer {name} over time, for the first input; one row per unit.",
            draw.over_time(read, shown, f"{network.config.model.name}, {name}"),
        )
    if kind == "table":
        gradient = hidden.input_gradient(network, raw).abs().mean(0).tolist()
        yield Picture("columns", "Mean absolute input gradient (saliency) of each column, over these rows.",
                      draw.columns(_feature_names(network), gradient))  # fmt: skip


def _sheet(
    network: Network, raw: Tensor, layers: dict[str, Tensor], truth: list[str] | None
) -> Picture:
    """The notes' method: each input, the sum of each hidden layer's channels, and what decides."""
    columns: dict[str, list[Array]] = {}
    for name in hidden.ends_of_blocks(network, layers):
        out = layers[name][: len(raw)]
        shape = "×".join(map(str, out.shape[1:]))
        if out.ndim == 4:
            columns[f"{name}\nsum of {out.shape[1]}"] = list(map(_numpy, out.sum(1)))
        elif out.ndim == 3:  # states over time, downwards as the picture is read
            columns[f"{name}\n{shape}"] = list(map(_numpy, out))
        else:
            columns[f"{name}\n{shape} units"] = [_square(_numpy(row)) for row in out]
    top = levels(network)
    gradient = hidden.input_gradient(network, raw).abs().amax(1)
    figure = draw.sheet(
        [draw.to_picture(image, top) for image in raw],
        columns,
        list(map(_numpy, gradient)),
        answers_of(network, raw, truth and truth[: len(raw)]),
    )
    caption = "Each input, " + (
        "all channels of each hidden layer summed up into one grey picture, "
        if any(out.ndim == 4 for out in layers.values())
        else "what each hidden layer makes of it, "
    )
    return Picture(
        "sheet", caption + "and the input gradient (saliency): which pixels matter most.", figure
    )


def arrays(network: Network, raw: Tensor) -> dict[str, Array]:
    """The numbers behind the pictures: "input", "sum/<layer>" and "layer/<layer>" (rows, ...),
    "gradient", "gates/<layer>/<gate>" (rows, time, units)."""
    with torch.no_grad():
        encoded = network.preprocess(raw)
    layers = hidden.hidden_layers(network, encoded)
    found: dict[str, Tensor] = {"input": raw, "gradient": hidden.input_gradient(network, raw)}
    found |= {f"layer/{name}": out for name, out in layers.items()}
    found |= {f"sum/{name}": out for name, out in hidden.channel_sums(layers).items()}
    for name, values in hidden.gates(network, encoded).items():
        found |= {f"gates/{name}/{gate}": each for gate, each in values.items()}
    return {name: _numpy(each) for name, each in found.items()}


def _feature_names(network: Network) -> list[str]:
    """The columns that the network sees: numbers, then a column a category."""
    columns = network.data_spec.columns
    names = [each.name for each in columns if each.categories is None]
    for each in columns:
        names += [f"{each.name} = {category}" for category in each.categories or []]
    return names


def _square(units: Array) -> Array:
    """Units (count,) as a picture, as square as can be, row by row."""
    width = int(np.ceil(np.sqrt(len(units))))
    padded = np.full(width * int(np.ceil(len(units) / width)), np.nan)
    padded[: len(units)] = units
    return padded.reshape(-1, width)


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()
