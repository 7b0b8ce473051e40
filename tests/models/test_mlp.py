"""Multilayer perceptrons, and checkpoints of all models in plain torch modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.model_options import CnnOptions, MlpOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.models.cnn import CNN
from nnzoo.models.mlp import MLP
from tests.zoo import begin, config, finish

IMAGE = InputSpec("image", (3, 12, 10))


SERIES = InputSpec("series", (9, 4))


def cnn(kind: InputSpec = IMAGE, **options: Any) -> CNN:
    return CNN(CnnOptions.model_validate({"name": "cnn", **options}), kind, 5)


def stock_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 16),
        nn.BatchNorm1d(16),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(16, 10),
    )


class StockCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 2 * 2, 10))

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.features(x))


class StockLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> Any:
        states, _ = self.rnn(x[:, 0])
        return self.head(states[:, -1])


@pytest.mark.parametrize(
    ("options", "stock"),
    [
        (
            {"name": "mlp", "hidden": [16], "activation": "tanh", "norm": "batch", "dropout": 0.2},
            stock_mlp,
        ),
        ({"name": "cnn", "channels": [4, 8]}, StockCnn),
        ({"name": "lstm", "hidden_size": 8, "num_layers": 2}, StockLstm),
    ],
    ids=["mlp", "cnn", "lstm"],
)
def test_best_pt_loads_into_plain_torch_modules_that_give_the_same_outputs(
    options: dict[str, Any], stock: Any
) -> None:
    run = begin(config(options))
    finish(run)
    content = torch.load("out/run/best.pt", weights_only=True)
    module = stock()
    module.load_state_dict(content["model"])
    module.eval()
    images = run.dataset.splits["test"].batch(torch.arange(20))[0]
    shift, std = content["preprocess"]["scale.shift"], content["preprocess"]["scale.spread"]
    x = ((images - shift.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)).float()
    run.network.model.load_state_dict(content["model"])
    run.network.eval()
    with torch.no_grad():
        torch.testing.assert_close(module(x), run.network(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_mlp_flattens_images_and_windows(norm: Any) -> None:
    for kind in (IMAGE, SERIES, InputSpec("table", (6,))):
        model = MLP(MlpOptions(name="mlp", hidden=[8, 4], norm=norm), kind, 3)
        assert model(torch.randn(5, *kind.shape)).shape == (5, 3)


def test_an_mlp_without_hidden_layers_is_a_linear_model() -> None:
    model = MLP(MlpOptions(name="mlp", hidden=[]), InputSpec("table", (6,)), 3)
    assert [type(layer).__name__ for layer in model] == ["Flatten", "Linear"]
