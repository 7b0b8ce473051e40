"""Recurrent networks: Elman (rnn), LSTM and GRU with a linear output layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.schema import GruOptions, LstmOptions, RecurrentOptions, RnnOptions
from nnzoo.data.dataset import Kind
from nnzoo.errors import ConfigError
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
        cell = nn.RNN(nonlinearity=options.nonlinearity, **arguments)
        init_recurrent(cell, options.init, options.nonlinearity)
    elif isinstance(options, LstmOptions):
        cell = (nn.LSTM if options.activation == "tanh" else ReluLSTM)(**arguments)
        init_recurrent(cell, options.init, "sigmoid")
        if options.forget_bias:
            open_forget_gates(cell)
    else:
        assert isinstance(options, GruOptions)
        cell = nn.GRU(**arguments)
        init_recurrent(cell, options.init, "sigmoid")
    return cell


class ReluLSTM(nn.LSTM):
    """An LSTM whose candidate and output use relu in place of tanh, as Keras's
    LSTM(activation="relu"); parameters as in torch.nn.LSTM.

    Input (batch, time, features); returns states (batch, time, directions * hidden) and the last
    (hidden, cell), each (layers * directions, batch, hidden).
    """

    def forward(  # type: ignore[override]
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if hx is None:
            zeros = x.new_zeros(
                self.num_layers * (2 if self.bidirectional else 1), len(x), self.hidden_size
            )
            hx = (zeros, zeros)
        hiddens: list[Tensor] = []
        cells: list[Tensor] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(2 if self.bidirectional else 1):
                index = len(hiddens)
                states, hidden, cell = self._run(
                    x, layer, direction == 1, hx[0][index], hx[1][index]
                )
                outputs.append(states)
                hiddens.append(hidden)
                cells.append(cell)
            x = torch.cat(outputs, 2) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.training)
        return x, (torch.stack(hiddens), torch.stack(cells))

    def _run(
        self, x: Tensor, layer: int, reverse: bool, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        suffix = f"_l{layer}{'_reverse' if reverse else ''}"
        weight_ih, weight_hh = (getattr(self, f"weight_{kind}{suffix}") for kind in ("ih", "hh"))
        bias = getattr(self, f"bias_ih{suffix}") + getattr(self, f"bias_hh{suffix}")
        # The input's share of the gates does not depend on the state: one product for all steps.
        projected = functional.linear(x, weight_ih, bias).unbind(1)
        states: list[Tensor] = []
        for gates_x in reversed(projected) if reverse else projected:
            gates = torch.addmm(gates_x, hidden, weight_hh.t())
            i, f, g, o = gates.chunk(4, 1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.relu(g)
            hidden = torch.sigmoid(o) * torch.relu(cell)
            states.append(hidden)
        return torch.stack(states[::-1] if reverse else states, 1), hidden, cell
