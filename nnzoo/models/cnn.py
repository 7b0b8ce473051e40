"""Convolutional network with pooling: 2-D on images, 1-D on series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nnzoo.config.model_options import CnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.errors import ConfigError, DataError
from nnzoo.models.fused import FusedSequential
from nnzoo.models.initialize import init_layer
from nnzoo.models.layers import Conv2d, Dropout, Linear, activation_layer
from nnzoo.models.padded import PaddedMaps, PaddedSequential, input_length, run_padded
from nnzoo.text import plural

if TYPE_CHECKING:
    from nnzoo.models.embedding import Embedding

Sizes = tuple[int, ...]
LP_NORM = 2

# By the number of directions: 1 for a series, 2 for an image.
_Layers = dict[int, type[nn.Module]]
_CONVOLUTION: _Layers = {1: nn.Conv1d, 2: Conv2d}
_BATCH_NORM: _Layers = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
_PAD: _Layers = {1: nn.ZeroPad1d, 2: nn.ZeroPad2d}
_GLOBAL_POOL: dict[str, _Layers] = {
    "average": {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d},
    "max": {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d},
}
_SEQUENTIAL: dict[int, type[nn.Sequential]] = {1: PaddedSequential, 2: FusedSequential}
_POOL: dict[str, _Layers] = {
    "max": {1: nn.MaxPool1d, 2: nn.MaxPool2d},
    "avg": {1: nn.AvgPool1d, 2: nn.AvgPool2d},
    "lp": {1: nn.LPPool1d, 2: nn.LPPool2d},
}


class CNN(nn.Module):
    """Layers of convolution, norm, pooling, activation and dropout, then a head of linear layers.

    Input (batch, channels, height, width), or (batch, time, features) for a series, or PaddedSequences of which each
    row is computed as if it were alone; output (batch, outputs). `features` and `head` are nn.Sequential, of blocks
    where `residual` asks for them. Max pooling is before the activation: every activation here but gelu and silu
    never falls where its input rises, so the numbers are the same at a quarter of the work.
    """

    def __init__(self, options: CnnOptions, input_spec: InputSpec, outputs: int) -> None:
        super().__init__()
        _check_input(options, input_spec)
        pooling = options.head.pooling
        self.embedding: Embedding | None = None
        if input_spec.kind == "tokens":
            from nnzoo.models.embedding import Embedding

            self.embedding = Embedding(options, input_spec)
        self.is_series = input_spec.kind in ("series", "tokens")
        dims = 1 if self.is_series else 2
        channels = input_spec.shape[-1] if self.is_series else input_spec.shape[0]
        if self.embedding is not None:
            channels = self.embedding.embedding_dim
        size: Sizes = input_spec.shape[:1] if self.is_series else input_spec.shape[1:]
        kernels: list[Any] = [*options.branches] if options.branches else [options.kernel_size]
        stacks = [
            _Stack(options.model_copy(update={"kernel_size": kernel}), channels, size)
            for kernel in kernels
        ]
        self.activations = max(stack.activations for stack in stacks)
        """The most numbers that one convolution reads and writes for one sample."""
        self.features = stacks[0].layers if options.branches is None else Branches(stacks, pooling)
        self.min_length = max(stack.min_length for stack in stacks)
        """The fewest time steps of a sequence of which every layer leaves something."""

        self.pooling = pooling
        head: list[nn.Module] = []
        if pooling != "flatten" and options.branches is None:
            head.append(_GLOBAL_POOL[pooling][dims](1))
        head.append(nn.Flatten())
        features = options.channels[-1] * len(kernels)
        if pooling == "flatten":
            features *= math.prod(stacks[0].size)
        for width in options.head.hidden:
            linear = Linear(features, width)
            init_layer(linear, options.init, options.activation)
            head += [linear, activation_layer(options.activation)]
            if options.head.dropout:
                head.append(Dropout(options.head.dropout))
            features = width
        if options.head.dropout and not options.head.hidden:
            head.append(Dropout(options.head.dropout))
        output = Linear(features, outputs)
        init_layer(output, options.init, "linear")
        self.head = FusedSequential(*head, output)

    def forward(self, x: Inputs) -> Tensor:
        if isinstance(x, PaddedSequences) and not torch.compiler.is_compiling() and not len(x):
            # A shard may have no rows, of which gradients are zero.
            x = x.values.new_zeros(0, self.min_length, x.values.shape[2])
        if self.embedding is not None:
            x = self.embedding(x)
        maps = self.features(self.to_channels(x))
        return self.head(self.pool_time(maps) if isinstance(maps, PaddedMaps) else maps)

    def pool_time(self, maps: PaddedMaps) -> Tensor:
        """Pool sequences of different lengths to the input of `head`, (batch, channels, 1)."""
        return maps.pooled(self.pooling)

    def check_length(self, shortest: int, what: str) -> None:
        """Raise DataError if a layer leaves nothing of `what`, a sequence of so many time steps."""
        if shortest < self.min_length:
            raise DataError.at(
                "model",
                f"{what} has {plural(shortest, 'time step')}, but the layers of this network leave something only of "
                f"{self.min_length} or more; use fewer layers, less pooling or padding 'same' (section model), leave "
                "out shorter recordings, or data.length: N, which resamples every recording to N steps",
                code="E17",
            )

    def to_channels(self, x: Any) -> Any:
        """The input as `features` takes it: (batch, channels, ...), or PaddedSequences as they are."""
        if isinstance(x, PaddedSequences):
            if not torch.compiler.is_compiling():
                self.check_length(int(x.lengths.min()), "the shortest recording")
            return x
        if self.is_series:
            return x.transpose(1, 2)
        # Channels last, which oneDNN and max pooling take as it is: 25 ms of 70 per step of a CNN of 32 and 64 channels
        # on MNIST.
        return x.to(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class _Stack:
    """The layers of all `channels` in their order, for inputs of so many channels and a size."""

    def __init__(self, options: CnnOptions, channels: int, size: Sizes) -> None:
        dims = len(size)
        layers: list[nn.Module] = []
        self.activations = 0
        if options.whiten:
            from nnzoo.models.whiten import whitening_layers

            layers, width, out = whitening_layers(channels, size, options.activation)
            self.activations = channels * math.prod(size) + width * math.prod(out)
            channels, size = width, out
        for i, width in enumerate(options.channels):
            layer = _Layer(options, i, dims)
            built, size = layer.build(channels, width, size)
            layers += built
            channels = width
            self.activations = max(self.activations, layer.activations)
        self.layers = _SEQUENTIAL[dims](*layers)
        self.size = size
        self.min_length = input_length(self.layers, 1) if dims == 1 else 1


class Branches(nn.ModuleList):
    """Stacks of layers side by side on one sequence: (batch, channels, time), or PaddedSequences, to the average or
    maximum of each stack's channels over time, (batch, branches * channels, 1)."""

    def __init__(self, stacks: Sequence[_Stack], pooling: str) -> None:
        super().__init__([stack.layers for stack in stacks])
        self.pooling = pooling

    def forward(self, x: Any) -> Tensor:
        pooled = []
        for branch in self:
            maps = branch(x)
            if not isinstance(maps, PaddedMaps):
                lengths = torch.full((len(maps),), maps.shape[2])
                maps = PaddedMaps(maps, lengths)
            pooled.append(maps.pooled(self.pooling))
        return torch.cat(pooled, 1)


def _check_input(options: CnnOptions, input_spec: InputSpec) -> None:
    """Raise ConfigError for inputs that such a network cannot read."""
    if input_spec.kind == "table":
        raise ConfigError.at(
            "model.name",
            "a cnn needs neighbors: images or series, but the data is a table whose columns "
            "have no order; use mlp",
        )
    if input_spec.per_step:
        raise ConfigError.at(
            "model.name", "a cnn sees what follows; a language model is an rnn, lstm or gru"
        )
    if options.whiten and input_spec.kind != "image":
        raise ConfigError.at("model.whiten", f"is for images, but the data is {input_spec}")
    if options.branches is not None and input_spec.kind == "image":
        raise ConfigError.at("model.branches", "are for sequences, but the data is images")
    if options.branches is not None and options.head.pooling == "flatten":
        raise ConfigError.at(
            "model.head.pooling", "branches are pooled over time: 'average' or 'max'"
        )
    if input_spec.variable_length and options.head.pooling == "flatten":
        resample = ", or data.length: N, which resamples every recording to N steps"
        raise ConfigError.at(
            "model.head.pooling",
            "'flatten' needs sequences of one length, but these have different ones; use 'average' or 'max' over "
            f"time{resample * (input_spec.kind != 'tokens')}",
        )


class _Layer:
    """The options of one layer of `channels`, and how it is built."""

    def __init__(self, options: CnnOptions, index: int, dims: int) -> None:
        self.options = options
        self.index = index
        self.dims = dims
        self.kernel = self.sizes("kernel_size")
        self.stride = self.sizes("stride")
        self.pool = options.per_layer("pool")[index]
        self.pool_size = self.sizes("pool_size")
        self.padding = options.per_layer("padding")[index]
        self.activations = 0

    def sizes(self, key: str) -> Sizes:
        value: Any = self.options.per_layer(key)[self.index]
        if isinstance(value, int):
            return (value,) * self.dims
        if self.dims == 1:
            raise ConfigError.at(
                f"model.{key}",
                f"{value} has two sizes, but a series has one direction; give a number",
            )
        return tuple(value)

    def build(self, channels: int, width: int, size: Sizes) -> tuple[list[nn.Module], Sizes]:
        """The modules of this layer, and the size of the map behind them."""
        options = self.options
        conv_dropout = options.per_layer("dropout")[self.index]
        if options.residual:
            block = ResidualBlock(self, channels, width, size)
            layers: list[nn.Module] = [block]
            size = block.out_size
            pool, size = self.pooling(size)
            layers += pool
        else:
            layers, size = self.convolution(channels, width, size, self.stride)
            pool, size = self.pooling(size)
            activation = [activation_layer(options.activation)]
            monotone = options.activation not in ("gelu", "silu")
            layers += pool + activation if self.pool == "max" and monotone else activation + pool
        if conv_dropout:
            layers.append(Dropout(conv_dropout))
        return layers, size

    def convolution(
        self, channels: int, width: int, size: Sizes, stride: Sizes
    ) -> tuple[list[nn.Module], Sizes]:
        """Return padding if it is uneven, convolution and norm, and the size after them; size: (h, w) or (time,).

        "same" keeps the size divided by the stride, rounded up.
        """
        options = self.options
        before, after = [], []
        for i, kernel in enumerate(self.kernel):
            if self.padding == "same":
                before.append((kernel - 1) // 2)
                after.append(kernel - 1 - (kernel - 1) // 2)
            else:
                border = 0 if self.padding == "valid" else self.padding
                if not isinstance(border, int):
                    border = self.sizes("padding")[i]
                before.append(border)
                after.append(border)
        out = tuple(
            (length + b + a - kernel) // step + 1
            for length, b, a, kernel, step in zip(
                size, before, after, self.kernel, stride, strict=True
            )
        )
        self.check(out, size, f"kernel_size {_text(self.kernel)}, padding {self.padding}")
        numbers = channels * math.prod(size) + width * math.prod(out)
        self.activations = max(self.activations, numbers)
        layers: list[nn.Module] = []
        padding: Sizes = tuple(before)
        if before != after:
            sides = [side for pair in zip(before[::-1], after[::-1], strict=True) for side in pair]
            layers.append(_PAD[self.dims](tuple(sides)))
            padding = (0,) * self.dims
        # Batch norm subtracts whatever a bias would add.
        bias = options.norm != "batch"
        conv = _CONVOLUTION[self.dims](channels, width, self.kernel, stride, padding, bias=bias)
        init_layer(conv, options.init, options.activation)
        layers.append(conv)
        if options.norm == "batch":
            layers.append(_BATCH_NORM[self.dims](width))
        elif options.norm == "layer":
            layers.append(nn.GroupNorm(1, width))
        return layers, out

    def pooling(self, size: Sizes) -> tuple[list[nn.Module], Sizes]:
        """The pooling layer of `model.pool` (none: no layer), and the size after it."""
        if self.pool == "none":
            return [], size
        out = tuple(length // step for length, step in zip(size, self.pool_size, strict=True))
        self.check(out, size, f"pool_size {_text(self.pool_size)}")
        pool = _POOL[self.pool][self.dims]
        window = self.pool_size if self.dims == 2 else self.pool_size[0]
        return [pool(LP_NORM, window) if self.pool == "lp" else pool(window)], out

    def check(self, out: Sizes, size: Sizes, what: str) -> None:
        if min(out) < 1:
            raise ConfigError.at(
                "model",
                f"layer {self.index + 1} of {len(self.options.channels)}: its input is "
                f"{_text(size)} and {what} leaves nothing ({_text(out)}); use fewer layers, less "
                "pooling or 'same' padding",
                code="E17",
            )


class ResidualBlock(nn.Module):
    """Two convolutions with a skip around them (He et al. 2016), then the activation.

    The skip is a 1×1 convolution if channels or size change.
    """

    def __init__(self, layer: _Layer, channels: int, width: int, size: Sizes) -> None:
        super().__init__()
        options = layer.options
        first, middle = layer.convolution(channels, width, size, layer.stride)
        second, self.out_size = layer.convolution(width, width, middle, (1,) * layer.dims)
        self.body = _SEQUENTIAL[layer.dims](*first, activation_layer(options.activation), *second)
        self.skip: nn.Module = nn.Identity()
        straight = tuple(
            (length - 1) // step + 1 for length, step in zip(size, layer.stride, strict=True)
        )
        if self.out_size != straight:
            raise ConfigError.at("model.padding", "residual layers need 'same' padding")
        if channels != width or self.out_size != size:
            self.skip = _CONVOLUTION[layer.dims](
                channels, width, 1, layer.stride, bias=options.norm != "batch"
            )
            init_layer(self.skip, options.init, "linear")
        self.activation = activation_layer(options.activation)

    def forward(self, x: Any) -> Any:
        if isinstance(x, PaddedMaps):
            body, skip = self.body(x), run_padded(self.skip, x)
            is_clean = body.is_clean and skip.is_clean
            added = PaddedMaps(torch.add(body.values, skip.values), body.lengths, is_clean)
            return run_padded(self.activation, added)
        return self.activation(torch.add(self.body(x), self.skip(x)))


def _text(sizes: Sizes) -> str:
    return "×".join(map(str, sizes))
