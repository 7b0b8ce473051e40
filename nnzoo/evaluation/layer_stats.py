"""One pass forward and back, looked at from inside: what each layer gives and what the loss asks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.models.network import Network
from nnzoo.models.sync_layers import single_layers

RECURRENT = ("RNN", "LSTM", "GRU")
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU)


@dataclass
class LayerStats:
    """A layer on some rows.

    shape: of its output, without the batch; multiply_adds: for one row; mean, spread: of its output;
    dead: of an activation or recurrent layer, how many of its `units` (channels, features, states)
    stand at a flat end, -1, 0 or 1, for every row, so that nothing goes back through them; gradient,
    weight: norms of its parameters. None where there is none.
    """

    name: str
    type: str
    shape: list[int]
    parameters: int
    multiply_adds: int
    mean: float | None = None
    spread: float | None = None
    dead: int | None = None
    units: int | None = None
    gradient: float | None = None
    weight: float | None = None
    inputs: int | None = None
    """Features or channels it takes; None where it has no such number."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class NetworkStats:
    """Layers from input to output; of sequences also the norm of the loss's gradient at the input
    of each time step."""

    layers: list[LayerStats]
    time: list[float] | None = None
    rows: int = 0

    def label(self, layer: LayerStats) -> str:
        """A layer for people: "layer 1 of 9 (Linear 64→32, 'features.0')", counting those that have
        weights; others by type and name."""
        weighted = [each for each in self.layers if each.multiply_adds]
        if layer not in weighted:
            return f"{layer.type} '{layer.name}'"
        units = layer.shape[-1] if layer.type in ("Linear", *RECURRENT) else layer.shape[0]
        size = f" {layer.inputs}→{units}" if layer.inputs else ""
        number = weighted.index(layer) + 1
        return f"layer {number} of {len(weighted)} ({layer.type}{size}, '{layer.name}')"

    def gradients(self) -> dict[str, float]:
        """The gradient norm of each layer that has weights."""
        return {each.name: each.gradient for each in self.layers if each.gradient is not None}


@contextmanager
def eval_in_fp32(network: Network) -> Iterator[None]:
    """The network evaluates in float32, uncompiled, as hooks and gradients need it."""
    state = network.training, network.precision, network.compiled
    network.eval()
    network.precision, network.compiled = "fp32", None
    recurrent = [each for each in network.model.modules() if isinstance(each, nn.RNNBase)]
    dropout = [each.dropout for each in recurrent]
    for each in recurrent:  # cuDNN goes back through what it did in training alone
        each.train()
        each.dropout = 0.0
    try:
        yield
    finally:
        for each, rate in zip(recurrent, dropout, strict=True):
            each.dropout = rate
        network.train(state[0])
        network.precision, network.compiled = state[1:]


def layer_outputs(
    network: Network, x: Tensor
) -> tuple[dict[str, tuple[nn.Module, Tensor]], Tensor]:
    """Each layer and its output (batch, ...) when the network answers what `preprocess` made, by name
    and in order; and the network's output. Of a layer that gives several tensors it is the first; one
    that gives none is left out.

    A recurrent module counts as one layer for each of its layers, `rnn.l0` first, with all states
    (batch, time, directions * hidden).
    """
    found: dict[str, tuple[nn.Module, Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(layer, nn.RNNBase):
                for i, states in enumerate(_states(layer, inputs[0], output[0])):
                    found[f"{name}.l{i}"] = layer, states
                return
            while isinstance(output, tuple | list) and output:
                output = output[0]
            if isinstance(output, Tensor) and output.ndim > 1:
                found[name or type(layer).__name__] = layer, output

        return hook

    leaves = [(name, m) for name, m in network.model.named_modules() if not list(m.children())]
    handles = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    try:
        output = network.respond(x)
    finally:
        for handle in handles:
            handle.remove()
    return found, output


def _states(module: nn.RNNBase, x: Tensor, top: Tensor) -> list[Tensor]:
    """All states of each layer of a recurrent module, which gives those of the top one alone."""
    if module.num_layers == 1:
        return [top]
    # Copies: on CUDA a layer of its own moves its parameters to other memory.
    copied = x.device.type == "cuda"
    states = []
    for layer in single_layers(module, copied)[:-1]:
        layer.train(module.training)
        x = layer(x)[0]
        states.append(x)
    return [*states, top]


def layer_parameters(module: nn.RNNBase, layer: int) -> dict[str, Tensor]:
    """The parameters of one layer of a recurrent module, named as those of a first layer."""
    mark = f"_l{layer}"
    return {
        name.replace(mark, "_l0"): p
        for name, p in module.named_parameters()
        if name.removesuffix("_reverse").endswith(mark)
    }


def collect_layer_stats(network: Network, x: Tensor, y: Tensor | None = None) -> NetworkStats:
    """What every layer does with a prepared batch (`Split.batch` of a prepared split).

    With targets `y`, their loss is taken back through the network too. Nothing of the network, not
    even `.grad`, is changed.
    """
    with eval_in_fp32(network), torch.set_grad_enabled(y is not None):
        encoded = network.preprocess(x) if network.preprocess.in_kind.name == "image" else x
        rows = _rows_of_time(network, encoded)
        if y is not None and rows:
            encoded = encoded.detach().requires_grad_()
        found, output = layer_outputs(network, encoded)
        layers, weights = [], []
        for name, (module, out) in found.items():
            parameters = _own(module, name)
            layers.append(_describe(name, module, out.detach(), parameters))
            weights.append(parameters)
        inputs = [encoded] if rows else []
        wanted = [p for parameters in weights for p in parameters]
        if y is None or not wanted + inputs:
            return NetworkStats(layers, None, len(x))
        loss = network.task.loss(output, y) / network.task.denominator(y)
        gradients = list(torch.autograd.grad(loss, wanted + inputs, allow_unused=True))
        norms = iter(_norms(gradients[: len(wanted)]))
        for layer, parameters in zip(layers, weights, strict=True):
            if parameters:
                layer.gradient = math.hypot(*(next(norms) for _ in parameters))
        time = None
        if rows:
            time = gradients[-1].transpose(0, rows).flatten(1).double().norm(dim=1).tolist()
        return NetworkStats(layers, time, len(x))


def _rows_of_time(network: Network, x: Tensor) -> int:
    """Which dimension of an input is time: an image is read row by row; 0 where nothing is."""
    recurrent = any(isinstance(each, nn.RNNBase) for each in network.model.modules())
    return (2 if x.ndim == 4 else 1) if recurrent and x.ndim > 2 else 0


def _own(module: nn.Module, name: str) -> list[Tensor]:
    """The parameters of a layer; of a recurrent module those of one of its layers."""
    if isinstance(module, nn.RNNBase):
        return list(layer_parameters(module, int(name.rpartition(".l")[2])).values())
    return list(module.parameters())


def _norms(tensors: Sequence[Tensor | None]) -> list[float]:
    """The norm of each tensor; 0 for None."""
    there = [t for t in tensors if t is not None]
    found = iter(torch.stack(torch._foreach_norm(there)).tolist() if there else [])
    return [0.0 if t is None else next(found) for t in tensors]


def _describe(name: str, module: nn.Module, out: Tensor, parameters: list[Tensor]) -> LayerStats:
    layer = LayerStats(
        name=name,
        type=type(module).__name__,
        shape=list(out.shape[1:]),
        parameters=sum(p.numel() for p in parameters),
        multiply_adds=_multiply_adds(module, out, parameters),
        weight=math.hypot(*_norms([p.detach() for p in parameters])) if parameters else None,
        inputs=_inputs(module, parameters),
    )
    if out.device.type == "meta" or not out.numel():
        return layer
    values = out.float()
    layer.mean = float(values.mean())
    layer.spread = float(values.std(correction=0))
    if isinstance(module, (*ACTIVATIONS, nn.RNNBase)) and len(out) > 1:
        # Units are the channels of a map (batch, channels, ...), the last dimension of states.
        axis = (
            1
            if values.ndim == 4 or (values.ndim == 3 and not isinstance(module, nn.RNNBase))
            else -1
        )
        by_unit = values.movedim(axis, 0).flatten(1)
        layer.units = len(by_unit)
        low, high = by_unit.amin(1), by_unit.amax(1)
        layer.dead = int(((low == high) & (low == low.sign())).sum())
    return layer


def _inputs(module: nn.Module, parameters: list[Tensor]) -> int | None:
    """The features or channels that a layer with weights takes."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return module.in_channels
    if isinstance(module, nn.Linear | nn.RNNBase):
        return parameters[0].shape[1]
    return None


def _multiply_adds(module: nn.Module, out: Tensor, parameters: list[Tensor]) -> int:
    """Of one row: every weight once for each place where it is applied."""
    weights = [p for p in parameters if p.ndim > 1]
    count = sum(p.numel() for p in weights)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return count * out[0, 0].numel()
    if isinstance(module, nn.RNNBase):
        return count * out.shape[1]
    return count * (out[0].numel() // out.shape[-1] if out.ndim > 2 else 1)
