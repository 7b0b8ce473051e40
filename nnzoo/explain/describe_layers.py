"""The network in the walk-through of a config: each layer in a sentence, its arithmetic, and the memory of all."""

from __future__ import annotations

import math
from typing import Any

from nnzoo.evaluation.layer_stats import RECURRENT
from nnzoo.explain.layer_summary import LayerSummary, activation_values
from nnzoo.explain.walk import Section, Statement
from nnzoo.models.network import Network
from nnzoo.training.optim import Optimizer

FLOAT = 4
"""Bytes of a float32."""
# Layers that have a sentence in the texts; all others are described as layers of their class.
KNOWN = (
    *(
        "Conv1d",
        "Conv2d",
        "Linear",
        *RECURRENT,
        "Embedding",
        "EmbeddingMean",
        "Flatten",
        "Dropout",
        "Identity",
    ),
    *("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "LPPool1d", "LPPool2d"),
    *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d"),
    *("BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "ZeroPad1d", "ZeroPad2d"),
    *("ReLU", "LeakyReLU", "Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "SELU", "Mish"),
    *("NumericEmbedding", "CategoryEmbedding", "InputScale", "LearnedActivation"),
    *("EnsembleInput", "EnsembleOutput"),
)


def describe_network(section: Section, network: Network, layers: list[LayerSummary]) -> None:
    """Add a paragraph per layer, and the totals."""
    spec = network.preprocess.output_spec
    parameters = sum(p.numel() for p in network.model.parameters())
    trained = sum(p.numel() for p in network.model.parameters() if p.requires_grad)
    section.add(f"network.{network.config.model.name}" if _is_own(network) else "network.plugin")
    if list(spec.shape) != list(network.data_spec.input.shape):
        before, after = _shape(list(network.data_spec.input.shape)), _shape(list(spec.shape))
        section.add("network.prepared", before=before, after=after)
    branches = getattr(network.config.model, "branches", None)
    if branches:
        section.add("network.branches", count=len(branches))
    for number, layer in enumerate(layers, 1):
        _describe_layer(section, number, layer, layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    section.add("network.total", parameters=parameters, multiply_adds=multiply_adds)
    if trained < parameters:
        section.add("network.frozen", trained=trained, frozen=parameters - trained)


def _is_own(network: Network) -> bool:
    return network.config.model.name in ("mlp", "cnn", "rnn", "lstm", "gru")


def _shape(sizes: list[int]) -> str:
    return "×".join(map(str, sizes))


def _describe_layer(
    section: Section, number: int, layer: LayerSummary, layers: list[LayerSummary]
) -> None:
    inputs, shape = _shape(layer.inputs), _shape(layer.shape)
    section.add(
        "layer.head", number=number, name=layer.name, kind=layer.kind, inputs=inputs, outputs=shape
    )
    section.statements.append(_sentence(layer, layers))
    if layer.parameters:
        key = "layer.parameters" if layer.arithmetic != str(layer.parameters) else "layer.parameter"
        section.add(key, 2, arithmetic=layer.arithmetic, count=layer.parameters)
    if layer.frozen:
        section.add("layer.frozen", 2, count=layer.frozen)
    if layer.multiply_adds:
        section.statements.append(_multiply_adds(layer))
    if layer.field is not None and layer.kind.startswith(("Conv", "MaxPool", "AvgPool", "LPPool")):
        section.statements.append(_field(layer))


def _sentence(layer: LayerSummary, layers: list[LayerSummary]) -> Statement:
    """Return the sentence about a layer."""
    values: dict[str, Any] = dict(layer.details)
    values |= {"from_size": math.prod(layer.inputs), "size": math.prod(layer.shape)}
    values |= {"outputs_shape": _shape(layer.shape), "kind": layer.kind, **layer.details}
    key = f"layer.{layer.kind}" if layer.kind in KNOWN else "layer.other"
    if layer.kind in RECURRENT:
        values["both"] = Statement("layer.both") if layer.details["bidirectional"] else ""
    elif layer.kind in ("Conv1d", "Conv2d"):
        strided = layer.details["is_strided"]
        stride = {"stride": layer.details["stride"]}
        values["strided"] = Statement("layer.strided", stride) if strided else ""
    elif layer.kind == "Linear" and layer is layers[-1]:
        key = "layer.output"
    return Statement(key, values, 2)


def _multiply_adds(layer: LayerSummary) -> Statement:
    per_position = round(layer.multiply_adds / layer.positions)
    values = {"count": layer.multiply_adds, "weights": per_position, "positions": layer.positions}
    if layer.kind == "Conv2d":
        return Statement("layer.work_positions", values | {"map": _shape(layer.shape[1:])}, 2)
    if layer.kind == "Conv1d" or layer.kind in RECURRENT:
        return Statement("layer.work_steps", values, 2)
    if layer.positions > 1:
        return Statement("layer.work_repeated", values, 2)
    return Statement("layer.work", values, 2)


def _field(layer: LayerSummary) -> Statement:
    assert layer.field is not None
    values = {"size": _shape(list(layer.field.size)), "step": _shape(list(layer.field.step))}
    return Statement(
        "layer.field_2d" if len(layer.field.size) == 2 else "layer.field_1d", values, 2
    )


def describe_memory(
    section: Section, network: Network, layers: list[LayerSummary]
) -> dict[str, int]:
    """Add what weights, gradients, optimizer and the activations of a batch take; returns bytes."""
    options = network.config
    weights = sum(t.numel() * t.element_size() for t in network.model.parameters())
    optimizer = Optimizer(options.optim, network.model)
    gradients = sum(p.numel() * p.element_size() for p in optimizer.parameters)
    groups = [*optimizer.groups, *optimizer.embeddings]
    moments = [m for group in groups for ms in group.moments.values() for m in ms]
    state = sum(m.numel() * m.element_size() for m in moments)
    per_row = activation_values(layers)
    batch = options.train.batch_size
    sizes = {"weights": weights, "gradients": gradients, "optimizer": state}
    sizes["activations"] = per_row * batch * FLOAT
    section.add("memory.weights", size=size_text(weights), count=weights // FLOAT)
    section.add("memory.gradients", size=size_text(gradients))
    per_weight = state / gradients if gradients else 0.0
    section.add(
        "memory.optimizer", size=size_text(state), name=options.optim.name, numbers=per_weight
    )
    section.add(
        "memory.activations", size=size_text(sizes["activations"]), values=per_row, batch=batch
    )
    section.add("memory.total", size=size_text(sum(sizes.values())))
    return sizes | {"activation_values_per_row": per_row}


def size_text(size: float) -> str:
    """Bytes in a readable unit of 1,000."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
