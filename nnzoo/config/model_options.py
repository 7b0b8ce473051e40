"""Options of the section `model`: MLP, CNN, RNN, LSTM and GRU."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nnzoo.config.options import (
    HalfOpenFraction,
    Options,
    PixelCount,
    Positive,
    PositiveInt,
    Size,
    field_error,
    option,
    sanity_limit,
)

Width = Annotated[PositiveInt, sanity_limit(1_000_000)]
Depth = sanity_limit(1000, "layers")

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu", "mish"]
Init = Literal[
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "torch"
]
Norm = Literal["none", "batch", "layer"]


class EmbeddingOptions(Options):
    """The vector of each token, with which a network of text begins."""

    size: Width = option(128, "elements of a vector")
    dropout: HalfOpenFraction = option(
        0.0, "fraction of each text's vectors dropped in training, element by element"
    )
    vectors: str | None = option(
        None,
        "file of vectors to start from, in the text format of GloVe or fastText; of `size` elements",
    )


class StartFromOptions(Options):
    """The trained weights from which a run starts."""

    path: Annotated[str, Field(min_length=1)] = option(
        ...,
        "a run folder, a .pt file (of a run, or weights that PyTorch has saved), or a .safetensors file",
    )
    scaling: Literal["auto", "keep", "fit"] = option(
        "auto",
        "statistics of the preprocessing (means, deviations, values for gaps): keep those of the run, or fit them on "
        "this run's training rows; auto: keep where inputs and preprocessing are the same, else fit",
    )


class ModelOptions(Options):
    name: str
    embedding: Width | EmbeddingOptions | None = option(
        None, "of text: the size of a token's vector, or size, dropout, vectors; default: 128"
    )
    init: Init = option(
        "xavier_uniform",
        "weight initialization; the gain is chosen for the activation, biases start at zero; "
        "'torch' keeps PyTorch's own",
    )
    start_from: Annotated[str, Field(min_length=1)] | StartFromOptions | None = option(
        None,
        "fine-tuning: a run folder, or a .pt or .safetensors file, whose weights are taken where name and shape fit; "
        "or path, scaling",
    )
    freeze: list[Annotated[str, Field(min_length=1)]] = option(
        [],
        "patterns of parameters that training leaves as they are, as in ['features.*']; batch norms all of whose "
        "parameters are frozen keep their statistics, too",
    )

    @property
    def source(self) -> StartFromOptions | None:
        """The options of `start_from`."""
        if isinstance(self.start_from, str):
            return StartFromOptions(path=self.start_from)
        return self.start_from

    @property
    def token_embedding(self) -> EmbeddingOptions:
        """The options of the embedding of a network of text."""
        if self.embedding is None:
            return EmbeddingOptions()
        if isinstance(self.embedding, int):
            return EmbeddingOptions(size=self.embedding)
        return self.embedding


class NumericEmbeddingOptions(Options):
    """A vector for each number of a table: the number itself, and a linear map of cosines of it."""

    size: Annotated[int, Field(ge=2), sanity_limit(1000)] = option(4, "elements of a vector")
    frequencies: Annotated[PositiveInt, sanity_limit(1000)] = option(16, "cosines per number")
    std: Positive = option(0.1, "standard deviation of the frequencies before training")


class CategoryEmbeddingOptions(Options):
    """A vector for each category of those columns that have many."""

    size: Annotated[PositiveInt, sanity_limit(1000)] = option(8, "elements of a vector")
    above: PositiveInt = option(9, "columns with more categories than this; others stay one-hot")


class MlpOptions(ModelOptions):
    """Multilayer perceptron: fully connected layers on a table, a flattened image or window. A classifier's
    outputs go through softmax."""

    name: Literal["mlp"]
    hidden: Annotated[list[Width], Depth] = option([512, 256], "width of each hidden layer")
    activation: Activation = option("relu", "between the layers")
    norm: Norm = option("none", "normalization before each activation")
    dropout: HalfOpenFraction = option(0.0, "fraction of hidden units dropped in training")
    learn_activation: bool = option(
        False,
        "learn per unit how far its activation is from the identity, x + strength * (f(x) - x) (Holzmüller et al. "
        "2024)",
    )
    input_scale: bool = option(
        False, "multiply each input by a learned factor (Holzmüller et al. 2024)"
    )
    numeric_embedding: NumericEmbeddingOptions | None = option(
        None,
        "of tables: {size, frequencies, std} of the vector that each number becomes: itself, and a linear map of "
        "cosines with learned frequencies (Gorishniy et al. 2022; Holzmüller et al. 2024)",
    )
    category_embedding: CategoryEmbeddingOptions | None = option(
        None,
        "of tables: {size, above} of the vectors that replace the one-hot columns of columns with many categories",
    )
    ensemble: Annotated[PositiveInt, sanity_limit(1000)] = option(
        1,
        "members of an ensemble in one network, which share all layers but the output and have their own factors of "
        "the inputs; each learns by its own loss, and outputs are averaged (TabM-mini, Gorishniy et al. 2024)",
    )


PaddingSize = PixelCount | Annotated[list[PixelCount], Field(min_length=2, max_length=2)]
Padding = Literal["same", "valid"] | PaddingSize
Pool = Literal["max", "avg", "lp", "none"]


class HeadOptions(Options):
    """Layers between the last feature map and the output."""

    pooling: Literal["flatten", "average", "max"] = option(
        "flatten", "flatten, or average or maximum of each channel over all positions"
    )
    hidden: Annotated[list[Width], Depth] = option([], "hidden layers before the output layer")
    dropout: HalfOpenFraction = option(0.0, "fraction of units dropped before each of its layers")


class CnnOptions(ModelOptions):
    """Convolutional network: 2-D on images, 1-D on series.

    `kernel_size`, `stride`, `padding`, `pool`, `pool_size` and `dropout` take one value, or a list
    with one value per layer. A size is a number or [height, width]; two numbers in a network of two
    layers are one per layer (write [[h, w], [h, w]] there). A classifier's outputs go through softmax.
    """

    name: Literal["cnn"]
    channels: Annotated[list[Width], Field(min_length=1), Depth] = option(
        [32, 64], "output channels of each layer"
    )
    kernel_size: Size | list[Size] = option(
        3,
        "one number, one per layer, or [height, width] (a list as long as `channels` is read as "
        "one per layer)",
    )
    stride: Size | list[Size] = option(1, "step of the kernel")
    padding: Padding | list[Padding] = option(
        "same", "zeros around: same, valid (none), or how many on each side"
    )
    pool: Pool | list[Pool] = option("max", "max, avg, lp (p = 2) or none")
    pool_size: Size | list[Size] = option(2, "window and step of the pooling")
    activation: Activation = option("relu", "after each convolution")
    norm: Norm = option("none", "normalization after each convolution")
    dropout: HalfOpenFraction | list[HalfOpenFraction] = option(0.0, "after each layer")
    branches: Annotated[list[PositiveInt], Field(min_length=1, max_length=20)] | None = option(
        None,
        "on sequences: kernel sizes of networks side by side, each of all these layers, whose pooled features the "
        "head sees together (Kim 2014); replaces kernel_size",
    )
    residual: bool = option(False, "each layer becomes two convolutions with a skip around them")
    whiten: bool = option(
        False,
        "of images: begin with a fixed 2×2 convolution that decorrelates neighboring pixels and colors, computed from "
        "training rows (Page 2019)",
    )
    head: HeadOptions = option(HeadOptions(), "pooling, hidden, dropout")

    @model_validator(mode="after")
    def _one_value_per_layer(self) -> CnnOptions:
        for key in ("kernel_size", "stride", "padding", "pool", "pool_size", "dropout"):
            value = getattr(self, key)
            if isinstance(value, list):
                pair = key not in ("pool", "dropout") and len(value) == 2
                pair = pair and all(isinstance(item, int) for item in value)
                if len(value) != len(self.channels) and not pair:
                    raise field_error(
                        key, f"{len(value)} values for {len(self.channels)} layers of 'channels'"
                    )
        return self

    def ambiguous_pairs(self) -> list[tuple[str, list[int]]]:
        """The options of two layers that are two numbers, one per layer, and could be meant as height
        and width; with their values."""
        pairs = [(key, getattr(self, key)) for key in ("kernel_size", "stride", "pool_size")]
        return [
            (key, pair)
            for key, pair in pairs
            if len(self.channels) == 2
            and isinstance(pair, list)
            and pair[0] != pair[1]
            and all(isinstance(size, int) for size in pair)
        ]

    def per_layer(self, key: str) -> list[Any]:
        """The value of an option for each layer of `channels`."""
        value = getattr(self, key)
        if isinstance(value, list) and len(value) == len(self.channels):
            return value
        return [value] * len(self.channels)


class RecurrentOptions(ModelOptions):
    hidden_size: Width = option(128, "units per layer and direction")
    num_layers: Annotated[PositiveInt, sanity_limit(1000)] = option(
        1, "stacked layers, each reading the output of the one below"
    )
    bidirectional: bool = option(False, "also run over the sequence backwards")
    dropout: HalfOpenFraction = option(0.0, "between layers and before the output layer")
    readout: Literal["last", "mean", "max"] = option(
        "last", "which hidden states feed the output layer: last, mean or max over time"
    )


class RnnOptions(RecurrentOptions):
    """Elman network (torch.nn.RNN) on a series, or on an image row by row."""

    name: Literal["rnn"]
    nonlinearity: Literal["tanh", "relu"] = option("tanh", "activation of the hidden state")


class LstmOptions(RecurrentOptions):
    """Long short-term memory (torch.nn.LSTM) on a series, or on an image row by row."""

    name: Literal["lstm"]
    activation: Literal["tanh", "relu"] = option(
        "tanh",
        "activation of the cell candidate and the cell output; relu is Keras's "
        "LSTM(activation='relu')",
    )
    forget_bias: bool = option(True, "initialize the forget gate's bias to one")


class GruOptions(RecurrentOptions):
    """Gated recurrent unit (torch.nn.GRU) on a series, or on an image row by row."""

    name: Literal["gru"]
