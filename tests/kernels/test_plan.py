"""Plans of native calls: what is supported, shapes of results, and refusals."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.kernels import build
from nnzoo.kernels.plan import (
    CELL_TYPES,
    CellType,
    ConvOptions,
    conv_shape,
    linear_plan,
    rnn_plan,
    supports_conv,
    supports_linear,
    supports_rnn,
)

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")

FLOAT = (torch.float32, None, torch.float32)


def chain(*sizes: int) -> list[Tensor]:
    pairs = pairwise(sizes)
    return [t for features, out in pairs for t in (torch.zeros(out, features), torch.zeros(out))]


def test_a_chain_takes_what_the_layer_before_returns() -> None:
    x = torch.zeros(6, 5)
    assert supports_linear(x, chain(5, 7, 3))
    assert not supports_linear(x, chain(4, 7, 3)), "another input"
    assert not supports_linear(x, [*chain(5, 7), *chain(6, 3)]), "a gap in the chain"
    assert not supports_linear(x, [torch.zeros(3, 5), None]), "no bias"
    assert not supports_linear(x[None], chain(5, 3)) and not supports_linear(x[:0], chain(5, 3))
    assert not supports_linear(x, [t.double() for t in chain(5, 3)]), "two types"


def test_members_take_equal_numbers_of_rows() -> None:
    weights = [torch.zeros(3, 4, 5), torch.zeros(3, 4)]
    assert supports_linear(torch.zeros(6, 5), weights)
    assert not supports_linear(torch.zeros(7, 5), weights)


def test_the_gradients_of_a_chain_lie_apart_in_one_memory() -> None:
    shapes = [tuple(t.shape) for t in chain(5, 7, 3)]
    plan = linear_plan(FLOAT, 1, (1.0, None), (6, 5), *shapes)
    assert plan is linear_plan(FLOAT, 1, (1.0, None), (6, 5), *shapes), "it is kept"
    with pytest.raises(ValueError, match="each linear layer takes what the one before it returns"):
        linear_plan(FLOAT, 1, (1.0, None), (6, 4), *shapes)


@pytest.mark.parametrize(("cell", "module"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_a_recurrent_layer_has_the_shapes_of_torchs(cell: CellType, module: Any) -> None:
    weights = [p.detach() for p in module(5, 8).parameters()]
    x = torch.zeros(9, 2, 5)
    assert supports_rnn(cell, x, *weights)
    for other in CELL_TYPES:
        assert supports_rnn(other, x, *weights) == (other == cell)
    assert not supports_rnn(cell, x[..., :4], *weights)
    assert not supports_rnn(cell, x[:0], *weights)
    options: tuple[CellType, bool, bool, int] = (cell, False, True, 1)
    types = (torch.float32,) * 3
    shapes = [tuple(t.shape) for t in weights]
    plan = rnn_plan(options, types, None, (9, 2, 5), *shapes)
    assert plan.states[0] == (9, 2, 8) and ("cell" in plan.forward) == (cell == "lstm")
    with pytest.raises(ValueError, match=f"not an input and the parameters of one {cell} layer"):
        rnn_plan(options, types, None, (9, 2, 4), *shapes)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
def test_the_output_of_a_convolution_has_torchs_shape(
    stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    x, layer = torch.zeros(2, 3, 9, 8), nn.Conv2d(3, 4, (3, 2), stride, padding)
    shape = conv_shape((2, 3, 9, 8), (4, 3, 3, 2), stride, padding)
    assert shape == tuple(layer(x).shape)
    pooled = nn.functional.max_pool2d(layer(x), 2)
    assert conv_shape((2, 3, 9, 8), (4, 3, 3, 2), stride, padding, True) == tuple(pooled.shape)


def test_convolutions_without_c_code_are_torchs() -> None:
    lanes = build.lanes_of(torch.float32)
    deep, weight, bias = (
        torch.zeros(2, lanes, 6, 6),
        torch.zeros(lanes, lanes, 3, 3),
        torch.zeros(lanes),
    )
    assert supports_conv(deep, ConvOptions(), weight, bias)
    for options in (
        ConvOptions(stride=(2, 2)),
        ConvOptions(padding="same"),
        ConvOptions(dilation=(2, 2)),
        ConvOptions(groups=2),
        ConvOptions(padding_mode="circular"),
    ):
        assert not supports_conv(deep, options, weight, bias), options
    assert not supports_conv(deep[:, :, :2], ConvOptions(), weight, bias), "smaller than the kernel"
    assert not supports_conv(deep, ConvOptions(), weight, bias[:-1])
    image, first = torch.zeros(2, 3, 6, 6), torch.zeros(lanes, 3, 5, 5)
    assert supports_conv(image, ConvOptions(stride=(2, 2)), first, bias), "any kernel for images"
    assert not supports_conv(image.requires_grad_(), ConvOptions(), first, bias)
    assert math.prod(conv_shape((2, 3, 6, 6), (lanes, 3, 5, 5), (1, 1), (0, 0))) == 2 * lanes * 4
