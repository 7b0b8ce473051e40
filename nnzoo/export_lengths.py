"""Traceable forward functions of networks on sequences of different lengths, with the lengths as a second input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.data.sequences import PaddedSequences
from nnzoo.models.recurrent_layers import PARAMETERS, ReluLSTM
from nnzoo.models.rnn import Recurrent

# By a module's mode: ONNX's operator, its order of torch's gates, and its activations.
_OPERATORS: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    "RNN_TANH": ("RNN", (0,), ["Tanh"]),
    "RNN_RELU": ("RNN", (0,), ["Relu"]),
    "LSTM": ("LSTM", (0, 3, 1, 2), ["Sigmoid", "Tanh", "Tanh"]),
    "GRU": ("GRU", (1, 0, 2), ["Sigmoid", "Tanh"]),
}


def onnx_layer(rnn: nn.RNNBase) -> Callable[..., tuple[Tensor, ...]]:
    """Make a function that computes one layer in one direction by ONNX's operator RNN, LSTM or GRU.

    The function takes x (time, batch, features), w_ih, w_hh, b_ih and b_hh in ONNX's order of gates, which those of
    `rnn` get here, and optionally lengths (batch,) int32, whether each sequence is read backwards from its end, and the
    state, and cell, (1, batch, hidden) from which it starts. It returns all states (time, batch, hidden), zero behind each
    end, and the last state, and cell, (batch, hidden).
    """
    name, order, activations = _OPERATORS[rnn.mode]
    if isinstance(rnn, ReluLSTM):
        activations = ["Sigmoid", "Relu", "Relu"]
    attributes: dict[str, Any] = {"hidden_size": rnn.hidden_size, "activations": activations}
    if name == "GRU":
        attributes["linear_before_reset"] = 1  # as torch: reset after the matmul
    for parameter in rnn.parameters():
        gates = parameter.data.chunk(len(order))
        parameter.data = torch.cat([gates[i] for i in order])

    def layer(
        x: Tensor,
        *weights: Tensor,
        lengths: Tensor | None = None,
        backwards: bool = False,
        start: Sequence[Tensor] = (),
    ) -> tuple[Tensor, ...]:
        w_ih, w_hh, b_ih, b_hh = weights
        last = (1, x.shape[1], rnn.hidden_size)
        shapes = [(x.shape[0], *last), last, last][: 3 if name == "LSTM" else 2]
        inputs: list[Tensor | None] = [x, w_ih[None], w_hh[None], torch.cat([b_ih, b_hh])[None]]
        inputs += [] if lengths is None and not start else [lengths, *start]
        direction = {"direction": "reverse"} if backwards else {}
        states, *final = torch.onnx.ops.symbolic_multi_out(
            name, inputs, attributes | direction, dtypes=[x.dtype] * len(shapes), shapes=shapes
        )
        return states[:, 0], *(state[0] for state in final)

    return layer


def onnx_forward(model: Recurrent) -> Callable[[PaddedSequences], Tensor]:
    """Make a forward of a recurrent model for PaddedSequences from ONNX's operators, which take lengths."""
    rnn, layer = model.rnn, onnx_layer(model.rnn)

    def forward(x: PaddedSequences) -> Tensor:
        if model.embedding is not None:
            x = model.embedding(x)
        states, lengths = x.values.transpose(0, 1), x.lengths.to(torch.int32)
        for i in range(rnn.num_layers):
            directions = []
            for suffix in ("", "_reverse")[: 2 if rnn.bidirectional else 1]:
                weights = [getattr(rnn, f"{name}_l{i}{suffix}") for name in PARAMETERS]
                directions.append(layer(states, *weights, lengths=lengths, backwards=bool(suffix)))
            states = torch.cat([states for states, *_ in directions], -1)
        mask = x.mask.T.unsqueeze(-1)
        if model.readout == "last":
            read = torch.cat([last for _, last, *_ in directions], -1)
        elif model.readout == "max":
            read = states.masked_fill(~mask, -torch.inf).amax(0)
        else:
            read = states.masked_fill(~mask, 0).sum(0) / x.lengths.unsqueeze(1)
        return model.head(read)

    return forward


def max_pool_forward(pool: nn.MaxPool1d) -> Callable[[Tensor], Tensor]:
    """Make a forward of max pooling over time for any time: that of MaxPool1d can only be traced for one."""
    size = (1, cast(int, pool.kernel_size))
    return lambda x: functional.max_pool2d(x.unsqueeze(2), size).squeeze(2)


def scale_recordings(raw: Tensor, lengths: Tensor | None, method: str) -> Tensor:
    """Scale each recording of raw (batch, time, channels) by its own statistics, as the source `recordings` does when it
    reads files with `preprocess.per: recording`; lengths: (batch,), None where all have one."""
    mask = torch.ones_like(raw[:, :, :1], dtype=torch.bool)
    if lengths is not None:
        mask = PaddedSequences(raw, lengths).mask.unsqueeze(-1)
    count = mask.sum(1, keepdim=True)
    if method == "minmax":
        center = raw.masked_fill(~mask, torch.inf).amin(1, keepdim=True)
        divisor = raw.masked_fill(~mask, -torch.inf).amax(1, keepdim=True) - center
    else:
        center = raw.masked_fill(~mask, 0).sum(1, keepdim=True) / count
        squares = (raw - center).masked_fill(~mask, 0).square()
        divisor = (squares.sum(1, keepdim=True) / count).sqrt()
    tiny = 1e-12 * center.abs().clamp(min=1e-300)
    scaled = (raw - center) / torch.where(divisor > tiny, divisor, 1.0)
    return scaled.masked_fill(~mask, 0)
