"""Models of one shape as one computation: their weights in stacks, each member's a slice of them.

Rows of all members lie in one batch (members * batch, ...), those of the first member first. Between
torch's convolutions the members lie side by side as groups of channels (batch, members * channels, ...);
native ones, which fill the cores with one member, are computed member by member. What a layer does is what
the single module does, with a product of stacks for each product; each member draws its dropout from a
generator of its own, in the order in which the single network draws.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn import functional

from nnzoo.kernels.convolution import has_case
from nnzoo.kernels.library import product_type
from nnzoo.kernels.recurrent import Recurrent as NativeLayer
from nnzoo.kernels.tensors import takes
from nnzoo.models import kernels
from nnzoo.models.cnn import CNN, ResidualBlock
from nnzoo.models.features import Conv2d, Features
from nnzoo.models.layers import (
    Dropout,
    Linear,
    Stack,
    draw_mask,
    fast,
    linear_by_member,
    natively,
    rows_of,
)  # fmt: skip
from nnzoo.models.mlp import MLP
from nnzoo.models.rnn import GRU, LSTM, RNN, Recurrent, ReluLSTM, by_hand

_CONVOLUTIONS = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    Conv2d: functional.conv2d,
}
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_RECURRENT = (RNN, GRU, LSTM, ReluLSTM)
# Without weights or draws, and the same for every row and channel.
_PLAIN = (
    nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.Identity,
    nn.ZeroPad1d, nn.ZeroPad2d, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.LPPool1d, nn.LPPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
)  # fmt: skip
_KNOWN = {
    MLP, CNN, Recurrent, ResidualBlock, Features, Stack, nn.Sequential, nn.Linear, Linear, nn.Flatten,
    nn.Dropout, Dropout, nn.LayerNorm, nn.GroupNorm, *_CONVOLUTIONS, *_BATCH_NORMS, *_RECURRENT,
    *_PLAIN,
}  # fmt: skip


def obstacle(model: nn.Module, device: torch.device) -> str:
    """Why members like this model are not computed as one; empty where they are."""
    kinds = {type(each) for each in model.modules()}
    if device.type != "cpu" and any(isinstance(each, nn.RNNBase) for each in model.modules()):
        return "on a GPU recurrent layers are cuDNN's, which has no stacked form"
    if device.type != "cpu" and any(getattr(each, "p", 0) for each in model.modules()):
        return "on a GPU dropout draws for one network alone"
    if type(model) not in (MLP, CNN, Recurrent) or kinds - _KNOWN:
        strange = sorted(each.__name__ for each in kinds - _KNOWN) or [type(model).__name__]
        return f"no stacked form of {strange[0]} is known"
    return ""


def draws(model: nn.Module) -> bool:
    """Whether it draws at random in training; of a model that is not one of ours it is assumed."""
    if type(model) not in (MLP, CNN, Recurrent):
        return True
    rates = [getattr(each, "p", 0) or getattr(each, "dropout", 0) for each in model.modules()]
    return any(rate for rate in rates if isinstance(rate, float | int))


class _Linear(torch.autograd.Function):
    """x (members * batch, in), weight (members, out, in), bias (members, out): (members * batch, out).

    By hand because autograd transposes the weight's gradient in the end: 0.3 ms of 3.6 a step of ten
    networks of 784, 64 and 10 units.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            low = x.to(dtype), weight.to(dtype), bias.to(dtype)
        else:
            low = x, weight, bias
        ctx.save_for_backward(*low[:2])
        ctx.types = x.dtype, weight.dtype
        return linear_by_member(*low)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        grad = grad.unflatten(0, (len(weight), -1))
        dx = (
            torch.bmm(grad, weight).flatten(0, 1).to(ctx.types[0])
            if ctx.needs_input_grad[0]
            else None
        )
        dw = torch.bmm(grad.mT, x.unflatten(0, (len(weight), -1)))
        return dx, dw.to(ctx.types[1]), grad.sum(1).to(ctx.types[1])


class Stacked:
    """Members of one shape; call it with (members * batch, *shape) for (members * batch, outputs).

    parameters, buffers: by name, each (members, *shape); those of the members are from now on slices
    of them, so whatever reads or writes a member finds it up to date. generators: one a member; who
    trains seeds them; draws: whether anything is drawn. `training` is as in a module.
    """

    training = True

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.members = len(models)
        self.model = models[0]
        self.convolutions = [each for each in self.model.modules() if isinstance(each, Conv2d)]
        self.use_native = any(getattr(m, "use_native", False) for m in self.model.modules())
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        self.generators = [torch.Generator() for _ in models]
        for name, _ in self.model.named_parameters():
            own = [model.get_parameter(name) for model in models]
            stack = torch.stack([each.detach() for each in own])
            for each, part in zip(own, stack, strict=True):
                each.data = part
            self.parameters[name] = stack.requires_grad_()
        for name, _ in self.model.named_buffers():
            self.buffers[name] = torch.stack([model.get_buffer(name) for model in models])
            path, _, last = name.rpartition(".")
            for model, part in zip(models, self.buffers[name], strict=True):
                model.get_submodule(path)._buffers[last] = part
        self.draws = draws(self.model)
        self.names = {id(module): name for name, module in self.model.named_modules()}
        # In which order of dimensions a single network draws its masks between convolutions.
        self.orders: dict[int, dict[int, tuple[int, ...]]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        if isinstance(self.model, CNN):
            return self.cnn(self.model, x)
        if isinstance(self.model, Recurrent):
            return self.recurrent(self.model, x)
        return self.rows(list(cast(MLP, self.model)), x)

    def own(self, module: nn.Module, name: str) -> Tensor:
        """The stack of a parameter or buffer of a module of the first member."""
        path = f"{self.names[id(module)]}.{name}".removeprefix(".")
        return self.parameters[path] if path in self.parameters else self.buffers[path]

    # Rows: (members * batch, features).

    def rows(self, layers: Sequence[nn.Module], x: Tensor) -> Tensor:
        first = next((each for each in layers if isinstance(each, Linear)), None)
        native = self.training and first is not None and self.is_native(x, first.weight)
        for part in rows_of(layers) if native else layers:
            x = self.row(part, x) if isinstance(part, nn.Module) else self.natively(*part, x)
        return x

    def is_native(self, x: Tensor, weight: Tensor) -> bool:
        """Whether a single network computes what takes x by native layers."""
        return self.use_native and takes(x, weight)

    def natively(self, linear: list[nn.Linear], plan: list[float | None], x: Tensor) -> Tensor:
        """Linear layers, relu and dropout in a row."""

        def mask(width: int, dropout: float) -> tuple[Tensor, float]:
            single = len(x) // self.members, width
            masks, factor = self.masks(x, single, dropout, True, torch.uint8)
            return masks.flatten(0, 1), factor

        parameters = [self.own(each, name) for each in linear for name in ("weight", "bias")]
        return natively(x, plan, parameters, mask)

    def row(self, layer: nn.Module, x: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            return _Linear.apply(x, self.own(layer, "weight"), self.own(layer, "bias"))
        if isinstance(layer, nn.Dropout):
            return self.drop_rows(layer, x)
        if isinstance(layer, nn.BatchNorm1d):
            x = self.batch_norm(layer, self.wide(x)).unflatten(1, (self.members, -1))
            return x.transpose(0, 1).flatten(0, 1)
        if isinstance(layer, nn.LayerNorm):
            x = functional.layer_norm(x, layer.normalized_shape, None, None, layer.eps)
            weight, bias = self.own(layer, "weight"), self.own(layer, "bias")
            return torch.addcmul(bias[:, None], weight[:, None], self.by_member(x)).flatten(0, 1)
        return cast(Tensor, layer(x))

    def by_member(self, x: Tensor) -> Tensor:
        """(members * batch, ...) as (members, batch, ...)."""
        return x.unflatten(0, (self.members, -1))

    def drop_rows(self, layer: nn.Dropout, x: Tensor) -> Tensor:
        if not (self.training and layer.p):
            return x
        single = [len(x) // self.members, *x.shape[1:]]
        masks, factor = self.masks(x, single, layer.p, isinstance(layer, Dropout))
        return x * masks.flatten(0, 1) * factor

    def masks(
        self, x: Tensor, single: Sequence[int], dropout: float, quick: bool,
        dtype: torch.dtype | None = None,
    ) -> tuple[Tensor, float]:  # fmt: skip
        """What each member draws, (members, *single) in a type, that of x unless told, and what is
        multiplied by beside it; quick: as `layers.Dropout` draws, else as torch does."""
        masks = torch.empty(self.members, *single, dtype=dtype or x.dtype, device=x.device)
        if quick and fast(x, torch.float32, torch.bfloat16):
            return masks, draw_mask(masks.view(self.members, -1), dropout, self.generators)
        for mask, generator in zip(masks, self.generators, strict=True):
            mask.bernoulli_(1 - dropout, generator=generator).div_(1 - dropout)
        return masks, 1.0

    # Side by side: (batch, members * channels, ...).

    def wide(self, x: Tensor) -> Tensor:
        """(members * batch, channels, ...) as (batch, members * channels, ...)."""
        return self.by_member(x).transpose(0, 1).flatten(1, 2)

    def batch_norm(self, layer: Any, x: Tensor) -> Tensor:
        own = partial(self.own, layer)
        if self.training:
            own("num_batches_tracked").add_(1)
        return functional.batch_norm(
            x, own("running_mean").view(-1), own("running_var").view(-1), own("weight").flatten(),
            own("bias").flatten(), self.training, layer.momentum, layer.eps,
        )  # fmt: skip

    def channels(self, layers: Iterable[nn.Module], x: Tensor) -> Tensor:
        for layer in layers:
            if isinstance(layer, nn.Conv1d | nn.Conv2d):
                bias = None if layer.bias is None else self.own(layer, "bias").flatten()
                weight = self.own(layer, "weight").flatten(0, 1)
                x = _CONVOLUTIONS[type(layer)](
                    x, weight, bias, layer.stride, layer.padding, layer.dilation, self.members
                )
            elif isinstance(layer, _BATCH_NORMS):
                x = self.batch_norm(layer, x)
            elif isinstance(layer, nn.GroupNorm):
                weight, bias = (self.own(layer, name).flatten() for name in ("weight", "bias"))
                x = functional.group_norm(x, self.members, weight, bias, layer.eps)
            elif isinstance(layer, nn.Dropout):
                x = self.drop_channels(layer, x)
            elif isinstance(layer, ResidualBlock):
                skip: Iterable[nn.Module] = [layer.skip]
                body = cast(Iterable[nn.Module], layer.body)
                x = torch.add(self.channels(body, x), self.channels(skip, x))
                x = layer.activation(x)
            else:
                x = layer(x)
        return x

    def drop_channels(self, layer: nn.Dropout, x: Tensor) -> Tensor:
        """Masks are drawn in the order in which a single network's values lie in memory."""
        if not self.training:
            return x
        order = self.orders[len(x)][id(layer)]
        single = [len(x), x.shape[1] // self.members, *x.shape[2:]]
        masks, factor = self.masks(x, [single[dim] for dim in order], layer.p, True)
        back = [order.index(dim) + 1 for dim in range(len(order))]
        mask = masks.permute(back[0], 0, *back[1:])  # (batch, members, channels, ...)
        return (x.unflatten(1, (self.members, -1)) * mask * factor).flatten(1, 2)

    def cnn(self, model: CNN, x: Tensor) -> Tensor:
        if model.is_series:
            x = x.transpose(1, 2)
        elif x.device.type == "cpu":
            x = x.to(memory_format=torch.channels_last)
        if self.convolves_natively(x):
            return self.rows(list(cast(Iterable[nn.Module], model.head)), self.one_by_one(model, x))
        self.learn_orders(model, x)
        x = self.wide(x)
        if not model.is_series and x.device.type == "cpu":
            x = x.to(memory_format=torch.channels_last)
        x = self.channels(model.features, x)
        head = list(cast(Iterable[nn.Module], model.head))
        at = next(i for i, layer in enumerate(head) if isinstance(layer, nn.Flatten))
        x = self.channels(head[:at], x)
        x = x.unflatten(1, (self.members, -1)).transpose(0, 1).flatten(2).flatten(0, 1)
        return self.rows(head[at + 1 :], x)

    def convolves_natively(self, x: Tensor) -> bool:
        """Whether a single network has native convolutions for x. They use all cores for one member, too."""
        return any(self.is_native(x, each.weight) and has_case(each) for each in self.convolutions)

    def one_by_one(self, model: CNN, x: Tensor) -> Tensor:
        """What the members' `features` give, each computed and drawing as a single network does."""
        inside = "features."
        stacks = {**self.parameters, **self.buffers}
        parts = {name.removeprefix(inside): stack.unbind()
                 for name, stack in stacks.items() if name.startswith(inside)}  # fmt: skip
        draws = self.draws and self.training
        if model.features.training != self.training:
            model.features.train(self.training)
        found = []
        with torch.random.fork_rng(devices=(), enabled=draws):
            for i, rows in enumerate(x.chunk(self.members)):
                if draws:
                    torch.set_rng_state(self.generators[i].get_state())
                own = {name: part[i] for name, part in parts.items()}
                found.append(functional_call(model.features, own, (rows,)))
                if draws:
                    self.generators[i].set_state(torch.get_rng_state())
        return torch.cat(found)

    def learn_orders(self, model: CNN, x: Tensor) -> None:
        """Find `orders` for a batch of this size, by a look at what a single network does."""
        batch = len(x) // self.members
        if batch in self.orders or not self.training:
            return
        found = self.orders[batch] = {}
        twin = copy.deepcopy(model.features)
        for layer, its in zip(model.features.modules(), twin.modules(), strict=True):

            def note(_: nn.Module, inputs: Any, output: Any, key: int = id(layer)) -> None:
                strides = inputs[0].stride()
                found[key] = tuple(sorted(range(len(strides)), key=lambda dim: -strides[dim]))

            if isinstance(its, nn.Dropout):
                its.register_forward_hook(note)
        if any(isinstance(each, nn.Dropout) for each in twin.modules()):
            twin(x[:batch])

    # Recurrent layers: (time, members, batch, features) inside.

    def recurrent(self, model: Recurrent, x: Tensor) -> Tensor:
        rnn = model.rnn
        relu = isinstance(rnn, ReluLSTM) or (isinstance(rnn, nn.RNN) and rnn.nonlinearity == "relu")
        first = cast(Tensor, rnn.weight_hh_l0)

        def native(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            return NativeLayer.apply(rnn.kind, relu, product_type(first), x, *weights)

        def kernel(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            x = x.flatten(1, 2)
            zeros = first.new_zeros(x.shape[1], rnn.hidden_size)
            if isinstance(rnn, nn.RNN):
                found = kernels.Rnn.apply(rnn.nonlinearity, x, zeros, *weights)
            elif isinstance(rnn, nn.GRU):
                found = kernels.Gru.apply(x, zeros, *weights)
            else:
                found = kernels.Lstm.apply("relu" if relu else "tanh", x, zeros, zeros, *weights)
            return tuple(each.unflatten(-2, (self.members, -1)) for each in found)

        def drop(x: Tensor) -> Tensor:
            if not (self.training and rnn.dropout):
                return x
            masks, factor = self.masks(x, [len(x), *x.shape[2:]], rnn.dropout, False)
            return x * masks.transpose(0, 1) * factor

        x = self.by_member(model.sequence(x))
        run = native if self.is_native(x, first) else kernel
        states, *last = by_hand(rnn, x, run, partial(self.own, rnn), drop)
        read = model.read(states, tuple(last)).flatten(0, 1)
        return self.rows([model.dropout, model.head], read)
