"""Recurrent networks: Elman (rnn), LSTM and GRU with a linear output layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from nnzoo.config.model_options import GruOptions, LstmOptions, RecurrentOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.errors import ConfigError
from nnzoo.models.initialize import init_forget_bias, init_layer, init_recurrent
from nnzoo.models.layers import Linear
from nnzoo.models.packed import PackedRows, pack
from nnzoo.models.recurrent_layers import (
    GRU,
    LSTM,
    RNN,
    NativeRNN,
    ReluLSTM,
    TokenInput,
    pool_packed,
)

if TYPE_CHECKING:
    from nnzoo.models.embedding import Embedding


class Recurrent(nn.Module):
    """A stack of recurrent layers in `rnn`, read out into the linear layer `head`.

    Input (batch, time, features), sequences of different lengths, ids of tokens, or an image (batch, channels, height,
    width) read row by row from the top, each row as channels * width features; output (batch, outputs), of a language
    model (batch * time, outputs). `rnn` is, or has the parameters of, torch.nn.RNN, LSTM or GRU.
    """

    state: tuple[Tensor, ...] | None = None
    """Of a language model: hidden state (and cell), each (layers, batch, hidden), at the end of the last batch, from
    which the next one of as many rows starts; None: zero."""

    def __init__(self, options: RecurrentOptions, input_spec: InputSpec, outputs: int) -> None:
        super().__init__()
        if input_spec.kind == "table":
            raise ConfigError.at(
                "model.name",
                f"{options.name} reads a sequence: a series, or an image row by row, but the data "
                "is a table whose columns have no order; use mlp",
            )
        self.is_image = input_spec.kind == "image"
        self.per_step = input_spec.per_step
        if self.per_step and options.bidirectional:
            raise ConfigError.at(
                "model.bidirectional", "a language model predicts what follows and must not read it"
            )
        self.embedding: Embedding | None = None
        if input_spec.kind == "tokens":
            from nnzoo.models.embedding import Embedding

            self.embedding = Embedding(options, input_spec)
            features = self.embedding.embedding_dim
        elif self.is_image:
            features = input_spec.shape[0] * input_spec.shape[2]
        else:
            features = input_spec.shape[1]
        # Values that a layer reads and writes per sample: states, gates and their inputs.
        steps = input_spec.shape[1] if self.is_image else input_spec.shape[0]
        self.activations = steps * (features + 8 * options.hidden_size)
        self.readout = options.readout
        self.rnn = _cell(options, features)
        width = options.hidden_size * (2 if options.bidirectional else 1)
        self.dropout = nn.Dropout(options.dropout)
        self.head = Linear(width, outputs)
        self.head.batch_invariant = input_spec.variable_length
        init_layer(self.head, options.init, "linear")

    def forward(self, x: Inputs) -> Tensor:
        if isinstance(x, PaddedSequences) and not len(x):
            # A shard may have no rows, of which gradients are zero.
            x = x.values.new_zeros(0, 1, x.values.shape[2])
        if isinstance(x, PaddedSequences):
            packed = pack(x)
            if self.embedding is not None:
                packed = self.embedding(packed)
            read = packed.unsorted(self.read_packed(*self.rnn(packed)))
        elif self.per_step:
            read = self.read_steps(x)
        else:
            read = self.read(*self.rnn(self.sequence(x)))
        read = self.dropout(read) if self.dropout.p else read
        return self.head(read.flatten(0, 1) if self.per_step else read)

    def read_steps(self, x: Tensor) -> Tensor:
        """The hidden state at every step of ids (batch, time, 1), from `state` on: (batch, time, hidden)."""
        start = self.state
        if start is not None and start[0].shape[1] != len(x):
            start = None
        hx: Any = start if start is None or len(start) > 1 else start[0]
        states, last = self.rnn(self.tokens(x, hx) or self.sequence(x), hx)
        lasts = last if isinstance(last, tuple) else (last,)
        self.state = tuple(tensor.detach().float() for tensor in lasts)
        # Rows first in memory, too, as dropout draws for a shard of them.
        return cast(Tensor, states).contiguous()

    def tokens(self, x: Tensor, hx: Any) -> TokenInput | None:
        """The ids (batch, time, 1) as `rnn` takes them instead of their vectors; None if it does not."""
        embedding = self.embedding
        if embedding is None or not embedding.is_plain or not embedding.use_native:
            return None
        ids, rnn = x.squeeze(-1), self.rnn
        # Ids alone, and not torch's own modules, which take their place on CUDA.
        if ids.dtype is not torch.int32 or not isinstance(rnn, NativeRNN):
            return None
        reads = rnn.reads_tokens(ids, embedding.weight, hx)
        return TokenInput(ids, embedding.weight) if reads else None

    def sequence(self, x: Tensor) -> Tensor:
        """The input as `rnn` takes it (batch, time, features)."""
        if self.embedding is not None:
            return cast(Tensor, self.embedding(x))
        if not self.is_image:
            return x
        # One channel, as most images have, takes one call of torch: a step of the LSTM has a dozen.
        return x.squeeze(1) if x.shape[1] == 1 else x.permute(0, 2, 1, 3).flatten(2)

    def read(self, states: Tensor, last: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Pool the outputs of `rnn`, (..., batch, time, directions * hidden) and (layers * directions, ..., batch,
        hidden), to the input of the output layer (..., batch, directions * hidden)."""
        if self.readout == "mean":
            return states.mean(-2)
        if self.readout == "max":
            return states.amax(-2)
        return self.read_last(last)

    def read_packed(self, states: PackedRows, last: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Pool the outputs of `rnn` for sequences of different lengths to (batch, directions * hidden), in their order."""
        if self.readout == "last":
            return self.read_last(last)
        return pool_packed(states, self.readout, self.head.use_native)

    def read_last(self, last: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The last state of each direction side by side."""
        hidden = last[0] if isinstance(last, tuple) else last
        # The backward direction's last state is the one at the first time step.
        if self.rnn.bidirectional:
            return torch.cat([hidden[-2], hidden[-1]], -1)
        # Backward of an index would fill a tensor with zeros first.
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
            init_forget_bias(cell)
    else:
        assert isinstance(options, GruOptions)
        cell = GRU(**arguments)
        init_recurrent(cell, options.init, "sigmoid")
    return cell
