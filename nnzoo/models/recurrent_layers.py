"""torch's recurrent modules by native kernels, and their reference in plain torch operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from nnzoo.kernels.call import is_dense_cpu_tensor, product_dtype, supports
from nnzoo.kernels.ops import PoolSteps, RecurrentLayer
from nnzoo.kernels.packing import Packing
from nnzoo.kernels.plan import CellType, supports_packed_rnn, supports_rnn
from nnzoo.kernels.tokens import Cell, TokenLayer, gate_table, supports_tokens
from nnzoo.models.layers import parameter
from nnzoo.models.packed import PackedRows, packed_dropout

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""Parameters of each layer and direction of torch's recurrent modules, in the order that functions take them."""


def run_layers(
    rnn: nn.RNNBase,
    x: Tensor,
    layer: Callable[..., tuple[Tensor, ...]],
    weight: Callable[[str], Tensor] | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
    first: Sequence[Tensor] = (),
) -> Any:
    """Run x (..., batch, time, features) through the layers and directions of a module, each by `layer`.

    layer: x (time, ..., batch, features), w_ih, w_hh, b_ih, b_hh and its part of `first` to all states and the last
    (state, or state and cell); weight: parameter by name, unless it is the module's; dropout: between layers, likewise;
    first: states (and cells) before the first step, each (layers * directions, ..., batch, hidden), unless zero.
    Returns all states (..., batch, time, directions * hidden) and the last ones, each like `first`, as the modules of
    torch.nn do.
    """
    layers = _Layers(rnn, layer, weight or partial(parameter, rnn), dropout, first)
    states, *lasts = layers.run(x.movedim(-2, 0), _flip)
    return states.movedim(0, -2), *lasts


def run_packed_layers(
    rnn: nn.RNNBase,
    x: PackedRows,
    layer: Callable[..., tuple[Tensor, ...]],
    weight: Callable[[str], Tensor] | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Any:
    """`run_layers` of sequences of different lengths; each layer's states are rows (rows, hidden). Returns PackedRows
    and the last states, each (layers * directions, ..., batch, hidden), in the order of the packing."""
    reverse = partial(_ReverseRows.apply, x.packing)
    if dropout is None and rnn.training and rnn.dropout:
        dropout = partial(packed_dropout, x=x, dropout=rnn.dropout)
    layers = _Layers(rnn, layer, weight or partial(parameter, rnn), dropout)
    states, *lasts = layers.run(x.values, reverse)
    return x.with_values(states), *lasts


class _Layers(NamedTuple):
    """The layers of a module, and what is theirs instead of the module's; see `run_layers`."""

    rnn: nn.RNNBase
    layer: Callable[..., tuple[Tensor, ...]]
    weight: Callable[[str], Tensor]
    dropout: Callable[[Tensor], Tensor] | None
    first: Sequence[Tensor] = ()

    def run(self, x: Tensor, reverse: Callable[[Tensor], Tensor]) -> Any:
        """x: time steps first, in an order that `reverse` turns round."""
        rnn, dropout = self.rnn, self.dropout
        lasts: list[list[Tensor]] = []
        for i in range(rnn.num_layers):
            directions = []
            for suffix in ("", "_reverse")[: 2 if rnn.bidirectional else 1]:
                weights = [self.weight(f"{name}_l{i}{suffix}") for name in PARAMETERS]
                weights += [states[len(lasts)] for states in self.first]
                states, *last = self.layer(reverse(x) if suffix else x, *weights)
                directions.append(reverse(states) if suffix else states)
                lasts.append(last)
            x = torch.cat(directions, -1) if rnn.bidirectional else directions[0]
            if i < rnn.num_layers - 1:
                x = dropout(x) if dropout else functional.dropout(x, rnn.dropout, rnn.training)
        return x, *(
            torch.stack(states) if len(states) > 1 else states[0].unsqueeze(0)
            for states in zip(*lasts, strict=True)
        )


def _flip(x: Tensor) -> Tensor:
    return x.flip(0)


class _ReverseRows(torch.autograd.Function):
    """Turn each sequence of a packing round: rows x (rows, features)."""

    @staticmethod
    def forward(ctx: Any, packing: Packing, x: Tensor) -> Tensor:
        ctx.packing = packing
        return x.index_select(0, packing.reverse.to(x.device))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, _ReverseRows.apply(ctx.packing, grad)


def pool_packed(states: PackedRows, readout: str, use_native: bool) -> Tensor:
    """The mean or max over time of each sequence's states, (members * batch, width) in the order of the packing."""
    packing, values = states.packing, states.values
    precise = values.float() if values.dtype is torch.bfloat16 else values
    if use_native and supports(precise, precise):
        return cast(Tensor, PoolSteps.apply(packing, readout == "max", precise))
    step, sequence = packing.places
    shape = packing.steps, packing.members * packing.batch, values.shape[1]
    padding = 0.0 if readout == "mean" else -math.inf
    padded = values.new_full(shape, padding).index_put((step, sequence), values)
    if readout == "max":
        return padded.amax(0)
    return padded.sum(0) / packing.lengths.view(-1, 1).to(values.device)


# Reference in plain torch operations.


def gates_over_time(rnn: nn.RNNBase, x: Tensor, *tensors: Tensor) -> dict[str, Tensor]:
    """Every gate and state of one layer in one direction, by the formulas of torch's documentation.

    x (time, batch, features); tensors: w_ih, w_hh, b_ih, b_hh as in torch, and unless it starts at zero the first state
    (and cell) (batch, hidden). Each value is (time, batch, hidden). RNN: hidden. LSTM: input, forget, candidate,
    output, cell, hidden. GRU: reset, update, candidate, hidden.
    """
    w_ih, w_hh, b_ih, b_hh, *first = tensors
    first = first or [x.new_zeros(x.shape[1], rnn.hidden_size)]
    hidden, cell = first[0], first[-1]
    is_relu = isinstance(rnn, ReluLSTM) or (isinstance(rnn, nn.RNN) and rnn.nonlinearity == "relu")
    activation = torch.relu if is_relu else torch.tanh
    steps: list[dict[str, Tensor]] = []
    for from_input in (x @ w_ih.T + b_ih).unbind():
        from_state = hidden @ w_hh.T + b_hh
        if isinstance(rnn, nn.LSTM):
            i, f, g, o = (from_input + from_state).chunk(4, 1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), activation(g), o.sigmoid()
            cell = f * cell + i * g
            hidden = o * activation(cell)
            steps.append({"input": i, "forget": f, "candidate": g, "output": o, "cell": cell})
        elif isinstance(rnn, nn.GRU):
            (r, z, n), (r_state, z_state, n_state) = from_input.chunk(3, 1), from_state.chunk(3, 1)
            r, z = (r + r_state).sigmoid(), (z + z_state).sigmoid()
            n = (n + r * n_state).tanh()
            hidden = (1 - z) * n + z * hidden
            steps.append({"reset": r, "update": z, "candidate": n})
        else:
            hidden = activation(from_input + from_state)
            steps.append({})
        steps[-1]["hidden"] = hidden
    return {name: torch.stack([step[name] for step in steps]) for name in steps[0]}


def reference_layer(rnn: nn.RNNBase, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """`gates_over_time` as a layer of `run_layers`: all states, the last one and, of an LSTM, the last cell."""
    values = gates_over_time(rnn, x, *tensors)
    lasts = [values[name][-1] for name in ("hidden", "cell") if name in values]
    return values["hidden"], *lasts


def reference_packed_layer(
    rnn: nn.RNNBase, packing: Packing, x: Tensor, *weights: Tensor
) -> tuple[Tensor, ...]:
    """`reference_layer` for rows x (rows, features) of sequences of different lengths, of one member."""
    step, sequence = packing.places
    padded = x.new_zeros(packing.steps, packing.batch, x.shape[1]).index_put((step, sequence), x)
    values = gates_over_time(rnn, padded, *weights)
    ends = packing.lengths[0] - 1, torch.arange(packing.batch)
    lasts = [values[name][ends] for name in ("hidden", "cell") if name in values]
    return values["hidden"][step, sequence], *lasts


# torch's modules by native kernels.


@dataclass(frozen=True)
class TokenInput:
    """The input of a module for which `reads_tokens` holds: ids (batch, time) int32, of vectors (vocabulary, features)."""

    ids: Tensor
    vectors: Tensor


def _as_tuple(hx: Any) -> tuple[Any, ...]:
    """States as torch's modules take them: that of an RNN or GRU is one tensor."""
    return tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)


class NativeRNN:
    """Mixin of the modules below: torch's, by native kernels where there are any for the case."""

    use_native = True
    """Whether native kernels may be used; the network sets it by `train.kernels`."""
    cell_type: CellType
    relu = False

    def is_native(self: Any, x: Tensor | TokenInput, hx: Any = None) -> bool:
        """Whether native kernels compute x: a batch of sequences on the CPU, from a zero state or from `hx`, as torch's
        modules take it, without gradients."""
        if isinstance(x, TokenInput):
            return True
        if x.ndim != 3 or not self.batch_first:
            return False
        if hx is not None and not self._are_first_states(_as_tuple(hx), len(x)):
            return False
        return self._weights_are_native(partial(supports_rnn, self.cell_type, x))

    def _are_first_states(self: Any, states: tuple[Any, ...], batch: int) -> bool:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        shape, dtype = (layers, batch, self.hidden_size), parameter(self, "weight_hh_l0").dtype
        return len(states) == (2 if self.cell_type == "lstm" else 1) and all(
            is_dense_cpu_tensor(state)
            and state.shape == shape
            and state.dtype is dtype
            and not state.requires_grad
            for state in states
        )

    def is_packed_native(self: Any, x: PackedRows) -> bool:
        return self._weights_are_native(partial(supports_packed_rnn, self.cell_type, x.values))

    def _weights_are_native(self: Any, supports: Callable[..., bool]) -> bool:
        """supports: of the parameters of the first layer and direction."""
        if not (self.use_native and self.bias):
            return False
        parameters = self._parameters
        # Those of the first layer and direction first. Parametrized ones are not in it.
        weights = [parameters.get(name) for name in self._flat_weights_names]
        if not supports(*weights[:4]):
            return False
        dtype = weights[0].dtype
        return all([is_dense_cpu_tensor(w) and w.dtype is dtype for w in weights[4:]])

    def reads_tokens(self: Any, ids: Tensor, vectors: Tensor, hx: Any = None) -> bool:
        """Whether native kernels take ids (batch, time) of a small vocabulary instead of their vectors."""
        if not self.batch_first or (
            hx is not None and not self._are_first_states(_as_tuple(hx), len(ids))
        ):
            return False
        return self._weights_are_native(partial(supports_tokens, self.cell_type, ids, vectors))

    def token_layer(self: Any, vectors: Tensor) -> Callable[..., Any]:
        """A layer and direction by native kernels, whose input may be ids (time, batch)."""
        layer = self.native_layer()
        product = product_dtype(parameter(self, "weight_hh_l0").dtype)
        cell = Cell(self.cell_type, self.relu, product)

        def run(x: Tensor, *tensors: Tensor) -> Any:
            if x.dtype is not torch.int32:
                return layer(x, *tensors)
            w_ih, w_hh, *biases = tensors[:4]
            table = gate_table(self.cell_type, vectors, w_ih, *biases)
            return TokenLayer.apply(cell, x, table, w_hh, *tensors[4:])

        return run

    def native_layer(self: Any, packing: Packing | None = None) -> Callable[..., Any]:
        """A layer and direction by native kernels, for `run_layers`."""
        product = product_dtype(parameter(self, "weight_hh_l0").dtype)
        return partial(RecurrentLayer.apply, self.cell_type, self.relu, product, packing)

    def run_packed(self: Any, x: PackedRows) -> tuple[PackedRows, Any]:
        """All states and the last ones of sequences of different lengths, from a zero state."""
        if self.is_packed_native(x):
            states, *last = run_packed_layers(self, x, self.native_layer(x.packing))
            return states, last[0] if len(last) == 1 else tuple(last)
        counts = x.packing.counts[0]
        states, last = super().forward(PackedSequence(x.values, counts))  # type: ignore[misc]
        return x.with_values(states.data), last

    def run_native(self: Any, x: Tensor | TokenInput, hx: Any = None) -> Any:
        first = () if hx is None else _as_tuple(hx)
        if isinstance(x, TokenInput):
            layers = _Layers(
                self, self.token_layer(x.vectors), partial(parameter, self), None, first
            )
            states, *lasts = layers.run(x.ids.T, _flip)
            return states.movedim(0, -2), *lasts
        return run_layers(self, x, self.native_layer(), first=first)


class RNN(NativeRNN, nn.RNN):
    """torch.nn.RNN by native kernels."""

    cell_type = "rnn"

    @property
    def relu(self) -> bool:  # type: ignore[override]
        return self.nonlinearity == "relu"

    def forward(self, x: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        if isinstance(x, PackedRows):
            return self.run_packed(x)
        return self.run_native(x, hx) if self.is_native(x, hx) else super().forward(x, hx)


class GRU(NativeRNN, nn.GRU):
    """torch.nn.GRU by native kernels."""

    cell_type = "gru"

    def forward(self, x: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        if isinstance(x, PackedRows):
            return self.run_packed(x)
        return self.run_native(x, hx) if self.is_native(x, hx) else super().forward(x, hx)


class LSTM(NativeRNN, nn.LSTM):
    """torch.nn.LSTM by native kernels."""

    cell_type = "lstm"

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        if isinstance(x, PackedRows):
            return self.run_packed(x)
        if not self.is_native(x, hx):
            return super().forward(x, hx)
        states, hidden, cell = self.run_native(x, hx)
        return states, (hidden, cell)


class ReluLSTM(LSTM):
    """An LSTM whose candidate and output use ReLU instead of tanh, as Keras's LSTM(activation="relu"); torch has none.

    Parameters as in torch.nn.LSTM. Input (batch, time, features); returns states (batch, time, directions * hidden)
    and the last (hidden, cell), each (layers * directions, batch, hidden).
    """

    relu = True

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        if isinstance(x, PackedRows):
            return self.run_packed(x)
        if self.is_native(x, hx):
            states, hidden, cell = self.run_native(x, hx)
        else:
            first = () if hx is None else tuple(hx)
            states, hidden, cell = run_layers(self, x, partial(reference_layer, self), first=first)
        return states, (hidden, cell)

    def run_packed(self, x: PackedRows) -> tuple[PackedRows, Any]:
        if self.is_packed_native(x):
            return super().run_packed(x)
        layer = partial(reference_packed_layer, self, x.packing)
        states, hidden, cell = run_packed_layers(self, x, layer)
        return states, (hidden, cell)
