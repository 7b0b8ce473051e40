"""Convert the layers of a model in place: to layers of several processes, and to layers that train on CUDA as on the CPU.

Converted layers keep their parameters, names and other attributes; they also work in networks of other packages.

Several processes: batch norm takes its statistics over all processes, forward and backward, and dropout draws for the whole
batch. Outside of `batch_shard` they do what they did.

CUDA: cuDNN's recurrent layers are float16 under autocast, whatever type it asks for, and float16 without a scaled loss loses
small gradients and overflows with large ones. Dropout draws in other orders than on the CPU, and between cuDNN's
layers from a state of its own.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nnzoo.data.sampling import BatchShard, current_shard
from nnzoo.models.layers import Converted, Dropout, draws_fast, single_layers, uses_cudnn
from nnzoo.models.packed import PackedRows, packed_dropout


class Communicator(Protocol):
    """Collectives that batch norm needs."""

    def all_gather(self, numbers: Tensor) -> Tensor:
        """Gather values (...) of all processes: (processes, ...)."""
        ...

    def all_reduce(self, numbers: Tensor) -> Tensor:
        """Sum the values of all processes, in place."""
        ...


def convert_sync_layers(model: nn.Module, processes: Communicator) -> None:
    """Convert a model's batch norms, dropouts and recurrent layers to layers that synchronize several processes."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.processes = processes  # type: ignore[assignment]
            mix_in_class(module, _SyncBatchNorm)
        elif isinstance(module, nn.Dropout) and not isinstance(module, SyncDropout):
            mix_in_class(module, SyncDropout)
        elif isinstance(module, nn.RNNBase) and not isinstance(module, SyncDropoutRNN):
            convert_rnn_dropout(module)


def convert_rnn_dropout(module: nn.RNNBase) -> None:
    """Make a recurrent module with dropout between its layers compute them one by one."""
    if module.dropout and module.num_layers > 1:
        mix_in_class(module, SyncDropoutRNN)
        module.flatten_parameters()


def mix_in_class(module: nn.Module, mixin: type[Converted]) -> None:
    """Put a class before a module's own class, so that its `forward` comes first; the module keeps everything else."""
    first = type(module)
    module.__class__ = type(first.__name__, (mixin, first), {})


def drop_shard(x: Tensor, dropout: float, shard: BatchShard) -> Tensor:
    """torch's dropout of a shard x (..., rows, features), drawn for the whole batch."""
    shape = list(x.shape)
    shape[-2] = shard.total
    noise = x.new_empty(shape).bernoulli_(1 - dropout).div_(1 - dropout)
    return x * shard.of(noise, -2)


class SyncDropout(Converted):
    """Dropout drawn for the whole batch. On CUDA one process draws so too: torch's own, one kernel there,
    draws in another order."""

    def forward(self: Any, x: Tensor) -> Tensor:
        shard = current_shard()
        if shard is None and x.device.type == "cuda":
            shard = BatchShard(0, len(x), len(x))
        by_torch = shard is None or not self.training or not 0 < self.p < 1
        quick = isinstance(self, Dropout) and draws_fast(x)
        rows = 0 if shard is None else shard.rows
        if by_torch or quick or not rows or len(x) % rows:
            return cast(Tensor, super().forward(x))  # type: ignore[misc]
        # All copies of a row, in an ensemble, as one row.
        together = x.reshape(rows, -1)
        return drop_shard(together, self.p, cast(BatchShard, shard)).view_as(x)


class SyncDropoutRNN(Converted):
    """Recurrent layers one by one, with the dropout between them drawn for the whole batch.

    On CUDA always: cuDNN's own dropout between layers has a state that the host waits for in every step
    and that is another one in every process.
    """

    def forward(self: Any, x: Tensor, state: Any = None) -> Any:
        shard = current_shard()
        if isinstance(x, PackedRows) and self.training:
            return self.run_packed_single_layers(x)
        initial = () if state is None else (state,)
        if not isinstance(x, Tensor) or x.ndim != 3:
            return super().forward(x, *initial)  # type: ignore[misc]
        if shard is None and x.device.type == "cuda":
            rows = len(x) if self.batch_first else x.shape[1]
            shard = BatchShard(0, rows, rows)
        elif shard is None or not self.training:
            return super().forward(x, *initial)  # type: ignore[misc]
        lasts, states = [], _split_layers(state, len(self.layers))
        for i, layer in enumerate(self.layers):
            layer.training = self.training
            if i and self.training and self.dropout:
                # Time first, as torch draws.
                first = x.transpose(0, 1) if self.batch_first else x
                dropped = drop_shard(first, self.dropout, shard)
                x = dropped.transpose(0, 1) if self.batch_first else dropped
            x, last = layer(x) if states[i] is None else layer(x, states[i])
            lasts.append(last)
        return x, _join_layers(lasts)

    def run_packed_single_layers(self: Any, x: PackedRows) -> Any:
        """All states and the last ones of sequences of different lengths, in training."""
        lasts = []
        for i, layer in enumerate(self.layers):
            layer.training = True
            if i and self.dropout:
                x = x.with_values(packed_dropout(x.values, x, self.dropout))
            x, last = layer(x)
            lasts.append(last)
        return x, _join_layers(lasts)

    def flatten_parameters(self: Any) -> None:
        """Rebuild the single layers from the current parameters, contiguous per layer if cuDNN is used; torch
        calls it after it has moved a module."""
        self.__dict__["layers"] = single_layers(self)  # no submodules: no new names


def _split_layers(state: Any, layers: int) -> list[Any]:
    """The initial state of each single layer; None for zero."""
    if state is None:
        return [None] * layers
    if isinstance(state, tuple):
        return list(zip(*(tensor.chunk(layers) for tensor in state), strict=True))
    return list(state.chunk(layers))


def _join_layers(lasts: list[Any]) -> Any:
    """The last states, or states and cells, of single layers as a module of several layers returns them."""
    if isinstance(lasts[0], tuple):
        return tuple(torch.cat(states) for states in zip(*lasts, strict=True))
    return torch.cat(lasts)


class _SyncBatchNorm(Converted):
    def forward(self: Any, x: Tensor) -> Tensor:
        if current_shard() is None or not self.training:
            return cast(Tensor, super().forward(x))  # type: ignore[misc]
        self._check_input_dim(x)
        y, mean, variance, count = _SyncBatchNormFunction.apply(
            x, self.weight, self.bias, self.eps, self.processes
        )
        if self.track_running_stats:
            self.num_batches_tracked.add_(1)
            part = self.momentum
            if part is None:
                part = 1 / int(self.num_batches_tracked)
            self.running_mean.lerp_(mean, part)
            self.running_var.lerp_(variance * (count / (count - 1)), part)
        return cast(Tensor, y)


class _SyncBatchNormFunction(torch.autograd.Function):
    """Normalize x (rows, channels, ...) by the statistics of all processes' rows; returns y, their mean and variance
    (channels,), and the number of values per channel.

    Means and squares are merged from the processes' own (Chan et al. 1979): one exchange forward and one backward, as
    in torch.nn.SyncBatchNorm, which is for CUDA alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        processes: Communicator,
    ) -> Any:
        channels = x.shape[1]
        values = x.numel() // channels
        dims = [0, *range(2, x.ndim)]
        variance = mean = x.new_zeros(channels).float()
        if values:
            variance, mean = torch.var_mean(x.float(), dims, correction=0)
        local = torch.stack([mean, variance, torch.full_like(mean, values)]).double()
        means, variances, counts = processes.all_gather(local).unbind(1)
        count = counts.sum(0)
        merged_mean = (means * counts).sum(0) / count
        merged_var = ((variances + (means - merged_mean) ** 2) * counts).sum(0) / count
        mean, variance = merged_mean.float(), merged_var.float()
        y = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.processes, ctx.count = eps, processes, float(count[0])
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance, ctx.count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
        x, weight, mean, variance = ctx.saved_tensors
        scale = (variance + ctx.eps).rsqrt()
        if x.numel():
            # As in evaluation, with constant statistics. Their own gradients are added below.
            gradient, along, over = torch.ops.aten.native_batch_norm_backward(
                grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
            )
        else:
            gradient, along, over = grad, torch.zeros_like(mean), torch.zeros_like(mean)
        sums = ctx.processes.all_reduce(torch.stack([over, along]).float()) / ctx.count
        factor = scale if weight is None else scale * weight
        shape = (1, -1) + (1,) * (x.ndim - 2)
        around = (x - mean.view(shape)).mul_((factor * scale * sums[1]).view(shape))
        gradient = gradient - around.add_((factor * sums[0]).view(shape))
        needed = [along, over] if weight is not None else [None, None]
        return gradient.to(x.dtype), *needed, None, None


# CUDA.


def convert_cuda_layers(model: nn.Module) -> None:
    """Let recurrent layers stay float32 under autocast, and dropout draw alike for one process and for a
    shard of the batch. The model is on its CUDA device; parameters and names stay as they are."""
    for module in model.modules():
        if isinstance(module, nn.Dropout) and module.p:
            mix_in_class(module, SyncDropout)
        elif isinstance(module, nn.RNNBase):
            convert_rnn_dropout(module)
            if uses_cudnn(module):
                mix_in_class(module, Float32RNN)


class Float32RNN(Converted):
    """Recurrent layers in float32, also where autocast asks for less."""

    def forward(self: Any, x: Any, *state: Any) -> Any:
        if not torch.is_autocast_enabled("cuda"):
            return super().forward(x, *state)  # type: ignore[misc]
        with torch.autocast("cuda", enabled=False):
            return super().forward(x.float(), *state)  # type: ignore[misc]
