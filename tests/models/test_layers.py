"""The fast layers: the numbers and gradients of torch's own modules, and what dropout drops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.config.model_options import CnnOptions, MlpOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.kernels import build
from nnzoo.models import layers
from nnzoo.models.cnn import CNN
from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import (
    Dropout,
    DropoutFunction,
    Linear,
    OnednnLinear,
    dropout_mask,
    supports_onednn,
)
from nnzoo.models.mlp import MLP

IMAGE = InputSpec("image", (3, 12, 10))
SERIES = InputSpec("series", (9, 4))


@pytest.fixture(autouse=True, params=["native", "hand"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run each test with native layers and with their fallback."""
    torch.manual_seed(0)
    expected = request.param == "native"
    if expected and not build.available():
        pytest.skip("needs a C compiler")
    for item in (FusedSequential, Linear):
        monkeypatch.setattr(item, "use_native", expected)
    return expected


def outputs_and_grads(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, and the gradients of the input and of every parameter."""
    x = x.clone().requires_grad_()
    model.zero_grad()
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters())]


def compare(fast: nn.Module, stock: nn.Module, x: Tensor, within: float = 1e-5) -> None:
    stock.load_state_dict(fast.state_dict())
    for got, expected in zip(outputs_and_grads(fast, x), outputs_and_grads(stock, x), strict=True):
        assert torch.is_autocast_enabled("cpu") or got.dtype == expected.dtype
        assert got.is_contiguous() == expected.is_contiguous()
        torch.testing.assert_close(got, expected, rtol=within, atol=within, check_dtype=False)


def stock(model: nn.Module) -> nn.Module:
    """The same layers as torch has them."""
    plain: Any = {
        Linear: nn.Linear,
        Dropout: nn.Dropout,
        FusedSequential: nn.Sequential,
        MLP: nn.Sequential,
    }
    children = [stock(child) for child in model.children()]
    if isinstance(model, Linear):
        return nn.Linear(model.in_features, model.out_features)
    if isinstance(model, Dropout):
        return nn.Dropout(model.p)
    assert children or type(model) not in plain
    return nn.Sequential(*children) if type(model) in plain or children else model


def mlp(**options: Any) -> MLP:
    return MLP(MlpOptions.model_validate({"name": "mlp", "hidden": [40, 24], **options}), IMAGE, 5)


def cnn(kind: InputSpec = IMAGE, **options: Any) -> CNN:
    return CNN(CnnOptions.model_validate({"name": "cnn", "channels": [6, 8], **options}), kind, 5)


class StockCnn(nn.Module):
    """The modules of a CNN as a plain sequence, in torch's own layout."""

    def __init__(self, model: CNN) -> None:
        super().__init__()
        self.features = stock(model.features)
        self.head = stock(model.head)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.features(x.contiguous()))


# Linear layers.


@pytest.mark.parametrize("rows", [1, 2, 33])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("training", [True, False])
def test_an_mlp_gives_torchs_outputs_and_gradients(
    training: bool, activation: str, norm: str, rows: int
) -> None:
    if norm == "batch" and training and rows == 1:
        return
    model = mlp(activation=activation, norm=norm).train(training)
    compare(model, stock(model).train(training), torch.randn(rows, *IMAGE.shape))


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_linear_layer_takes_what_nn_linear_takes(rows: int) -> None:
    model = Linear(6, 4)
    compare(model, stock(model), torch.randn(rows, 6))
    compare(model, stock(model), torch.randn(6, rows).t())
    compare(model, stock(model), torch.randn(rows, 3, 6))
    compare(model.double(), stock(model).double(), torch.randn(rows, 6, dtype=torch.float64))


def test_a_stack_of_any_order_gives_torchs_outputs_and_gradients() -> None:
    model = FusedSequential(
        nn.ReLU(),
        Linear(6, 7),
        Linear(7, 5),
        nn.ReLU(),
        nn.ReLU(),
        nn.Tanh(),
        Linear(5, 4),
        nn.ReLU(),
    )
    compare(model, stock(model), torch.randn(9, 6))
    assert FusedSequential()(torch.ones(2, 3)).tolist() == [[1] * 3] * 2


def test_in_evaluation_every_layer_is_called_so_that_hooks_see_it() -> None:
    model = mlp(dropout=0.5)
    seen: list[str] = []
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda *_, name=name: seen.append(name))
    model.eval()(torch.randn(2, *IMAGE.shape))
    assert seen == [name for name, _ in model.named_children()]


def test_the_manual_gradients_are_those_of_the_function() -> None:
    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)

    mask = (torch.rand(4, 5) < 0.5).double()
    assert torch.autograd.gradcheck(lambda x: DropoutFunction.apply(x, mask, 1.5), (draw(4, 5),))
    layer, x = Linear(7, 3), torch.randn(5, 7, requires_grad=True)
    expected = torch.autograd.grad(
        nn.Linear.forward(layer, x).square().sum(), [x, *layer.parameters()]
    )
    y = OnednnLinear.apply(x, layer.weight, layer.bias)
    torch.testing.assert_close(
        torch.autograd.grad(y.square().sum(), [x, *layer.parameters()]), expected
    )


# Convolutional networks.


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (IMAGE, {}),
        (IMAGE, {"padding": "valid", "pool": ["none", "max"], "head": {"hidden": [16]}}),
        (IMAGE, {"kernel_size": 4, "stride": 2, "pool": "none"}),
        (IMAGE, {"pool": "avg", "activation": "gelu", "norm": "layer"}),
        (IMAGE, {"pool": "lp", "norm": "batch", "head": {"pooling": "average", "hidden": [16]}}),
        (IMAGE, {"pool_size": [[3, 2], 2], "activation": "tanh"}),
        (InputSpec("image", (1, 9, 9)), {}),
        (SERIES, {"head": {"hidden": [16]}}),
        (SERIES, {"pool": "avg", "norm": "batch"}),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_cnn_gives_torchs_outputs_and_gradients(
    training: bool, kind: InputSpec, options: dict[str, Any]
) -> None:
    model = cnn(kind, **options).train(training)
    plain = StockCnn(model).train(training)
    x = torch.randn(5, *kind.shape)
    if kind is SERIES:
        forward = plain.forward
        plain.forward = lambda x: forward(x.transpose(1, 2))  # type: ignore[method-assign]
    compare(model, plain, x)


def test_images_are_computed_channels_last_also_with_one_channel() -> None:
    seen: list[Tensor] = []
    for channels in (1, 3):
        model = cnn(
            InputSpec("image", (channels, 12, 10)), dropout=0.3, residual=True, norm="batch"
        )
        for layer in model.features:
            layer.register_forward_hook(lambda _, __, y: seen.append(y))
        model(torch.randn(4, channels, 12, 10))
    assert seen and all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)


def takes_bfloat16() -> bool:
    return build.supports_dtype(torch.bfloat16)


@pytest.mark.parametrize("build", [mlp, cnn])
def test_under_autocast_outputs_are_bfloat16_and_gradients_float32(
    build: Any, native: bool
) -> None:
    model = build(dropout=0.2)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(torch.randn(6, *IMAGE.shape))
    # Native sums stay float32.
    assert y.dtype == (torch.float32 if native and takes_bfloat16() else torch.bfloat16)
    y.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("build", [mlp, cnn])
def test_under_autocast_numbers_are_torchs(build: Any) -> None:
    model = build()
    plain = stock(model) if build is mlp else StockCnn(model)
    with torch.autocast("cpu", torch.bfloat16):
        compare(model, plain, torch.randn(6, *IMAGE.shape), within=0.05)


# Dropout.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9, 1e-9, 0.999999])
def test_dropout_has_the_rate_and_keeps_the_mean(rate: float, dtype: torch.dtype) -> None:
    x = torch.ones(2_000_001, dtype=dtype)
    y = Dropout(rate)(x).float()
    kept = min(max(round((1 - rate) * 65536), 1), 65535) / 65536
    assert set(y.unique().tolist()) <= {0.0, float(torch.tensor(1 / kept, dtype=dtype))}
    std = (kept * (1 - kept) / len(y)) ** 0.5
    assert abs((y > 0).double().mean().item() - kept) < 4 * std
    assert kept == pytest.approx(1 - rate, abs=1 / 65536)


def test_each_value_is_dropped_by_itself() -> None:
    mask, factor = dropout_mask(torch.ones(64, 4096), 0.25)
    assert factor == 4 / 3
    kept = mask.double() - 0.75
    for lag in range(1, 70):
        together = (kept.flatten()[lag:] * kept.flatten()[:-lag]).mean()
        assert abs(together.item()) < 5 * 0.1875 / mask.numel() ** 0.5
    assert ((mask.mean(0) - 0.75).abs() < 6 * (0.1875 / 64) ** 0.5).all()
    assert ((mask.mean(1) - 0.75).abs() < 6 * (0.1875 / 4096) ** 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropouts_gradient_is_that_of_what_it_kept_in_any_layout(dtype: torch.dtype) -> None:
    for x in (torch.ones(4, 6, 5, 3), torch.ones(4, 6, 5, 3).to(memory_format=torch.channels_last)):
        x = x.to(dtype).requires_grad_()
        y = Dropout(0.25)(x)
        assert y.stride() == x.stride()
        y.flatten(1).sum().backward()
        assert torch.equal(x.grad, y)  # type: ignore[arg-type]


def test_dropout_within_a_stack_is_dropout_behind_relu() -> None:
    model = FusedSequential(Linear(30, 400), nn.ReLU(), Dropout(0.25), Linear(400, 3))
    x = torch.randn(64, 30)
    torch.manual_seed(5)
    got = outputs_and_grads(model, x)
    torch.manual_seed(5)
    hidden = model[0](x).relu()
    mask, factor = dropout_mask(hidden, 0.25)

    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * mask * factor

    plain = nn.Sequential(nn.Linear(30, 400), nn.ReLU(), Same(), nn.Linear(400, 3))
    plain.load_state_dict(model.state_dict())
    for left, right in zip(got, outputs_and_grads(plain, x), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_dropout_does_nothing_in_evaluation_and_is_torchs_where_torch_is_not_fast() -> None:
    x = torch.randn(50, 40, dtype=torch.float64)
    assert torch.equal(Dropout(0.5).eval()(x.float()), x.float())
    assert torch.equal(Dropout(0.0)(x.float()), x.float())
    assert not Dropout(1.0)(x.float()).any()
    torch.manual_seed(1)
    mine = Dropout(0.5)(x)
    torch.manual_seed(1)
    assert torch.equal(mine, nn.Dropout(0.5)(x))


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_same_seed_gives_the_same_bits(build: Any, precision: torch.dtype) -> None:
    model, x = build(dropout=0.3), torch.randn(16, *IMAGE.shape)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            runs.append(outputs_and_grads(model, x))
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not torch.equal(runs[0][0], runs[2][0])


def test_onednns_product_is_torchs_and_not_used_for_other_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, layer = torch.randn(5, 7), nn.Linear(7, 3)
    tensors = x, layer.weight, layer.bias
    assert supports_onednn(*tensors) and not supports_onednn(x.double(), *tensors[1:])
    assert not supports_onednn(x.to("meta"), *tensors[1:]) and not supports_onednn(
        *tensors[:2], None
    )
    torch.testing.assert_close(OnednnLinear.apply(*tensors), layer(x))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not supports_onednn(*tensors)


# Elsewhere.


@pytest.mark.parametrize("build", [mlp, cnn])
def test_without_onednn_torchs_own_modules_compute(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = build(), torch.randn(4, *IMAGE.shape)
    expected = outputs_and_grads(model, x)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(layers.OnednnLinear, "apply", None)
    for got, targets in zip(outputs_and_grads(model, x), expected, strict=True):
        torch.testing.assert_close(got, targets, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", [mlp, cnn])
def test_networks_are_built_and_run_without_memory(build: Any) -> None:
    with torch.device("meta"):
        model = build(dropout=0.3)
        assert model(torch.empty(4, *IMAGE.shape)).shape == (4, 5)
    assert {p.device.type for p in model.parameters()} == {"meta"}
