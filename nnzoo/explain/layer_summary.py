"""Summaries of the layers of a network: shapes, parameters with their arithmetic, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from nnzoo.data.sequences import Inputs
from nnzoo.evaluation.layer_stats import (
    RECURRENT,
    LayerStats,
    NetworkStats,
    collect_layer_stats,
    layer_parameters,
)
from nnzoo.models.network import Network

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_POOLING = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.LPPool1d, nn.LPPool2d)
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class ReceptiveField:
    """The part of the input that one value of a feature map depends on.

    size: its extent in pixels (height, width) or time steps; step: how far the field moves to the next value. Both ignore
    the border of the input.
    """

    size: tuple[int, ...]
    step: tuple[int, ...]

    def after(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> ReceptiveField:
        """The field behind a window of so many values with a stride (Araujo et al. 2019)."""
        size = (s + (k - 1) * j for s, k, j in zip(self.size, kernel, self.step, strict=True))
        step = (j * s for j, s in zip(self.step, stride, strict=True))
        return ReceptiveField(tuple(size), tuple(step))


@dataclass(frozen=True)
class LayerSummary:
    """One layer on one sample.

    kind: the class of the layer, as PyTorch calls it. inputs, shape: what it takes and gives, without the batch dimension.
    parameters, arithmetic: their number, and how it comes about. multiply_adds, positions: of a layer with weights, how
    often each weight is multiplied. frozen: parameters that training leaves as they are. details: values for its sentence.
    """

    name: str
    kind: str
    inputs: list[int]
    shape: list[int]
    parameters: int
    arithmetic: str
    multiply_adds: int
    positions: float
    frozen: int
    field: ReceptiveField | None
    details: dict[str, Any]
    copies: int = 1
    """Outputs of this shape per row."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return asdict(self)


def describe_layers(network: Network, x: Inputs) -> tuple[list[LayerSummary], NetworkStats]:
    """The layers from input to output on a prepared batch, and their statistics without gradients."""
    with _observed_shapes(network.model, len(x)) as observed:
        stats = collect_layer_stats(network, x)
    fields = receptive_fields(network.model)
    modules = dict(network.model.named_modules())
    layers: list[LayerSummary] = []
    for layer in stats.layers:
        owner = layer.name.rpartition(".l")[0] if layer.name not in modules else layer.name
        module = modules.get(owner, network.model)
        shape = observed.get(owner, _Shape([], 1))
        inputs = shape.inputs or (layers[-1].shape if layers else [])
        if isinstance(module, nn.RNNBase) and layers and layers[-1].kind in RECURRENT:
            inputs = layers[-1].shape
        if isinstance(module, nn.RNNBase) and len(inputs) == 1:  # of the steps of all rows, packed
            inputs = [layer.shape[0], *inputs]
        summary = _summarize(layer, module, list(inputs), fields.get(layer.name))
        layers.append(replace(summary, copies=shape.copies))
    return layers, stats


def _summarize(
    layer: LayerStats, module: nn.Module, inputs: list[int], field: ReceptiveField | None
) -> LayerSummary:
    parameters = _parameters(layer, module)
    weights = sum(p.numel() for p in parameters if p.ndim > 1)
    return LayerSummary(
        name=layer.name,
        kind=kind_of(module),
        inputs=inputs,
        shape=list(layer.shape),
        parameters=layer.parameters,
        arithmetic=parameter_arithmetic(layer, module),
        multiply_adds=layer.multiply_adds,
        positions=layer.multiply_adds / weights if weights else 0.0,
        frozen=sum(p.numel() for p in parameters if not p.requires_grad),
        field=field,
        details=_details(layer, module),
    )


def _parameters(layer: LayerStats, module: nn.Module) -> list[Tensor]:
    if isinstance(module, nn.RNNBase):
        return list(layer_parameters(module, _number(layer)).values())
    return list(module.parameters())


def _number(layer: LayerStats) -> int:
    """The number of a recurrent layer, from 0."""
    return int(layer.name.rpartition(".l")[2])


def kind_of(module: nn.Module) -> str:
    """The class of a layer as PyTorch or nnzoo calls it: classes made to convert it to a device are skipped."""
    names = [cls.__name__ for cls in type(module).__mro__ if not cls.__name__.startswith("_")]
    known = [name for name in names if name in _GATES or hasattr(nn, name)]
    name = type(module).__name__
    if name.startswith(("Numeric", "Category", "Input", "Learned", "Ensemble", "EmbeddingMean")):
        return name
    return known[0] if known and known[0] != "Module" else name


def parameter_arithmetic(layer: LayerStats, module: nn.Module) -> str:
    """How many parameters a layer has as a sum of products of sizes; "" if it has none."""
    if isinstance(module, nn.RNNBase):
        return _recurrent_arithmetic(layer, module)
    if isinstance(module, _CONVOLUTIONS):
        sizes = [*module.kernel_size, module.in_channels // module.groups, module.out_channels]
        bias = f" + {module.out_channels}" if module.bias is not None else ""
        return "×".join(map(str, sizes)) + bias
    if isinstance(module, _NORMS):
        return f"2×{layer.parameters // 2}" if layer.parameters else ""
    if isinstance(module, nn.Linear):
        bias = f" + {module.out_features}" if module.bias is not None else ""
        return f"{module.in_features}×{module.out_features}{bias}"
    return " + ".join("×".join(map(str, p.shape)) for p in module.parameters())


def _recurrent_arithmetic(layer: LayerStats, module: nn.RNNBase) -> str:
    width = layer_parameters(module, _number(layer))["weight_ih_l0"].shape[1]
    hidden = module.hidden_size
    biases = f" + {hidden} + {hidden}" if module.bias else ""
    terms = f"{width}×{hidden} + {hidden}×{hidden}{biases}"
    count = _GATES[kind_of(module)] * (2 if module.bidirectional else 1)
    return f"{count}×({terms})" if count > 1 else terms


def _details(layer: LayerStats, module: nn.Module) -> dict[str, Any]:
    """The values that the sentence about a layer needs."""
    if isinstance(module, _CONVOLUTIONS):
        kernel, stride = "×".join(map(str, module.kernel_size)), "×".join(map(str, module.stride))
        sizes = {"kernel": kernel, "stride": stride, "is_strided": max(module.stride) > 1}
        return sizes | {"inputs": module.in_channels, "outputs": module.out_channels}
    if isinstance(module, _POOLING):
        return {"kernel": _text(module.kernel_size)}
    if isinstance(module, nn.RNNBase):
        width = layer_parameters(module, _number(layer))["weight_ih_l0"].shape[1]
        sizes = {"hidden": module.hidden_size, "inputs": width, "steps": int(layer.shape[0])}
        return sizes | {
            "bidirectional": module.bidirectional,
            "nonlinearity": getattr(module, "nonlinearity", "tanh"),
        }
    if isinstance(module, nn.Linear):
        return {"inputs": module.in_features, "outputs": module.out_features}
    if isinstance(module, nn.Dropout):
        return {"percent": 100 * module.p}
    if isinstance(module, nn.Embedding):
        return {"vocabulary": module.num_embeddings, "size": module.embedding_dim}
    members = getattr(module, "members", None)
    return {"members": members} if members is not None else {}


def _text(size: Any) -> str:
    return "×".join(map(str, size)) if isinstance(size, tuple) else str(size)


@dataclass
class _Shape:
    """inputs: the shape of a module's input, without the batch dimension; copies: how many outputs of its shape there
    are per row."""

    inputs: list[int]
    copies: int


@contextmanager
def _observed_shapes(model: nn.Module, rows: int) -> Iterator[dict[str, _Shape]]:
    """The shapes of the inputs of every module that runs meanwhile, by name. rows: of the batch.

    Sequences of different lengths, padded or packed, are one input per row: `LayerStats` knows their lengths.
    """
    shapes: dict[str, _Shape] = {}

    def count(x: Any) -> int:
        return max(1, len(x) // rows) if isinstance(x, Tensor) and x.ndim > 1 else 1

    def hook_of(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            x = inputs[0]
            values = x if isinstance(x, Tensor) else getattr(x, "values", None)
            shape = list(values.shape[1:]) if isinstance(values, Tensor) else []
            shapes[name] = _Shape(shape, count(output))

        return hook

    handles = [m.register_forward_hook(hook_of(name)) for name, m in model.named_modules()]
    try:
        yield shapes
    finally:
        for handle in handles:
            handle.remove()


def receptive_fields(model: nn.Module) -> dict[str, ReceptiveField]:
    """The receptive field behind each layer of a CNN's `features`, by name; empty for other networks."""
    features = getattr(model, "features", None)
    if features is None:
        return {}
    convolutions = [m for m in features.modules() if isinstance(m, _CONVOLUTIONS)]
    if not convolutions:
        return {}
    ones = (1,) * len(convolutions[0].kernel_size)
    fields: dict[str, ReceptiveField] = {}
    _follow(features, "features", ReceptiveField(ones, ones), fields)
    return fields


def _follow(
    module: nn.Module, name: str, field: ReceptiveField, fields: dict[str, ReceptiveField]
) -> ReceptiveField:
    """Enter the field behind a module and those inside it; returns it."""
    dims = len(field.size)
    if isinstance(module, nn.ModuleList):  # branches side by side
        ends = [_follow(m, f"{name}.{key}", field, fields) for key, m in module.named_children()]
        field = max(ends, key=lambda end: end.size)
    elif hasattr(module, "body"):
        end = _follow(module.body, f"{name}.body", field, fields)  # type: ignore[arg-type]
        _follow(module.skip, f"{name}.skip", field, fields)  # type: ignore[arg-type]
        fields[f"{name}.activation"] = end
        field = end
    elif isinstance(module, nn.Sequential):
        for key, child in module.named_children():
            field = _follow(child, f"{name}.{key}", field, fields)
    elif isinstance(module, _CONVOLUTIONS):
        field = field.after(tuple(module.kernel_size), tuple(module.stride))
    elif isinstance(module, _POOLING):
        size: Any = module.kernel_size
        window = size if isinstance(size, tuple) else (size,) * dims
        field = field.after(window, window)
    fields[name] = field
    return field


def activation_values(layers: list[LayerSummary]) -> int:
    """The numbers that the layers give for one sample, which training keeps for the backward pass."""
    views = ("Flatten", "Identity")
    return sum(layer.copies * math.prod(layer.shape) for layer in layers if layer.kind not in views)
