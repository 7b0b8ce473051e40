"""Convolutional networks: sizes, padding, pooling and residual layers against torch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.model_options import CnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.models.cnn import CNN

IMAGE = InputSpec("image", (3, 12, 10))


SERIES = InputSpec("series", (9, 4))


def cnn(kind: InputSpec = IMAGE, **options: Any) -> CNN:
    return CNN(CnnOptions.model_validate({"name": "cnn", **options}), kind, 5)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, [1, 3], [4, 2], [12, 10], 13])
@pytest.mark.parametrize("stride", [1, 2, [2, 3]])
def test_same_padding_keeps_the_size_divided_by_the_stride_for_any_kernel(
    kernel: Any, stride: Any
) -> None:
    kernels = [kernel] if isinstance(kernel, list) else kernel
    strides = [stride] if isinstance(stride, list) else stride
    model = cnn(channels=[7], kernel_size=kernels, stride=strides, pool="none")
    out = model.features(torch.zeros(2, *IMAGE.shape))
    steps = stride if isinstance(stride, list) else [stride] * 2
    assert out.shape[2:] == tuple(math.ceil(n / s) for n, s in zip((12, 10), steps, strict=True))
    assert model(torch.zeros(2, *IMAGE.shape)).shape == (2, 5)


@pytest.mark.filterwarnings("ignore:Using padding=.same.")
def test_even_same_padding_equals_torchs_own() -> None:
    model = cnn(channels=[7], kernel_size=4, pool="none")
    convolution = model.features[1]
    stock = nn.Conv2d(3, 7, 4, padding="same")
    stock.load_state_dict(convolution.state_dict())
    x = torch.randn(2, *IMAGE.shape)
    torch.testing.assert_close(model.features(x), stock(x).relu())


@pytest.mark.parametrize(
    ("padding", "size"), [("valid", (10, 8)), (0, (10, 8)), (2, (14, 12)), ([[2, 0]], (14, 8))]
)
def test_padding_takes_words_numbers_and_pairs(padding: Any, size: tuple[int, int]) -> None:
    model = cnn(channels=[4], padding=padding, pool="none")
    assert model.features(torch.zeros(1, *IMAGE.shape)).shape[2:] == size


def test_each_layer_may_have_its_own_sizes() -> None:
    model = cnn(
        channels=[4, 6],
        kernel_size=[3, [1, 5]],
        pool=["none", "avg"],
        pool_size=[1, [3, 2]],
        dropout=[0, 0.25],
    )
    kernels = [layer.kernel_size for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3), (1, 5)]
    assert model.features(torch.zeros(1, *IMAGE.shape)).shape == (1, 6, 4, 5)
    assert [type(layer).__name__ for layer in model.features] == [
        "Conv2d",
        "ReLU",
        "Conv2d",
        "ReLU",
        "AvgPool2d",
        "Dropout",
    ]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid", "elu", "gelu"])
@pytest.mark.parametrize("pool", ["max", "avg", "lp"])
def test_pooling_gives_the_numbers_of_convolution_activation_pooling(
    activation: str, pool: str
) -> None:
    model = cnn(channels=[4], activation=activation, pool=pool)
    x = torch.randn(2, *IMAGE.shape)
    layers = {type(layer): layer for layer in model.features}
    (active,) = [
        m
        for kind, m in layers.items()
        if "Conv" not in kind.__name__ and "Pool" not in kind.__name__
    ]
    (pooling,) = [m for kind, m in layers.items() if "Pool" in kind.__name__]
    torch.testing.assert_close(model.features(x), pooling(active(model.features[0](x))))


def test_a_series_is_convolved_along_time() -> None:
    model = cnn(SERIES, channels=[6], pool="none", head={"pooling": "average", "hidden": [8]})
    convolution = model.features[0]
    assert isinstance(convolution, nn.Conv1d)
    x = torch.randn(2, *SERIES.shape)
    mean = convolution(x.transpose(1, 2)).relu().mean(2)
    torch.testing.assert_close(model(x), model.head[2:](mean))


def test_residual_layers_add_their_input() -> None:
    model = cnn(channels=[3, 6], residual=True, norm="batch", pool=["none", "max"]).eval()
    block: Any = model.features[0]
    assert isinstance(block.skip, nn.Identity)
    x = torch.randn(2, *IMAGE.shape)
    torch.testing.assert_close(block(x), (block.body(x) + x).relu())
    assert isinstance(model.features[1].skip, nn.Conv2d)
    assert model(x).shape == (2, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"channels": [4] * 5},
            "layer 4 of 5: its input is 1×1 and pool_size 2×2 leaves nothing (0×0)",
        ),
        (
            {"channels": [4], "kernel_size": 13, "padding": "valid"},
            "layer 1 of 1: its input is 12×10 and kernel_size 13×13, padding valid leaves nothing",
        ),
    ],
)
def test_a_map_that_shrinks_to_nothing_is_refused_with_layer_and_shapes(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        cnn(**options)
    assert message in str(error.value)


def test_two_sizes_on_a_series_are_refused() -> None:
    with pytest.raises(ConfigError, match="a series has one direction; give a number"):
        cnn(SERIES, channels=[4], kernel_size=[[3, 3]])
