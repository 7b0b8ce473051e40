"""1-D convolutional layers on sequences of different lengths, each row computed as if it were alone.

Layers are torch's own modules, called on padded tensors. Values behind the end of a row are made zero before whatever
would read them, and lengths follow each layer as the size of a row alone does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nnzoo.data.sampling import BatchShard, current_shard
from nnzoo.data.sequences import PaddedSequences
from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import fill_dropout_mask

Observer = Callable[[nn.Module, "PaddedMaps"], None]
_observers: list[Observer] = []
_POOLING = (nn.MaxPool1d, nn.AvgPool1d, nn.LPPool1d)


@dataclass(frozen=True)
class PaddedMaps:
    """Feature maps of sequences of different lengths.

    values: (batch, channels, time); lengths: (batch,) int64 on the CPU, at least 1; is_clean: whether values behind the
    end of each row are zero.
    """

    values: Tensor
    lengths: Tensor
    is_clean: bool = True

    @classmethod
    def of(cls, x: PaddedSequences) -> PaddedMaps:
        """The features of sequences as channels."""
        return cls(x.values.transpose(1, 2), x.lengths)

    @property
    def mask(self) -> Tensor:
        """Which time steps are real: (batch, 1, time) bool, on the device of the values."""
        steps = torch.arange(self.values.shape[2], device=self.lengths.device)
        return (steps < self.lengths[:, None]).unsqueeze(1).to(self.values.device)

    def filled(self, value: float = 0.0) -> Tensor:
        """The values, with a constant behind the end of each row."""
        if self.is_clean and value == 0:
            return self.values
        return self.values.masked_fill(~self.mask, value)

    def pooled(self, pooling: str) -> Tensor:
        """Average or maximum of each channel over a row's time steps: (batch, channels, 1)."""
        if pooling == "max":
            return self.filled(-torch.inf).amax(2, keepdim=True)
        lengths = self.lengths.to(self.values.device, self.values.dtype)
        return self.filled().sum(2, keepdim=True) / lengths.view(-1, 1, 1)


class PaddedSequential(FusedSequential):
    """FusedSequential that also takes PaddedSequences or PaddedMaps, and then returns PaddedMaps."""

    def forward(self, x: Any) -> Any:
        if isinstance(x, PaddedSequences):
            x = PaddedMaps.of(x)
        if not isinstance(x, PaddedMaps):
            return super().forward(x)
        for layer in self:
            x = run_padded(layer, x)
        return x


def _windows(layer: Any) -> Iterator[tuple[int, int, int]]:
    """The padding (of both sides), window and stride of each layer that changes a length, in order."""
    if isinstance(layer, nn.Sequential):
        for module in layer:
            yield from _windows(module)
    elif hasattr(layer, "body"):  # the skip of a residual block changes it alike
        yield from _windows(layer.body)
    elif isinstance(layer, nn.ConstantPad1d):
        yield sum(layer.padding), 1, 1
    elif isinstance(layer, nn.Conv1d):
        yield 2 * int(layer.padding[0]), layer.kernel_size[0], layer.stride[0]
    elif isinstance(layer, _POOLING):
        size: Any = layer.kernel_size
        size = size[0] if isinstance(size, tuple) else size
        yield 0, size, size


def output_length(layer: nn.Module, length: Any) -> Any:
    """The length of a layer's output for an input of some time steps, a number or a tensor."""
    for padding, window, stride in _windows(layer):
        length = (length + padding - window) // stride + 1
    return length


def input_length(layer: nn.Module, length: int) -> int:
    """The least time steps of an input, at least 1, of which a layer makes an output of `length` or more."""
    for padding, window, stride in reversed(list(_windows(layer))):
        length = max(1, (length - 1) * stride + window - padding)
    return length


@contextmanager
def observe_padded(observer: Observer) -> Iterator[None]:
    """Call a function with each layer and its output, which has lengths; a layer's own hooks get values alone."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.pop()


def run_padded(layer: nn.Module, x: PaddedMaps) -> PaddedMaps:
    """Compute one layer for each row as if it were alone."""
    if isinstance(layer, PaddedSequential) or hasattr(layer, "body"):
        return cast(PaddedMaps, layer(x))
    y = _run_layer(layer, x)
    for observer in _observers:
        observer(layer, y)
    return y


def _run_layer(layer: nn.Module, x: PaddedMaps) -> PaddedMaps:
    if isinstance(layer, _BatchNorm):
        return _batch_norm(layer, x)
    if isinstance(layer, nn.GroupNorm):
        return _layer_norm(layer, x)
    if isinstance(layer, nn.Dropout):
        return _dropout(layer, x)
    if isinstance(layer, nn.ConstantPad1d | nn.Conv1d | nn.AvgPool1d):
        values = layer(x.filled())
    elif isinstance(layer, nn.LPPool1d):
        # The root has no gradient at zero, where windows behind the end would be.
        values = layer(x.filled(1.0))
    else:
        values = layer(x.values)
    keeps_zeros = not isinstance(layer, (nn.Conv1d, nn.Sigmoid, *_POOLING))
    is_clean = isinstance(layer, nn.ConstantPad1d) or (x.is_clean and keeps_zeros)
    return PaddedMaps(values, output_length(layer, x.lengths), is_clean)


def _dropout(layer: nn.Dropout, x: PaddedMaps) -> PaddedMaps:
    """Dropout that does not depend on the time to which a batch is padded, which is another one in a shard of it.

    Masks are drawn for the whole batch, time step by time step, by a generator whose seed is one draw.
    """
    if not (layer.training and 0 < layer.p < 1):
        return PaddedMaps(layer(x.values), x.lengths, x.is_clean)
    batch, channels, time = x.values.shape
    shard = current_shard()
    if shard is None or shard.rows != batch:
        shard = BatchShard(0, batch, batch)
    seed = int(torch.empty((), dtype=torch.int64).random_())
    mask = torch.empty(time * shard.total * channels, dtype=torch.uint8)
    scale = fill_dropout_mask(mask, layer.p, (torch.Generator().manual_seed(seed),))
    of_shard = shard.of(mask.view(time, shard.total, channels), 1).permute(1, 2, 0)
    values = x.values * of_shard.to(x.values.device) * scale
    return PaddedMaps(values, x.lengths, x.is_clean)


def _batch_norm(layer: nn.Module, x: PaddedMaps) -> PaddedMaps:
    """Batch norm whose statistics are those of real time steps."""
    if not layer.training:
        return PaddedMaps(layer(x.values), x.lengths, False)
    batch, channels, time = x.values.shape
    real = x.mask.flatten().nonzero().squeeze(1)
    rows = x.values.transpose(1, 2).flatten(0, 1)
    normalized = layer(rows.index_select(0, real))
    values = normalized.new_zeros(batch * time, channels).index_copy(0, real, normalized)
    return PaddedMaps(values.view(batch, time, channels).transpose(1, 2), x.lengths)


def _layer_norm(layer: nn.GroupNorm, x: PaddedMaps) -> PaddedMaps:
    """Layer norm, of one group, over the channels and real time steps of each row."""
    mask, values = x.mask, x.filled().float()
    count = (x.lengths.to(values.device) * values.shape[1]).to(values.dtype).view(-1, 1, 1)
    mean = values.sum((1, 2), keepdim=True) / count
    centered = (values - mean).masked_fill(~mask, 0)
    variance = centered.square().sum((1, 2), keepdim=True) / count
    normalized = centered * (variance + layer.eps).rsqrt()
    weight, bias = layer.weight.view(-1, 1), layer.bias.view(-1, 1)
    return PaddedMaps(torch.addcmul(bias, normalized, weight), x.lengths, False)
