"""Recurrent networks: Elman (rnn), LSTM and GRU with a linear output layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.schema import GruOptions, LstmOptions, RecurrentOptions, RnnOptions
from nnzoo.data.dataset import Kind
from nnzoo.errors import ConfigError
from nnzoo.models import native
from nnzoo.models.initialize import init_layer, init_recurrent, open_forget_gates


class Recurrent(nn.Module):
    """A stack of recurrent layers in `rnn`, read out into the linear layer `head`.

    Input (batch, time, features), or an image (batch, channels, height, width) read row by row
    from the top, each row as channels * width features; output (batch, outputs). `rnn` is, or has
    the parameters of, torch.nn.RNN, LSTM or GRU.
    """

    def __init__(self, options: RecurrentOptions, kind: Kind, outputs: int) -> None:
        super().__init__()
        if kind.name == "table":
            raise ConfigError.at(
                "model.name",
                f"{options.name} reads a sequence: a series, or an image row by row, but the data "
                "is a table whose columns have no order; use mlp",
            )
        self.is_image = kind.name == "image"
        features = kind.shape[0] * kind.shape[2] if self.is_image else kind.shape[1]
        self.readout = options.readout
        self.rnn = _cell(options, features)
        width = options.hidden_size * (2 if options.bidirectional else 1)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(width, outputs)
        init_layer(self.head, options.init, "linear")

    def forward(self, x: Tensor) -> Tensor:
        if self.is_image:
            x = x.permute(0, 2, 1, 3).flatten(2)
        states, last = self.rnn(x)
        if self.readout == "mean":
            read = states.mean(1)
        elif self.readout == "max":
            read = states.amax(1)
        else:
            hidden = last[0] if isinstance(last, tuple) else last
            # The backward direction's last state is the one at the first time step.
            read = torch.cat([hidden[-2], hidden[-1]], 1) if self.rnn.bidirectional else hidden[-1]
        return self.head(self.dropout(read))


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


def layer_by_layer(
    rnn: nn.RNNBase, x: Tensor, kernel: Callable[..., tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """x (batch, time, features) through the layers and directions of a module, each by `kernel`.

    kernel: x (time, batch, features) and four parameters to all states and the last (state, or state
    and cell). Gives all states (batch, time, directions * hidden) and the last, each (layers *
    directions, batch, hidden), as the modules of torch.nn do.
    """
    x = x.transpose(0, 1)
    lasts = []
    for layer in range(rnn.num_layers):
        sides = []
        for suffix in ("", "_reverse")[: 2 if rnn.bidirectional else 1]:
            weights = [
                getattr(rnn, f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            states, *last = kernel(x.flip(0) if suffix else x, *weights)
            sides.append(states.flip(0) if suffix else states)
            lasts.append(last)
        x = torch.cat(sides, 2) if rnn.bidirectional else sides[0]
        if layer < rnn.num_layers - 1:
            x = functional.dropout(x, rnn.dropout, rnn.training)
    return x.transpose(0, 1), *(torch.stack(each) for each in zip(*lasts, strict=True))


class _Native:
    """A module of torch.nn that `native.c` computes where it can: on a CPU, for a batch of sequences
    from a zero state. Elsewhere, cuDNN's with CUDA, it is torch's own."""

    use_native = True
    """Whether it may; the network sets it by `train.kernels`."""
    kind: native.Kind
    relu = False

    def is_native(self: Any, x: Tensor, hx: object = None) -> bool:
        low = torch.is_autocast_enabled("cpu")
        return bool(
            self.use_native and x.device.type == "cpu" and hx is None and x.ndim == 3 and x.numel()
            and self.batch_first and self.bias and not torch.compiler.is_compiling()
            and (low or x.dtype == self.weight_hh_l0.dtype) and native.supports(self.product_type())
        )  # fmt: skip

    def product_type(self: Any) -> torch.dtype:
        """What the products run in: under autocast, its type in place of float32."""
        dtype = self.weight_hh_l0.dtype
        lower = dtype == torch.float32 and torch.is_autocast_enabled("cpu")
        return torch.get_autocast_dtype("cpu") if lower else dtype

    def natively(self: Any, x: Tensor) -> tuple[Tensor, ...]:
        dtype = self.product_type()

        def kernel(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            states: tuple[Tensor, ...] = native.Recurrent.apply(
                self.kind, self.relu, dtype, x, *weights
            )
            return states

        return layer_by_layer(self, x, kernel)


class RNN(_Native, nn.RNN):
    """torch.nn.RNN, natively where that can be."""

    kind = "rnn"

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        if not self.is_native(x, hx):
            return super().forward(x, hx)
        self.relu = self.nonlinearity == "relu"
        states, hidden = self.natively(x)
        return states, hidden


class GRU(_Native, nn.GRU):
    """torch.nn.GRU, natively where that can be."""

    kind = "gru"

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        if not self.is_native(x, hx):
            return super().forward(x, hx)
        states, hidden = self.natively(x)
        return states, hidden


class LSTM(_Native, nn.LSTM):
    """torch.nn.LSTM, natively where that can be."""

    kind = "lstm"

    def forward(  # type: ignore[override]
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if not self.is_native(x, hx):
            return super().forward(x, hx)
        states, hidden, cell = self.natively(x)
        return states, (hidden, cell)


class ReluLSTM(LSTM):
    """An LSTM whose candidate and output use relu in place of tanh, as Keras's
    LSTM(activation="relu"); parameters as in torch.nn.LSTM. torch has none: what `native.c` does not
    take is computed step by step.

    Input (batch, time, features); returns states (batch, time, directions * hidden) and the last
    (hidden, cell), each (layers * directions, batch, hidden).
    """

    relu = True

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # type: ignore[override]
        if self.is_native(x):
            return super().forward(x)
        states, hidden, cell = layer_by_layer(self, x, self.unrolled)
        return states, (hidden, cell)

    def unrolled(
        self, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer of one direction, in torch's own operations."""
        h = c = x.new_zeros(x.shape[1], self.hidden_size)
        states = []
        for step in functional.linear(x, w_ih, b_ih + b_hh).unbind():
            i, f, g, o = (step + functional.linear(h, w_hh)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.relu()
            h = o.sigmoid() * c.relu()
            states.append(h)
        return torch.stack(states), h, c
