"""Native convolutions and what is computed together with them: torch's numbers and gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nnzoo.kernels import build
from nnzoo.kernels.ops import BatchNorm, Convolution, Epilogue
from nnzoo.kernels.plan import conv_shape
from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import Conv2d, Dropout
from tests.zoo import difference, load_script

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def results(module: nn.Module, x: Tensor, wants_dx: bool = True) -> list[Tensor]:
    """Output, gradients of x and of all parameters, and the buffers afterwards; drawn from one seed."""
    torch.manual_seed(7)
    x = x.clone().requires_grad_(wants_dx)
    y = module(x)
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(7)).to(y.dtype)
    values = [x, *module.parameters()] if wants_dx else [*module.parameters()]
    actual = torch.autograd.grad((y * noise).sum(), values)
    return [y.detach(), *actual, *(buffer.clone() for buffer in module.buffers())]


def by_torch(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    for item in module.modules():
        if isinstance(item, Conv2d):
            item.use_native = False
    return module


def layers(
    conv: Conv2d, norm: bool, pool: bool, relu: bool, dropout: bool, dtype: torch.dtype
) -> FusedSequential:
    made: list[nn.Module] = [conv]
    if norm:
        batch_norm = nn.BatchNorm2d(conv.out_channels)
        nn.init.uniform_(batch_norm.weight, -1, 1)
        nn.init.normal_(batch_norm.bias)
        made.append(batch_norm)
    made += [nn.MaxPool2d(2)] * pool + [nn.ReLU()] * relu + [Dropout(0.3)] * dropout
    return FusedSequential(*made).to(dtype)


def exact(module: nn.Module, x: Tensor, wants_dx: bool) -> list[Tensor]:
    """float64's results."""
    return results(by_torch(module).double(), x.double(), wants_dx)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=80, deadline=None)
@given(
    batch=st.integers(1, 5),
    few=st.booleans(),
    ins=st.integers(1, 4),
    outs=st.integers(1, 4),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    bias=st.booleans(),
    norm=st.booleans(),
    pool=st.booleans(),
    relu=st.booleans(),
    seed=st.integers(0, 99),
)
def test_outputs_gradients_and_statistics_are_torchs(
    dtype: torch.dtype,
    batch: int,
    few: bool,
    ins: int,
    outs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
    bias: bool,
    norm: bool,
    pool: bool,
    relu: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    lanes = build.lanes_of(dtype)
    ins = ins if few else ins * lanes
    kernel, stride = (kernel, stride) if few else ((3, 3), (1, 1))
    # Epilogue batch norm the gradient of a bias is nothing but what is rounded.
    conv = Conv2d(ins, outs * lanes, kernel, stride, padding, bias=bias and not norm)
    module = layers(conv, norm, pool, relu, False, dtype)
    x = torch.randn(batch, ins, *size, dtype=dtype)
    per = 2 if pool else 1
    assume(all(s + 2 * p >= k for s, p, k in zip(size, padding, kernel, strict=True)))
    shape = conv_shape(x.shape, conv.weight.shape, stride, padding)
    assume(min(shape[2:]) >= per)
    # And of so few values, or of a kernel of one number, that of everything.
    assume(not norm or (batch * shape[2] * shape[3] > 8 and ins * kernel[0] * kernel[1] > 2))
    assert conv.is_native(x)
    expected = exact(module, x, not few)
    actual = results(copy.deepcopy(module), x, not few)
    limit = 2e-6 if dtype == torch.float32 else 1e-13
    if difference(actual, expected) < limit:
        return
    # Batch norm can blow up what is rounded before it. Then we are no further off than twice as far as
    # torch and two units in the last place of every weight and input take it.
    assert norm
    stock = results(by_torch(module), x, not few)
    off = max(difference(results(*nudged(module, x), not few), stock) for _ in range(4))
    assert difference(actual, expected) < 2 * (difference(stock, expected) + off)


def nudged(module: nn.Module, x: Tensor) -> tuple[nn.Module, Tensor]:
    """With two units in the last place more or less of every number, by torch."""
    module = by_torch(module)

    def nudge(x: Tensor) -> Tensor:
        return x * (1 + 2 * torch.finfo(x.dtype).eps * torch.randn_like(x).sign())

    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(nudge(parameter))
    return module, nudge(x)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("pool", [False, True])
def test_dropout_draws_what_it_draws_by_itself(pool: bool, norm: bool) -> None:
    torch.manual_seed(0)
    conv = Conv2d(16, 32, 3, padding=1, bias=not norm)
    module = layers(conv, norm, pool, True, True, torch.float32)
    x = torch.randn(32, 16, 9, 10).to(memory_format=torch.channels_last)
    actual, stock = results(copy.deepcopy(module), x), results(by_torch(module), x)
    assert torch.equal(actual[0] == 0, stock[0] == 0)
    assert difference(actual, stock) < 1e-5


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize("shape", [(64, 32, 64, 13), (16, 128, 128, 8), (128, 1, 32, 28)])
def test_at_the_size_of_real_networks_too(shape: tuple[int, ...], padding: tuple[int, int]) -> None:
    torch.manual_seed(0)
    batch, ins, outs, size = shape
    module = layers(
        Conv2d(ins, outs, 3, padding=padding, bias=False), True, True, True, False, torch.float32
    )
    x = torch.rand(batch, ins, size, size)
    wants_dx = ins > 1
    expected = exact(module, x, wants_dx)
    stock = difference(results(by_torch(module), x, wants_dx), expected)
    assert difference(results(module, x, wants_dx), expected) < 2 * stock


@pytest.mark.parametrize("ins", [1, 8])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("pool", [False, True])
def test_gradients_are_those_of_differences(ins: int, norm: bool, pool: bool) -> None:
    torch.manual_seed(3)
    outs = 8  # whole vectors on all processors

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)

    x, weight = draw(2, ins, 5, 4), draw(outs, ins, 3, 3)
    shape = conv_shape(x.shape, weight.shape, (1, 1), (1, 0), pool)
    mask = (torch.rand(shape) < 0.7).to(torch.uint8)

    def function(*values: Tensor) -> Any:
        running = BatchNorm(torch.zeros(outs).double(), torch.ones(outs).double(), 0.1, 1e-5)
        behind = Epilogue(running if norm else None, pool, True, mask, 1 / 0.7)
        rest = (None, *values[2:]) if norm else (values[2], None, None)
        return Convolution.apply(*values[:2], (1, 1), (1, 0), behind, *rest)

    values = [x, weight, draw(outs), draw(outs)] if norm else [x, weight, draw(outs)]
    x.requires_grad_(ins > 1)
    torch.autograd.gradcheck(function, values)


def test_in_bfloat16_results_are_as_close_to_float32_as_torchs() -> None:
    if not build.supports_dtype(torch.bfloat16):
        pytest.skip("this processor has no bfloat16 instructions")
    for shape in [(3, 16, 16, 5), (8, 32, 64, 26), (5, 48, 32, 9)]:
        torch.manual_seed(0)
        batch, ins, outs, size = shape
        local = Conv2d(ins, outs, 3, padding=1)
        x = torch.randn(batch, ins, size, size).relu()
        expected = exact(local, x, True)
        with torch.autocast("cpu", torch.bfloat16):
            assert local.is_native(x)
            rough, stock = results(local, x), results(by_torch(local), x)
        assert all(item.dtype == torch.float32 for item in rough)
        for ours, torchs, true in zip(rough, stock, expected, strict=True):
            error, its = ((item - true).norm() / true.norm() for item in (ours, torchs))
            assert error < max(1e-6, 1.6 * its)


@pytest.mark.parametrize("precise", [True, False])
def test_results_repeat_bit_for_bit_and_the_graph_can_be_used_twice(precise: bool) -> None:
    module = layers(Conv2d(16, 32, 3), True, True, True, True, torch.float32)
    x = torch.randn(9, 16, 12, 11)
    with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
        first, second = results(copy.deepcopy(module), x), results(copy.deepcopy(module), x)
        assert all(map(torch.equal, first, second))
        loss = module(x).square().sum()
    once = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
    twice = torch.autograd.grad(loss, list(module.parameters()))
    assert all(map(torch.equal, once, twice))


@pytest.mark.parametrize("ins", [3, 16])
def test_threads_change_the_last_bits_of_sums_over_images_alone(ins: int) -> None:
    torch.manual_seed(1)
    module = layers(Conv2d(ins, 32, 3), False, True, True, False, torch.float32)
    normed = layers(Conv2d(ins, 32, 3), True, True, True, False, torch.float32)
    x = torch.randn(7, ins, 9, 9)
    before = torch.get_num_threads()
    actual = []
    try:
        for threads in (1, 2, 3, 11):  # 11: some have no image
            torch.set_num_threads(threads)
            actual.append([results(copy.deepcopy(item), x, ins == 16) for item in (module, normed)])
    finally:
        torch.set_num_threads(before)
    for plain, norm in actual[1:]:
        assert torch.equal(plain[0], actual[0][0][0])
        assert difference(plain, actual[0][0]) < 1e-6
        assert difference(norm, actual[0][1]) < 1e-4


def test_what_is_not_a_number_stays_so() -> None:
    module = layers(Conv2d(16, 16, 3), False, True, True, False, torch.float32)
    x = torch.randn(2, 16, 8, 8)
    x[0, 3, 0, 0] = torch.nan
    y, expected = module(x), by_torch(module)(x)
    assert torch.equal(y.isnan(), expected.isnan()) and y.isnan().any()


@pytest.mark.parametrize(
    "conv",
    [
        Conv2d(16, 16, 3, dilation=2),
        Conv2d(16, 16, 3, groups=2),
        Conv2d(16, 16, 3, stride=2),
        Conv2d(16, 16, (3, 1)),
        Conv2d(17, 16, 3),
        Conv2d(16, 17, 3),
        Conv2d(16, 16, 3, padding="same"),
        Conv2d(16, 16, 3, padding=1, padding_mode="circular"),
    ],
)
def test_other_convolutions_are_torchs(conv: Conv2d) -> None:
    x = torch.randn(2, conv.in_channels, 9, 9)
    assert not conv.is_native(x)
    assert torch.equal(conv(x), by_torch(conv)(x))


def test_images_whose_gradient_is_asked_for_are_torchs() -> None:
    conv = Conv2d(1, 16, 3)
    x = torch.randn(2, 1, 9, 9)
    assert conv.is_native(x) and not conv.is_native(x.requires_grad_())
    assert torch.autograd.grad(conv(x).sum(), x)[0].abs().sum() > 0


def test_batch_norm_of_one_value_tells_what_is_wrong() -> None:
    module = layers(Conv2d(16, 16, 3), True, False, True, False, torch.float32)
    with pytest.raises(ValueError, match="more than 1 value"):
        module(torch.randn(1, 16, 3, 3))


def test_in_evaluation_every_layer_is_called_and_running_statistics_count() -> None:
    module = layers(Conv2d(16, 16, 3), True, True, True, True, torch.float32)
    x = torch.randn(4, 16, 9, 9)
    module(x)
    assert module.state_dict()["1.num_batches_tracked"] == 1
    seen: list[str] = []
    for name, layer in module.named_children():
        layer.register_forward_hook(lambda *_, name=name: seen.append(name))
    module.eval()
    assert difference([module(x).detach()], [by_torch(module).eval()(x).detach()]) < 1e-6
    assert seen[:5] == ["0", "1", "2", "3", "4"]


def test_layers_are_grouped_anew_where_one_changes() -> None:
    module = layers(Conv2d(16, 16, 3), False, True, True, True, torch.float32)
    x = torch.randn(2, 16, 8, 8)
    module(x)
    assert len(module._groups) == 1
    dropout = module[3]
    assert isinstance(dropout, Dropout)
    dropout.p = 0.0
    assert torch.equal(module(x), module.eval()(x).detach())
    module.train()[1] = nn.AvgPool2d(2)
    module(x)
    assert len(module._groups) == 4


def test_a_training_step_makes_few_python_calls() -> None:
    assert load_script("count_calls").calls_per_step("cnn").total() <= 120
