"""Test-time augmentation: `eval`, `predict`, members trained in one batch and exports average the same views."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nnzoo.errors import ConfigError
from nnzoo.evaluation.layer_stats import eval_in_fp32
from nnzoo.models.flips import with_flips
from tests.zoo import begin, config, finish, same

CNN = {"name": "cnn", "channels": [4], "padding": "valid"}


def first_pixels(x: torch.Tensor) -> torch.Tensor:
    """The corner of each image, (batch, 1)."""
    return x[:, 0, :1, 0]


@pytest.mark.parametrize(
    ("flip", "mean"), [("none", 1.0), ("horizontal", 1.5), ("vertical", 2.0), ("both", 2.5)]
)
def test_the_mean_is_over_the_image_and_its_mirror_images(flip: str, mean: float) -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert with_flips(first_pixels, flip)(x).item() == mean


def run(**options: Any) -> Any:
    run = begin(config(CNN, "image", eval=options, name="flips" + "".join(options.values())))
    finish(run)
    return run


def test_training_is_the_same_and_predictions_are_those_of_both_views() -> None:
    plain, flipped = run(), run(flip="horizontal")
    assert same(plain.network.model.state_dict(), flipped.network.model.state_dict())
    network = flipped.network.eval()
    x = flipped.dataset.splits["val"].tensors()[0]
    with torch.no_grad():
        views = plain.network.eval()(x), plain.network(x.flip(-1))
        torch.testing.assert_close(network(x), (views[0] + views[1]) / 2)
        probabilities = network.predict(x)
    torch.testing.assert_close(
        probabilities, (views[0] / 2 + views[1] / 2).softmax(1).to(probabilities)
    )
    with torch.no_grad(), eval_in_fp32(network):  # a look inside is at the image itself
        torch.testing.assert_close(network(x), views[0], atol=1e-2, rtol=1e-2)
    assert network.flip == "horizontal"


def test_other_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="is for images"):
        begin(config("mlp", "series", eval={"flip": "both"}))
