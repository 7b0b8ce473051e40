"""The inside of a network as tensors: hidden layers, input gradients, gates over time, loss surface."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.data.dataset import Split
from nnzoo.data.sampling import derive_seed
from nnzoo.data.sequences import Inputs, PaddedSequences, map_values
from nnzoo.evaluation.layer_stats import (
    ACTIVATIONS,
    eval_in_fp32,
    layer_outputs,
    layer_parameters,
    values_of,
)
from nnzoo.models.embedding import Embedding
from nnzoo.models.network import Network
from nnzoo.models.recurrent_layers import PARAMETERS, gates_over_time

# Points of the straight path over which gradients are integrated; fewer for inputs of many values.
PATH_POINTS, MIN_PATH_POINTS = 32, 8
PATH_VALUES = 1 << 22


@torch.no_grad()
def hidden_outputs(network: Network, encoded: Tensor) -> dict[str, Tensor]:
    """Return the output of each hidden layer by name, for a preprocessed batch: maps (batch, channels,
    height, width) or (batch, channels, time), states (batch, time, units), or units (batch, units)."""
    with eval_in_fp32(network):
        outputs, _ = layer_outputs(network, encoded)
    hidden = list(outputs)[:-1]  # without the output layer
    return {name: out for name in hidden if isinstance(out := outputs[name][1], Tensor)}


def channel_sums(layers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the sum over the channels of each map (batch, channels, height, width): (batch, height, width)."""
    return {name: out.sum(1) for name, out in layers.items() if out.ndim == 4}


def block_outputs(network: Network, layers: dict[str, Tensor]) -> list[str]:
    """Return the hidden layers that end a block: activations, and each recurrent layer."""
    modules = dict(network.model.named_modules())
    ends = (*ACTIVATIONS, nn.RNNBase)
    return [
        name
        for name in layers
        if isinstance(modules.get(name) or modules.get(re.sub(r"\.l\d+$", "", name)), ends)
    ]


def saliency(network: Network, raw: Tensor) -> Tensor:
    """Return the input gradient: of the most probable class's logit, or of the sum of the outputs of a
    regression (Simonyan et al. 2014, "Deep inside convolutional networks").

    raw: what `Network.predict` takes (batch, ...). The gradient has the shape of the scaled input:
    images are not flattened, and tables have one column per category.
    """
    scaled, late_steps = _scaled(network, raw)
    with eval_in_fp32(network), torch.enable_grad():
        x = x0 = scaled.detach().requires_grad_()
        for step in late_steps:
            x = step(x)
        output = network._forward_preprocessed(x)
        score = output.amax(1) if network.task.is_classification else output.sum(1)
        (gradient,) = torch.autograd.grad(score.sum(), x0)
    return gradient


def _scaled(network: Network, raw: Tensor) -> tuple[Tensor, list[nn.Module]]:
    """Preprocess raw inputs up to those steps, also returned, that change what a dimension is; ids of tokens to the
    vectors of their embedding."""
    if network.data_spec.input.kind == "tokens":
        embedding = next(m for m in network.model.modules() if isinstance(m, Embedding))
        return embedding.look_up(raw).detach().float(), []
    steps = dict(network.preprocess.named_children())
    late_steps = [steps.pop(name) for name in ("flatten", "pca") if name in steps]
    for step in steps.values():
        raw = step(raw)
    return raw.float(), late_steps


def attributions(network: Network, raw: Inputs) -> Tensor:
    """Attribute the prediction to each step and channel of sequences, (batch, time, channels): integrated gradients
    (Sundararajan et al. 2017, "Axiomatic attribution for deep networks").

    raw: what `Network.predict` takes. Gradients are taken of the logit of the most probable class, less the mean logit,
    or of the sum of the outputs of a regression, along the straight path from zero in scaled units, which is each
    channel's mean if it is standardized. They add up to how far the prediction is from that of such an input. For texts
    the path is that of the tokens' vectors.
    """
    scaled = map_values(lambda values: _scaled(network, values)[0], raw)
    late_steps = nn.Sequential(*_scaled(network, values_of(raw)[:1])[1])

    def predict(values: Tensor) -> Tensor:
        x = (
            scaled.with_values(values)
            if isinstance(scaled, PaddedSequences)
            else late_steps(values)
        )
        return network._forward_preprocessed(x)

    values = values_of(scaled).detach()
    total = torch.zeros_like(values)
    points = min(PATH_POINTS, max(MIN_PATH_POINTS, PATH_VALUES // max(1, values.numel())))
    with eval_in_fp32(network):
        with torch.no_grad():
            output = predict(values)
            weights = torch.ones_like(output)
            if network.task.is_classification:
                classes = output.shape[1]
                weights = functional.one_hot(output.argmax(1), classes) - 1 / classes
        for i in range(points):
            point = (values * ((i + 0.5) / points)).requires_grad_()
            with torch.enable_grad():
                score = (predict(point) * weights).sum()
            total += torch.autograd.grad(score, point)[0]
    return values * total / points


def scaled_inputs(network: Network, encoded: Tensor) -> Tensor:
    """Return a preprocessed batch as numbers: ids of tokens as the vectors of their embedding."""
    is_text = network.data_spec.input.kind == "tokens"
    return _scaled(network, encoded)[0] if is_text else encoded


def token_attributions(network: Network, ids: Inputs) -> Tensor:
    """Attribute the prediction to each token of texts, (batch, time): the sum of `attributions` over a vector."""
    return attributions(network, ids).sum(2)


def first_filters(network: Network) -> Tensor | None:
    """Return the weights of the first layer in the shape of its input: images (units, channels, height, width), or
    curves (units, channels, time) of a series; None if its input is neither, or is read step by step."""
    input_spec = network.preprocess.output_spec
    for module in network.model.modules():
        if isinstance(module, nn.Conv2d) or (
            isinstance(module, nn.Conv1d) and input_spec.kind == "series"
        ):
            return module.weight.detach()
        if isinstance(module, nn.RNNBase):
            return None
        if isinstance(module, nn.Linear):
            if input_spec.kind not in ("image", "series") or module.in_features != input_spec.size:
                return None
            weights = module.weight.detach().unflatten(1, input_spec.shape)
            return weights if input_spec.kind == "image" else weights.transpose(1, 2)
    return None


@torch.no_grad()
def gates(network: Network, encoded: Tensor) -> dict[str, dict[str, Tensor]]:
    """Compute every gate and state (batch, time, hidden) of each recurrent layer by name.

    The formulas are those of torch's documentation; layers are "l0", "l0 reverse", "l1", ….

    rnn: hidden. lstm: input, forget, candidate, output, cell, hidden. gru: reset, update, candidate,
    hidden. A reverse layer's are in the order of time of its input. Empty without a recurrent layer.
    """
    module = next((m for m in network.model.modules() if isinstance(m, nn.RNNBase)), None)
    if module is None:
        return {}
    x = recurrent_input(network, encoded)
    states_by_layer: dict[str, dict[str, Tensor]] = {}
    for layer in range(module.num_layers):
        parameters = layer_parameters(module, layer)
        directions = []
        for suffix in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            weights = [parameters[f"{name}_l0{suffix}"] for name in PARAMETERS]
            steps = gates_over_time(module, (x.flip(1) if suffix else x).transpose(0, 1), *weights)
            states = {name: values.transpose(0, 1) for name, values in steps.items()}
            if suffix:
                states = {name: values.flip(1) for name, values in states.items()}
            states_by_layer[f"l{layer}{suffix.replace('_', ' ')}"] = states
            directions.append(states["hidden"])
        x = torch.cat(directions, 2)
    return states_by_layer


def recurrent_input(network: Network, encoded: Tensor) -> Tensor:
    """Return the input of the recurrent module: (batch, time, features)."""
    inputs: list[Tensor] = []
    module = next(m for m in network.model.modules() if isinstance(m, nn.RNNBase))
    handle = module.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    try:
        with eval_in_fp32(network):
            network._forward_preprocessed(encoded)
    finally:
        handle.remove()
    return inputs[0]


@torch.no_grad()
def loss_surface(
    network: Network, split: Split, rows: Tensor, points: int = 17, reach: float = 1.0
) -> tuple[list[float], Tensor]:
    """Compute the loss of rows of a prepared split along two random directions from the weights.

    Each direction is drawn from a normal distribution and scaled, filter by filter, to the norm of the
    weights (Li et al. 2018, "Visualizing the loss landscape of neural nets"); biases and norm layers
    stay. Returns the `points` steps from -reach to reach, and the losses (points, points), with the
    first direction along the rows.
    """
    weights = [p for p in network.model.parameters() if p.ndim > 1]
    before = [p.clone() for p in weights]
    generator = torch.Generator().manual_seed(derive_seed(0, "surface"))
    directions = [[_random_direction(p, generator) for p in weights] for _ in range(2)]
    steps = torch.linspace(-reach, reach, points).tolist()
    x, y = split.batch(rows)
    losses = torch.zeros(points, points, dtype=torch.float64)
    with eval_in_fp32(network):
        try:
            for i, a in enumerate(steps):
                for j, b in enumerate(steps):
                    for p, start, first, second in zip(weights, before, *directions, strict=True):
                        p.copy_(start + a * first + b * second)
                    losses[i, j] = network.task.loss(network(x), y) / network.task.denominator(y)
        finally:
            for p, start in zip(weights, before, strict=True):
                p.copy_(start)
    return steps, losses


def _random_direction(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a direction in which each filter has the norm of the same filter of the weights."""
    drawn = torch.randn(weight.shape, generator=generator).to(weight)
    flat: Any = drawn.flatten(1)
    scale = weight.flatten(1).norm(dim=1) / flat.norm(dim=1).clamp(min=1e-12)
    return drawn * scale.view(-1, *[1] * (weight.ndim - 1))
