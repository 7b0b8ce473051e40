"""Tensors saved for backward: hooks, memory given back, changes in place, copies and transforms."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

from nnzoo.kernels import build
from nnzoo.kernels.adam import AdamStep, ParameterTable
from nnzoo.kernels.ops import RecurrentLayer
from nnzoo.models.layers import Conv2d, Linear
from tests.kernels.cases import CASES, outcome, pair, same
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


# Hooks on saved tensors, and memory that has been given back meanwhile.


def overwrite() -> list[Tensor]:
    """Take memory that was given back, of any size, and fill it."""
    return [torch.full((2**i,), math.nan) for i in range(4, 18) for _ in range(8)]


def plain(module: nn.Module, x: Tensor) -> Tensor:
    return module(x)


def hooked(pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> Any:
    def run(module: nn.Module, x: Tensor) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return module(x)

    return run


def on_cpu(module: nn.Module, x: Tensor) -> Tensor:
    with torch.autograd.graph.save_on_cpu():
        return module(x)


def strided(x: Tensor) -> Tensor:
    """A copy with every second number of its memory."""
    wide = x.new_empty(*x.shape, 2)
    wide[..., 0] = x
    return wide[..., 0]


RUNS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "cloned": hooked(Tensor.clone, lambda x: x),
    "cloned each time": hooked(Tensor.clone, Tensor.clone),
    "strided": hooked(strided, lambda x: x),
    "as an array": hooked(lambda x: x.numpy().copy(), torch.from_numpy),
    "on the CPU": on_cpu,
    "checkpoint": partial(checkpoint, use_reentrant=False),
    "reentrant checkpoint": lambda module, x: checkpoint(
        module, x.requires_grad_(), use_reentrant=True
    ),
}


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("name", CASES)
def test_what_is_saved_may_move_before_the_way_back(name: str, how: str) -> None:
    ours, _, x = pair(name)
    if name == "direct" and how == "reentrant checkpoint":
        pytest.skip("wants the gradient of images, which is torch's")
    gradients = []
    for run in (plain, RUNS[how]):
        module = copy.deepcopy(ours)
        y = run(module, x.clone())
        held = overwrite()
        y.square().sum().backward()
        del held
        gradients.append([p.grad for p in module.parameters()])
    assert all(map(torch.equal, *gradients))


def test_what_hooks_give_back_is_read_by_its_strides_also_where_it_lay_before() -> None:
    layer, x = Linear(16, 16), torch.randn(4, 16, requires_grad=True)
    gradients: list[Any] = []
    for turn in (Tensor.t, lambda t: t.t().contiguous()):

        def unpack(t: Tensor, turn: Callable[[Tensor], Tensor] = turn) -> Tensor:
            return turn(t) if t.shape == (16, 16) else t

        run = hooked(lambda t: t, unpack)
        gradients += torch.autograd.grad(run(layer, x).square().sum(), [x])
    assert torch.equal(*gradients)


@pytest.mark.parametrize("what", [torch.float64, torch.float32])
def test_what_hooks_give_back_in_another_type_is_refused(what: torch.dtype) -> None:
    ours, _, x = pair("stack")
    run = hooked(lambda t: t, lambda t: t.to(what) if t.dtype is torch.uint8 else t.double())
    with pytest.raises(TypeError, match="native code takes"):
        run(ours, x).sum().backward()


@pytest.mark.parametrize("name", CASES)
def test_what_changes_in_place_before_the_way_back_is_an_error(name: str) -> None:
    ours, _, x = pair(name)
    y = ours(x)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    if name in ("rnn", "lstm", "gru"):
        x = x.transpose(0, 1)
        weights = [torch.randn(n, requires_grad=True) for n in ((32, 5), (32, 8), (32,), (32,))]
        states, *_ = RecurrentLayer.apply("lstm", False, torch.float32, None, x, *weights)
        states.detach().zero_()
        with pytest.raises(RuntimeError, match=r"modified (by an )?in"):
            states.sum().backward()


def test_native_steps_and_statistics_count_as_changes_in_place() -> None:
    weights = [torch.ones(3), torch.ones(2, 2)]
    versions = [w._version for w in weights]
    zeros = [[torch.zeros_like(w) for w in weights] for _ in "ab"]
    table = ParameterTable(weights, [0.0, 0.0], 1, *zeros)
    table.adam_step(
        [torch.ones_like(w) for w in weights], AdamStep(0.1, (0.9, 0.99), 1e-8, False, 1), [1.0]
    )
    assert [w._version for w in weights] == [v + 1 for v in versions]
    ours, _, x = pair("winograd")
    ours(x)
    buffers = dict(ours.named_buffers())
    assert buffers["1.running_mean"]._version > 0 and buffers["1.running_var"]._version > 0


@pytest.mark.parametrize("name", CASES)
def test_a_second_derivative_is_an_error_and_a_graph_is_used_up_once(name: str) -> None:
    ours, _, x = pair(name)
    first = torch.autograd.grad(ours(x).square().sum(), list(ours.parameters()), create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad([item.square().sum() for item in first], list(ours.parameters()))
    y = ours(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def _convolutions() -> tuple[nn.Module, nn.Module, Tensor]:
    return Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3), torch.randn(2, 16, 6, 6)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", ["linear", "stack", "rnn", "gru", "convolution"])
def test_transforms_of_functions_are_torchs(name: str) -> None:
    if name == "convolution":
        ours, stock, x = _convolutions()
        stock.load_state_dict(ours.state_dict())
    else:
        ours, stock, x = pair(name)

    def derivatives(module: nn.Module) -> list[Tensor]:
        weights: dict[str, Tensor] = dict(module.named_parameters())

        def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            y: Tensor = torch.func.functional_call(module, weights, (x,))
            return y.square().sum()

        gradient: Any = torch.func.grad(loss)(weights, x)
        _, tangent, *_ = torch.func.jvp(lambda x: loss(weights, x), (x,), (torch.ones_like(x),))
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            forward = torch.autograd.forward_ad.unpack_dual(module(dual)).tangent
        return [*(item.detach() for item in gradient.values()), tangent.detach(), forward.detach()]

    assert difference(derivatives(ours), derivatives(stock)) < 1e-4
    if name in ("rnn", "gru"):  # torch's have no rule for vmap
        return
    x = torch.stack([x, 2 * x])
    actual, expected = (torch.vmap(module)(x).detach() for module in (ours, stock))
    assert difference([actual], [expected]) < 1e-5


def test_under_a_mode_or_another_default_results_are_the_same() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    for name in CASES:
        ours, _, x = pair(name)
        expected = outcome(copy.deepcopy(ours), x)
        torch.set_default_dtype(torch.float64)
        try:
            with torch.device("meta"):
                actual = outcome(copy.deepcopy(ours), x)
        finally:
            torch.set_default_dtype(torch.float32)
        # The weights of the sum above lie on meta: the output alone.
        assert not isinstance(expected, type)
        with torch.device("meta"):
            assert torch.equal(ours(x).detach(), expected[0]), actual
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert ours(x).shape == expected[0].shape


def test_a_module_can_be_copied_pickled_and_compiled_after_use() -> None:
    import pickle

    ours, _, x = pair("stack")
    y = ours(x)
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(twin(x), y)
    compiled = torch.compile(ours, backend="eager")
    assert difference([compiled(x).detach()], [y.detach()]) < 1e-6


def test_hooks_and_pruning_of_a_layer_in_a_row_are_not_passed_over() -> None:
    ours, stock, x = pair("stack")
    seen: list[int] = []
    ours.get_submodule("2").register_forward_hook(lambda *_: seen.append(1))
    for module in (ours, stock):
        prune.l1_unstructured(module.get_submodule("0"), "weight", amount=0.5)
    assert same(outcome(ours, x), outcome(stock, x))
    with torch.no_grad():
        for module in (ours, stock):
            module.get_parameter("0.weight_orig").mul_(2)
    assert same(outcome(ours, x), outcome(stock, x)) and len(seen) == 2
    conv, plain_conv, x = pair("winograd")
    for name in ("0", "1", "3"):
        conv.get_submodule(name).register_forward_hook(lambda *_: seen.append(2))
    assert same(outcome(conv, x), outcome(plain_conv, x), 1e-4) and seen.count(2) == 3
