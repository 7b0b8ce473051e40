"""Independent networks trained in one batch; their outputs are never averaged.

Models of one shape are computed as one: their parameters are stacked, each member's a slice of the stacks.

Rows of all members are in one batch (members * batch, ...), member by member. Linear and recurrent layers compute all members
at once, from weights (members, ...). Convolutions, which use all cores for one member, are computed member by member,
and so are recurrent layers without native kernels. Each member draws its dropout from its own generator, in the
order in which its network would draw alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.kernels.call import supports
from nnzoo.models.cnn import CNN
from nnzoo.models.fused import LinearGroup, group_layers, run_linear_group
from nnzoo.models.layers import (
    Converted,
    Dropout,
    FrozenNorm,
    Linear,
    draws_fast,
    fill_dropout_mask,
    uses_randomness,
)
from nnzoo.models.mlp import MLP
from nnzoo.models.packed import pack, packed_dropout
from nnzoo.models.recurrent_layers import run_layers, run_packed_layers
from nnzoo.models.rnn import Recurrent
from nnzoo.models.table_layers import TableLayer

_OURS = (MLP, CNN, Recurrent)


def unsupported_reason(model: nn.Module, device: torch.device) -> str:
    """Why members like this model cannot be computed as one; empty if they can."""
    modules = list(model.modules())
    if device.type != "cpu" and any(isinstance(module, nn.RNNBase) for module in modules):
        return "cuDNN's recurrent layers cannot be stacked"
    if device.type != "cpu" and any(getattr(module, "p", 0) for module in modules):
        return "on a GPU one generator draws dropout for all networks"
    if type(model) not in _OURS:
        return f"{type(model).__name__} is not one of nnzoo's models"
    if any(isinstance(module, nn.Embedding) for module in modules):
        return "the gradient of an embedding has other rows in each network"
    for module in modules:
        package = type(module).__module__.partition(".")[0]
        if package not in ("torch", "nnzoo") or isinstance(module, Converted):
            return f"{type(module).__name__} cannot be stacked"
    return ""


def linear_by_member(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (members * batch, in), weight (members, out, in) and bias (members, out) to (members * batch, out)."""
    x = x.unflatten(0, (len(weight), -1))
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT).flatten(0, 1)


class StackedModel:
    """Members of one shape; call it with (members * batch, *shape) for (members * batch, outputs).

    parameters, buffers: by name, each (members, *shape); those of the members become slices of them, so that whatever
    reads or writes a member finds it up to date. generators: one per member, seeded by the trainer; uses_randomness:
    whether anything is drawn. `training` is as in a module.
    """

    training = True

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.members = len(models)
        self.model = models[0]
        self.use_native = any(getattr(m, "use_native", False) for m in self.model.modules())
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        self.generators = [torch.Generator() for _ in models]
        for name, _ in self.model.named_parameters():
            parameters = [model.get_parameter(name) for model in models]
            stack = torch.stack([parameter.detach() for parameter in parameters])
            for parameter, part in zip(parameters, stack, strict=True):
                parameter.data = part
            self.parameters[name] = stack.requires_grad_(parameters[0].requires_grad)
        for name, _ in self.model.named_buffers():
            self.buffers[name] = torch.stack([model.get_buffer(name) for model in models])
            path, _, last = name.rpartition(".")
            for model, part in zip(models, self.buffers[name], strict=True):
                model.get_submodule(path)._buffers[last] = part
        self.uses_randomness = uses_randomness(self.model)
        self.names = {id(module): name for name, module in self.model.named_modules()}

    def __call__(self, x: Any) -> Tensor:
        if isinstance(self.model, CNN):
            is_padded = isinstance(x, PaddedSequences)
            x = self.by_member(self.model.features, self.split_members(self.model.to_channels(x)))
            if is_padded:
                x = torch.cat([self.model.pool_time(maps) for maps in x])
            return self.rows(cast(Iterable[nn.Module], self.model.head), x)
        if isinstance(self.model, Recurrent):
            return self.recurrent(self.model, x)
        return self.rows(cast(MLP, self.model), x)

    def stacked(self, module: nn.Module, name: str) -> Tensor:
        """The stack of a parameter or buffer of a module of the first member."""
        path = f"{self.names[id(module)]}.{name}".removeprefix(".")
        return self.parameters[path] if path in self.parameters else self.buffers[path]

    def is_native(self, x: Tensor, weight: Tensor) -> bool:
        """Whether a single network computes a layer with this weight by native kernels."""
        return self.use_native and supports(x, weight)

    def by_member(self, module: nn.Module, inputs: Sequence[Any]) -> Any:
        """Outputs of a module for each member's inputs, (members * batch, ...) or a list of what else it returns, each member
        computed, and drawing, as its network does alone."""
        prefix = f"{self.names[id(module)]}."
        stacks = {
            name.removeprefix(prefix): stack.unbind()
            for name, stack in (self.parameters | self.buffers).items()
            if name.startswith(prefix)
        }
        is_random = self.uses_randomness and self.training
        if module.training != self.training:
            module.train(self.training)
        outputs = []
        with torch.random.fork_rng(devices=(), enabled=is_random):
            for i, rows in enumerate(inputs):
                if is_random:
                    torch.set_rng_state(self.generators[i].get_state())
                tensors = {name: parts[i] for name, parts in stacks.items()}
                outputs.append(functional_call(module, tensors, (rows,)))
                if is_random:
                    self.generators[i].set_state(torch.get_rng_state())
        return torch.cat(outputs) if isinstance(outputs[0], Tensor) else outputs

    def split_members(self, x: Inputs) -> Sequence[Any]:
        """Each member's rows."""
        if not isinstance(x, PaddedSequences):
            return x.chunk(self.members)
        batch = len(x) // self.members
        return [x[i * batch : (i + 1) * batch] for i in range(self.members)]

    # Layers of rows (members * batch, features).

    def rows(self, layers: Iterable[nn.Module], x: Tensor) -> Tensor:
        """Run layers in order; in training the groups of FusedSequential by native kernels."""
        layers = list(layers)
        first = next((layer for layer in layers if isinstance(layer, Linear)), None)
        is_wanted = first is not None and (self.training or first.batch_invariant)
        native = is_wanted and self.is_native(x, cast(Linear, first).weight)
        for group in group_layers(layers) if native else layers:
            if isinstance(group, LinearGroup):
                x = self.linear_group(group, x)
            else:
                x = self.row_layer(cast(nn.Module, group), x)
        return x

    def linear_group(self, group: LinearGroup, x: Tensor) -> Tensor:
        def draw(width: int, dropout: float) -> tuple[Tensor, float]:
            shape = len(x) // self.members, width
            masks, scale = self.dropout_masks(x, shape, dropout, True, torch.uint8)
            return masks.flatten(0, 1), scale

        parameters = [
            self.stacked(layer, name) for layer in group.linears for name in ("weight", "bias")
        ]
        return run_linear_group(x, group.dropouts, parameters, draw)

    def row_layer(self, layer: nn.Module, x: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            return linear_by_member(x, self.stacked(layer, "weight"), self.stacked(layer, "bias"))
        if isinstance(layer, nn.Dropout):
            if not (self.training and layer.p):
                return x
            shape = (len(x) // self.members, *x.shape[1:])
            masks, scale = self.dropout_masks(x, shape, layer.p, isinstance(layer, Dropout))
            return x * masks.flatten(0, 1) * scale
        if isinstance(layer, TableLayer):
            return cast(Tensor, self.by_member(layer, x.chunk(self.members)))
        if isinstance(layer, nn.BatchNorm1d):
            return self.batch_norm(layer, x)
        if isinstance(layer, nn.LayerNorm):
            x = functional.layer_norm(x, layer.normalized_shape, None, None, layer.eps)
            weight, bias = self.stacked(layer, "weight"), self.stacked(layer, "bias")
            x = x.unflatten(0, (self.members, -1))
            return torch.addcmul(bias[:, None], weight[:, None], x).flatten(0, 1)
        return cast(Tensor, layer(x))

    def batch_norm(self, layer: nn.BatchNorm1d, x: Tensor) -> Tensor:
        """Members side by side as channels (batch, members * features)."""
        stacked = partial(self.stacked, layer)
        training = self.training and not isinstance(layer, FrozenNorm)
        if training:
            stacked("num_batches_tracked").add_(1)
        x = functional.batch_norm(
            x.unflatten(0, (self.members, -1)).transpose(0, 1).flatten(1, 2),
            stacked("running_mean").view(-1),
            stacked("running_var").view(-1),
            stacked("weight").flatten(),
            stacked("bias").flatten(),
            training,
            cast(float, layer.momentum),
            layer.eps,
        )
        return x.unflatten(1, (self.members, -1)).transpose(0, 1).flatten(0, 1)

    def dropout_masks(
        self,
        x: Tensor,
        shape: Sequence[int],
        dropout: float,
        is_fast: bool,
        dtype: torch.dtype | None = None,
    ) -> tuple[Tensor, float]:
        """Each member's mask (members, *shape), in x's type unless one is given, and the factor of kept values; is_fast: drawn
        as `layers.Dropout` does, else as torch does."""
        masks = torch.empty(self.members, *shape, dtype=dtype or x.dtype, device=x.device)
        if is_fast and draws_fast(x):
            return masks, fill_dropout_mask(masks.view(self.members, -1), dropout, self.generators)
        for mask, generator in zip(masks, self.generators, strict=True):
            mask.bernoulli_(1 - dropout, generator=generator).div_(1 - dropout)
        return masks, 1.0

    # Recurrent layers: (members, batch, time, features).

    def recurrent(self, model: Recurrent, x: Any) -> Tensor:
        if isinstance(x, PaddedSequences):
            return self.recurrent_packed(model, x)
        rnn = model.rnn
        x = model.sequence(x)
        first = cast(Tensor, rnn.weight_hh_l0)
        if not self.is_native(x, first):
            outputs = self.by_member(rnn, self.split_members(x))
            read = torch.cat([model.read(states, last) for states, last in outputs])
            return self.rows([model.dropout, model.head], read)

        def drop(x: Tensor) -> Tensor:
            if not (self.training and rnn.dropout):
                return x
            masks, scale = self.dropout_masks(x, [len(x), *x.shape[2:]], rnn.dropout, False)
            return x * masks.transpose(0, 1) * scale

        layer = cast(Any, rnn).native_layer()
        x = x.unflatten(0, (self.members, -1))
        states, *last = run_layers(rnn, x, layer, partial(self.stacked, rnn), drop)
        read = model.read(states, tuple(last)).flatten(0, 1)
        return self.rows([model.dropout, model.head], read)

    def recurrent_packed(self, model: Recurrent, x: PaddedSequences) -> Tensor:
        """Outputs for sequences of different lengths, (members * batch, outputs)."""
        rnn, packed = model.rnn, pack(x, self.members)
        if not self.is_native(packed.values, cast(Tensor, rnn.weight_hh_l0)):
            parts = [pack(rows) for rows in self.split_members(x)]
            outputs = self.by_member(rnn, parts)
            reads = [
                part.unsorted(model.read_packed(*output))
                for part, output in zip(parts, outputs, strict=True)
            ]
            return self.rows([model.dropout, model.head], torch.cat(reads))

        def drop(rows: Tensor) -> Tensor:
            if not (self.training and rnn.dropout):
                return rows
            return packed_dropout(rows, packed, rnn.dropout, self.generators)

        layer = cast(Any, rnn).native_layer(packed.packing)
        states, *last = run_packed_layers(rnn, packed, layer, partial(self.stacked, rnn), drop)
        lasts = tuple(state.flatten(1, 2) for state in last)
        read = packed.unsorted(model.read_packed(states, lasts))
        return self.rows([model.dropout, model.head], read)
