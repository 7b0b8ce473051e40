"""Multilayer perceptron, as one torch.nn.Sequential."""

from __future__ import annotations

from torch import nn

from nnzoo.config.model_options import MlpOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.models.fused import FusedSequential
from nnzoo.models.initialize import init_layer
from nnzoo.models.layers import Dropout, Linear, activation_layer


class MLP(FusedSequential):
    """Flatten, or the mean of a text's embeddings, then (linear, norm, activation, dropout) a hidden layer, then linear.

    Input (batch, *input_spec.shape), output (batch, outputs). The state_dict fits an nn.Sequential of
    the same layers.
    """

    def __init__(self, options: MlpOptions, input_spec: InputSpec, outputs: int) -> None:
        if input_spec.per_step:
            raise ConfigError.at(
                "model.name", "mlp has no order of tokens; a language model is an rnn, lstm or gru"
            )
        if input_spec.kind == "tokens":
            from nnzoo.models.embedding import EmbeddingMean

            embedding = EmbeddingMean(options, input_spec)
            layers: list[nn.Module] = [embedding]
            features = embedding.embedding_dim
        else:
            layers, features = [nn.Flatten()], input_spec.size
        if input_spec.variable_length and input_spec.kind != "tokens":
            raise ConfigError.at(
                "model.name",
                "mlp takes inputs of one length, but the sequences have up to "
                f"{input_spec.shape[0]:,} time steps each; use rnn, lstm, gru or cnn, or resample every sequence to "
                f"N steps by linear interpolation with data.length: N",
            )
        for width in options.hidden:
            linear = Linear(features, width)
            init_layer(linear, options.init, options.activation)
            layers.append(linear)
            if options.norm != "none":
                layers.append(
                    nn.BatchNorm1d(width) if options.norm == "batch" else nn.LayerNorm(width)
                )
            layers.append(activation_layer(options.activation))
            if options.dropout:
                layers.append(Dropout(options.dropout))
            features = width
        output = Linear(features, outputs)
        init_layer(output, options.init, "linear")
        super().__init__(*layers, output)
