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
    the same layers. With `ensemble` members > 1 the output is (batch * members, outputs) in training.
    """

    ensemble: int

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
        input_layers, features = _input_layers(options, input_spec, features)
        layers += input_layers
        for width in options.hidden:
            layers += _hidden_layer(options, features, width)
            features = width
        super().__init__(*layers, _output_layer(options, features, outputs))
        self.ensemble = options.ensemble


def _input_layers(
    options: MlpOptions, input_spec: InputSpec, features: int
) -> tuple[list[nn.Module], int]:
    """The layers between the features and the first linear layer, none by default, and the number of their outputs."""
    chosen = (
        options.numeric_embedding,
        options.category_embedding,
        options.input_scale or None,
        options.ensemble > 1 or None,
    )
    if chosen == (None, None, None, None):
        return [], features
    from nnzoo.models import table_layers

    layers: list[nn.Module] = []
    if options.numeric_embedding is not None:
        numeric = table_layers.NumericEmbedding(options.numeric_embedding, input_spec)
        layers.append(numeric)
        features = numeric.out_features
    if options.category_embedding is not None:
        categories = table_layers.CategoryEmbedding(
            options.category_embedding, input_spec, features
        )
        layers.append(categories)
        features = categories.out_features
    if options.input_scale:
        layers.append(table_layers.InputScale(features))
    if options.ensemble > 1:
        layers.append(table_layers.EnsembleInput(options.ensemble, features))
    return layers, features


def _hidden_layer(options: MlpOptions, features: int, width: int) -> list[nn.Module]:
    linear = Linear(features, width)
    init_layer(linear, options.init, options.activation)
    layers: list[nn.Module] = [linear]
    if options.norm != "none":
        layers.append(nn.BatchNorm1d(width) if options.norm == "batch" else nn.LayerNorm(width))
    activation = activation_layer(options.activation)
    if options.learn_activation:
        from nnzoo.models.table_layers import LearnedActivation

        activation = LearnedActivation(activation, width)
    layers.append(activation)
    if options.dropout:
        layers.append(Dropout(options.dropout))
    return layers


def _output_layer(options: MlpOptions, features: int, outputs: int) -> nn.Module:
    if options.ensemble > 1:
        from nnzoo.models.table_layers import EnsembleOutput

        return EnsembleOutput(options.ensemble, features, outputs, options.init)
    output = Linear(features, outputs)
    init_layer(output, options.init, "linear")
    return output
