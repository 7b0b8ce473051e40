"""The networks: the arithmetic of plain torch.nn modules, shapes, starts, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.model_options import CnnOptions, GruOptions, LstmOptions, MlpOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.models.cnn import CNN
from nnzoo.models.initialize import activation_gain
from nnzoo.models.mlp import MLP
from nnzoo.models.rnn import Recurrent, ReluLSTM
from tests.zoo import begin, config, finish

IMAGE = InputSpec("image", (3, 12, 10))
SERIES = InputSpec("series", (9, 4))


def cnn(kind: InputSpec = IMAGE, **options: Any) -> CNN:
    return CNN(CnnOptions.model_validate({"name": "cnn", **options}), kind, 5)


# Checkpoints and stock modules.


def stock_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2),
        nn.Linear(16, 10),
    )  # fmt: skip


class StockCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
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
        ({"name": "mlp", "hidden": [16], "activation": "tanh", "norm": "batch", "dropout": 0.2},
         stock_mlp),
        ({"name": "cnn", "channels": [4, 8]}, StockCnn),
        ({"name": "lstm", "hidden_size": 8, "num_layers": 2}, StockLstm),
    ],
    ids=["mlp", "cnn", "lstm"],
)  # fmt: skip
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
    shift, spread = content["preprocess"]["scale.shift"], content["preprocess"]["scale.spread"]
    x = ((images - shift.view(1, -1, 1, 1)) / spread.view(1, -1, 1, 1)).float()
    run.network.model.load_state_dict(content["model"])
    run.network.eval()
    with torch.no_grad():
        torch.testing.assert_close(module(x), run.network(images), rtol=1e-5, atol=1e-5)


# Recurrent networks.


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("options", [RnnOptions, LstmOptions, GruOptions])
def test_recurrent_readouts_are_those_of_the_torch_module(
    options: Any, bidirectional: bool, readout: str
) -> None:
    name = options.model_fields["name"].annotation.__args__[0]
    model = Recurrent(
        options(name=name, hidden_size=6, bidirectional=bidirectional, readout=readout), SERIES, 5
    ).eval()
    x = torch.randn(7, *SERIES.shape)
    states, _ = model.rnn(x)
    forward, backward = states[:, -1, :6], states[:, 0, 6:]
    expected = {
        "last": torch.cat([forward, backward], 1),
        "mean": states.mean(1),
        "max": states.amax(1),
    }[readout]
    torch.testing.assert_close(model(x), model.head(expected))


def test_an_image_is_read_row_by_row_from_the_top() -> None:
    model = Recurrent(GruOptions(name="gru", hidden_size=6), IMAGE, 5).eval()
    image = torch.randn(2, *IMAGE.shape)
    rows = torch.stack([image[:, :, i].flatten(1) for i in range(12)], 1)
    torch.testing.assert_close(model(image), model.head(model.rnn(rows)[0][:, -1]))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_relu_lstm_follows_keras_equations(layers: int, bidirectional: bool) -> None:
    torch.manual_seed(0)
    cell = ReluLSTM(3, 4, layers, batch_first=True, bidirectional=bidirectional).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)

    def by_hand(sequence: torch.Tensor, suffix: str) -> torch.Tensor:
        w, u = getattr(cell, f"weight_ih_{suffix}"), getattr(cell, f"weight_hh_{suffix}")
        b = getattr(cell, f"bias_ih_{suffix}") + getattr(cell, f"bias_hh_{suffix}")
        h = c = torch.zeros(len(sequence), 4, dtype=torch.float64)
        states = []
        for t in range(sequence.shape[1]):
            i, f, g, o = (sequence[:, t] @ w.T + h @ u.T + b).split(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.clamp(min=0)
            h = o.sigmoid() * c.clamp(min=0)
            states.append(h)
        return torch.stack(states, 1)

    expected = x
    for layer in range(layers):
        parts = [by_hand(expected, f"l{layer}")]
        if bidirectional:
            parts.append(by_hand(expected.flip(1), f"l{layer}_reverse").flip(1))
        expected = torch.cat(parts, 2)
    states, (hidden, _) = cell(x)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(hidden[-2 if bidirectional else -1], states[:, -1, :4])


def test_the_forget_gate_starts_open_and_can_be_left_closed() -> None:
    for wanted in (True, False):
        model = Recurrent(LstmOptions(name="lstm", hidden_size=4, forget_bias=wanted), SERIES, 1)
        total = model.rnn.bias_ih_l0 + model.rnn.bias_hh_l0
        assert total[4:8].tolist() == [1.0 if wanted else 0.0] * 4
        assert total[:4].abs().sum() == 0 == total[8:].abs().sum()


# Convolutional networks.


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
        channels=[4, 6], kernel_size=[3, [1, 5]], pool=["none", "avg"], pool_size=[1, [3, 2]],
        dropout=[0, 0.25],
    )  # fmt: skip
    kernels = [layer.kernel_size for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3), (1, 5)]
    assert model.features(torch.zeros(1, *IMAGE.shape)).shape == (1, 6, 4, 5)
    assert [type(layer).__name__ for layer in model.features] == [
        "Conv2d", "ReLU", "Conv2d", "ReLU", "AvgPool2d", "Dropout",
    ]  # fmt: skip


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
    block = model.features[0]
    assert isinstance(block.skip, nn.Identity)
    x = torch.randn(2, *IMAGE.shape)
    torch.testing.assert_close(block(x), (block.body(x) + x).relu())
    assert isinstance(model.features[1].skip, nn.Conv2d)
    assert model(x).shape == (2, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [4] * 5}, "layer 4 of 5: its input is 1×1 and pool_size 2×2 leaves nothing (0×0)"),
        ({"channels": [4], "kernel_size": 13, "padding": "valid"},
         "layer 1 of 1: its input is 12×10 and kernel_size 13×13, padding valid leaves nothing"),
    ],
)  # fmt: skip
def test_a_map_that_shrinks_to_nothing_is_refused_with_layer_and_shapes(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        cnn(**options)
    assert message in str(error.value)


def test_two_sizes_on_a_series_are_refused() -> None:
    with pytest.raises(ConfigError, match="a series has one direction; give a number"):
        cnn(SERIES, channels=[4], kernel_size=[[3, 3]])


# Perceptrons and starts.


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_mlp_flattens_images_and_windows(norm: Any) -> None:
    for kind in (IMAGE, SERIES, InputSpec("table", (6,))):
        model = MLP(MlpOptions(name="mlp", hidden=[8, 4], norm=norm), kind, 3)
        assert model(torch.randn(5, *kind.shape)).shape == (5, 3)


def test_an_mlp_without_hidden_layers_is_a_linear_model() -> None:
    model = MLP(MlpOptions(name="mlp", hidden=[]), InputSpec("table", (6,)), 3)
    assert [type(layer).__name__ for layer in model] == ["Flatten", "Linear"]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "gelu", "silu", "elu"])
def test_the_gain_keeps_the_spread_through_an_activation(activation: Any) -> None:
    from nnzoo.models.layers import activation_layer

    z = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    after = (activation_gain(activation) * activation_layer(activation)(z)).square().mean().sqrt()
    assert after == pytest.approx(1.0, abs=0.06 if activation == "tanh" else 0.01)


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize(
    "init", ["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"]
)
def test_starts_have_the_spread_of_their_formula_and_zero_biases(
    init: Any, activation: Any
) -> None:
    torch.manual_seed(0)
    model = MLP(
        MlpOptions(name="mlp", hidden=[300], init=init, activation=activation),
        InputSpec("table", (500,)), 100,
    )  # fmt: skip
    for layer, gain in ((model[1], activation_gain(activation)), (model[3], 1.0)):
        fan_out, fan_in = layer.weight.shape
        fans = {
            "xavier": (fan_in + fan_out) / 2,
            "kaiming": fan_in,
            "orthogonal": max(fan_in, fan_out),
        }
        expected = gain / fans[init.split("_")[0]] ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
        assert layer.bias.abs().sum() == 0
    if init.endswith("uniform"):
        bound = model[1].weight.std() * 3**0.5
        assert model[1].weight.abs().max() <= bound * 1.03


def test_recurrent_starts_are_drawn_gate_by_gate() -> None:
    torch.manual_seed(0)
    model = Recurrent(LstmOptions(name="lstm", hidden_size=200), InputSpec("series", (5, 100)), 1)
    for gate in model.rnn.weight_hh_l0.split(200):
        assert gate.std().item() == pytest.approx((1 / 200) ** 0.5, rel=0.03)
    model = Recurrent(LstmOptions(name="lstm", hidden_size=64, init="orthogonal"), SERIES, 1)
    for gate in model.rnn.weight_hh_l0.split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)


def test_torch_starts_are_torchs_own() -> None:
    torch.manual_seed(3)
    model = MLP(MlpOptions(name="mlp", hidden=[8], init="torch"), InputSpec("table", (6,)), 3)
    torch.manual_seed(3)
    stock = nn.Linear(6, 8)
    assert torch.equal(model[1].weight, stock.weight)
    assert torch.equal(model[1].bias, stock.bias)
