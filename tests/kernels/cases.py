"""Layers of nnzoo beside torch's, and what may be done to them before they are compared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import Conv2d, Linear
from nnzoo.models.recurrent_layers import GRU, LSTM, RNN
from tests.zoo import difference

Case = tuple[nn.Module, nn.Module, Tensor]


def linear() -> Case:
    return Linear(16, 24), nn.Linear(16, 24), torch.randn(6, 16)


def stack() -> Case:
    ours = FusedSequential(Linear(16, 32), nn.ReLU(), Linear(32, 16), nn.ReLU(), Linear(16, 3))
    layers = [
        nn.Linear(our.in_features, our.out_features) if isinstance(our, Linear) else nn.ReLU()
        for our in ours
    ]
    return ours, nn.Sequential(*layers), torch.randn(6, 16)


def recurrent(kind: str) -> Case:
    ours, stock = {"rnn": (RNN, nn.RNN), "lstm": (LSTM, nn.LSTM), "gru": (GRU, nn.GRU)}[kind]
    return (
        First(ours(5, 8, 2, batch_first=True, bidirectional=True)),
        First(stock(5, 8, 2, batch_first=True, bidirectional=True)),
        torch.randn(4, 6, 5),
    )


def features(ins: int) -> Case:
    def layers(conv: type[nn.Conv2d]) -> list[nn.Module]:
        # Epilogue batch norm the gradient of a bias is nothing but what is rounded.
        if ins == 3:
            return [conv(ins, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
        made = [conv(ins, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]
        return [*made, nn.MaxPool2d(2), nn.ReLU()]

    return (
        FusedSequential(*layers(Conv2d)),
        nn.Sequential(*layers(nn.Conv2d)),
        torch.randn(4, ins, 8, 8),
    )


class First(nn.Module):
    """The first output of a recurrent module."""

    def __init__(self, rnn: nn.Module) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.rnn(x)[0]
        return states


CASES: dict[str, Callable[[], Case]] = {
    "linear": linear,
    "stack": stack,
    **{kind: partial(recurrent, kind) for kind in ("rnn", "lstm", "gru")},
    "direct": partial(features, 3),
    "winograd": partial(features, 16),
}


def pair(name: str) -> Case:
    torch.manual_seed(3)
    ours, stock, x = CASES[name]()
    stock.load_state_dict(ours.state_dict())
    return ours, stock, x


def outcome(module: nn.Module, x: Tensor, wants_dx: bool = False) -> list[Tensor] | type[Exception]:
    """Output and gradients, or what is raised."""
    try:
        x = x.detach().requires_grad_() if wants_dx else x
        y = module(x)
        loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()
        expected = [p for p in module.parameters() if p.requires_grad] + [x] * wants_dx
        actual = torch.autograd.grad(loss, expected, allow_unused=True)
        return [y.detach(), *(item for item in actual if item is not None)]
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        return type(error)


def same(ours: Any, stock: Any, limit: float = 3e-6) -> bool:
    if isinstance(ours, type) or isinstance(stock, type):
        return isinstance(ours, type) and isinstance(stock, type)
    assert [(t.dtype, t.shape) for t in ours] == [(t.dtype, t.shape) for t in stock]
    values = [[t.double() for t in item if t.numel()] for item in (ours, stock)]
    return not values[0] or difference(*values) < limit


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Subclass(Tensor):
    pass


def weights_of(module: nn.Module) -> list[tuple[nn.Module, str]]:
    return [(item, name) for item in module.modules() for name in item._parameters]


def change(module: nn.Module, how: str) -> None:
    """Change what a module's parameters are, or only one of them."""
    places = weights_of(module)
    owner, name = next(((m, n) for m, n in places if m._parameters[n].ndim > 1))  # type: ignore[union-attr]
    weight = owner._parameters[name]
    assert weight is not None
    if how in ("bfloat16", "float64", "float16"):
        module.to(getattr(torch, how))
    elif how == "one float64":
        weight.data = weight.data.double()
    elif how == "last bfloat16":
        owner, name = places[-1]
        owner._parameters[name].data = owner._parameters[name].data.bfloat16()  # type: ignore[union-attr]
    elif how == "frozen":
        module.requires_grad_(False)
        owner._parameters[places[0][1]].requires_grad_(True)  # type: ignore[union-attr]
    elif how == "strided":
        weight.data = weight.data.transpose(0, -1).contiguous().transpose(0, -1)
    elif how == "expanded":
        weight.data = weight.data.flatten()[:1].expand(weight.shape)
    elif how == "subclass":
        owner._parameters[name] = nn.Parameter(weight.detach().as_subclass(Subclass))
    elif how == "parametrized":
        if not isinstance(owner, nn.RNNBase):  # torch's keeps the old weights in a list
            parametrize.register_parametrization(owner, name, Scaled())
    elif how == "meta":
        module.to("meta")
    elif how == "negated":
        weight.data = torch._neg_view(weight.data)
    elif how == "no bias":
        if isinstance(owner, nn.Linear):
            owner.register_parameter("bias", None)
    elif how == "too narrow":
        weight.data = weight.data[..., :-1].contiguous()
    elif how == "short bias":
        bias = next((m._parameters, n) for m, n in places if "bias" in n)
        bias[0][bias[1]] = nn.Parameter(torch.zeros(1))


def refuses(function: Callable[..., Any], *args: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        function(*args)
