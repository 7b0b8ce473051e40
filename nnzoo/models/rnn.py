"""Recurrent networks: Elman (rnn), LSTM and GRU with a linear output layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.model_options import GruOptions, LstmOptions, RecurrentOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.kernels import recurrent as native
from nnzoo.kernels.library import product_type
from nnzoo.kernels.tensors import is_eager, is_plain, parameter
from nnzoo.models import kernels
from nnzoo.models.initialize import init_layer, init_recurrent, open_forget_gates
from nnzoo.models.layers import Linear

_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Recurrent(nn.Module):
    """A stack of recurrent layers in `rnn`, read out into the linear layer `head`.

    Input (batch, time, features), or an image (batch, channels, height, width) read row by row
    from the top, each row as channels * width features; output (batch, outputs). `rnn` is, or has
    the parameters of, torch.nn.RNN, LSTM or GRU.
    """

    def __init__(self, options: RecurrentOptions, input_spec: InputSpec, outputs: int) -> None:
        super().__init__()
        if input_spec.kind == "table":
            raise ConfigError.at(
                "model.name",
                f"{options.name} reads a sequence: a series, or an image row by row, but the data "
                "is a table whose columns have no order; use mlp",
            )
        self.is_image = input_spec.kind == "image"
        features = (
            input_spec.shape[0] * input_spec.shape[2] if self.is_image else input_spec.shape[1]
        )
        # What a layer reads and writes for one sample: states, gates and their inputs.
        steps = input_spec.shape[1] if self.is_image else input_spec.shape[0]
        self.activations = steps * (features + 8 * options.hidden_size)
        self.readout = options.readout
        self.rnn = _cell(options, features)
        width = options.hidden_size * (2 if options.bidirectional else 1)
        self.dropout = nn.Dropout(options.dropout)
        self.head = Linear(width, outputs)
        init_layer(self.head, options.init, "linear")

    def forward(self, x: Tensor) -> Tensor:
        states, last = self.rnn(self.sequence(x))
        read = self.read(states, last)
        return self.head(self.dropout(read) if self.dropout.p else read)

    def sequence(self, x: Tensor) -> Tensor:
        """The input as `rnn` takes it (batch, time, features)."""
        if not self.is_image:
            return x
        # Of one channel, which most have, in one call of torch's: a step of the lstm has a dozen.
        return x.squeeze(1) if x.shape[1] == 1 else x.permute(0, 2, 1, 3).flatten(2)

    def read(self, states: Tensor, last: Tensor | tuple[Tensor, ...]) -> Tensor:
        """What the output layer sees (..., batch, directions * hidden) of what `rnn` gives, (..., batch,
        time, directions * hidden) and (layers * directions, ..., batch, hidden)."""
        if self.readout == "mean":
            return states.mean(-2)
        if self.readout == "max":
            return states.amax(-2)
        hidden = last[0] if isinstance(last, tuple) else last
        # The backward direction's last state is the one at the first time step.
        if self.rnn.bidirectional:
            return torch.cat([hidden[-2], hidden[-1]], -1)
        # The way back of an index fills a tensor with zeros first.
        return hidden.squeeze(0) if len(hidden) == 1 else hidden[-1]


def _cell(options: RecurrentOptions, features: int) -> nn.RNNBase:
    arguments = {
        "input_size": features,
        "hidden_size": options.hidden_size,
        "num_layers": options.num_layers,
        "bidirectional": options.bidirectional,
        "dropout": options.dropout if options.num_layers > 1 else 0.0,
        "batch_first": True,
    }
    cell: nn.RNNBase
    if isinstance(options, RnnOptions):
        cell = RNN(nonlinearity=options.nonlinearity, **arguments)
        init_recurrent(cell, options.init, options.nonlinearity)
    elif isinstance(options, LstmOptions):
        cell = (LSTM if options.activation == "tanh" else ReluLSTM)(**arguments)
        init_recurrent(cell, options.init, "sigmoid")
        if options.forget_bias:
            open_forget_gates(cell)
    else:
        assert isinstance(options, GruOptions)
        cell = GRU(**arguments)
        init_recurrent(cell, options.init, "sigmoid")
    return cell


def by_hand(
    rnn: nn.RNNBase,
    x: Tensor,
    kernel: Callable[..., tuple[Tensor, ...]],
    weight: Callable[[str], Tensor] | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Any:
    """x (..., batch, time, features) through the layers and directions of a module, each by `kernel`.

    kernel: x (time, ..., batch, features) and four parameters to all states and the last (state, or
    state and cell); weight: of a name, where it is not the module's; dropout: between layers,
    likewise. Gives all states (..., batch, time, directions * hidden) and the last, each (layers *
    directions, ..., batch, hidden), as the modules of torch.nn do.
    """
    x = x.movedim(-2, 0)
    weight = weight or partial(parameter, rnn)
    dropout = dropout or partial(functional.dropout, p=rnn.dropout, training=rnn.training)
    lasts = []
    for layer in range(rnn.num_layers):
        sides = []
        for suffix in ("", "_reverse")[: 2 if rnn.bidirectional else 1]:
            weights = [weight(f"{name}_l{layer}{suffix}") for name in _PARAMETERS]
            states, *last = kernel(x.flip(0) if suffix else x, *weights)
            sides.append(states.flip(0) if suffix else states)
            lasts.append(last)
        x = torch.cat(sides, -1) if rnn.bidirectional else sides[0]
        if layer < rnn.num_layers - 1:
            x = dropout(x)
    return x.movedim(0, -2), *(
        torch.stack(each) if len(each) > 1 else each[0].unsqueeze(0)
        for each in zip(*lasts, strict=True)
    )


class _Hand:
    """When the modules below, which are torch.nn's, are computed by native layers, and where there are
    none by the kernels."""

    use_native = True
    """Whether native layers may be used; the network sets it by `train.kernels`."""
    kind: native.Kind
    relu = False

    def is_native(self: Any, x: Tensor, hx: object = None) -> bool:
        """Whether native layers take the case: a batch of sequences on the CPU, from a zero state."""
        if not (self.use_native and hx is None and x.ndim == 3 and self.batch_first and self.bias):
            return False
        # Those of the first layer and direction first.
        weights = [parameter(self, name) for name in self._flat_weights_names]
        if not native.takes(self.kind, x, *weights[:4]):
            return False
        real = weights[0].dtype
        return all(is_plain(p) and p.dtype is real for p in weights[4:])

    def natively(self: Any, x: Tensor) -> Any:
        dtype = product_type(parameter(self, "weight_hh_l0"))

        def kernel(x: Tensor, *weights: Tensor) -> Any:
            return native.Recurrent.apply(self.kind, self.relu, dtype, x, *weights)

        return by_hand(self, x, kernel)

    def hand_runs(self: Any, x: Tensor, hx: object) -> bool:
        """Whether the kernels take the case: as native layers do, and of enough work a step. On CUDA
        torch's own is cuDNN's.

        With batch * hidden^2 of 2^19 (128 rows, 64 units) and more they took 0.47 to 1.06 of torch's
        time. Training a GRU, or anything in bfloat16, they are ahead from 2^14 on (0.46 to 0.84);
        below, torch has fewer calls to make.
        """
        if hx is not None or x.ndim != 3 or not (is_eager() and is_plain(x)):
            return False
        low = torch.is_autocast_enabled("cpu")
        early = torch.is_grad_enabled() and (low or isinstance(self, nn.GRU))
        return bool(
            self.batch_first and self.bias and x.numel()
            and (low or x.dtype == self.weight_hh_l0.dtype)
            and len(x) * self.hidden_size**2 >= (2**14 if early else 2**19)
        )  # fmt: skip

    def zeros(self: Any, x: Tensor) -> Tensor:
        """The first state for an input (time, batch, features)."""
        return self.weight_hh_l0.new_zeros(x.shape[1], self.hidden_size)


class RNN(_Hand, nn.RNN):
    """torch.nn.RNN, natively or by hand where that is faster."""

    kind = "rnn"

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        self.relu = self.nonlinearity == "relu"
        if self.is_native(x, hx):
            return self.natively(x)
        if not self.hand_runs(x, hx):
            return super().forward(x, hx)

        def kernel(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            return kernels.Rnn.apply(self.nonlinearity, x, self.zeros(x), *weights)

        return by_hand(self, x, kernel)


class GRU(_Hand, nn.GRU):
    """torch.nn.GRU, natively or by hand where that is faster."""

    kind = "gru"

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        if self.is_native(x, hx):
            return self.natively(x)
        if not self.hand_runs(x, hx):
            return super().forward(x, hx)

        def kernel(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            return kernels.Gru.apply(x, self.zeros(x), *weights)

        return by_hand(self, x, kernel)


class LSTM(_Hand, nn.LSTM):
    """torch.nn.LSTM, natively where that can be: torch's own is oneDNN's on a CPU, 1.5 to 2 times as fast
    as the kernel by hand."""

    kind = "lstm"

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # type: ignore[override]
        if not self.is_native(x, hx):
            return super().forward(x, hx)
        states, hidden, cell = self.natively(x)
        return states, (hidden, cell)


class ReluLSTM(LSTM):
    """An LSTM whose candidate and output use relu in place of tanh, as Keras's
    LSTM(activation="relu"); parameters as in torch.nn.LSTM, which has none.

    Input (batch, time, features); returns states (batch, time, directions * hidden) and the last
    (hidden, cell), each (layers * directions, batch, hidden).
    """

    relu = True

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # type: ignore[override]
        if self.is_native(x):
            return super().forward(x)

        def kernel(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            zeros = self.zeros(x)
            return kernels.Lstm.apply("relu", x, zeros, zeros, *weights)

        states, hidden, cell = by_hand(self, x, kernel)
        return states, (hidden, cell)
