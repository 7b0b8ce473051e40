"""Statistics of every layer in one forward and backward pass: activations, dead units, gradient norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.models.layers import single_layers
from nnzoo.models.network import Network
from nnzoo.models.packed import PackedRows
from nnzoo.models.padded import PaddedMaps, observe_padded

RECURRENT = ("RNN", "LSTM", "GRU")
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU)


@dataclass
class LayerStats:
    """Statistics of one layer on a batch.

    shape: of the output, without the batch dimension. multiply_adds: per sample. mean, std: of the
    output. units, dead: of an activation or recurrent layer, how many channels, features or states it
    has, and how many of them are saturated (-1, 0 or 1) for every sample, hence have zero gradient.
    gradient, weight: norms over its parameters. inputs: input features or channels. None if a layer
    has no such value.
    """

    name: str
    type: str
    shape: list[int]
    parameters: int
    multiply_adds: int
    mean: float | None = None
    std: float | None = None
    dead: int | None = None
    units: int | None = None
    gradient: float | None = None
    weight: float | None = None
    inputs: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the object of `nnzoo inspect --json`, which calls the standard deviation "spread"."""
        return {"spread" if key == "std" else key: value for key, value in asdict(self).items()}


@dataclass
class NetworkStats:
    """Statistics of the layers from input to output on a batch of `samples`.

    time_gradients: for sequences, the norm of the loss's gradient at the input of each time step; where sequences have
    different lengths, of the steps before the end of each, scaled to the number of rows.
    """

    layers: list[LayerStats]
    time_gradients: list[float] | None = None
    samples: int = 0

    def describe(self, layer: LayerStats) -> str:
        """Name a layer for people: "layer 1 of 9 (Linear 64→32, 'features.0')", counting layers that
        have weights; others by type and name."""
        weighted = [stats for stats in self.layers if stats.multiply_adds]
        if layer not in weighted:
            return f"{layer.type} '{layer.name}'"
        units = layer.shape[-1] if layer.type in ("Linear", *RECURRENT) else layer.shape[0]
        size = f" {layer.inputs}→{units}" if layer.inputs else ""
        number = weighted.index(layer) + 1
        return f"layer {number} of {len(weighted)} ({layer.type}{size}, '{layer.name}')"

    def gradients(self) -> dict[str, float]:
        """Return the gradient norm of each layer that has weights."""
        return {stats.name: stats.gradient for stats in self.layers if stats.gradient is not None}


@contextmanager
def eval_in_fp32(network: Network) -> Iterator[None]:
    """Put the network in evaluation mode, float32, uncompiled and without mirror images, as hooks and gradients need it; a
    language model starts from a zero state."""
    state = network.training, network.precision, network.compiled, network.flip
    network.eval()
    network.precision, network.compiled, network.flip = "fp32", None, "none"
    recurrent = [module for module in network.model.modules() if isinstance(module, nn.RNNBase)]
    dropout = [module.dropout for module in recurrent]
    for module in recurrent:  # cuDNN can only backpropagate in training mode
        module.train()
        module.dropout = 0.0
    # Hooks see the vectors of tokens, which native kernels may do without.
    embeddings: list[Any] = [m for m in network.model.modules() if isinstance(m, nn.Embedding)]
    native = [module.use_native for module in embeddings]
    for embedding in embeddings:
        embedding.use_native = False
    model: Any = network.model
    is_stateful = getattr(model, "per_step", False)  # a language model
    if is_stateful:
        carried, model.state = model.state, None
    try:
        yield
    finally:
        if is_stateful:
            model.state = carried
        for embedding, use_native in zip(embeddings, native, strict=True):
            embedding.use_native = use_native
        for module, probability in zip(recurrent, dropout, strict=True):
            module.dropout = probability
        network.train(state[0])
        network.precision, network.compiled, network.flip = state[1:]


def layer_outputs(
    network: Network, x: Inputs
) -> tuple[dict[str, tuple[nn.Module, Inputs]], Tensor]:
    """Run the network on a preprocessed batch; return each layer with its output (batch, ...), by name
    in order, and the network's output.

    For a layer with several outputs the first is taken; a layer without a tensor output is skipped. A
    recurrent module counts as its layers, `rnn.l0` first, with all states (batch, time, directions *
    hidden). Outputs for sequences of different lengths have lengths: PaddedSequences (batch, time, units).
    """
    outputs: dict[str, tuple[nn.Module, Inputs]] = {}
    names = {layer: name for name, layer in network.model.named_modules()}

    def make_hook(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(layer, nn.RNNBase):
                for i, states in enumerate(_states_by_layer(layer, inputs[0], output[0])):
                    outputs[f"{name}.l{i}"] = layer, states
                return
            while isinstance(output, tuple | list) and output:
                output = output[0]
            if isinstance(output, PackedRows):
                output = output.padded()
            if isinstance(output, PaddedSequences) or (
                isinstance(output, Tensor) and output.ndim > 1
            ):
                outputs[name or type(layer).__name__] = layer, output

        return hook

    def add_lengths(layer: nn.Module, maps: PaddedMaps) -> None:
        if names[layer] in outputs:  # by its hook
            output = PaddedSequences(maps.filled().transpose(1, 2), maps.lengths)
            outputs[names[layer]] = layer, output

    handles = [
        layer.register_forward_hook(make_hook(name)) for name, layer in _single_modules(network)
    ]
    try:
        with observe_padded(add_lengths):
            output = network._forward_preprocessed(x)
    finally:
        for handle in handles:
            handle.remove()
    return outputs, output


def _single_modules(network: Network) -> list[tuple[str, nn.Module]]:
    """The modules without others inside, by name; an embedding is one, its dropout included."""
    modules = dict(network.model.named_modules())
    parts = [m.drop for m in modules.values() if isinstance(m, nn.Embedding)]
    return [
        (name, m)
        for name, m in modules.items()
        if isinstance(m, nn.Embedding) or not (list(m.children()) or m in parts)
    ]


def _states_by_layer(module: nn.RNNBase, x: Any, top: Any) -> list[Inputs]:
    """Return all states of each layer; the module itself returns those of the top layer only."""
    states = []
    if module.num_layers > 1:
        # On CUDA, a layer that shares parameters would move them to other memory.
        values = x.values if isinstance(x, PackedRows) else x
        copied = values.device.type == "cuda"
        for layer in single_layers(module, copied)[:-1]:
            layer.train(module.training)
            x = layer(x)[0]
            states.append(x)
    return [s.padded() if isinstance(s, PackedRows) else s for s in [*states, top]]


def layer_parameters(module: nn.RNNBase, layer: int) -> dict[str, Tensor]:
    """Return the parameters of one layer of a recurrent module, named as those of layer 0."""
    mark = f"_l{layer}"
    return {
        name.replace(mark, "_l0"): p
        for name, p in module.named_parameters()
        if name.removesuffix("_reverse").endswith(mark)
    }


def collect_layer_stats(network: Network, x: Inputs, y: Tensor | None = None) -> NetworkStats:
    """Collect the statistics of every layer on a prepared batch (`Split.batch` of a prepared split).

    With targets `y` their loss is also backpropagated. The network is left unchanged, `.grad` included.
    """
    with eval_in_fp32(network), torch.set_grad_enabled(y is not None):
        encoded = network.preprocess(x) if network.preprocess.input_spec.kind == "image" else x
        time_dim = _time_dim(network, encoded)
        if y is not None and time_dim and network.data_spec.input.kind == "tokens":
            # A word has no gradient, its vector has.
            encoded = cast(Any, network.model.embedding)(encoded)
            values_of(encoded).requires_grad_()  # of frozen vectors, too
        elif y is not None and time_dim:
            encoded = encoded.detach()
            values_of(encoded).requires_grad_()
        outputs, output = layer_outputs(network, encoded)
        layers = [
            _describe(name, module, out.detach(), _parameters(module, name), len(x))
            for name, (module, out) in outputs.items()
        ]
        parameters = [
            [p for p in _parameters(module, name) if p.requires_grad]  # the others are frozen
            for name, (module, _) in outputs.items()
        ]
        inputs = [values_of(encoded)] if time_dim else []
        variables = [p for params in parameters for p in params] + inputs
        if y is None or not variables:
            return NetworkStats(layers, None, len(x))
        loss = network.task.loss(output, y) / network.task.denominator(y)
        gradients = list(torch.autograd.grad(loss, variables, allow_unused=True))
        norms = iter(_norms(gradients[: len(variables) - len(inputs)]))
        for layer, params in zip(layers, parameters, strict=True):
            if params:
                layer.gradient = math.hypot(*(next(norms) for _ in params))
        time_gradients = None
        if time_dim:
            time_gradients = _time_gradients(encoded, gradients[-1], time_dim)
        return NetworkStats(layers, time_gradients, len(x))


def values_of(x: Inputs) -> Tensor:
    """A batch as a tensor, with padding where sequences have different lengths."""
    return x.values if isinstance(x, PaddedSequences) else x


def _time_gradients(x: Inputs, gradient: Tensor, time_dim: int) -> list[float]:
    """Return the norm of an input's gradient at each time step; of sequences of different lengths at the steps before
    the end of each, as of so many rows."""
    squares = gradient.transpose(1, time_dim).flatten(2).double().square().sum(2)
    if not isinstance(x, PaddedSequences):
        return squares.sum(0).sqrt().tolist()
    steps = torch.arange(squares.shape[1]) - (squares.shape[1] - x.lengths)[:, None]
    aligned = squares.gather(1, steps.clamp(min=0).to(squares.device))
    is_real = (steps >= 0).to(squares.device)
    mean = (aligned * is_real).sum(0) / is_real.sum(0).clamp(min=1)
    # No row reaches the first steps if the batch is part of a larger one.
    return (mean * len(x)).sqrt()[is_real.any(0)].tolist()


def _time_dim(network: Network, x: Inputs) -> int:
    """Return the dimension of a recurrent network's input that is time (an image is read row by row);
    0 if there is none."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.model.modules())
    ndim = values_of(x).ndim
    return (2 if ndim == 4 else 1) if recurrent and ndim > 2 else 0


def _parameters(module: nn.Module, name: str) -> list[Tensor]:
    """Return the parameters of a layer, named as in `layer_outputs`."""
    if isinstance(module, nn.RNNBase):
        return list(layer_parameters(module, int(name.rpartition(".l")[2])).values())
    return list(module.parameters())


def _norms(tensors: Sequence[Tensor | None]) -> list[float]:
    """Return the norm of each tensor; 0 for None."""
    present = [t.to_dense() if t.is_sparse else t for t in tensors if t is not None]
    norms = iter(torch.stack(torch._foreach_norm(present)).tolist() if present else [])
    return [0.0 if t is None else next(norms) for t in tensors]


def _describe(
    name: str, module: nn.Module, out: Inputs, parameters: list[Tensor], rows: int
) -> LayerStats:
    """Describe a layer by its output and parameters; rows: of the batch."""
    shape = list(values_of(out).shape[1:])
    is_map = len(shape) > 1 and not isinstance(module, nn.RNNBase | nn.Embedding)
    if isinstance(out, PaddedSequences):
        positions = 0.0 if isinstance(module, nn.Embedding) else float(out.lengths.double().mean())
        values = out.values[out.mask]
        shape = shape[::-1] if is_map else shape
    else:
        positions, values = _positions(module, out) * _copies(module, out, rows), out
    layer = LayerStats(
        name=name,
        type=type(module).__name__,
        shape=shape,
        parameters=sum(p.numel() for p in parameters),
        multiply_adds=round(sum(p.numel() for p in parameters if p.ndim > 1) * positions),
        weight=math.hypot(*_norms([p.detach() for p in parameters])) if parameters else None,
        inputs=_num_inputs(module, parameters),
    )
    if values.device.type == "meta" or not values.numel():
        return layer
    values = values.float()
    layer.mean = float(values.mean())
    layer.std = float(values.std(correction=0))
    if isinstance(module, (*ACTIVATIONS, nn.RNNBase)) and len(out) > 1:
        # Units are the channels of a map (batch, channels, ...), the last dimension of states and padded sequences.
        unit_dim = 1 if is_map and values.ndim > 2 else -1
        by_unit = values.movedim(unit_dim, 0).flatten(1)
        layer.units = len(by_unit)
        low, high = by_unit.amin(1), by_unit.amax(1)
        layer.dead = int(((low == high) & (low == low.sign())).sum())
    return layer


def _num_inputs(module: nn.Module, parameters: list[Tensor]) -> int | None:
    """Return the input features or channels of a layer with weights."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return module.in_channels
    if isinstance(module, nn.Linear | nn.RNNBase):
        return parameters[0].shape[1]
    return None


def _copies(module: nn.Module, out: Tensor, rows: int) -> int:
    """Count how often a layer runs per row: once for each token, or each member of an ensemble, unless its weights have
    the members in them."""
    is_single = out.ndim < 2 or hasattr(module, "members")
    return 1 if is_single else max(1, len(out) // max(1, rows))


def _positions(module: nn.Module, out: Tensor) -> int:
    """Count how often a layer multiplies by each weight per sample."""
    if isinstance(module, nn.Embedding):
        return 0
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return out[0, 0].numel()
    if isinstance(module, nn.RNNBase):
        return out.shape[1]
    return out[0].numel() // out.shape[-1] if out.ndim > 2 else 1
