"""Outputs of one network on samples as plain values: maps of layers, gates over time, the decision boundary, text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.data.sequences import Inputs, single_row
from nnzoo.generate import TextGenerator
from nnzoo.inspect import internals
from nnzoo.kernels.generate import Sampling
from nnzoo.models.network import Network
from nnzoo.text import plural
from nnzoo.web.render import encode_array

# Limits of what a frame shows: rows side by side, layers, pixels of a map, units; units and steps over time.
MAX_ROWS, MAX_LAYERS, MAX_SIDE, MAX_UNITS = 10, 12, 56, 1024
MAX_STATES, MAX_STEPS = 256, 300
# Points of a decision boundary along each axis, and how far it goes beyond the samples.
GRID, MARGIN = 50, 0.1
TEXT_LENGTH, SAMPLING = 240, Sampling(0.8, 40, 0)
_RECURRENT = re.compile(r"^(?:(.*)\.)?\w+_l(\d+)(?:_reverse)?$")


def layer_of(parameter: str) -> str:
    """The layer of a parameter by name: "features.0" of "features.0.weight", "rnn.l0" of "rnn.weight_ih_l0"."""
    match = _RECURRENT.match(parameter)
    return f"{match[1] or 'rnn'}.l{match[2]}" if match else parameter.rpartition(".")[0]


def layer_types(network: Network) -> dict[str, str]:
    """The type of each layer that has weights, by its name: "Linear", "LSTM"."""
    layers = dict.fromkeys(layer_of(name) for name, _ in network.model.named_parameters())
    return {layer: type(_module_of(network, layer)).__name__ for layer in layers}


def relative_changes(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, float]:
    """How far the weights of each layer have moved: the norm of their change over the norm they had."""
    changes: dict[str, tuple[float, float]] = {}
    for name, old in before.items():
        change, size = changes.get(layer_of(name), (0.0, 0.0))
        difference = (after[name].double() - old.double()).square().sum()
        changes[layer_of(name)] = (
            change + float(difference),
            size + float(old.double().square().sum()),
        )
    return {
        layer: (change / size) ** 0.5 if size else 0.0 for layer, (change, size) in changes.items()
    }


@torch.no_grad()
def layers(network: Network, inputs: Inputs, row: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The outputs of the hidden layers that end a block, and what is left out, in words.

    All samples, of images and rows of a table: "maps" (rows, height, width), each the sum of its channels, "states" (rows,
    time, units), or "units" (rows, units). One sample, of sequences: "states" (1, time, units).
    """
    is_sequence = network.data_spec.input.kind in ("series", "tokens")
    raw = single_row(inputs, row) if is_sequence else cast(Tensor, inputs[:MAX_ROWS])
    hidden = internals.hidden_outputs(network, network.preprocess(raw))
    names = internals.block_outputs(network, hidden) or list(hidden)
    chosen = names
    if len(names) > MAX_LAYERS:
        places = torch.linspace(0, len(names) - 1, MAX_LAYERS).round().long().unique().tolist()
        chosen = [names[place] for place in places]
    shown = [_layer(name, hidden[name], _module_of(network, name)) for name in chosen]
    omissions = [f"{MAX_LAYERS} of {len(names)} layers"] if len(chosen) < len(names) else []
    outputs = [hidden[name] for name in chosen]
    if any(values.ndim == 2 and values.shape[1] > MAX_UNITS for values in outputs):
        omissions.append(f"the first {MAX_UNITS:,} units of a layer")
    states = [values for values in outputs if values.ndim == 3]
    if any(values.shape[1:].numel() > thin(values)[0].numel() for values in states):
        omissions.append(
            f"the first {MAX_STATES} units over time, and at most {MAX_STEPS} steps, evenly spaced"
        )
    return shown, omissions


def _module_of(network: Network, layer: str) -> Any:
    """The module of a layer by name, of a layer of a recurrent module that one."""
    modules = dict(network.model.named_modules())
    return modules.get(layer) or modules.get(re.sub(r"\.l\d+$", "", layer))


def _layer(name: str, out: Tensor, module: Any) -> dict[str, Any]:
    shape = list(out.shape[1:])
    if out.ndim == 4:
        kind, values = "maps", _limit_side(internals.channel_sums({name: out})[name])
    elif out.ndim == 3:
        states = out if isinstance(module, nn.RNNBase) else out.transpose(1, 2)
        kind, values = "states", thin(states)
    else:
        kind, values = "units", out[:, :MAX_UNITS]
    return {
        "name": name,
        "type": type(module).__name__,
        "kind": kind,
        "shape": shape,
        "values": encode_array(values.numpy()),
    }


def _limit_side(maps: Tensor) -> Tensor:
    """Maps (rows, height, width), larger ones as means over small areas."""
    height, width = maps.shape[1:]
    if max(height, width) <= MAX_SIDE:
        return maps
    size = min(height, MAX_SIDE), min(width, MAX_SIDE)
    return functional.adaptive_avg_pool2d(maps[:, None], size)[:, 0]


def thin(states: Tensor) -> Tensor:
    """States (rows, time, units) of at most so many steps, evenly spaced, and units."""
    return states[:, :: step_between(states.shape[1]), :MAX_STATES]


def step_between(steps: int) -> int:
    """The distance of the steps that are shown of so many."""
    return -(-steps // MAX_STEPS)


@torch.no_grad()
def gates(network: Network, inputs: Inputs, row: int) -> dict[str, dict[str, Any]]:
    """The gates and states (time, units) of each recurrent layer by name for one sample; empty without such layers."""
    by_layer = internals.gates(network, network.preprocess(single_row(inputs, row)))
    return {
        layer: {gate: encode_array(thin(values)[0].numpy()) for gate, values in states.items()}
        for layer, states in by_layer.items()
    }


@dataclass(frozen=True)
class Plane:
    """A plane through the inputs of a table on which a network can be drawn, with its samples.

    axes: their names; x, y: the ends of each; points: samples (rows, 2); note: what it is, in words. origin,
    directions: of a plane in scaled units, (features,) and (2, features); of two columns None.
    """

    axes: Sequence[str]
    x: tuple[float, float]
    y: tuple[float, float]
    points: Tensor
    note: str
    origin: Tensor | None = None
    directions: Tensor | None = None

    def to_dict(self) -> dict[str, Any]:
        points = encode_array(self.points.numpy())
        return {
            "axes": list(self.axes),
            "x": self.x,
            "y": self.y,
            "points": points,
            "note": self.note,
        }

    def grid(self) -> Tensor:
        """Points (GRID * GRID, 2) float64, the first axis fastest, from the lowest values on."""
        x, y = (torch.linspace(*ends, GRID, dtype=torch.float64) for ends in (self.x, self.y))
        return torch.stack([x.repeat(GRID), y.repeat_interleave(GRID)], 1)


@torch.no_grad()
def plane_of(network: Network, inputs: Inputs) -> Plane | None:
    """The plane of a table: its two columns of numbers, or else the first two principal components of the samples in
    scaled units. None of other inputs, and where there are too few columns or samples."""
    spec = network.data_spec
    if spec.input.kind != "table" or spec.input.size < 2 or len(inputs) < 3:
        return None
    raw = cast(Tensor, inputs)
    if spec.input.size == 2 and not spec.category_sizes:
        names = spec.column_names or ["feature 1", "feature 2"]
        known = raw[~raw.isnan().any(1)]
        if not len(known):
            return None
        return Plane(names, _ends(known[:, 0]), _ends(known[:, 1]), raw, "")
    encoded = network.preprocess(raw).double()
    if encoded.shape[1] < 2:
        return None
    origin = encoded.mean(0)
    _, sizes, directions = torch.linalg.svd(encoded - origin, full_matrices=False)
    directions = directions[:2]
    # The sign of a component is arbitrary: its largest weight is positive.
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * largest.sign().where(largest != 0, 1.0)
    points = (encoded - origin) @ directions.T
    fraction = float(sizes[:2].square().sum() / sizes.square().sum().clamp(min=1e-30))
    caption = (
        f"The plane of the first two principal components of these {plural(len(raw), 'sample')} in scaled units, which "
        f"holds {fraction:.0%} of their variance; points lie above and below it."
    )
    names = ["component 1", "component 2"]
    return Plane(
        names, _ends(points[:, 0]), _ends(points[:, 1]), points, caption, origin, directions
    )


def _ends(values: Tensor) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = (high - low or 1.0) * MARGIN
    return low - margin, high + margin


@torch.no_grad()
def on_plane(network: Network, plane: Plane) -> dict[str, Any]:
    """The predictions on a grid of a plane: `classes` and `values`, the probability of each, or `values` alone, of the
    first target or label; (GRID, GRID), the second axis along the rows."""
    points = plane.grid()
    if plane.origin is None or plane.directions is None:
        predictions = network.predict(points)
    else:
        encoded = (plane.origin + points @ plane.directions).float()
        predictions = network.task.postprocess(network._forward_preprocessed(encoded))
    if network.task.is_classification:
        values, classes = predictions.max(1)
        return {
            "values": encode_array(values.view(GRID, GRID).numpy()),
            "classes": encode_array(classes.view(GRID, GRID).int().numpy()),
        }
    return {"values": encode_array(predictions[:, 0].view(GRID, GRID).numpy())}


def text(network: Network) -> str:
    """The beginning of what `nnzoo generate` writes with its defaults. Raises DataError if it is no language model."""
    writer = TextGenerator(network, native=False)
    writer.read("")
    return "".join(writer.write(TEXT_LENGTH, SAMPLING))
