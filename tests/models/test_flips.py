"""Test-time augmentation: `eval`, `predict`, members trained in one batch and exports average the same views."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.errors import ConfigError
from nnzoo.evaluation.layer_stats import eval_in_fp32
from nnzoo.models.flips import with_flips
from nnzoo.runs import checkpoint
from nnzoo.runs.run_group import seeds
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


def test_seeds_in_one_batch_validate_whitened_and_flipped_as_single_runs_do() -> None:
    model = {"name": "cnn", "channels": [16], "norm": "batch", "whiten": True}
    more: dict[str, Any] = {
        "train": {"epochs": 2, "norm_statistics": "running", "kernels": "native"},
        "eval": {"flip": "both"},
    }
    group = seeds(config(model, "image", name="group", **more), 2, Path("out"))
    for _ in group.events(torch.device("cpu")):
        pass
    assert not group.sequential_reason
    for seed, member in enumerate(group.members):
        single = begin(config(model, "image", seed=seed, name=f"single-{seed}", **more))
        rows = finish(single)
        content = checkpoint.load(member.folder.best)["model"]
        for name, theirs in checkpoint.load(single.folder.best)["model"].items():
            torch.testing.assert_close(content[name], theirs, rtol=1e-3, atol=1e-4)
        lines = member.folder.metrics.read_text().splitlines()
        ours = [json.loads(line)["val_loss"] for line in lines]
        assert ours == pytest.approx([row["val_loss"] for row in rows], rel=1e-3)
