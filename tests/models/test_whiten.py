"""The first layer of `model.whiten`: white outputs, fixed filters, the same for all members of a group, resumed and loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d

from nnzoo.config.model_options import CnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.models.cnn import CNN
from nnzoo.models.network import network_from_checkpoint, reseeded
from nnzoo.models.whiten import WhiteningConv, patch_covariance, whitening_filters
from tests.zoo import begin, config, finish, same

CNN_OPTIONS = {"name": "cnn", "channels": [4], "norm": "batch", "whiten": True}


def correlated(channels: int) -> torch.Tensor:
    """Images (200, channels, 9, 8) whose neighbors and channels are correlated."""
    x = torch.randn(200, channels, 10, 9, generator=torch.Generator().manual_seed(0)).cumsum(1)
    return x[..., 1:, 1:] + 0.8 * x[..., :-1, :-1]


@pytest.mark.parametrize("channels", [1, 3])
def test_filters_make_patches_white_and_their_negatives_follow(channels: int) -> None:
    images = correlated(channels)
    filters = whitening_filters(patch_covariance(images), channels)
    assert filters.shape == ({1: 8, 3: 16}[channels], channels, 2, 2)
    out = conv2d(images, filters)
    count = len(filters) // 2
    torch.testing.assert_close(out[:, count:], -out[:, :count])
    rows = out[:, :count].movedim(1, -1).reshape(-1, count).double()
    white = rows.T @ rows / len(rows)
    torch.testing.assert_close(white, torch.eye(count).double(), atol=0.01, rtol=0)
    variance = 1 / filters[:count].flatten(1).square().sum(1)
    assert (variance.diff() <= 1e-6).all()  # the principal component first
    assert (
        filters[:count].flatten(1).gather(1, filters[:count].flatten(1).abs().argmax(1)[:, None])
        > 0
    ).all()


def test_a_constant_color_has_finite_filters() -> None:
    filters = whitening_filters(patch_covariance(torch.zeros(3, 1, 4, 4)), 1)
    assert filters.isfinite().all()


def trained(kernels: str) -> tuple[Any, torch.Tensor]:
    train = {"epochs": 2, "kernels": kernels, "norm_statistics": "running"}
    run = begin(config(CNN_OPTIONS, "image", train=train, name=f"whiten-{kernels}"))
    network: Any = run.network
    before = network.model.features[0].weight.clone()
    finish(run)
    return run, before


@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_training_changes_the_bias_alone_and_a_checkpoint_keeps_the_filters(kernels: str) -> None:
    run, before = trained(kernels)
    layer = run.network.model.features[0]
    assert isinstance(layer, WhiteningConv)
    assert same(layer.weight, before)
    assert layer.bias is not None and layer.bias.abs().sum() > 0
    loaded: Any = network_from_checkpoint(run.network.state(), "here", torch.device("cpu"))
    assert same(loaded.model.features[0].weight, before)
    assert not loaded.model.features[0].weight.requires_grad


def test_filters_come_from_the_training_rows_and_other_seeds_take_the_same() -> None:
    run = begin(config(CNN_OPTIONS, "image", name="whiten"))
    network: Any = run.network
    rows = network.preprocess(run.dataset.splits["train"].tensors()[0])
    expected = whitening_filters(patch_covariance(rows), rows.shape[1])
    torch.testing.assert_close(network.model.features[0].weight, expected, atol=1e-3, rtol=1e-3)
    other: Any = reseeded(network, config(CNN_OPTIONS, "image", name="other", seed=5))
    assert same(other.model.features[0].weight, network.model.features[0].weight)
    assert not same(other.model.features[2].weight, network.model.features[2].weight)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (InputSpec("series", (9, 4)), "is for images"),
        (InputSpec("image", (1, 1, 5)), "at least 2×2 pixels"),
    ],
)
def test_other_inputs_are_refused(spec: InputSpec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CNN(CnnOptions.model_validate(CNN_OPTIONS), spec, 3)
