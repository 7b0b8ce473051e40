"""Operators of torch that a computation calls, and whether their bits may depend on the number of threads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnzoo.kernels.torch_operators import operators_of, thread_dependent


def test_operators_are_listed_with_their_shapes_those_of_backward_too() -> None:
    x = torch.ones(3, 4, requires_grad=True)

    def compute() -> int:
        (x * 2).sum().backward()
        return 7

    result, calls = operators_of(compute)
    assert result == 7 and calls is not None
    names = [name for name, _ in calls]
    assert names.count("aten::mul") == 2  # forward and backward
    assert [*calls[names.index("aten::sum")]] == ["aten::sum", [[3, 4], []]]
    assert thread_dependent(calls) == ""


def test_an_error_ends_the_recording() -> None:
    def fail() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        operators_of(fail)
    assert operators_of(lambda: torch.ones(2))[1]


def test_where_torch_does_not_tell_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.autograd, "_enable_profiler_legacy")
    assert operators_of(lambda: 3) == (3, None)


@pytest.mark.parametrize(
    ("name", "shapes", "depends"),
    [
        ("aten::sum", [[200, 163], []], False),
        ("aten::sum", [[200, 164], []], True),
        ("aten::add", [[200, 1], [1, 200], []], True),
        ("aten::add", [[200, 1], [1, 100], []], False),
        ("aten::add", [[200, 7], [300, 9], []], True),
        ("aten::mul", [[2000, 2000], []], False),
        ("aten::mm", [[2, 2], [2, 2]], True),
        ("mkldnn::_linear_pointwise", [[2, 2]], True),
        ("LinearChain", [[2000, 2000]], False),
        ("torch::autograd::AccumulateGrad", [[2000, 2000]], False),
    ],
)
def test_sums_depend_on_threads_where_they_are_divided(
    name: str, shapes: list[list[int]], depends: bool
) -> None:
    assert thread_dependent([("aten::view", [[9]]), (name, shapes)]) == (name if depends else "")


def test_layers_of_torch_depend_on_threads() -> None:
    layer, x = nn.Linear(4, 3), torch.ones(2, 4)
    _, calls = operators_of(lambda: layer(x))
    assert thread_dependent(calls or []) == "aten::linear"


@pytest.mark.parametrize("size", [8, 28])
def test_what_is_called_safe_has_the_same_bits_with_any_number_of_threads(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(300, 2, size, size, generator=generator)
    theta = torch.eye(2, 3) + 0.1 * torch.randn(300, 2, 3, generator=generator)

    def compute() -> list[torch.Tensor]:
        torch.manual_seed(0)
        dropped = nn.functional.dropout(image, 0.3)
        grid = nn.functional.affine_grid(theta, [300, 2, size, size], align_corners=False)
        moved = nn.functional.grid_sample(image, grid, align_corners=False)
        noise = torch.rand(300, 2, size, size)
        return [dropped, noise, torch.randn(200_000), moved, moved * noise / 3, moved.reciprocal()]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        (expected, calls) = operators_of(compute)
        # A larger grid is a product of matrices that is left to a library.
        assert thread_dependent(calls or []) == ("" if size == 8 else "aten::bmm")
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            for actual, reference in zip(compute(), expected, strict=True):
                assert torch.equal(actual, reference)
    finally:
        torch.set_num_threads(before)
